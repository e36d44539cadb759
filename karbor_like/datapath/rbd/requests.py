"""Requests in progress, limited in number and time, whose answers come from a library's own threads."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

from karbor_like import exception
from karbor_like.clock import Clock, SystemClock

T = TypeVar("T")


class Requests(Generic[T]):
    """Requests in progress.

    The library may never answer some of them, so a thread fails those that are overdue. After that all further ones fail at
    once: a cluster that did not answer one request is not asked again.

    :param limit: requests in progress at once
    :param timeout: seconds that each may take
    :param overdue: makes the error of requests that are
    """

    def __init__(
        self,
        limit: int,
        timeout: float,
        overdue: Callable[[], exception.ResourceFailed],
        *,
        clock: Clock | None = None,
    ) -> None:
        self._limit: Final = limit
        self._timeout: Final = timeout
        self._overdue: Final = overdue
        self._clock = clock or SystemClock()
        #: In the order of their deadlines, because all have the same time limit.
        self._deadlines: dict[Future[T], float] = {}
        # One lock, and a condition for each thing that threads wait for: an answer wakes only a thread that can continue.
        self._lock = threading.Lock()
        self._has_room = threading.Condition(self._lock)
        self._is_idle = threading.Condition(self._lock)
        self._has_failed = threading.Condition(self._lock)
        self._error: exception.ResourceFailed | None = None
        self._watching = False

    def begin(self) -> Future[T]:
        """Return the future of a new request. Waits while there are too many.

        It has failed already if an earlier request is overdue, or the requests were abandoned.
        """
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            self._has_room.wait_for(lambda: self._error or len(self._deadlines) < self._limit)
            if self._error:
                future.set_exception(self._error)
                return future
            self._deadlines[future] = self._clock.monotonic() + self._timeout
            if not self._watching:
                self._watching = True
                threading.Thread(target=self._watch, name="rbd-overdue", daemon=True).start()
        return future

    def drain(self) -> None:
        """Wait until no request is in progress. Raises the error with which further requests would fail."""
        with self._lock:
            self._is_idle.wait_for(lambda: self._error or not self._deadlines)
        self.check()

    def check(self) -> None:
        """Raise the error with which further requests would fail."""
        with self._lock:
            if self._error:
                raise self._error.with_traceback(None)

    def end(self, future: Future[T], result: T) -> None:
        """Give a request its result. Without effect if it was abandoned."""
        if self._remove(future):
            future.set_result(result)

    def fail(self, future: Future[T], error: BaseException) -> None:
        """Give a request its error. Without effect if it was abandoned."""
        if self._remove(future):
            future.set_exception(error)

    def abandon(self, error: exception.ResourceFailed) -> None:
        """Fail all requests in progress and all further ones."""
        with self._lock:
            self._error = self._error or error
            failed = list(self._deadlines)
            self._deadlines.clear()
            for condition in (self._has_room, self._is_idle, self._has_failed):
                condition.notify_all()
        for future in failed:
            future.set_exception(error)

    def _remove(self, future: Future[T]) -> bool:
        with self._lock:
            if self._deadlines.pop(future, None) is None:
                return False
            self._has_room.notify()
            if not self._deadlines:
                self._is_idle.notify_all()
            return True

    def _watch(self) -> None:
        """Fail all requests as soon as the oldest one is overdue. Ends then, and after :meth:`abandon`."""
        with self._lock:
            while not self._error:
                now = self._clock.monotonic()
                # A request that begins while none is in progress is not overdue earlier than this.
                left = next(iter(self._deadlines.values()), now + self._timeout) - now
                if left <= 0:
                    break
                self._has_failed.wait(left)
        self.abandon(self._overdue())
