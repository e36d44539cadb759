"""Time format ``crontab``: five fields, or six with seconds last."""

import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

import croniter

from karbor_like import exception

_NAMES = ("minute", "hour", "day", "month", "weekday", "second")
_FIELD = re.compile(r"[0-9A-Za-z*,/#-]+")
#: croniter knows more words, such as random times, which would differ between processes.
_WORDS = frozenset(
    (
        *("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
        *("sun", "mon", "tue", "wed", "thu", "fri", "sat", "l"),
    )
)


@dataclass(frozen=True)
class Crontab:
    """A valid pattern.

    :param parsed: the pattern as croniter parsed it: parsing takes longer than finding a time
    """

    pattern: str
    parsed: croniter.croniter = field(compare=False, repr=False)
    #: All days with occurrences have the same times, so the first thousand occurrences show every interval.
    look_ahead = timedelta()

    def occurrences(self, start: datetime, after: datetime) -> Iterator[datetime]:
        """Yield the times after *after*; *start* is ignored."""
        iterator = copy.copy(self.parsed)
        iterator.set_current(after)
        while True:
            try:
                yield iterator.get_next(datetime)
            except croniter.CroniterBadDateError:
                return


def parse(pattern: str, zone: tzinfo = UTC) -> Crontab:
    """Parse a crontab pattern; *zone* is ignored, because the pattern has no times with a zone.

    :raises InvalidInput: *pattern* is not a crontab pattern
    """
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
        # The start time is arbitrary: croniter needs one to parse the pattern.
        parsed = croniter.croniter(" ".join(fields), datetime(2000, 1, 1))
    except (croniter.CroniterError, ValueError, KeyError) as error:
        raise _invalid(_find_invalid_field(fields) or str(error)) from None
    return Crontab(" ".join(fields), parsed)


def _find_invalid_field(fields: Sequence[str]) -> str | None:
    """Describe the first field that is invalid by itself, which croniter does not report."""
    for number, (name, text) in enumerate(zip(_NAMES, fields, strict=False)):
        alone = [text if other == number else "*" for other in range(len(fields))]
        if not croniter.croniter.is_valid(" ".join(alone)):
            return f"{name} {text!r} is not valid in a crontab pattern"
    return None


def _invalid(why: str) -> exception.InvalidInput:
    return exception.InvalidInput(f"properties.pattern: {why}")
