"""The only module that reads the time. All other code takes a :class:`Clock`, so that tests can control time."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Wall-clock time, elapsed time and waiting."""

    def now(self) -> datetime:
        """Return the wall-clock time, timezone-aware UTC. It may step."""
        ...

    def monotonic(self) -> float:
        """Return the seconds since an arbitrary start. They never step back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait *seconds* seconds."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait at most *seconds* seconds until *event* is set. Returns whether it is set."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(seconds)


class ManualClock:
    """A clock that only :meth:`advance`, :meth:`step` and sleeping move. For tests and simulations.

    :param start: first wall-clock time, timezone-aware UTC
    """

    def __init__(self, start: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._monotonic = 0.0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            return self._now

    def monotonic(self) -> float:
        with self._lock:
            return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both clocks *seconds* seconds forward."""
        with self._lock:
            self._now += timedelta(seconds=seconds)
            self._monotonic += seconds

    def step(self, seconds: float) -> None:
        """Set the wall clock forward or back by *seconds* seconds, as an administrator or NTP would."""
        with self._lock:
            self._now += timedelta(seconds=seconds)

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if not event.is_set():
            self.advance(seconds)
        return event.is_set()
