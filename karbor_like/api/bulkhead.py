"""Bounds on requests that wait for other services, so that these cannot occupy all threads of the API."""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Final

from oslo_config import cfg

from karbor_like import exception
from karbor_like.clock import Clock
from karbor_like.context import RequestContext

#: Part of the threads that calls may occupy, and part of these places that one project may have.
_PLACES: Final = 3 / 4
_SHARE: Final = 1 / 2


class Bulkhead:
    """Places for calls of one process to other services, and the time that each may take.

    Requests that only need the database take no place, so that threads are left for them.

    :param threads: of the process
    :param seconds: after the start of a request at which its calls are given up
    """

    def __init__(self, threads: int, seconds: float, clock: Clock) -> None:
        self.places: Final = max(1, int(threads * _PLACES))
        #: Places that one project may have.
        self.share: Final = max(1, int(self.places * _SHARE))
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._taken: Counter[str | None] = Counter()
        self._request = threading.local()

    @classmethod
    def of(cls, conf: cfg.ConfigOpts, clock: Clock) -> "Bulkhead":
        """Create one from the ``[api]`` options."""
        return cls(conf.api.threads, conf.api.request_timeout, clock)

    def begin(self) -> None:
        """Note that the calling thread begins to serve a request."""
        self._request.end = self._clock.monotonic() + self._seconds

    @contextlib.contextmanager
    def place(self, context: RequestContext) -> Iterator[float]:
        """Run the block, which waits for another service, in a place. Yields the seconds that it may take.

        :raises Busy: there is no place for the project, or the time of the request is over
        """
        seconds = getattr(self._request, "end", self._clock.monotonic() + self._seconds) - self._clock.monotonic()
        if seconds <= 0:
            raise exception.Busy(f"the request takes longer than {self._seconds:g} seconds")
        project_id = context.project_id
        with self._lock:
            if self._taken.total() >= self.places:
                raise exception.Busy("too many requests wait for other services; try again later")
            if self._taken[project_id] >= self.share:
                raise exception.Busy(
                    f"too many requests of project {project_id} wait for other services; try again later"
                )
            self._taken[project_id] += 1
        try:
            yield seconds
        finally:
            with self._lock:
                self._taken[project_id] -= 1
                # Removes the names of projects that have no place.
                self._taken += Counter()
