"""Answers that take time, such as those of a database that may not answer, for any number of concurrent callers."""

import threading
from collections.abc import Callable
from concurrent import futures
from typing import Generic, TypeVar

from karbor_like.clock import Clock

T = TypeVar("T")


class SharedAnswer(Generic[T]):
    """Runs a function, one call at a time, in a thread of its own, and shares what it returns.

    Callers that ask while a call is running get the latest answer if that is not too old, and otherwise wait for the running
    call. No caller waits for longer than *patience*. A call that lasts for longer is itself an answer, until it has ended.

    :param name: of the thread
    :param run: may hang
    :param patience: seconds
    :param late: the answer in place of a call that lasts for longer
    :param failed: returns the answer in place of an error
    :param fresh: seconds for which an answer is given again without a new call
    :param usable: seconds for which an answer is given while a newer one is awaited
    """

    def __init__(
        self,
        name: str,
        run: Callable[[], T],
        patience: float,
        clock: Clock,
        *,
        late: T,
        failed: Callable[[Exception], T],
        fresh: float = 0.0,
        usable: float = 60.0,
    ) -> None:
        self._name = name
        self._run = run
        self._patience = patience
        self._clock = clock
        self._late = late
        self._failed = failed
        self._fresh = fresh
        self._usable = max(fresh, usable)
        self._lock = threading.Lock()
        self._running: futures.Future[T] | None = None
        self._latest: tuple[float, T] | None = None

    def get(self) -> T:
        """Return the answer of a call."""
        with self._lock:
            running, latest = self._running, self._latest
            age = self._clock.monotonic() - latest[0] if latest else 0.0
            if latest is not None and (age < self._fresh or (running is not None and age <= self._usable)):
                return latest[1]
            if running is None:
                running = self._running = futures.Future()
                threading.Thread(target=self._work, args=(running,), name=self._name, daemon=True).start()
        try:
            return running.result(self._patience)
        except futures.TimeoutError:
            with self._lock:
                if self._running is running:
                    self._latest = self._clock.monotonic(), self._late
            return self._late

    def _work(self, running: "futures.Future[T]") -> None:
        try:
            answer = self._run()
        except Exception as error:  # noqa: BLE001 - the border of a thread
            answer = self._failed(error)
        with self._lock:
            self._latest = self._clock.monotonic(), answer
            self._running = None
        running.set_result(answer)
