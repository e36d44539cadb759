"""Texts of values: bytes, durations, states and triggers. All are plain texts, which templates escape."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext_lazy

#: Statuses from which an object changes without a request. Rows with them are polled.
UNFINISHED = frozenset(
    {"protecting", "copying", "wait_copying", "deleting", "in_progress", "queued", "running", "retrying"}
)

#: Whether a status is good (True), bad (False), or not final (None); as Horizon colours rows.
STATUS_CHOICES = (
    *((status, None) for status in sorted(UNFINISHED)),
    ("available", True),
    ("success", True),
    ("error", False),
    ("error-deleting", False),
    ("fail", False),
    ("failed", False),
    ("missed", False),
    ("deleted", True),
    ("skipped", True),
    ("started", True),
    ("suspended", True),
)

STATUS = {
    "protecting": pgettext_lazy("status", "Protecting"),
    "available": pgettext_lazy("status", "Available"),
    "error": pgettext_lazy("status", "Error"),
    "deleting": pgettext_lazy("status", "Deleting"),
    "error-deleting": pgettext_lazy("status", "Error while deleting"),
    "wait_copying": pgettext_lazy("status", "Waiting to be copied"),
    "copying": pgettext_lazy("status", "Copying"),
    "deleted": pgettext_lazy("status", "Deleted"),
    "in_progress": pgettext_lazy("status", "In progress"),
    "success": pgettext_lazy("status", "Succeeded"),
    "fail": pgettext_lazy("status", "Failed"),
    "failed": pgettext_lazy("status", "Failed"),
    "missed": pgettext_lazy("status", "Missed"),
    "skipped": pgettext_lazy("status", "Skipped"),
    "suspended": pgettext_lazy("status", "Suspended"),
    "started": pgettext_lazy("status", "Started"),
    "queued": pgettext_lazy("status", "Waiting"),
}

_OPERATION = {
    "protect": gettext_lazy("Protect"),
    "retention_protect": gettext_lazy("Protect with retention"),
    "restore": gettext_lazy("Restore"),
    "delete": gettext_lazy("Delete"),
    "copy": gettext_lazy("Copy"),
    "verify": gettext_lazy("Verify"),
}

_TYPE = {
    "OS::Cinder::Volume": gettext_lazy("Volume"),
    "OS::Glance::Image": gettext_lazy("Image"),
    "OS::Keystone::Project": gettext_lazy("Project"),
    "OS::Manila::Share": gettext_lazy("Share"),
    "OS::Neutron::Network": gettext_lazy("Networks"),
    "OS::Nova::KeyPair": gettext_lazy("Key pair"),
    "OS::Nova::Server": gettext_lazy("Server"),
    "OS::Trove::Instance": gettext_lazy("Database"),
}

DAYS = {
    "0": gettext_lazy("Sunday"),
    "1": gettext_lazy("Monday"),
    "2": gettext_lazy("Tuesday"),
    "3": gettext_lazy("Wednesday"),
    "4": gettext_lazy("Thursday"),
    "5": gettext_lazy("Friday"),
    "6": gettext_lazy("Saturday"),
    "7": gettext_lazy("Sunday"),
}


def status(value: Any) -> str:
    """Return a status for the reader."""
    return str(STATUS.get(value, value or "-"))


def operation(value: Any) -> str:
    """Return the type of an operation for the reader."""
    return str(_OPERATION.get(value, value or "-"))


def resource_type(value: Any) -> str:
    """Return the type of a resource for the reader, such as "Volume"."""
    return str(_TYPE.get(value, value or "-"))


def size(value: Any) -> str:
    """Return a number of bytes for the reader."""
    return "-" if value is None else str(filesizeformat(value))


def moment(value: datetime | None) -> str:
    """Return a time, UTC, with seconds."""
    return "-" if value is None else value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(seconds: float) -> str:
    """Return a duration, rounded to its two largest units."""
    whole = max(0, round(seconds))
    if whole < 60:
        return ngettext("%d second", "%d seconds", whole) % whole
    if whole < 3600:
        return _("%(minutes)d min %(seconds)d s") % {"minutes": whole // 60, "seconds": whole % 60}
    return _("%(hours)d h %(minutes)d min") % {"hours": whole // 3600, "minutes": whole % 3600 // 60}


def trigger(properties: Mapping[str, Any] | None) -> str:
    """Return when a trigger runs, such as "every day at 02:00 (Europe/Berlin)"; the pattern if it is not a simple one."""
    known = properties or {}
    pattern = " ".join(str(known.get("pattern") or "").split())
    text = _crontab(pattern) if known.get("format") == "crontab" else _calendar(pattern)
    return f"{text} ({known.get('timezone') or 'UTC'})"


def _crontab(pattern: str) -> str:
    match = re.fullmatch(r"(\d{1,2}) (\d{1,2}|\*) (\d{1,2}|\*) \* ([0-7]|\*)", pattern)
    if match is None:
        return pattern
    minute, hour, day, weekday = match.groups()
    if hour == "*":
        return _("every hour at minute %s") % minute if (day, weekday) == ("*", "*") else pattern
    time = f"{int(hour):02}:{int(minute):02}"
    if day == weekday == "*":
        return _("every day at %s") % time
    if day == "*":
        return _("every %(day)s at %(time)s") % {"day": DAYS[weekday], "time": time}
    if weekday == "*":
        return _("every month on day %(day)s at %(time)s") % {"day": day, "time": time}
    return pattern


def _calendar(pattern: str) -> str:
    match = re.search(r"RRULE:(\S+)", pattern)
    return match.group(1) if match else pattern


#: The rules of retention, in the order of forms, and what their numbers mean.
RETENTION = {
    "max_backups": gettext_lazy("Keep at most this many checkpoints"),
    "retention_duration": gettext_lazy("Keep checkpoints for this many days"),
    "hourly": gettext_lazy("Keep one for each of this many last hours"),
    "daily": gettext_lazy("Keep one for each of this many last days"),
    "weekly": gettext_lazy("Keep one for each of this many last weeks"),
    "monthly": gettext_lazy("Keep one for each of this many last months"),
    "yearly": gettext_lazy("Keep one for each of this many last years"),
}


def retention(definition: Mapping[str, Any] | None) -> str:
    """Return the rules of a scheduled operation as one line."""
    known = definition or {}
    return ", ".join(f"{name}: {known[name]}" for name in RETENTION if known.get(name)) or _("everything is kept")
