"""Crontab patterns: five fields, or six with seconds last."""

import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

import croniter

from karbor_like import exception

_NAMES = ("minute", "hour", "day", "month", "weekday", "second")
_FIELD = re.compile(r"[0-9A-Za-z*,/#-]+")
#: croniter has more, such as random times, which would not be the same for every process that asks.
_WORDS = frozenset(
    (
        *("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
        *("sun", "mon", "tue", "wed", "thu", "fri", "sat", "l"),
    )
)


@dataclass(frozen=True)
class Crontab:
    """A checked pattern, and what croniter made of it, which takes it longer than to find a time."""

    pattern: str
    read: croniter.croniter = field(compare=False, repr=False)
    #: Every day that has any has the same times: the first thousand show how far they are apart.
    look_ahead = timedelta()

    def occurrences(self, start: datetime, after: datetime) -> Iterator[datetime]:
        """The times after *after*; *start* plays no part."""
        found = copy.copy(self.read)
        found.set_current(after)
        while True:
            try:
                yield found.get_next(datetime)
            except croniter.CroniterBadDateError:
                return


def parse(pattern: str, zone: tzinfo = UTC) -> Crontab:
    """Raises InvalidInput where *pattern* is not a crontab pattern. It names no zone, so *zone* plays no part."""
    fields = pattern.split()
    if len(fields) not in (5, 6):
        raise _invalid(
            f"{pattern!r} has {len(fields)} fields, not 5 (minute hour day month weekday) or 6 (seconds last)"
        )
    for part in fields:
        words = set(re.findall("[a-z]+", part.lower()))
        if not _FIELD.fullmatch(part) or not words <= _WORDS:
            raise _invalid(f"{part!r} is not a field of a crontab pattern")
    try:
        # The base is arbitrary: it only makes croniter read the pattern.
        read = croniter.croniter(" ".join(fields), datetime(2000, 1, 1))
    except (croniter.CroniterError, ValueError, KeyError) as error:
        raise _invalid(_blamed(fields) or str(error)) from None
    return Crontab(" ".join(fields), read)


def _blamed(fields: Sequence[str]) -> str | None:
    """The first field that is wrong by itself, which croniter does not tell."""
    for number, (name, text) in enumerate(zip(_NAMES, fields, strict=False)):
        alone = [text if other == number else "*" for other in range(len(fields))]
        if not croniter.croniter.is_valid(" ".join(alone)):
            return f"{name} {text!r} is not one of a crontab pattern"
    return None


def _invalid(why: str) -> exception.InvalidInput:
    return exception.InvalidInput(f"properties.pattern: {why}")
