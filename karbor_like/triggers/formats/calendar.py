"""Time format ``calendar``: the RRULEs of iCalendar VEVENTs, without their EXDATEs.

dateutil evaluates the rules. Parts of a rule that RFC 5545 forbids and that dateutil treats as something else are refused. So
are rules whose evaluation would take long.
"""

import contextlib
import functools
import heapq
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, Final, NamedTuple, Self

from dateutil import rrule

from karbor_like.triggers.formats import clock, events

#: Interval of candidates, by frequency. The evaluation of such a rule can start at any candidate, so that its cost does not
#: grow with the age of the rule.
_STEPS: Final = {
    "WEEKLY": timedelta(weeks=1),
    "DAILY": timedelta(days=1),
    "HOURLY": timedelta(hours=1),
    "MINUTELY": timedelta(minutes=1),
    "SECONDLY": timedelta(seconds=1),
}
_WITHIN_A_DAY: Final = frozenset(("HOURLY", "MINUTELY", "SECONDLY"))
#: The evaluation of other rules can start at any year or month that is a multiple of the interval after the first one.
_MONTHS: Final = {"YEARLY": 12, "MONTHLY": 1}
_FREQUENCIES: Final = {**_MONTHS, **_STEPS}
_WEEKDAYS: Final = {str(day): day for day in (rrule.MO, rrule.TU, rrule.WE, rrule.TH, rrule.FR, rrule.SA, rrule.SU)}


class _Part(NamedTuple):
    """A part of a rule that lists integers.

    :param option: its name in dateutil
    :param signed: whether values may count from the end
    :param most: maximum number of values; each costs time
    """

    option: str
    lowest: int
    highest: int
    signed: bool = False
    most: int = 60


_PARTS: Final = {
    "BYSETPOS": _Part("bysetpos", 1, 366, signed=True, most=12),
    "BYMONTH": _Part("bymonth", 1, 12),
    "BYMONTHDAY": _Part("bymonthday", 1, 31, signed=True, most=62),
    "BYYEARDAY": _Part("byyearday", 1, 366, signed=True, most=31),
    # dateutil is wrong about some days of weeks 52 and 53. The last week is -1.
    "BYWEEKNO": _Part("byweekno", 1, 51, signed=True),
    "BYHOUR": _Part("byhour", 0, 23),
    "BYMINUTE": _Part("byminute", 0, 59),
    "BYSECOND": _Part("bysecond", 0, 59),
}
_KNOWN: Final = frozenset(("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *_PARTS))
#: A rule with a fixed step and without these parts is periodic.
_IRREGULAR: Final = frozenset(("BYMONTH", "BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYSETPOS"))
_WEEK: Final = timedelta(weeks=1)
_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
_DAY_SECONDS: Final = 86_400
#: Maximum number of candidates in such a period if they must be counted: one every five minutes of a week.
_MAX_CANDIDATES: Final = 2_016
_MAX_INTERVAL: Final = 100_000
_MAX_COUNT: Final = 10_000
_MIN_DISTANCE: Final = timedelta(minutes=1)
#: Of an occurrence; well below the maximum of a datetime.
_LAST_YEAR: Final = 9000

_MAX_RULES: Final = 8
#: Distance in seconds that is below any minimum interval, between the times of a rule that may fire at any time of day.
_CROWDED: Final = 30
#: Days in which a rule may have times in one step, by frequency.
_DAYS: Final = {"YEARLY": 366, "MONTHLY": 31, "WEEKLY": 7}
#: Maximum number of such times in one step of all rules of a pattern: one every hour of a year.
_MAX_TIMES: Final = 8_784
#: A rule without an occurrence in this many months, or steps, is treated as one that never fires. Leap days are at most eight
#: years apart. Leap days on a given weekday, which only yearly and monthly rules can select, are at most forty years apart.
_HORIZON: Final = 1_200
_HORIZON_STEPS: Final = 3_000
#: Maximum part of these steps for the first occurrences of all rules of a pattern.
_MAX_SHARE: Final = 1.5
_CENTURY: Final = timedelta(days=36_525)

#: Occurrences and time in which intervals are compared: long enough to include rules that fire every other year.
_LOOK_AHEAD: Final = 1_000
_LOOK_AHEAD_TIME: Final = timedelta(days=800)
#: Upper bounds of both.
_MAX_LOOK_AHEAD: Final = 4_000
_MAX_LOOK_AHEAD_TIME: Final = timedelta(days=30 * 365)


class _SearchExhausted(Exception):
    """A rule had no occurrence within the search limit."""


class _Interval(int):
    """An INTERVAL that limits the search for an occurrence to a number of steps.

    dateutil itself searches up to the year 9999, which takes minutes for some rules without occurrences. In each step, it
    adds the interval to the current position, or multiplies it, exactly once.

    :param steps: maximum number of steps without an occurrence
    :ivar taken: number of steps until now
    """

    steps: int
    taken: int
    _since: int

    def __new__(cls, value: int, steps: int) -> Self:
        interval = super().__new__(cls, value)
        interval.steps, interval.taken, interval._since = steps, 0, 0
        return interval

    def reset(self) -> None:
        """Start the count of steps again, after an occurrence."""
        self._since = self.taken

    def __radd__(self, other: int) -> int:
        self._count_step()
        return self.real + other

    def __mul__(self, other: int) -> int:
        self._count_step()
        return self.real * other

    def _count_step(self) -> None:
        self.taken += 1
        if self.taken - self._since > self.steps:
            raise _SearchExhausted


@dataclass(frozen=True)
class Recurrence:
    """One RRULE without its UNTIL.

    :param frequency: FREQ of the rule
    :param options: its other parts, as options of dateutil; includes ``count`` only if both *step* and *months* are None
    :param until: last wall-clock time, inclusive, or None
    :param interval: INTERVAL of the rule
    :param steps: maximum number of intervals that are searched for one occurrence
    :param step: interval of candidates, if it is constant
    :param months: number of months between the beginnings of the years or months that have candidates
    :param count: number of occurrences; only with *step*
    """

    frequency: str
    options: tuple[tuple[str, Any], ...]
    until: datetime | None
    interval: int
    steps: int
    step: timedelta | None = None
    months: int | None = None
    count: int | None = None

    def occurrences(self, start: datetime, after: datetime) -> Iterator[datetime]:
        """Yield the times after *after* of a recurrence that starts at *start*, which may be the first of them."""
        last = min(self.until or datetime.max, _find_last(self, start) if self.count else datetime.max)
        return itertools.takewhile(lambda wall: wall <= last, self.endless(start, after))

    def endless(self, start: datetime, after: datetime) -> Iterator[datetime]:
        """Yield times as :meth:`occurrences` does, without regard to UNTIL and *count*."""
        return self.search(start, after) if _measure(self, start).found else iter(())

    def search(self, start: datetime, after: datetime, interval: _Interval | None = None) -> Iterator[datetime]:
        """Yield times as :meth:`endless` does, of a rule that may have none; finding that out takes long.

        :param interval: counts the steps of the search
        """
        interval = interval or _Interval(self.interval, self.steps)
        options, begin = dict(self.options), start
        if self.step:
            if after > start:
                begin += (after - start) // self.step * self.step
            if self.frequency == "WEEKLY" and "bysetpos" in options:
                # BYSETPOS selects from a whole week, so the evaluation begins with one.
                options.setdefault("byweekday", start.weekday())
                begin -= (begin.weekday() - options["wkst"]) % 7 * _DAY
        elif self.months:
            options = {**_inherited(self.frequency, options, start), **options}
            begin = _jump(start, after, self.months, of_years=self.frequency == "YEARLY")
        # The options are valid. A ValueError means that no step from this start ever matches the rule.
        with contextlib.suppress(_SearchExhausted, ValueError):
            frequency = rrule.FREQNAMES.index(self.frequency)
            for wall in rrule.rrule(frequency, dtstart=begin, interval=interval, **options):
                interval.reset()
                if wall.year > _LAST_YEAR:
                    return
                if wall > after and wall >= start:
                    yield wall

    def is_spaced(self, least: timedelta) -> bool:
        """Return whether it is certain, without an evaluation, that no two times are less than *least* apart."""
        listed = (values for name, values in self.options if name in ("byminute", "bysecond"))
        once = self.frequency in _WITHIN_A_DAY and all(len(values) == 1 for values in listed)
        return once and self.step is not None and self.step >= least

    def clock(self, start: datetime) -> Set[int]:
        """Return times of day, in seconds, that include all those at which the rule fires."""
        options = dict(self.options)
        hours = options.get("byhour", (start.hour,))
        minutes = options.get("byminute", (start.minute,))
        seconds = options.get("bysecond", (start.second,))
        if self.frequency in _WITHIN_A_DAY:
            assert self.step is not None
            begin = {"HOURLY": start.hour * 3600, "MINUTELY": start.hour * 3600 + start.minute * 60}.get(
                self.frequency, start.hour * 3600 + start.minute * 60 + start.second
            )
            distance = math.gcd(self.step // _SECOND, _DAY_SECONDS)
            steps = range(begin % distance, _DAY_SECONDS, max(distance, _CROWDED))
            inner = {"HOURLY": itertools.product(minutes, seconds), "MINUTELY": itertools.product((0,), seconds)}
            offsets = [minute * 60 + second for minute, second in inner.get(self.frequency, ((0, 0),))]
            return {step + offset for step in steps for offset in offsets}
        return {
            hour * 3600 + minute * 60 + second for hour, minute, second in itertools.product(hours, minutes, seconds)
        }

    def within(self, hours: Set[int], start: datetime) -> Self:
        """Return a rule with fewer occurrences, but all of those in *hours* of the day, if that is simple."""
        options = dict(self.options)
        given = set(options.get("byhour", (start.hour,)))
        if self.frequency == "HOURLY":
            given = set(options.get("byhour", range(24)))
        simple = self.count is None and not {"count", "bysetpos"} & set(options)
        if self.frequency in ("MINUTELY", "SECONDLY") or not simple or not given & hours:
            return self
        if self.frequency == "HOURLY" and any(_PARTS[name].option in options for name in _IRREGULAR):
            return self
        options["byhour"] = tuple(sorted(given & hours))
        return replace(self, options=tuple(sorted(options.items())))


class _Search(NamedTuple):
    """How long it takes to find the first occurrence of a rule.

    :param share: part of the allowed steps
    """

    found: bool
    share: float


@functools.lru_cache(maxsize=4096)
def _measure(recurrence: Recurrence, start: datetime) -> _Search:
    """Search for the first occurrence of a rule. Cached, because rules without any take the longest to evaluate."""
    interval = _Interval(recurrence.interval, recurrence.steps)
    found = next(recurrence.search(start, start - _SECOND, interval), None)
    return _Search(found is not None, interval.taken / interval.steps)


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


def _inherited(frequency: str, options: Mapping[str, Any], start: datetime) -> Mapping[str, int]:
    """Return the options that a yearly or monthly rule inherits from its start because it may not specify them."""
    inherited = {"byhour": start.hour, "byminute": start.minute, "bysecond": start.second}
    if not {"byweekno", "byyearday", "bymonthday", "byweekday"} & set(options):
        inherited["bymonthday"] = start.day
        if frequency == "YEARLY":
            inherited["bymonth"] = start.month
    return inherited


def _jump(start: datetime, after: datetime, months: int, *, of_years: bool) -> datetime:
    """Return the beginning of the last year or month before *after* that has candidates, or *start* in the first one.

    :param of_years: whether the candidates of a whole year belong together. *months* may also be 12 if they do not
    """
    first = 12 * start.year + (0 if of_years else start.month - 1)
    number = (12 * after.year + after.month - 1 - first) // months * months
    return start if number <= 0 else datetime((first + number) // 12, (first + number) % 12 + 1, 1)


@dataclass(frozen=True)
class Series:
    """The recurrences of one VEVENT without its excluded times.

    :param start: DTSTART, at which the recurrences start, or None: they start at the trigger's ``start_time``
    """

    start: datetime | None
    recurrences: Sequence[Recurrence]
    excluded: Set[datetime]
    excluded_days: Set[date]

    def occurrences(self, start: datetime, after: datetime) -> Iterator[datetime]:
        """Yield the times after *after*."""
        merged = heapq.merge(*(rule.occurrences(self.start or start, after) for rule in self.recurrences))
        return (wall for wall in merged if wall not in self.excluded and wall.date() not in self.excluded_days)


@dataclass(frozen=True)
class Calendar:
    """Union of several series."""

    series: Sequence[Series]

    def occurrences(self, start: datetime, after: datetime) -> Iterator[datetime]:
        """Yield the times after *after*, in order."""
        merged = heapq.merge(*(series.occurrences(start, after) for series in self.series))
        return (wall for wall, _ in itertools.groupby(merged))

    def closest(self, start: datetime, least: timedelta) -> Iterator[datetime]:
        """Yield times whose distances show whether any two are less than *least* apart.

        :raises InvalidInput: it would take long to find the times
        """
        share = 0.0
        for series, rule in self._rules():
            search = _measure(rule, series.start or start)
            share += search.share
            if not search.found:
                raise events.invalid(f"an RRULE with FREQ={rule.frequency} never fires; change or remove it")
            if share > _MAX_SHARE:
                raise events.invalid("its RRULEs occur too rarely to be found; use fewer, or FREQ=YEARLY or MONTHLY")
        (_, only), *others = self._rules()
        if not others and only.is_spaced(least):
            return
        times_of_day = sorted(
            {second for series, rule in self._rules() for second in rule.clock(series.start or start)}
        )
        hours = clock.crowded_hours(times_of_day, least)
        if not hours:
            return
        crowded = [
            replace(series, recurrences=[rule.within(hours, series.start or start) for rule in series.recurrences])
            for series in self.series
        ]
        times = replace(self, series=crowded).occurrences(start, start - _SECOND)
        for number, wall in enumerate(itertools.islice(times, _MAX_LOOK_AHEAD)):
            passed = wall - start
            if passed > _MAX_LOOK_AHEAD_TIME or (number >= _LOOK_AHEAD and passed > _LOOK_AHEAD_TIME):
                return
            yield wall

    def _rules(self) -> Iterator[tuple[Series, Recurrence]]:
        return ((series, rule) for series in self.series for rule in series.recurrences)


def parse(pattern: str, zone: tzinfo) -> Calendar:
    """Parse an iCalendar pattern. Times in it that have a zone are converted to *zone*.

    :raises InvalidInput: *pattern* has no VEVENT with a supported RRULE, or has a part that is not supported
    """
    found = events.parse(pattern, zone)
    if any(not event.rules for event in found):
        raise events.invalid(f"a VEVENT has no RRULE; each needs 1 to {_MAX_RULES} in all")
    number = sum(len(event.rules) for event in found)
    if number > _MAX_RULES:
        raise events.invalid(f"has {number} RRULEs, not 1 to {_MAX_RULES}")
    series = []
    for event in found:
        rules = list(dict.fromkeys(_recurrence(rule, zone) for rule in event.rules))
        series.append(Series(event.start, rules, frozenset(event.excluded), frozenset(event.excluded_days)))
    times = sum(_times(rule) for each in series for rule in each.recurrences)
    if times > _MAX_TIMES:
        raise events.invalid(
            f"BYHOUR, BYMINUTE and BYSECOND select up to {times} times in a year, month, week or day, more than {_MAX_TIMES}"
        )
    return Calendar(series)


def _times(rule: Recurrence) -> int:
    """Return the maximum number of times that dateutil enumerates to find one: in a step, or a day of an hourly rule."""
    options = dict(rule.options)
    lists = (options[name] for name in ("byhour", "byminute", "bysecond") if name in options)
    steps = 24 if rule.frequency == "HOURLY" else _DAYS.get(rule.frequency, 1)
    return steps * math.prod(len(values) for values in lists)


def _recurrence(parts: Mapping[str, str], zone: tzinfo) -> Recurrence:
    unknown = sorted(set(parts) - _KNOWN)
    if unknown:
        raise events.invalid(f"{', '.join(unknown)} is unknown in an RRULE")
    if "FREQ" not in parts:
        raise events.invalid("the RRULE is not valid: FREQ is missing")
    frequency = parts["FREQ"]
    if frequency not in _FREQUENCIES:
        raise events.invalid(f"FREQ={frequency} is not one of {', '.join(_FREQUENCIES)}")
    interval = _integer("INTERVAL", parts.get("INTERVAL", "1"), 1, _MAX_INTERVAL)
    count = _integer("COUNT", parts["COUNT"], 1, _MAX_COUNT) if "COUNT" in parts else None
    until = _until(parts["UNTIL"], zone) if "UNTIL" in parts else None
    if count is not None and until is not None:
        raise events.invalid("COUNT and UNTIL cannot be used together (RFC 5545); remove one of them")
    options: dict[str, Any] = {"wkst": _weekday("WKST", parts.get("WKST", "MO")).weekday}
    options.update((_PARTS[name].option, _integers(name, parts[name])) for name in parts if name in _PARTS)
    if "BYDAY" in parts:
        options["byweekday"] = _weekdays(parts)
    if "BYWEEKNO" in parts and (frequency != "YEARLY" or "BYDAY" not in parts):
        raise events.invalid("BYWEEKNO needs FREQ=YEARLY and BYDAY; without BYDAY, the day of the week is unclear")
    if frequency in _MONTHS:
        months = _MONTHS[frequency] * interval
        if count:
            # Must be evaluated from its start; there are few years and months.
            options["count"] = count
        rule = Recurrence(frequency, _frozen(options), until, interval, _HORIZON // months + 1)
        return rule if count else replace(rule, months=months)
    step = _STEPS[frequency] * interval
    if step < _MIN_DISTANCE:
        raise events.invalid(
            f"FREQ={frequency};INTERVAL={interval} is too frequent; use FREQ=DAILY with BYHOUR and BYMINUTE"
        )
    if frequency in _WITHIN_A_DAY:
        _check_within_a_day(parts, frequency, step)
    rule = Recurrence(frequency, _frozen(options), until, interval, min(_CENTURY // step + 1, _HORIZON_STEPS), step)
    irregular = ", ".join(sorted(_IRREGULAR.intersection(parts)))
    if count and (irregular or _period(step) // step > _MAX_CANDIDATES):
        raise events.invalid(
            f"COUNT is not supported with FREQ={frequency} and {irregular or f'INTERVAL={interval}'}; use UNTIL"
        )
    return replace(rule, count=count)


def _frozen(options: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(options.items()))


def _check_within_a_day(parts: Mapping[str, Any], frequency: str, step: timedelta) -> None:
    """Refuse parts whose evaluation would have to test very many candidates."""
    given = {name for name in parts if name.startswith("BY")}
    # An hourly rule skips whole days in one step, unless it has BYHOUR.
    refused = given & ({"BYSETPOS"} if frequency == "HOURLY" and "BYHOUR" not in given else _IRREGULAR)
    if not refused and _period(step) // step > _MAX_CANDIDATES:
        refused = given
    if not refused and "," in parts.get("BYSECOND", ""):
        refused = {"several values of BYSECOND"}
    if refused:
        raise events.invalid(
            f"{', '.join(sorted(refused))} cannot be used with FREQ={frequency};INTERVAL={step // _STEPS[frequency]}; "
            "use FREQ=DAILY with BYHOUR and BYMINUTE"
        )


def _integers(name: str, text: str) -> tuple[int, ...]:
    part = _PARTS[name]
    values = {_integer(name, value, part.lowest, part.highest, signed=part.signed) for value in text.split(",")}
    if len(values) > part.most:
        raise events.invalid(f"{name} has {len(values)} values, more than {part.most}")
    return tuple(sorted(values))


def _integer(name: str, text: str, lowest: int, highest: int, *, signed: bool = False) -> int:
    """Parse a number of a rule.

    :param signed: whether a negative number, which counts from the end, is allowed
    """
    digits = text.removeprefix("-") if signed else text
    digits = digits if digits != text else digits.removeprefix("+")
    if not digits.isdecimal() or len(digits) > 9 or not lowest <= int(digits) <= highest:
        sign = ", or negative" if signed else ""
        raise events.invalid(f"{name}={text} is not between {lowest} and {highest}{sign}")
    return int(text)


def _weekday(name: str, text: str) -> Any:
    """Return a weekday of dateutil."""
    try:
        return _WEEKDAYS[text]
    except KeyError:
        raise events.invalid(f"{name}={text} is not one of {', '.join(_WEEKDAYS)}") from None


def _weekdays(parts: Mapping[str, str]) -> tuple[Any, ...]:
    """Parse BYDAY, whose days may have a number: the first or last one of the month or year."""
    found = set()
    for text in parts["BYDAY"].split(","):
        day, number = _weekday("BYDAY", text[-2:]), text[:-2]
        highest = 53 if parts["FREQ"] == "YEARLY" and "BYMONTH" not in parts else 5
        found.add(day(_integer(f"BYDAY={text}: number", number, 1, highest, signed=True)) if number else day)
    numbered = [day for day in found if day.n]
    if numbered and (parts["FREQ"] not in _MONTHS or "BYWEEKNO" in parts):
        raise events.invalid(f"BYDAY={parts['BYDAY']}: a number needs FREQ=MONTHLY or YEARLY, without BYWEEKNO")
    if numbered and len(numbered) < len(found):
        raise events.invalid(f"BYDAY={parts['BYDAY']} has days with a number and days without; use two RRULEs")
    return tuple(sorted(found, key=lambda day: (day.weekday, day.n or 0)))


def _until(text: str, zone: tzinfo) -> datetime:
    """Return the last time of a rule; a date includes all of its day."""
    last = events.moment("UNTIL", text)
    return events.wall(last, zone) if isinstance(last, datetime) else datetime.combine(last, time.max)
