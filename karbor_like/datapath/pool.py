"""Calls of the operating system that may hang, such as those for files on a network, with a time limit."""

import itertools
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from karbor_like import deadline, exception
from karbor_like.datapath.room import Room

_T = TypeVar("_T")
#: The most bytes that calls of one pool transfer at once.
_IN_FLIGHT: Final = 32 * 1024 * 1024


@dataclass
class _Call:
    size: int
    where: str
    deadline: float
    future: Future[Any] = field(default_factory=Future)


class Pool:
    """Threads that make calls. A call that takes too long fails, and all others with it, although its thread still waits.

    The threads do not keep the process alive.

    :param what: name of the volume, for errors
    :param timeout: seconds per call
    :param failed: class of errors
    """

    def __init__(
        self, what: str, *, timeout: float, failed: type[exception.ResourceFailed], threads: int, name: str = "pool"
    ) -> None:
        self._what = what
        self._timeout = timeout
        self._failed = failed
        self._room = Room(_IN_FLIGHT)
        self._numbers = itertools.count()
        self._calls: dict[int, _Call] = {}
        self._broken: str | None = None
        self._changed = threading.Condition()
        self._queue = queue.SimpleQueue[tuple[int, Callable[[], Any]] | None]()
        self._workers = [threading.Thread(target=self._work, name=name, daemon=True) for _ in range(threads)]
        self._watcher = threading.Thread(target=self._watch, name=f"{name}-watch", daemon=True)
        for thread in (*self._workers, self._watcher):
            thread.start()

    def submit(self, size: int, where: str, call: Callable[[], _T]) -> Future[_T]:
        """Begin a call. Waits while the others transfer too many bytes.

        :param size: bytes that it transfers
        :param where: what it does, for errors
        """
        if not self._room.take(size, self._timeout):
            self._break(self._late)
        made = _Call(size, where, 0.0)
        made.future.set_running_or_notify_cancel()
        with self._changed:
            if self._broken is not None:
                self._room.give(size)
                raise self._failed(f"{self._what}: {self._broken}")
            number = next(self._numbers)
            made.deadline = time.monotonic() + self._timeout
            self._calls[number] = made
            self._changed.notify()
        self._queue.put((number, call))
        return made.future

    def check(self) -> None:
        """Raise if a call took too long, or the pool was closed."""
        if self._broken is not None:
            raise self._failed(f"{self._what}: {self._broken}")

    def close(self) -> bool:
        """End the threads. Calls in progress fail. Returns False if a thread still waits after the time limit."""
        self._break("closed")
        for _ in self._workers:
            self._queue.put(None)
        end = time.monotonic() + self._timeout
        for thread in (*self._workers, self._watcher):
            thread.join(max(end - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in self._workers)

    @property
    def _late(self) -> str:
        return f"no answer within {self._timeout:g} s"

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            number, call = item
            with self._changed:
                wanted = number in self._calls
            if wanted:
                try:
                    result = call()
                except Exception as error:  # noqa: BLE001 - passed to the caller
                    self._finish(number, None, error)
                else:
                    self._finish(number, result, None)

    def _finish(self, number: int, result: object, error: Exception | None) -> None:
        with self._changed:
            made = self._calls.pop(number, None)
        if made is None:
            return
        self._room.give(made.size)
        if isinstance(error, OSError):
            error = _translated(error, f"{self._what}: {made.where}", self._failed)
        if error is None:
            made.future.set_result(result)
        else:
            made.future.set_exception(error)

    def _watch(self) -> None:
        with self._changed:
            while self._broken is None:
                oldest = next(iter(self._calls.values()), None)
                left = None if oldest is None else oldest.deadline - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._changed.wait(left)
        self._break(self._late)

    def _break(self, reason: str) -> None:
        with self._changed:
            self._broken = reason if self._broken is None else self._broken
            calls, self._calls = self._calls, {}
            self._changed.notify()
        for made in calls.values():
            self._room.give(made.size)
            made.future.set_exception(self._failed(f"{self._what}: {made.where}: {self._broken}"))


def limited(
    call: Callable[[], _T], what: str, where: str, *, timeout: float, failed: type[exception.ResourceFailed]
) -> _T:
    """Make one call, which fails if it takes longer than *timeout* seconds."""
    try:
        return deadline.within(timeout, "storage", call)
    except TimeoutError:
        raise failed(f"{what}: {where}: no answer within {timeout:g} s") from None
    except OSError as error:
        raise _translated(error, f"{what}: {where}", failed) from None


def _translated(error: OSError, where: str, failed: type[exception.ResourceFailed]) -> exception.ResourceFailed:
    return failed(f"{where}: {(error.strerror or str(error)).lower()}")
