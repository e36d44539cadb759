"""Time format ``calendar``: the RRULEs of an iCalendar VEVENT."""

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

#: Interval of candidates, by frequency. The evaluation of such a rule can start at any candidate, so that its cost does not
#: grow with the age of the rule.
_STEPS = {
    "WEEKLY": timedelta(weeks=1),
    "DAILY": timedelta(days=1),
    "HOURLY": timedelta(hours=1),
    "MINUTELY": timedelta(minutes=1),
    "SECONDLY": timedelta(seconds=1),
}
_WITHIN_A_DAY = frozenset(("HOURLY", "MINUTELY", "SECONDLY"))
#: The evaluation of other rules can start at any year or month that is a multiple of the interval after the first one.
_MONTHS = {"YEARLY": 12, "MONTHLY": 1}
_KNOWN = frozenset(
    (
        *("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYSETPOS"),
        *("BYMONTH", "BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY", "BYHOUR", "BYMINUTE", "BYSECOND"),
    )
)
#: A rule with a fixed step and without these parts is periodic.
_IRREGULAR = frozenset(("BYMONTH", "BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYSETPOS"))
_WEEK = timedelta(weeks=1)
_SECOND = timedelta(seconds=1)
#: Maximum number of candidates in such a period if they must be counted: one every five minutes of a week.
_MAX_CANDIDATES = 2_016
#: dateutil treats larger values as dates that never occur. Negative values count from the end, except for BYMONTH.
_HIGHEST = {"BYMONTH": 12, "BYMONTHDAY": 31, "BYYEARDAY": 366, "BYWEEKNO": 53}
_MAX_INTERVAL = 100_000
_MAX_COUNT = 10_000
_MIN_DISTANCE = timedelta(minutes=1)
#: Of an occurrence; well below the maximum of a datetime.
_LAST_YEAR = 9000

_MAX_RULES = 8
#: Maximum number of BYSETPOS values, each of which is searched for in every period.
_MAX_POSITIONS = 12
#: A rule without an occurrence in this many months, or steps, is treated as one that never fires. Leap days are at most eight
#: years apart. Leap days on a given weekday, which only yearly and monthly rules can select, are at most forty years apart.
_HORIZON = 1_200
_HORIZON_STEPS = 3_000
_CENTURY = timedelta(days=36_525)


class _SearchExhausted(Exception):
    """A rule had no occurrence within the search limit."""


class _Interval(int):
    """An INTERVAL that limits the search for an occurrence to a number of steps.

    dateutil itself searches up to the year 9999, which takes minutes for some rules without occurrences. In each step, it
    adds the interval to the current position, or multiplies it, exactly once.

    :param steps: maximum number of steps without an occurrence
    """

    steps: int
    left: int

    def __new__(cls, value: int, steps: int) -> Self:
        interval = super().__new__(cls, value)
        interval.steps = interval.left = steps
        return interval

    def reset(self) -> None:
        """Start the count of steps again, after an occurrence."""
        self.left = self.steps

    def __radd__(self, other: int) -> int:
        self._count_step()
        return self.real + other

    def __mul__(self, other: int) -> int:
        self._count_step()
        return self.real * other

    def _count_step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise _SearchExhausted


@dataclass(frozen=True)
class Recurrence:
    """One RRULE without its UNTIL.

    :param text: the rule; includes COUNT only if both *step* and *months* are None
    :param until: last wall-clock time, inclusive, or None
    :param interval: INTERVAL of the rule
    :param steps: maximum number of intervals that are searched for one occurrence
    :param step: interval of candidates, if it is constant
    :param months: number of months between the beginnings of the years or months that have candidates
    :param count: number of occurrences; only with *step*
    """

    text: str
    until: datetime | None
    interval: int
    steps: int
    step: timedelta | None = None
    months: int | None = None
    count: int | None = None

    def occurrences(self, start: datetime, after: datetime) -> Iterator[datetime]:
        """Yield the times after *after* of a recurrence that starts at *start*."""
        last = min(self.until or datetime.max, _find_last(self, start) if self.count else datetime.max)
        return itertools.takewhile(lambda wall: wall <= last, self.endless(start, after))

    def endless(self, start: datetime, after: datetime) -> Iterator[datetime]:
        """Yield times as :meth:`occurrences` does, without regard to UNTIL and *count*."""
        return self.search(start, after) if _has_occurrences(self, start) else iter(())

    def search(self, start: datetime, after: datetime) -> Iterator[datetime]:
        """Yield times as :meth:`endless` does, of a rule that may have none; finding that out takes long."""
        text, begin = self.text, start
        if self.step and after > start:
            begin += (after - start) // self.step * self.step
        elif self.months:
            text += _from_start(text, start)
            begin = _jump(start, after, self.months)
        interval = _Interval(self.interval, self.steps)
        # The text is valid. A ValueError means that no step from this start ever matches the rule. An IndexError means that
        # a month cannot have the requested weekday that often.
        with contextlib.suppress(_SearchExhausted, ValueError, IndexError):
            for wall in rrule.rrulestr(text, dtstart=begin).replace(interval=interval):
                interval.reset()
                if wall.year > _LAST_YEAR:
                    return
                if wall > after:
                    yield wall


@functools.lru_cache(maxsize=4096)
def _has_occurrences(recurrence: Recurrence, start: datetime) -> bool:
    """Return whether a rule has any occurrence. Cached, because rules without any take the longest to evaluate."""
    return next(recurrence.search(start, start - _SECOND), None) is not None


@functools.lru_cache(maxsize=4096)
def _find_last(recurrence: Recurrence, start: datetime) -> datetime:
    """Return the last time of a rule with a count, by evaluating one period and extrapolating it."""
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
    """Return the time after which candidates fall on the same weekdays and times of day again."""
    return math.lcm(step // _SECOND, _WEEK // _SECOND) * _SECOND


def _from_start(text: str, start: datetime) -> str:
    """Return the parts that a yearly or monthly rule inherits from its start because it does not specify them."""
    given = {part.partition("=")[0] for part in text.split(";")}
    inherited = {"BYHOUR": start.hour, "BYMINUTE": start.minute, "BYSECOND": start.second}
    if not given & {"BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY"}:
        inherited["BYMONTHDAY"] = start.day
        if "FREQ=YEARLY" in text:
            inherited["BYMONTH"] = start.month
    return "".join(f";{name}={value}" for name, value in inherited.items() if name not in given)


def _jump(start: datetime, after: datetime, months: int) -> datetime:
    """Return the beginning of the last year or month before *after* that has candidates, or *start* in the first one."""
    first = 12 * start.year + (start.month - 1 if months % 12 else 0)
    number = (12 * after.year + after.month - 1 - first) // months * months
    return start if number <= 0 else datetime((first + number) // 12, (first + number) % 12 + 1, 1)


@dataclass(frozen=True)
class Calendar:
    """Union of several recurrences without excluded times."""

    recurrences: Sequence[Recurrence]
    excluded: frozenset[datetime]
    #: Long enough to include rules that fire every other year.
    look_ahead = timedelta(days=800)

    def occurrences(self, start: datetime, after: datetime) -> Iterator[datetime]:
        """Yield the times after *after* of recurrences that start at *start*."""
        merged = heapq.merge(*(recurrence.occurrences(start, after) for recurrence in self.recurrences))
        return (wall for wall, _ in itertools.groupby(merged) if wall not in self.excluded)


def parse(pattern: str, zone: tzinfo) -> Calendar:
    """Parse an iCalendar pattern. Times in it that have a zone are converted to *zone*.

    :raises InvalidInput: *pattern* has no VEVENT with a supported RRULE
    """
    event = _event(pattern)
    for name in ("RDATE", "EXRULE"):
        if name in event:
            raise _invalid(f"{name} is not supported; use RRULE and EXDATE")
    rules = _as_list(event.get("RRULE"))
    if not 1 <= len(rules) <= _MAX_RULES:
        raise _invalid(f"the VEVENT has {len(rules) or 'no'} RRULEs, not 1 to {_MAX_RULES}")
    recurrences = list(dict.fromkeys(_recurrence(rule, zone) for rule in rules))
    excluded = frozenset(_wall(item.dt, zone) for dates in _as_list(event.get("EXDATE")) for item in dates.dts)
    return Calendar(recurrences, excluded)


def _event(pattern: str) -> Any:
    text = pattern.strip()
    if "\n" not in text:
        # Line ends are hard to pass on a command line, so users write them as escapes.
        text = text.replace("\\r", "").replace("\\n", "\n")
    text = re.sub(r"(?im)^(RRULE[^\r\n]*?)[; ]+(\r?)$", r"\1\2", text)
    try:
        # from_ical treats a str as the path of a file if there is one of that name, so pass bytes.
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
            raise _invalid(f"{', '.join(unknown)} is unknown in an RRULE")
        frequency = str(parts["FREQ"][0]).upper()
        interval = int(parts.get("INTERVAL", [1])[0])
        count = int(parts["COUNT"][0]) if "COUNT" in parts else None
        if frequency in _STEPS:
            parts.pop("COUNT", None)
        until = _wall(parts.pop("UNTIL")[0], zone, last=True) if "UNTIL" in parts else None
        text = type(rule)(parts).to_ical().decode()
        # Whether the interval ever matches the rest depends on the start, so that is checked when the rule is evaluated.
        rrule.rrulestr(type(rule)({**parts, "INTERVAL": [1]}).to_ical().decode(), dtstart=datetime(2000, 1, 1))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, UnicodeError) as error:
        raise _invalid(f"the RRULE is not valid: {_describe(error)}") from None
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
        # A rule with COUNT must be evaluated from its start; there are few years and months.
        return Recurrence(text, until, interval, _HORIZON // months + 1, months=None if count else months)
    step = _STEPS[frequency] * interval
    if step < _MIN_DISTANCE:
        raise _invalid(f"FREQ={frequency};INTERVAL={interval} is too frequent; use FREQ=DAILY with BYHOUR and BYMINUTE")
    if frequency in _WITHIN_A_DAY:
        _check_within_a_day(parts, frequency, step)
    steps = min(_CENTURY // step + 1, _HORIZON_STEPS)
    if count is None:
        # In the first week BYSETPOS selects from the rest of the week, so the rule is not periodic.
        return Recurrence(text, until, interval, steps, None if frequency == "WEEKLY" and positions else step)
    irregular = ", ".join(sorted(_IRREGULAR.intersection(parts)))
    if irregular or _period(step) // step > _MAX_CANDIDATES:
        raise _invalid(
            f"COUNT is not supported with FREQ={frequency} and {irregular or f'INTERVAL={interval}'}; use UNTIL"
        )
    return Recurrence(text, until, interval, steps, step, count=count)


def _check_within_a_day(parts: Mapping[str, Any], frequency: str, step: timedelta) -> None:
    """Refuse parts whose evaluation would have to test very many candidates."""
    given = {name for name in parts if name.startswith("BY")}
    # An hourly rule skips whole days in one step, unless it has BYHOUR.
    refused = given & ({"BYSETPOS"} if frequency == "HOURLY" and "BYHOUR" not in given else _IRREGULAR)
    if not refused and _period(step) // step > _MAX_CANDIDATES:
        refused = given
    if refused:
        raise _invalid(
            f"{', '.join(sorted(refused))} cannot be used with FREQ={frequency};INTERVAL={step // _STEPS[frequency]}; "
            "use FREQ=DAILY with BYHOUR and BYMINUTE"
        )


def _describe(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    # icalendar parses a value when it is accessed, and its message starts with the name of the value.
    return str(error).rpartition("'): ")[2]


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _wall(value: date, zone: tzinfo, *, last: bool = False) -> datetime:
    """Convert a date or time of the pattern to the trigger's wall clock.

    :param last: convert a date to the end of the day, not to its beginning
    """
    if not isinstance(value, datetime):
        return datetime.combine(value, time.max if last else time.min)
    return value.astimezone(zone).replace(tzinfo=None) if value.tzinfo else value


def _invalid(why: str) -> exception.InvalidInput:
    return exception.InvalidInput(f"properties.pattern: {why}")
