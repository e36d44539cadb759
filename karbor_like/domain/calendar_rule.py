"""iCalendar patterns: the RRULEs of a VEVENT."""

import functools
import heapq
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any

import icalendar
from dateutil import rrule

from karbor_like import exception

#: How far candidates are apart, by frequency. A rule of one of these can be asked from any candidate on, so that the answer
#: takes no longer the longer ago the rule began.
_STEPS = {
    "WEEKLY": timedelta(weeks=1),
    "DAILY": timedelta(days=1),
    "HOURLY": timedelta(hours=1),
    "MINUTELY": timedelta(minutes=1),
    "SECONDLY": timedelta(seconds=1),
}
#: The others can be asked from any year or month on that the interval meets.
_MONTHS = {"YEARLY": 12, "MONTHLY": 1}
_KNOWN = frozenset(
    (
        *("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYSETPOS"),
        *("BYMONTH", "BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY", "BYHOUR", "BYMINUTE", "BYSECOND"),
    )
)
#: Without these, a rule with a step repeats itself: what it says of one period it says of the next.
_IRREGULAR = frozenset(("BYMONTH", "BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYSETPOS"))
_WEEK = timedelta(weeks=1)
_SECOND = timedelta(seconds=1)
#: Candidates in such a period at most, where they must be counted: one every five minutes of a week.
_MAX_CANDIDATES = 2_016
#: What is beyond, dateutil takes for dates that never come. Most may count from the end, below 0.
_HIGHEST = {"BYMONTH": 12, "BYMONTHDAY": 31, "BYYEARDAY": 366, "BYWEEKNO": 53}
_MAX_INTERVAL = 100_000
_MAX_COUNT = 10_000
_MIN_DISTANCE = timedelta(minutes=1)

# dateutil looks for a rule's next date up to the year 9999, which takes seconds for a rule that has none. The Gregorian
# calendar repeats every 400 years to the day of the week, so the same question is asked near that year.
_CYCLE = 400
_LAST_YEAR = 9899


@dataclass(frozen=True)
class Recurrence:
    """One RRULE without its UNTIL.

    :param text: has its COUNT only where neither *step* nor *months* are given
    :param step: distance of candidates, where that is always the same
    :param months: how many months lie between the beginnings of the years or months that have candidates
    :param count: how often it fires; only with *step*
    """

    text: str
    until: datetime | None
    step: timedelta | None = None
    months: int | None = None
    count: int | None = None

    def occurrences(self, start: datetime, after: datetime) -> Iterator[datetime]:
        """The times after *after* of a recurrence that starts at *start*."""
        last = min(self.until or datetime.max, _last(self, start) if self.count else datetime.max)
        return itertools.takewhile(lambda wall: wall <= last, self.endless(start, after))

    def endless(self, start: datetime, after: datetime) -> Iterator[datetime]:
        """As :meth:`occurrences`, without UNTIL and *count*."""
        text, begin = self.text, start
        if self.step and after > start:
            begin += (after - start) // self.step * self.step
        elif self.months:
            text += _from_start(text, start)
            begin = _jumped(start, after, self.months)
        years = max(0, (_LAST_YEAR - begin.year) // _CYCLE * _CYCLE)
        try:
            rule = rrule.rrulestr(text, dtstart=_shifted(begin, years))
        except ValueError:
            # The text is valid, so it is this: no step from this start ever meets the rule.
            return
        for found in rule.xafter(_shifted(after, years)):
            yield _shifted(found, -years)


@functools.lru_cache(maxsize=4096)
def _last(recurrence: Recurrence, start: datetime) -> datetime:
    """The last time of a rule that counts: one period is gone through, and the rest is arithmetic."""
    assert recurrence.count is not None
    assert recurrence.step is not None
    period = _period(recurrence.step)
    walls = itertools.takewhile(lambda wall: wall < start + period, recurrence.endless(start, start - _SECOND))
    times = list(itertools.islice(walls, recurrence.count))
    if not times:
        return datetime.max
    periods, number = divmod(recurrence.count - 1, len(times))
    try:
        return times[number] + periods * period
    except OverflowError:
        return datetime.max


def _period(step: timedelta) -> timedelta:
    """After which candidates fall upon the same days of the week and the same times of day again."""
    return math.lcm(step // _SECOND, _WEEK // _SECOND) * _SECOND


def _from_start(text: str, start: datetime) -> str:
    """What a yearly or monthly rule takes from its start where it does not say it."""
    said = {part.partition("=")[0] for part in text.split(";")}
    taken = {"BYHOUR": start.hour, "BYMINUTE": start.minute, "BYSECOND": start.second}
    if not said & {"BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY"}:
        taken["BYMONTHDAY"] = start.day
        if "FREQ=YEARLY" in text:
            taken["BYMONTH"] = start.month
    return "".join(f";{name}={value}" for name, value in taken.items() if name not in said)


def _jumped(start: datetime, after: datetime, months: int) -> datetime:
    """The beginning of the last year or month before *after* that has candidates; *start* in the first."""
    first = 12 * start.year + (start.month - 1 if months % 12 else 0)
    number = (12 * after.year + after.month - 1 - first) // months * months
    return start if number <= 0 else datetime((first + number) // 12, (first + number) % 12 + 1, 1)


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
        if frequency in _STEPS:
            parts.pop("COUNT", None)
        until = _wall(parts.pop("UNTIL")[0], zone, last=True) if "UNTIL" in parts else None
        text = type(rule)(parts).to_ical().decode()
        # Whether the interval ever meets the rest depends on the start, so that is left to the question when it fires.
        rrule.rrulestr(type(rule)({**parts, "INTERVAL": [1]}).to_ical().decode(), dtstart=datetime(2000, 1, 1))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, UnicodeError) as error:
        raise _invalid(f"the RRULE is not valid: {_said(error)}") from None
    for name, highest in _HIGHEST.items():
        for value in map(int, parts.get(name, ())):
            if not 1 <= abs(value) <= highest:
                raise _invalid(f"{name}={value} is not between 1 and {highest}")
    if not 1 <= interval <= _MAX_INTERVAL:
        raise _invalid(f"INTERVAL={interval} is not between 1 and {_MAX_INTERVAL}")
    if count is not None and not 1 <= count <= _MAX_COUNT:
        raise _invalid(f"COUNT={count} is not between 1 and {_MAX_COUNT}")
    if frequency in _MONTHS:
        # With a COUNT there is no other way than from the start; of years and months there are few.
        return Recurrence(text, until, months=None if count else _MONTHS[frequency] * interval)
    step = _STEPS[frequency] * interval
    if step < _MIN_DISTANCE:
        raise _invalid(f"FREQ={frequency};INTERVAL={interval} is too frequent; use FREQ=DAILY with BYHOUR and BYMINUTE")
    if count is None:
        # In the first week BYSETPOS chooses from what is left of it, so that week is like no other.
        return Recurrence(text, until, None if frequency == "WEEKLY" and "BYSETPOS" in parts else step)
    irregular = ", ".join(sorted(_IRREGULAR.intersection(parts)))
    if irregular or _period(step) // step > _MAX_CANDIDATES:
        raise _invalid(
            f"COUNT cannot be counted with FREQ={frequency} and {irregular or f'INTERVAL={interval}'}; use UNTIL"
        )
    return Recurrence(text, until, step, count=count)


def _said(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    # icalendar reads a value only when it is asked for, and speaks of that first.
    return str(error).rpartition("'): ")[2]


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
