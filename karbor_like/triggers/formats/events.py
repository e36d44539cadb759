"""The VEVENTs of an iCalendar text (RFC 5545), as far as they determine times.

All of the text is read. What determines times is returned or refused, and nothing else is interpreted: icalendar splits the
text into lines and their parts, but its parsers of other properties, which accept and drop much, do not see the text.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from typing import Final

from icalendar import parser

from karbor_like import exception
from karbor_like.triggers import contract, zones

#: Components that may be directly inside each component; the empty name is the text itself.
_INSIDE: Final = {
    "": frozenset(("VCALENDAR", "VEVENT", "VTIMEZONE")),
    "VCALENDAR": frozenset(("VEVENT", "VTIMEZONE")),
    "VTIMEZONE": frozenset(("STANDARD", "DAYLIGHT")),
    # An alarm tells a person, relative to the time of the event.
    "VEVENT": frozenset(("VALARM",)),
}
#: Properties that describe an event to people. The length of an event means nothing to a trigger, which has a window.
_DESCRIPTIVE: Final = frozenset(
    (
        *("ATTACH", "ATTENDEE", "CATEGORIES", "CLASS", "COLOR", "COMMENT", "CONFERENCE", "CONTACT", "CREATED"),
        *("DESCRIPTION", "DTEND", "DTSTAMP", "DURATION", "GEO", "IMAGE", "LAST-MODIFIED", "LOCATION", "ORGANIZER"),
        *("PRIORITY", "RELATED-TO", "REQUEST-STATUS", "RESOURCES", "SEQUENCE", "SUMMARY", "TRANSP", "UID", "URL"),
    )
)
_UNSUPPORTED: Final = {
    "RDATE": "use RRULE and EXDATE",
    "EXRULE": "use RRULE and EXDATE",
    "RECURRENCE-ID": "a changed occurrence has no meaning for a trigger; use EXDATE and another VEVENT",
}
_DATE: Final = re.compile(r"[0-9]{8}(?P<time>T[0-9]{6}(?P<utc>Z?))?", re.ASCII)
_NAME: Final = re.compile(r"[A-Z-]+", re.ASCII)
_VALUE: Final = re.compile(r"[A-Z0-9,+-]+", re.ASCII)


@dataclass
class Event:
    """A VEVENT. Its times are in the trigger's wall clock.

    :param start: DTSTART, or None
    :param rules: the parts of each RRULE, by name, in capital letters
    :param excluded: times of EXDATEs
    :param excluded_days: days of EXDATEs without a time
    """

    start: datetime | None = None
    rules: list[Mapping[str, str]] = field(default_factory=list)
    excluded: set[datetime] = field(default_factory=set)
    excluded_days: set[date] = field(default_factory=set)


def parse(pattern: str, zone: tzinfo) -> Sequence[Event]:
    """Return the VEVENTs of *pattern*, bare or in a VCALENDAR.

    :param zone: time zone of the trigger
    :raises InvalidInput: *pattern* is not iCalendar, or has a part that is not supported; the message names it
    """
    events: list[Event] = []
    inside = [""]
    for name, parameters, value in _lines(pattern):
        if name == "BEGIN":
            component = value.strip().upper()
            if component not in _INSIDE.get(inside[-1], ()):
                raise invalid(f"{component!r} in {inside[-1] or 'the text'} is not supported; use VEVENT")
            inside.append(component)
            if component == "VEVENT":
                events.append(Event())
        elif name == "END":
            if len(inside) == 1 or inside[-1] != value.strip().upper():
                raise invalid(f"END:{value} has no BEGIN, or a component in it has no END")
            inside.pop()
        elif inside[-1] == "":
            raise invalid(f"is not iCalendar: {name} is in no component; start with BEGIN:VEVENT")
        elif inside[-1] == "VEVENT":
            _add_property(events[-1], name, parameters, value, zone)
        else:
            _check_property(inside[-1], name, value)
    if len(inside) > 1:
        raise invalid(f"BEGIN:{inside[-1]} has no END")
    if not events:
        raise invalid("has no VEVENT")
    return events


def wall(moment: datetime, zone: tzinfo) -> datetime:
    """Convert a time of a pattern to the wall clock of *zone*; one without a zone already is."""
    if moment.tzinfo is None:
        return moment
    try:
        return moment.astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        # In the first or last hours of the calendar, which patterns use for "for ever".
        return moment.replace(tzinfo=None)


def moment(name: str, text: str, zone: tzinfo | None = None) -> date | datetime:
    """Parse a DATE or DATE-TIME.

    :param zone: time zone of a local time, or None if it has none
    :raises InvalidInput: *text* is neither; the message starts with *name*
    """
    found = _DATE.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        if found["time"] is None:
            return datetime.strptime(text, "%Y%m%d").date()
        parsed = datetime.strptime(text.removesuffix("Z"), "%Y%m%dT%H%M%S")
    except ValueError:
        raise invalid(f"{name}: {text!r} is not a date or time; use 20310131 or 20310131T020000") from None
    if found["utc"] and zone is not None:
        raise invalid(f"{name}: {text!r} has the suffix Z and a TZID; remove one of them")
    return parsed.replace(tzinfo=UTC if found["utc"] else zone)


def invalid(why: str) -> exception.InvalidInput:
    """Return an error about the pattern."""
    return exception.InvalidInput(f"properties.pattern: {why}")


def _lines(pattern: str) -> Sequence[tuple[str, Mapping[str, str], str]]:
    """Return name, parameters and value of each content line, after unfolding."""
    text = pattern.strip()
    if "\n" not in text:
        # Line ends are hard to pass on a command line, so users write them as escapes.
        text = text.replace("\\r", "").replace("\\n", "\n")
    try:
        parts = [line.parts() for line in parser.Contentlines.from_ical(text) if line.strip()]
        return [
            (name.upper(), {key.upper(): str(parameters[key]) for key in parameters}, value)
            for name, parameters, value in parts
        ]
    except Exception as error:  # noqa: BLE001 - hostile text in a foreign parser, which documents no errors
        raise invalid(f"is not iCalendar: {error}") from None


def _add_property(event: Event, name: str, parameters: Mapping[str, str], value: str, zone: tzinfo) -> None:
    """Add a property to *event*, or ignore one that does not determine times."""
    if name == "RRULE":
        event.rules.append(_parts(value))
    elif name == "EXDATE":
        for item in _moments(name, parameters, value):
            if isinstance(item, datetime):
                event.excluded.add(wall(item, zone))
            else:
                event.excluded_days.add(item)
    elif name == "DTSTART":
        if event.start is not None:
            raise invalid("a VEVENT has more than one DTSTART")
        event.start = _start(parameters, value, zone)
    elif name in _UNSUPPORTED:
        raise invalid(f"{name} is not supported; {_UNSUPPORTED[name]}")
    elif name == "STATUS":
        if value.strip().upper() == "CANCELLED":
            raise invalid("a VEVENT is cancelled (STATUS:CANCELLED); remove it")
    elif name not in _DESCRIPTIVE and not name.startswith("X-"):
        raise invalid(f"{name} is unknown in a VEVENT")


def _check_property(component: str, name: str, value: str) -> None:
    """Check a property of another component than VEVENT."""
    if component == "VTIMEZONE" and name == "TZID" and zones.find(value) is None:
        # The definition in the database is used, not the one in the pattern.
        raise invalid(f"VTIMEZONE {value!r} is not a name of the IANA database, such as 'Europe/Madrid'")
    if component == "VCALENDAR" and (name, value.strip().upper()) == ("METHOD", "CANCEL"):
        raise invalid("the calendar is cancelled (METHOD:CANCEL)")
    if component == "VCALENDAR" and name == "CALSCALE" and value.strip().upper() != "GREGORIAN":
        raise invalid(f"CALSCALE:{value} is not supported; use GREGORIAN")


def _parts(text: str) -> Mapping[str, str]:
    """Split an RRULE into its parts. Spaces around values, and empty parts, as after a semicolon at the end, are ignored."""
    parts: dict[str, str] = {}
    for item in filter(None, (item.strip() for item in text.upper().split(";"))):
        name, _, values = item.partition("=")
        value = ",".join(value.strip() for value in values.split(","))
        if not _NAME.fullmatch(name.strip()) or not _VALUE.fullmatch(value):
            raise invalid(f"the RRULE is not valid: {item!r} is not NAME=VALUE")
        if parts.setdefault(name.strip(), value) != value:
            raise invalid(f"the RRULE is not valid: {name.strip()} is given twice")
    return parts


def _start(parameters: Mapping[str, str], value: str, zone: tzinfo) -> datetime:
    first, *others = _moments("DTSTART", parameters, value)
    if others:
        raise invalid(f"DTSTART: {value!r} is more than one time")
    if not isinstance(first, datetime):
        first = datetime(first.year, first.month, first.day)
    if first.tzinfo not in (None, zone):
        # The rule repeats by the wall clock of its start, and a trigger has one wall clock.
        raise invalid(
            f"DTSTART has the time zone '{first.tzinfo}', but the trigger has '{zone}'; "
            f"set properties.timezone to '{first.tzinfo}'"
        )
    if first.year not in contract.YEARS:
        raise invalid(f"DTSTART: {value!r} is not between {contract.YEARS[0]} and {contract.YEARS[-1]}")
    return first.replace(tzinfo=None)


def _moments(name: str, parameters: Mapping[str, str], value: str) -> Sequence[date | datetime]:
    kind = parameters.get("VALUE", "").upper()
    if kind not in ("", "DATE", "DATE-TIME"):
        raise invalid(f"{name}: VALUE={kind} is not supported; use DATE or DATE-TIME")
    zone = None
    if "TZID" in parameters:
        zone = zones.find(parameters["TZID"])
        if zone is None:
            raise invalid(
                f"{name}: TZID {parameters['TZID']!r} is unknown; use a name of the IANA database, such as 'Europe/Madrid'"
            )
    return [moment(name, item.strip().upper(), zone) for item in value.split(",")]
