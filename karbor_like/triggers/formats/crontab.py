"""Time format ``crontab``: five fields, or six with seconds last.

Days are matched as Vixie cron and its descendants do: if the field of the day or that of the weekday begins with ``*``, with
or without a step, both must match; otherwise one is enough. croniter evaluates the patterns. Fields that it would treat in
another way than cron are refused or rewritten.
"""

import copy
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

import croniter

from karbor_like import exception
from karbor_like.triggers.formats import clock

_NAMES = ("minute", "hour", "day", "month", "weekday", "second")
_FIELD = re.compile(r"[0-9A-Za-z*,/#-]+")
_RANGE = re.compile(r"(?P<low>\w+)-(?P<high>\w+)(?P<step>/\d+)?", re.ASCII)
_SECONDS_LAST = "; the last of six fields is the second, not the first as in Quartz"
#: Number of times in which the smallest interval is looked for.
_LOOK_AHEAD = 1_000
#: croniter knows more words, such as random times, which would differ between processes.
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_EVERYTHING = {"day": "1-31", "weekday": "0-6"}
_WORDS = frozenset((*_MONTHS, *_WEEKDAYS, "l"))


@dataclass(frozen=True)
class Crontab:
    """A valid pattern.

    :param parsed: the pattern as croniter parsed it: parsing takes longer than finding a time
    """

    pattern: str
    parsed: croniter.croniter = field(compare=False, repr=False)

    def occurrences(self, start: datetime, after: datetime) -> Iterator[datetime]:
        """Yield the times after *after*; *start* is ignored."""
        iterator = copy.copy(self.parsed)
        iterator.set_current(after)
        while True:
            try:
                yield iterator.get_next(datetime)
            except croniter.CroniterBadDateError:
                return

    def closest(self, start: datetime, least: timedelta) -> Iterator[datetime]:
        """Yield times whose distances show whether any two are less than *least* apart."""
        # All days with occurrences have the same times.
        times = self._times_of_day()
        if times is not None and not clock.crowded_hours(times, least):
            return iter(())
        return itertools.islice(self.occurrences(start, start - timedelta(seconds=1)), _LOOK_AHEAD)

    def _times_of_day(self) -> Sequence[int] | None:
        """Return the times of day in seconds, or None if it fires several times in a minute."""
        minutes, hours, *others = self.parsed.expanded
        second = others[-1] if len(others) > 3 else [0]
        if second == ["*"] or len(second) > 1:
            return None
        lists = [range(size) if "*" in values else values for values, size in ((hours, 24), (minutes, 60))]
        return sorted(hour * 3600 + minute * 60 + second[0] for hour, minute in itertools.product(*lists))


def parse(pattern: str, zone: tzinfo = UTC) -> Crontab:
    """Parse a crontab pattern; *zone* is ignored, because the pattern has no times with a zone.

    :raises InvalidInput: *pattern* is not a crontab pattern
    """
    fields = pattern.split()
    if len(fields) not in (5, 6):
        raise _invalid(
            f"{pattern!r} has {len(fields)} fields, not 5 (minute hour day month weekday) "
            f"or 6 (seconds last, not first as in Quartz)"
        )
    for number, part in enumerate(fields):
        words = set(re.findall("[a-z]+", part.lower()))
        if not _FIELD.fullmatch(part) or not words <= _WORDS:
            raise _invalid(f"{part!r} is not a field of a crontab pattern", fields)
        fields[number] = _field(_NAMES[number], part.lower(), fields)
    if re.search("[#l]", fields[4]) and not fields[2].startswith("*"):
        raise _invalid(f"weekday {fields[4]!r} cannot be combined with day {fields[2]!r}; use '*' as the day", fields)
    try:
        # The start time is arbitrary: croniter needs one to parse the pattern.
        parsed = croniter.croniter(" ".join(fields), datetime(2000, 1, 1), implement_cron_bug=True)
    except (croniter.CroniterError, ValueError, KeyError) as error:
        raise _invalid(_find_invalid_field(fields) or str(error), fields) from None
    return Crontab(" ".join(fields), parsed)


def _field(name: str, text: str, fields: Sequence[str]) -> str:
    """Return a field in the form in which croniter takes it for what cron does.

    To croniter, a list that contains ``*`` anywhere is like one that begins with it.
    """
    first, *others = (_item(name, item, fields) for item in text.split(","))
    everything = _EVERYTHING.get(name, "*")
    return ",".join([first, *(re.sub(r"^\*(?=/|$)", everything, item) for item in others)])


def _item(name: str, text: str, fields: Sequence[str]) -> str:
    """Return an item of a list as :func:`_field` does.

    To croniter, a range from a value to itself is everything, and the step of a range that wraps around starts again.
    """
    found = _RANGE.fullmatch(text)
    if found is None or "l" in (found["low"], found["high"]):
        return text
    low, high = (_number(name, found[end]) for end in ("low", "high"))
    if low == high:
        return found["low"]
    if low > high and (found["step"] or (name, low % 7, high) == ("weekday", 0, 0)):
        raise _invalid(f"{name} {text!r} is not a range that begins with the smaller value; use two ranges", fields)
    return text


def _number(name: str, text: str) -> int:
    """Return the number of a value, or -1 if croniter must report that it is not valid."""
    names: Sequence[str] = {"month": _MONTHS, "weekday": _WEEKDAYS}.get(name, ())
    if text in names:
        return names.index(text) + (name == "month")
    return int(text) if text.isdecimal() else -1


def _find_invalid_field(fields: Sequence[str]) -> str | None:
    """Describe the first field that is invalid by itself, which croniter does not report."""
    for number, (name, text) in enumerate(zip(_NAMES, fields, strict=False)):
        alone = [text if other == number else "*" for other in range(len(fields))]
        if not croniter.croniter.is_valid(" ".join(alone)):
            return f"{name} {text!r} is not valid in a crontab pattern"
    return None


def _invalid(why: str, fields: Sequence[str] = ()) -> exception.InvalidInput:
    return exception.InvalidInput(f"properties.pattern: {why}{_SECONDS_LAST if len(fields) == 6 else ''}")
