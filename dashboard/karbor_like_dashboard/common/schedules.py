"""The fields of a schedule, and the requests that they mean."""

import http
import re
import zoneinfo
from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from karbor_like_dashboard import api
from karbor_like_dashboard.common import texts
from karbor_like_dashboard.exceptions import Failure

EXISTING = "existing"
_TIMED = ("daily", "weekly", "monthly")

_WHEN = (
    ("", gettext_lazy("No schedule")),
    ("hourly", gettext_lazy("Every hour")),
    ("daily", gettext_lazy("Every day")),
    ("weekly", gettext_lazy("Every week")),
    ("monthly", gettext_lazy("Every month")),
    ("crontab", gettext_lazy("A crontab pattern")),
    (EXISTING, gettext_lazy("A trigger that exists")),
)


def _switched(label: Any, *values: str, kind: str = "text") -> dict[str, Any]:
    """Return the attributes of a field that is shown for some values of ``when``."""
    switches = {f"data-dp_when-{value}": label for value in values}
    return {"class": "switched", "data-switch-on": "dp_when", "type": kind, **switches}


def fields(request: Any, *, required: bool) -> dict[str, forms.Field]:
    """Return the fields of a schedule with its retention. Sends one request, for the triggers.

    :param required: whether there must be a schedule
    :raises Failure: the API failed
    """
    triggers = api.some(api.client(request).triggers)
    zones = [("UTC", "UTC"), *((name, name) for name in sorted(zoneinfo.available_timezones()) if "/" in name)]
    labels: dict[str, Any] = {
        "at": _("Time"),
        "weekday": _("Day of the week"),
        "day": _("Day of the month"),
        "minute": _("Minute"),
        "pattern": _("Crontab pattern"),
        "timezone": _("Time zone"),
        "trigger": _("Trigger"),
    }
    made: dict[str, forms.Field] = {
        "when": forms.ChoiceField(
            label=_("When"),
            required=required,
            choices=_WHEN[1:] if required else _WHEN,
            initial="daily" if required else "",
            widget=forms.Select(attrs={"class": "switchable", "data-slug": "dp_when"}),
        ),
        "trigger": forms.ChoiceField(
            label=labels["trigger"],
            required=False,
            choices=[("", "-"), *((each.id, f"{each.name}: {texts.trigger(each.properties)}") for each in triggers)],
            widget=forms.Select(attrs=_switched(labels["trigger"], EXISTING)),
        ),
        "at": forms.TimeField(
            label=labels["at"],
            required=False,
            initial="02:00",
            input_formats=["%H:%M"],
            widget=forms.TextInput(attrs={**_switched(labels["at"], *_TIMED), "placeholder": "HH:MM"}),
        ),
        "minute": forms.IntegerField(
            label=labels["minute"],
            required=False,
            initial=0,
            min_value=0,
            max_value=59,
            widget=forms.NumberInput(attrs=_switched(labels["minute"], "hourly", kind="number")),
        ),
        "weekday": forms.ChoiceField(
            label=labels["weekday"],
            required=False,
            choices=[(str(day), texts.DAYS[str(day)]) for day in range(1, 8)],
            widget=forms.Select(attrs=_switched(labels["weekday"], "weekly")),
        ),
        "day": forms.IntegerField(
            label=labels["day"],
            required=False,
            initial=1,
            min_value=1,
            max_value=31,
            widget=forms.NumberInput(attrs=_switched(labels["day"], "monthly", kind="number")),
        ),
        "pattern": forms.CharField(
            label=labels["pattern"],
            required=False,
            max_length=255,
            help_text=_("Minute, hour, day of the month, month, day of the week"),
            widget=forms.TextInput(attrs=_switched(labels["pattern"], "crontab")),
        ),
        "timezone": forms.ChoiceField(
            label=labels["timezone"],
            required=False,
            choices=zones,
            initial="UTC",
            widget=forms.Select(attrs=_switched(labels["timezone"], "hourly", *_TIMED, "crontab")),
        ),
    }
    for name, label in texts.RETENTION.items():
        made[name] = forms.IntegerField(label=label, required=False, min_value=1, max_value=36500)
    return made


def check(form: Any, data: Mapping[str, Any]) -> None:
    """Add errors to the fields that the chosen kind of schedule needs and that are empty."""
    when = data.get("when")
    needed = {EXISTING: "trigger", "crontab": "pattern", "monthly": "day", "hourly": "minute"}.get(str(when))
    missing = [needed] if needed and data.get(needed) in (None, "") else []
    if when in _TIMED and not data.get("at"):
        missing.append("at")
    for name in missing:
        if name not in form.errors:
            form.add_error(name, _("This field is required."))


def pattern(data: Mapping[str, Any]) -> str:
    """Return the crontab pattern that the fields mean."""
    when, at = data["when"], data.get("at")
    if when == "crontab":
        return re.sub(r"\s+", " ", str(data["pattern"]).strip())
    if when == "hourly":
        return f"{data['minute']} * * * *"
    time = f"{at.minute} {at.hour}" if at else "0 0"
    return {
        "daily": f"{time} * * *",
        "weekly": f"{time} * * {data.get('weekday')}",
        "monthly": f"{time} {data.get('day')} * *",
    }[when]


def create(client: api.Client, name: str, plan_id: str, provider_id: str, data: Mapping[str, Any]) -> Any:
    """Create the schedule of a plan: a scheduled operation, and its trigger if it is a new one.

    :raises Failure: the API refused one of them. Then there is neither, or the message names the trigger that remains
    """
    made = None
    if data["when"] == EXISTING:
        trigger_id = data["trigger"]
    else:
        properties = {"format": "crontab", "pattern": pattern(data), "timezone": data.get("timezone") or "UTC"}
        made = client.create_trigger(name=name, type="time", properties=properties)
        trigger_id = made.id
    rules = {rule: data[rule] for rule in texts.RETENTION if data.get(rule)}
    try:
        return client.create_scheduled_operation(
            name=name,
            operation_type="retention_protect" if rules else "protect",
            trigger_id=trigger_id,
            operation_definition={"plan_id": plan_id, "provider_id": provider_id, **rules},
        )
    except Failure as error:
        if made is not None:
            _withdraw(client, made, error)
        raise


def _withdraw(client: api.Client, trigger: Any, reason: Failure) -> None:
    """Delete a trigger that is of no use because of *reason*. Raises Failure with both reasons if it remains."""
    try:
        client.delete_trigger(trigger.id)
    except Failure as error:
        if error.status != http.HTTPStatus.NOT_FOUND:
            # Without the fields: their messages would be shown instead of this one.
            text = _("%(why)s; the new trigger %(name)s (%(id)s) was not deleted: %(error)s")
            values = {"why": reason, "name": trigger.name, "id": trigger.id, "error": error}
            raise Failure(text % values, type=reason.type, status=reason.status) from error
