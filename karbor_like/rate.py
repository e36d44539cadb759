"""Limits on bytes per second: token buckets that threads share."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from karbor_like.clock import Clock

#: Seconds of unused rate that a bucket keeps, so that short pauses of a transfer cost no throughput.
BURST_SECONDS: Final = 1.0
#: Longest delay before a waiting thread notices that it must stop, or that the rate has changed, seconds.
_CHECK_SECONDS: Final = 0.25


class Rate:
    """A limit on bytes per second: a token bucket, first come, first served. Thread-safe.

    Over any time of *t* seconds, at most ``rate * t`` bytes pass, and in addition those of one second or of one call of
    :meth:`take`, whichever are more.

    :param limit: returns the bytes per second, 0 for no limit. Asked again and again, so that it may change
    """

    def __init__(self, limit: Callable[[], float], clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        #: Those who wait, in the order of their arrival. The event of the first one is set when it becomes the first.
        self._queue: deque[threading.Event] = deque()
        self._tokens = limit() * BURST_SECONDS
        self._filled_at = clock.monotonic()

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit now."""
        return self._limit() > 0

    @property
    def waiting(self) -> int:
        """Number of threads in :meth:`take`."""
        return len(self._queue)

    def take(self, count: int, check: Callable[[], None] = lambda: None) -> None:
        """Wait until *count* bytes may pass.

        :param check: called several times a second while waiting; raises to stop. No lock is held meanwhile
        """
        turn = threading.Event()
        with self._lock:
            self._queue.append(turn)
        try:
            while seconds := self._try(count, turn):
                self._clock.wait(turn, min(seconds, _CHECK_SECONDS))
                check()
        finally:
            with self._lock:
                self._queue.remove(turn)
                if self._queue:
                    self._queue[0].set()

    def _try(self, count: int, turn: threading.Event) -> float:
        """Let *count* bytes pass if it is their turn. Return the seconds until the next attempt; 0 if they pass."""
        with self._lock:
            rate = self._limit()
            now = self._clock.monotonic()
            capacity = rate * BURST_SECONDS
            self._tokens = min(self._tokens + (now - self._filled_at) * rate, capacity)
            self._filled_at = now
            if rate <= 0:
                return 0
            if self._queue[0] is not turn:
                return _CHECK_SECONDS
            turn.clear()
            # More bytes than the bucket holds pass when it is full. Those that follow wait for all of them.
            missing = min(count, capacity) - self._tokens
            if missing > 0.5:  # less is an error of rounding
                return missing / rate
            self._tokens -= count
            return 0
