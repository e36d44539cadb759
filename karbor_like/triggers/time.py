"""Triggers of type ``time``. Their due times are a pure function of their properties and the current time.

A format parses the pattern, whose times are wall-clock times of the trigger's time zone (by default UTC). Formats are entry
points ``karbor_like.time_formats``:

* ``crontab``: minute hour day month weekday, and seconds in an optional sixth field;
* ``calendar``: iCalendar VEVENTs, bare or in a VCALENDAR. The times of each are the union of its RRULEs without its EXDATEs.
  They start at its DTSTART, or at the trigger's ``start_time`` if it has none.

A wall clock that is set forward skips times, and one that is set back repeats them. A skipped time fires as much later as the
clock was set forward. A repeated time fires the first time only.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final, Protocol

from dateutil import tz

from karbor_like import exception
from karbor_like.triggers import contract, loader, zones

TIME_FORMAT = "%Y-%m-%d %H:%M:%S"

#: Size of the cache of parsed patterns.
_CACHE_SIZE = 2048
#: Upper bound of all changes of a zone's UTC offset.
_MAX_SHIFT = timedelta(hours=3)


class Rule(Protocol):
    """A parsed pattern, in wall-clock times without a zone."""

    def occurrences(self, start: datetime, after: datetime) -> Iterator[datetime]:
        """Yield the times after *after*, in order, of a recurrence that starts at *start*, which may be one of them."""
        ...

    def closest(self, start: datetime, least: timedelta) -> Iterator[datetime]:
        """Yield times, in order, whose distances show whether any two are less than *least* apart.

        It yields nothing if it is certain that no two are. The number of times is bounded.

        :raises InvalidInput: it would take long to find the times
        """
        ...


#: Parses a pattern in the wall clock of a zone. Raises InvalidInput, which names the invalid part.
TimeFormat = Callable[[str, tzinfo], Rule]


@dataclass(frozen=True)
class Timing:
    """Parsed properties of a trigger.

    :param start: aware UTC, inclusive
    :param end: aware UTC, inclusive, or None
    :param window: how long after its due time a run may start, in seconds
    """

    rule: Rule
    zone: tzinfo
    start: datetime
    end: datetime | None
    window: int

    def next(self, after: datetime) -> datetime | None:
        """Return the first due time (aware UTC) after *after*, from the start on, or None if it never fires again."""
        due = self._next(max(after, self.start - datetime.resolution))
        return None if due is None or (self.end is not None and due > self.end) else due

    def _next(self, after: datetime) -> datetime | None:
        if self.zone is UTC:
            wall = next(self.rule.occurrences(_naive(self.start, UTC), _naive(after, UTC)), None)
            return wall.replace(tzinfo=UTC) if wall else None
        # Around a clock change, the order of wall-clock times differs from the order of the moments they denote.
        best: tuple[datetime, datetime] | None = None
        for wall in self.rule.occurrences(_naive(self.start, self.zone), _naive(after, self.zone) - _MAX_SHIFT):
            if best and wall > best[1] + _MAX_SHIFT:
                break
            moment = tz.resolve_imaginary(wall.replace(tzinfo=self.zone)).astimezone(UTC)
            if moment > after and (best is None or moment < best[0]):
                best = moment, wall if best is None else best[1]
        return best[0] if best else None

    def find_interval_below(self, least: timedelta) -> timedelta | None:
        """Return the first interval between consecutive occurrences, by the wall clock, that is below *least*, or None."""
        times = self.rule.closest(_naive(self.start, self.zone), least)
        distances = (later - earlier for earlier, later in itertools.pairwise(times))
        return next((distance for distance in distances if distance < least), None)


def _naive(moment: datetime, zone: tzinfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


_MOMENT: Final = {
    "type": "string",
    "maxLength": 19,
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$(?![\\n])",
    "description": "YYYY-MM-DD HH:MM:SS, UTC.",
}


class TimeTrigger(contract.TriggerType):
    """Trigger type ``time``: fires at the times of a pattern.

    :param formats: time formats by name; by default the installed ones
    """

    schema = {
        "type": "object",
        "properties": {
            "format": {
                "type": "string",
                "maxLength": 64,
                "description": "calendar, crontab, or another installed format.",
            },
            "pattern": {"type": "string", "minLength": 1, "maxLength": 4096},
            "start_time": _MOMENT,
            "end_time": _MOMENT,
            "window": {"type": "integer", "description": "Seconds after its due time in which a run may start."},
            "timezone": {
                "type": "string",
                "maxLength": 64,
                "description": "IANA name of the time zone of the pattern. UTC if absent.",
            },
        },
        "required": ["format", "pattern"],
        "additionalProperties": False,
    }

    def __init__(self, formats: Mapping[str, TimeFormat] | None = None) -> None:
        self._formats = loader.time_formats() if formats is None else formats
        # Parsing a pattern takes longer than the rest of firing a trigger, and many triggers have the same pattern.
        self._rule = functools.lru_cache(_CACHE_SIZE)(self._parse_pattern)

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
        interval = timing.find_interval_below(timedelta(seconds=limits.min_interval))
        if interval is not None:
            raise exception.InvalidInput(
                f"properties.pattern: fires twice within {interval.total_seconds():g} seconds; the minimum interval is "
                f"{limits.min_interval} seconds"
            )
        if not limits.min_window <= timing.window <= limits.max_window:
            raise exception.InvalidInput(
                f"properties.window: {timing.window} is not between {limits.min_window} and {limits.max_window} seconds"
            )
        if timing.end is not None and timing.end <= timing.start:
            raise exception.InvalidInput("properties.end_time: is not after start_time; use a later time")
        if timing.next(now) is None:
            raise exception.InvalidInput("properties.pattern: never fires between now (or start_time) and end_time")
        return timing

    def _parse_pattern(self, name: str, pattern: str, zone: tzinfo) -> Rule:
        try:
            parse = self._formats[name]
        except KeyError:
            known = contract.format_names(self._formats)
            raise contract.NotInstalled(f"properties.format: {name!r} is not one of {known}") from None
        return parse(pattern, zone)


def _zone(name: str | None) -> tzinfo:
    zone = zones.find(name or "UTC")
    if zone is None:
        raise exception.InvalidInput(
            f"properties.timezone: {name!r} is unknown; use a name of the IANA database, such as 'Europe/Madrid'"
        )
    return zone


@functools.lru_cache(_CACHE_SIZE)
def _moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.strptime(text, TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise exception.InvalidInput(
            f"properties.{name}: {text!r} is not a time; use YYYY-MM-DD HH:MM:SS, in UTC"
        ) from None
    if moment.year not in contract.YEARS:
        raise exception.InvalidInput(
            f"properties.{name}: {text!r} is not between {contract.YEARS[0]} and {contract.YEARS[-1]}"
        )
    return moment
