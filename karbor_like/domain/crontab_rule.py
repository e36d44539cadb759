"""Crontab patterns: five fields, or six with seconds last."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

import croniter

from karbor_like import exception

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
    """A checked pattern."""

    pattern: str

    def occurrences(self, start: datetime, after: datetime) -> Iterator[datetime]:
        """The times after *after*; *start* plays no part."""
        found = croniter.croniter(self.pattern, after, ret_type=datetime)
        while True:
            try:
                yield found.get_next()
            except croniter.CroniterBadDateError:
                return


def parse(pattern: str, zone: tzinfo = UTC) -> Crontab:
    """Raises InvalidInput where *pattern* is not a crontab pattern. It names no zone, so *zone* plays no part."""
    fields = pattern.split()
    if len(fields) not in (5, 6):
        raise _invalid(
            f"{pattern!r} has {len(fields)} fields, not 5 (minute hour day month weekday) or 6 (seconds last)"
        )
    for field in fields:
        words = set(re.findall("[a-z]+", field.lower()))
        if not _FIELD.fullmatch(field) or not words <= _WORDS:
            raise _invalid(f"{field!r} is not a field of a crontab pattern")
    try:
        # The base is arbitrary: it only makes croniter read the pattern.
        croniter.croniter(" ".join(fields), datetime(2000, 1, 1))
    except (croniter.CroniterError, ValueError, KeyError) as error:
        raise _invalid(str(error)) from None
    return Crontab(" ".join(fields))


def _invalid(why: str) -> exception.InvalidInput:
    return exception.InvalidInput(f"properties.pattern: {why}")
