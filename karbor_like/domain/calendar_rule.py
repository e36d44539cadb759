"""iCalendar patterns: the RRULEs of a VEVENT."""

import heapq
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any

import icalendar
from dateutil import rrule

from karbor_like import exception

#: How far candidates are apart, by frequency. A rule of one of these can be asked from any candidate on, so that the answer
#: takes no longer the longer ago the rule began. In years and months candidates are few.
_STEPS = {
    "WEEKLY": timedelta(weeks=1),
    "DAILY": timedelta(days=1),
    "HOURLY": timedelta(hours=1),
    "MINUTELY": timedelta(minutes=1),
    "SECONDLY": timedelta(seconds=1),
}
_KNOWN = frozenset(
    (
        *("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYSETPOS"),
        *("BYMONTH", "BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY", "BYHOUR", "BYMINUTE", "BYSECOND"),
    )
)
_MAX_INTERVAL = 100_000
_MAX_COUNT = 1_000_000
_MIN_DISTANCE = timedelta(minutes=1)

# dateutil looks for a rule's next date up to the year 9999, which takes seconds for a rule that has none. The Gregorian
# calendar repeats every 400 years to the day of the week, so the same question is asked near that year.
_CYCLE = 400
_LAST_YEAR = 9899


@dataclass(frozen=True)
class Recurrence:
    """One RRULE without its UNTIL.

    :param step: distance of candidates, where that is always the same and nothing is counted, else None
    """

    text: str
    until: datetime | None
    step: timedelta | None

    def occurrences(self, start: datetime, after: datetime) -> Iterator[datetime]:
        """The times after *after* of a recurrence that starts at *start*."""
        if self.step and after > start:
            start += (after - start) // self.step * self.step
        years = (_LAST_YEAR - start.year) // _CYCLE * _CYCLE
        try:
            rule = rrule.rrulestr(self.text, dtstart=_shifted(start, years))
        except ValueError:
            # The text is valid, so it is this: no step from this start ever meets the rule.
            return
        for found in rule.xafter(_shifted(after, years)):
            wall = _shifted(found, -years)
            if self.until is not None and wall > self.until:
                return
            yield wall


@dataclass(frozen=True)
class Calendar:
    """Several recurrences, united, less some dates."""

    recurrences: Sequence[Recurrence]
    excluded: frozenset[datetime]

    def occurrences(self, start: datetime, after: datetime) -> Iterator[datetime]:
        """The times after *after* of recurrences that start at *start*."""
        merged = heapq.merge(*(recurrence.occurrences(start, after) for recurrence in self.recurrences))
        return (wall for wall, _ in itertools.groupby(merged) if wall not in self.excluded)


def parse(pattern: str, zone: tzinfo) -> Calendar:
    """Raises InvalidInput where *pattern* has no VEVENT with an RRULE. Times in it with a zone are put into *zone*."""
    event = _event(pattern)
    for name in ("RDATE", "EXRULE"):
        if name in event:
            raise _invalid(f"{name} is not supported; use RRULE and EXDATE")
    recurrences = [_recurrence(rule, zone) for rule in _listed(event.get("RRULE"))]
    if not recurrences:
        raise _invalid("the VEVENT has no RRULE")
    excluded = frozenset(_wall(item.dt, zone) for dates in _listed(event.get("EXDATE")) for item in dates.dts)
    return Calendar(recurrences, excluded)


def _event(pattern: str) -> Any:
    text = pattern.strip()
    if "\n" not in text:
        # Command lines cannot hold line ends, so their users write them out.
        text = text.replace("\\r", "").replace("\\n", "\n")
    text = re.sub(r"(?im)^(RRULE[^\r\n]*?)[; ]+(\r?)$", r"\1\2", text)
    try:
        # A text would be taken for the name of a file where there is one of that name.
        components = icalendar.Component.from_ical(text.encode(), multiple=True)
        events = [event for component in components for event in component.walk("VEVENT")]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise _invalid(f"is not iCalendar: {error}") from None
    if not events:
        raise _invalid("has no VEVENT")
    return events[0]


def _recurrence(rule: Any, zone: tzinfo) -> Recurrence:
    try:
        parts = dict(rule)
        unknown = sorted(set(parts) - _KNOWN)
        if unknown:
            raise _invalid(f"{', '.join(unknown)} is not known in an RRULE")
        frequency = str(parts["FREQ"][0]).upper()
        interval = int(parts.get("INTERVAL", [1])[0])
        count = int(parts["COUNT"][0]) if "COUNT" in parts else None
        until = _wall(parts.pop("UNTIL")[0], zone, last=True) if "UNTIL" in parts else None
        text = type(rule)(parts).to_ical().decode()
        # Whether the interval ever meets the rest depends on the start, so that is left to the question when it fires.
        rrule.rrulestr(type(rule)({**parts, "INTERVAL": [1]}).to_ical().decode(), dtstart=datetime(2000, 1, 1))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, UnicodeError) as error:
        raise _invalid(f"the RRULE is not valid: {error}") from None
    if not 1 <= interval <= _MAX_INTERVAL:
        raise _invalid(f"INTERVAL={interval} is not between 1 and {_MAX_INTERVAL}")
    if count is not None and not 1 <= count <= _MAX_COUNT:
        raise _invalid(f"COUNT={count} is not between 1 and {_MAX_COUNT}")
    step = _STEPS[frequency] * interval if frequency in _STEPS else None
    if step is not None and step < _MIN_DISTANCE:
        raise _invalid(f"FREQ={frequency};INTERVAL={interval} is too frequent; use FREQ=DAILY with BYHOUR and BYMINUTE")
    return Recurrence(text, until, None if count is not None else step)


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _wall(value: date, zone: tzinfo, *, last: bool = False) -> datetime:
    """A date or time of the pattern, by the trigger's wall clock; *last*: the end of the day where it is a date."""
    if not isinstance(value, datetime):
        return datetime.combine(value, time.max if last else time.min)
    return value.astimezone(zone).replace(tzinfo=None) if value.tzinfo else value


def _shifted(wall: datetime, years: int) -> datetime:
    return wall.replace(year=wall.year + years)


def _invalid(why: str) -> exception.InvalidInput:
    return exception.InvalidInput(f"properties.pattern: {why}")
