"""Watches the long-lived threads of a service: reports those that hang, and ends the process if they hang for much longer.

A supervisor (systemd, the parent of the workers) starts the process again, and other processes take over its operations. That
is the only way out of a call that never returns, such as a read from a peer that has fallen silent.
"""

import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from karbor_like.clock import Clock

LOG = logging.getLogger(__name__)

#: Seconds between two checks.
CHECK_SECONDS: Final = 1.0
#: A process ends when a thread has hung for this many times its limit: an operator or a load balancer shall notice first.
FATAL_FACTOR: Final = 5
#: Innermost functions of a hanging thread that are logged.
_FRAMES: Final = 12

_current = threading.local()


@dataclass(frozen=True)
class Hang:
    """A thread that has neither returned nor made progress within its limit.

    :param name: what the thread does
    :param seconds: time since it began or last made progress
    """

    name: str
    seconds: int

    def __str__(self) -> str:
        return f"{self.name} has made no progress for {self.seconds} seconds"


class Watch:
    """One thread under watch. It counts as hung only within :meth:`working`.

    :param limit: seconds without progress after which it hangs
    :param fatal: whether the process ends if it hangs for :data:`FATAL_FACTOR` times the limit
    """

    def __init__(self, dog: "Watchdog", name: str, limit: float, *, fatal: bool) -> None:
        self.name = name
        self.limit = limit
        self.fatal = fatal
        self._dog = dog
        self._thread: int | None = None
        self._since: float | None = None

    @contextmanager
    def working(self) -> Iterator[None]:
        """Watch the calling thread within the block."""
        self._thread = threading.get_ident()
        self.tick()
        _current.watch = self
        try:
            yield
        finally:
            _current.watch = None
            self._since = None

    def tick(self) -> None:
        """Record progress."""
        self._since = self._dog.awake

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last progress; 0 outside of the block."""
        since = self._since
        return 0.0 if since is None else self._dog.awake - since

    @property
    def hang(self) -> Hang | None:
        """The hang, or None if there is none."""
        seconds = self.idle_seconds
        return Hang(self.name, int(seconds)) if seconds >= self.limit else None

    def stack(self) -> str:
        """Return where the thread is, innermost function first, in one line."""
        frame = sys._current_frames().get(self._thread or 0)
        frames = traceback.extract_stack(frame)[-_FRAMES:] if frame else []
        return " < ".join(f"{entry.name} ({entry.filename}:{entry.lineno})" for entry in reversed(frames))


def tick() -> None:
    """Record progress of the calling thread, if it is under watch. For long work in small steps."""
    watch: Watch | None = getattr(_current, "watch", None)
    if watch is not None:
        watch.tick()


def _end_process() -> None:
    # Neither an exception nor sys.exit() ends a process whose threads hang.
    os._exit(os.EX_SOFTWARE)


class Watchdog:
    """The watches of one service.

    :param limit: default limit of a watch, seconds
    :param end: called when the process must end
    """

    def __init__(self, clock: Clock, limit: float, end: Callable[[], None] = _end_process) -> None:
        #: Seconds for which this process has been able to run: those in which it was suspended are no hang of a thread.
        self.awake = 0.0
        self._clock = clock
        self._limit = limit
        self._end = end
        self._watches: list[Watch] = []
        self._reported: set[Watch] = set()
        self._checked_at = clock.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def watch(self, name: str, limit: float = 0.0, *, fatal: bool = True) -> Watch:
        """Return a new watch.

        :param name: what the thread does (informational)
        :param limit: seconds of work without progress, if more than the default
        :param fatal: as of :class:`Watch`
        """
        found = Watch(self, name, max(limit, self._limit), fatal=fatal)
        self._watches.append(found)
        return found

    def start(self) -> None:
        """Start the thread that checks the watches. It does nothing that could hang."""
        self._thread.start()

    def stop(self) -> None:
        """Check no longer."""
        self._stop.set()

    def hangs(self) -> Sequence[Hang]:
        """Return the threads that hang now."""
        return [hang for watch in self._watches if (hang := watch.hang)]

    def check(self) -> None:
        """Log which threads hang since the last check or no longer do, and end the process if one hangs for too long."""
        now = self._clock.monotonic()
        self.awake += min(now - self._checked_at, 2 * CHECK_SECONDS)
        self._checked_at = now
        for watch in self._watches:
            hang = watch.hang
            if hang and watch not in self._reported:
                self._reported.add(watch)
                LOG.error("%s; it is in %s", hang, watch.stack())
            elif not hang and watch in self._reported:
                self._reported.discard(watch)
                LOG.info("%s makes progress again", watch.name)
            if hang and watch.fatal and watch.idle_seconds >= FATAL_FACTOR * watch.limit:
                LOG.critical("%s; this process ends, so that it is started again. It was in %s", hang, watch.stack())
                self._end()

    def _run(self) -> None:
        while not self._clock.wait(self._stop, CHECK_SECONDS):
            self.check()
