"""iCalendar patterns: the RRULEs of a VEVENT."""

import contextlib
import functools
import heapq
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, Self

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
_WITHIN_A_DAY = frozenset(("HOURLY", "MINUTELY", "SECONDLY"))
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
#: Of what is found; far enough from what a datetime cannot say any more.
_LAST_YEAR = 9000

_MAX_RULES = 8
#: Values of BYSETPOS, each of which is looked for in every period.
_MAX_POSITIONS = 12
#: Where a rule has found nothing in so many months, or steps, it is taken for one that never will: leap days come every
#: eight years at least, and those on a given day of the week, for which one asks by the year or month, every forty.
_HORIZON = 1_200
_HORIZON_STEPS = 3_000
_CENTURY = timedelta(days=36_525)


class _Barren(Exception):
    """A rule has found nothing for as long as is looked."""


class _Interval(int):
    """The INTERVAL of a rule that gives up: dateutil by itself looks up to the year 9999, which takes minutes for some
    rules that find nothing. It adds the interval to where it is, or multiplies it, once in each step.
    """

    steps: int
    left: int

    def __new__(cls, value: int, steps: int) -> Self:
        made = super().__new__(cls, value)
        made.steps = made.left = steps
        return made

    def found(self) -> None:
        """Look as far again."""
        self.left = self.steps

    def __radd__(self, other: int) -> int:
        self.left -= 1
        if self.left < 0:
            raise _Barren
        return self.real + other

    def __mul__(self, other: int) -> int:
        self.left -= 1
        if self.left < 0:
            raise _Barren
        return self.real * other


@dataclass(frozen=True)
class Recurrence:
    """One RRULE without its UNTIL.

    :param text: has its COUNT only where neither *step* nor *months* are given
    :param interval: its INTERVAL
    :param steps: how many of that are looked at for one time
    :param step: distance of candidates, where that is always the same
    :param months: how many months lie between the beginnings of the years or months that have candidates
    :param count: how often it fires; only with *step*
    """

    text: str
    until: datetime | None
    interval: int
    steps: int
    step: timedelta | None = None
    months: int | None = None
    count: int | None = None

    def occurrences(self, start: datetime, after: datetime) -> Iterator[datetime]:
        """The times after *after* of a recurrence that starts at *start*."""
        last = min(self.until or datetime.max, _last(self, start) if self.count else datetime.max)
        return itertools.takewhile(lambda wall: wall <= last, self.endless(start, after))

    def endless(self, start: datetime, after: datetime) -> Iterator[datetime]:
        """As :meth:`occurrences`, without UNTIL and *count*."""
        return self.search(start, after) if _ever(self, start) else iter(())

    def search(self, start: datetime, after: datetime) -> Iterator[datetime]:
        """As :meth:`endless`, of a rule that may find nothing: that takes long."""
        text, begin = self.text, start
        if self.step and after > start:
            begin += (after - start) // self.step * self.step
        elif self.months:
            text += _from_start(text, start)
            begin = _jumped(start, after, self.months)
        interval = _Interval(self.interval, self.steps)
        # The text is valid, so a ValueError is that no step from this start ever meets the rule, and an IndexError that it
        # asks for a day of the week that a month cannot have so often.
        with contextlib.suppress(_Barren, ValueError, IndexError):
            for found in rrule.rrulestr(text, dtstart=begin).replace(interval=interval):
                interval.found()
                if found.year > _LAST_YEAR:
                    return
                if found > after:
                    yield found


@functools.lru_cache(maxsize=4096)
def _ever(recurrence: Recurrence, start: datetime) -> bool:
    """Whether a rule finds anything. One that does not takes longest, and need not be asked each time."""
    return next(recurrence.search(start, start - _SECOND), None) is not None


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
    #: What comes every other year has come.
    look_ahead = timedelta(days=800)

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
    rules = _listed(event.get("RRULE"))
    if not 1 <= len(rules) <= _MAX_RULES:
        raise _invalid(f"the VEVENT has {len(rules) or 'no'} RRULEs, not 1 to {_MAX_RULES}")
    recurrences = list(dict.fromkeys(_recurrence(rule, zone) for rule in rules))
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
    positions = len(parts.get("BYSETPOS", ()))
    if positions > _MAX_POSITIONS:
        raise _invalid(f"BYSETPOS has {positions} values, more than {_MAX_POSITIONS}")
    if frequency in _MONTHS:
        months = _MONTHS[frequency] * interval
        # With a COUNT there is no other way than from the start; of years and months there are few.
        return Recurrence(text, until, interval, _HORIZON // months + 1, months=None if count else months)
    step = _STEPS[frequency] * interval
    if step < _MIN_DISTANCE:
        raise _invalid(f"FREQ={frequency};INTERVAL={interval} is too frequent; use FREQ=DAILY with BYHOUR and BYMINUTE")
    if frequency in _WITHIN_A_DAY:
        _check_within_a_day(parts, frequency, step)
    steps = min(_CENTURY // step + 1, _HORIZON_STEPS)
    if count is None:
        # In the first week BYSETPOS chooses from what is left of it, so that week is like no other.
        return Recurrence(text, until, interval, steps, None if frequency == "WEEKLY" and positions else step)
    irregular = ", ".join(sorted(_IRREGULAR.intersection(parts)))
    if irregular or _period(step) // step > _MAX_CANDIDATES:
        raise _invalid(
            f"COUNT cannot be counted with FREQ={frequency} and {irregular or f'INTERVAL={interval}'}; use UNTIL"
        )
    return Recurrence(text, until, interval, steps, step, count=count)


def _check_within_a_day(parts: Mapping[str, Any], frequency: str, step: timedelta) -> None:
    """Refuse what could only be found, or found out to be nothing, by going through very many candidates."""
    said = {name for name in parts if name.startswith("BY")}
    # An hourly rule leaves out whole days in one step, unless it must look for the next of some hours.
    refused = said & ({"BYSETPOS"} if frequency == "HOURLY" and "BYHOUR" not in said else _IRREGULAR)
    if not refused and _period(step) // step > _MAX_CANDIDATES:
        refused = said
    if refused:
        raise _invalid(
            f"{', '.join(sorted(refused))} cannot be used with FREQ={frequency};INTERVAL={step // _STEPS[frequency]}; "
            "use FREQ=DAILY with BYHOUR and BYMINUTE"
        )


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


def _invalid(why: str) -> exception.InvalidInput:
    return exception.InvalidInput(f"properties.pattern: {why}")
