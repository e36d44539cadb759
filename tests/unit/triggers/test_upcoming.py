from datetime import datetime, timedelta

from karbor_like.clock import ManualClock
from karbor_like.triggers.upcoming import upcoming


class Slow:
    """Due every hour, twice. Each due time takes a while to compute."""

    window = 900

    def __init__(self, clock: ManualClock, seconds: float, count: int = 2) -> None:
        self._clock = clock
        self._seconds = seconds
        self._left = count

    def next(self, after: datetime) -> datetime | None:
        self._clock.advance(self._seconds)
        self._left -= 1
        return after + timedelta(hours=1) if self._left >= 0 else None


def hours(start: datetime, found: list[datetime]) -> list[float]:
    return [(moment - start).total_seconds() / 3600 for moment in found]


def test_the_next_due_times_from_now_on():
    clock = ManualClock()
    start = clock.now()
    assert hours(start, upcoming(Slow(clock, 0, 9), clock, 5)) == [1, 2, 3, 4, 5]
    assert hours(start, upcoming(Slow(clock, 0), clock, 5)) == [1, 2]
    assert upcoming(Slow(clock, 0, 0), clock, 5) == []


def test_what_takes_too_long_is_left_out():
    clock = ManualClock()
    start = clock.now()
    assert hours(start, upcoming(Slow(clock, 0.3, 99), clock, 5)) == [1, 2]
