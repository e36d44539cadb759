"""Triggers of type ``time``: when one fires is a pure function of its properties and the time.

A format reads the pattern, in the wall clock of the trigger's zone (UTC where it names none). Formats are entry points
``karbor_like.time_formats``; there are

* ``crontab``: minute hour day month weekday, and seconds in a sixth field;
* ``calendar``: an iCalendar VEVENT, bare or in a VCALENDAR, whose RRULEs are united and EXDATEs left out. Its DTSTART is
  ignored: the recurrence starts at the trigger's ``start_time``.

A wall clock that is put forward skips times and one that is put back repeats them: a skipped time fires as much later as
the clock was put forward, a repeated one fires the first time only.
"""

import functools
import itertools
import zoneinfo
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final, Protocol

from dateutil import tz

from karbor_like import exception
from karbor_like.triggers import contract, loader

TIME_FORMAT = "%Y-%m-%d %H:%M:%S"

_YEARS = range(1970, 2300)
#: Patterns that are kept as they were read.
_REMEMBERED = 2048
#: Occurrences that are looked at for the smallest distance at least.
_LOOK_AHEAD = 1000
#: And for how long at most: to find a thousand leap days takes long.
_LONGEST = timedelta(days=30 * 365)
#: No zone ever put its clock forward or back by more.
_SHIFT = timedelta(hours=3)


class Rule(Protocol):
    """What a pattern says, in wall-clock times without a zone."""

    @property
    def look_ahead(self) -> timedelta:
        """Over how long the distance of its times is looked at, where they are more than a thousand."""
        ...

    def occurrences(self, start: datetime, after: datetime) -> Iterator[datetime]:
        """The times after *after*, in order, of a recurrence that starts at *start*. Ends where there are no more."""
        ...


#: Reads a pattern in the wall clock of a zone. Raises InvalidInput saying which part is wrong.
TimeFormat = Callable[[str, tzinfo], Rule]


@dataclass(frozen=True)
class Timing:
    """A trigger's properties, understood.

    :param start: aware UTC; nothing fires at it or before
    :param end: aware UTC, inclusive, or None
    :param window: seconds that a run may be late
    """

    rule: Rule
    zone: tzinfo
    start: datetime
    end: datetime | None
    window: int

    def next(self, after: datetime) -> datetime | None:
        """The first time (aware UTC) after *after* and after the start; None where it never fires again."""
        found = self._next(max(after, self.start))
        return None if found is None or (self.end is not None and found > self.end) else found

    def _next(self, after: datetime) -> datetime | None:
        if self.zone is UTC:
            wall = next(self.rule.occurrences(_naive(self.start, UTC), _naive(after, UTC)), None)
            return wall.replace(tzinfo=UTC) if wall else None
        # Around a change of the clock the order of wall-clock times is not that of the moments they mean.
        best: tuple[datetime, datetime] | None = None
        for wall in self.rule.occurrences(_naive(self.start, self.zone), _naive(after, self.zone) - _SHIFT):
            if best and wall > best[1] + _SHIFT:
                break
            moment = tz.resolve_imaginary(wall.replace(tzinfo=self.zone)).astimezone(UTC)
            if moment > after and (best is None or moment < best[0]):
                best = moment, wall if best is None else best[1]
        return best[0] if best else None

    def first_distance_below(self, least: timedelta) -> timedelta | None:
        """Between the first two occurrences in a row, by the wall clock, that are nearer than *least*; None: none are."""
        start = _naive(self.start, self.zone)
        pairs = itertools.pairwise(self.rule.occurrences(start, start))
        for number, (earlier, later) in enumerate(pairs):
            if later - earlier < least:
                return later - earlier
            passed = later - start
            if passed > _LONGEST or (number >= _LOOK_AHEAD and passed > self.rule.look_ahead):
                break
        return None


def _naive(moment: datetime, zone: tzinfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


_MOMENT: Final = {
    "type": "string",
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$(?![\\n])",
    "description": "YYYY-MM-DD HH:MM:SS, UTC.",
}


class TimeTrigger(contract.TriggerType):
    """Fires when a pattern of times says so.

    :param formats: instead of those that are installed
    """

    schema = {
        "type": "object",
        "properties": {
            "format": {"type": "string", "description": "calendar, crontab, or another that is installed."},
            "pattern": {"type": "string", "minLength": 1, "maxLength": 4096},
            "start_time": _MOMENT,
            "end_time": _MOMENT,
            "window": {"type": "integer", "description": "Seconds that a run may be late."},
            "timezone": {
                "type": "string",
                "maxLength": 64,
                "description": "IANA name; the pattern's wall clock. UTC if absent.",
            },
        },
        "required": ["format", "pattern"],
        "additionalProperties": False,
    }

    def __init__(self, formats: Mapping[str, TimeFormat] | None = None) -> None:
        self._formats = loader.time_formats() if formats is None else formats
        # To read a pattern takes longer than all the rest of firing, and many triggers have the same.
        self._rule = functools.lru_cache(_REMEMBERED)(self._read)

    def completed(self, properties: Mapping[str, Any], now: datetime) -> Mapping[str, Any]:
        return {"start_time": now.strftime(TIME_FORMAT), **properties}

    def parse(self, properties: Mapping[str, Any]) -> Timing:
        missing = [name for name in ("format", "pattern", "start_time") if not properties.get(name)]
        if missing:
            raise exception.InvalidInput(f"properties: {', '.join(missing)} is missing")
        zone = _zone(properties.get("timezone"))
        rule = self._rule(properties["format"], properties["pattern"], zone)
        start = _moment("start_time", properties["start_time"])
        end = _moment("end_time", properties["end_time"]) if properties.get("end_time") else None
        return Timing(rule, zone, start, end, int(properties.get("window") or 0))

    def check(self, properties: Mapping[str, Any], limits: contract.Limits, now: datetime) -> Timing:
        timing = self.parse({**properties, "window": properties.get("window", limits.min_window)})
        distance = timing.first_distance_below(timedelta(seconds=limits.min_interval))
        if distance is not None:
            raise exception.InvalidInput(
                f"properties.pattern: fires twice within {distance.total_seconds():g} seconds; at least "
                f"{limits.min_interval} must lie between"
            )
        if not limits.min_window <= timing.window <= limits.max_window:
            raise exception.InvalidInput(
                f"properties.window: {timing.window} is not between {limits.min_window} and {limits.max_window} seconds"
            )
        if timing.end is not None and timing.end <= timing.start:
            raise exception.InvalidInput("properties.end_time: is not after start_time")
        if timing.next(now) is None:
            raise exception.InvalidInput("properties.pattern: never fires between now (or start_time) and end_time")
        return timing

    def _read(self, name: str, pattern: str, zone: tzinfo) -> Rule:
        try:
            read = self._formats[name]
        except KeyError:
            known = contract.listed(self._formats)
            raise contract.NotInstalled(f"properties.format: {name!r} is not one of {known}") from None
        return read(pattern, zone)


def _zone(name: str | None) -> tzinfo:
    if name in (None, "", "UTC"):
        return UTC
    try:
        return zoneinfo.ZoneInfo(str(name))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise exception.InvalidInput(
            f"properties.timezone: {name!r} is not known; use a name of the IANA database, such as 'Europe/Madrid'"
        ) from None


@functools.lru_cache(_REMEMBERED)
def _moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.strptime(text, TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise exception.InvalidInput(
            f"properties.{name}: {text!r} is not a time; use YYYY-MM-DD HH:MM:SS, in UTC"
        ) from None
    if moment.year not in _YEARS:
        raise exception.InvalidInput(f"properties.{name}: {text!r} is not between {_YEARS[0]} and {_YEARS[-1]}")
    return moment
