"""A bounded view of a thread pool: limits how many tasks of one flow run concurrently."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent import futures
from typing import Any


class BoundedExecutor(futures.Executor):
    """An executor that submits at most *width* calls to *pool* concurrently.

    A flow with a thousand ready tasks would otherwise fill the pool's queue, and all other flows would wait for it.
    """

    def __init__(self, pool: futures.Executor, width: int) -> None:
        self._pool = pool
        self._width = width
        self._lock = threading.Lock()
        self._waiting: deque[tuple[futures.Future[Any], Callable[[], Any]]] = deque()
        self._running = 0
        self._closed = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> futures.Future[Any]:
        future: futures.Future[Any] = futures.Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the executor was shut down; it takes no further calls")
            self._waiting.append((future, lambda: fn(*args, **kwargs)))
            self._fill()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no further calls. The pool and the running calls continue; *wait* is ignored."""
        with self._lock:
            self._closed = True
            waiting = list(self._waiting) if cancel_futures else []
            if cancel_futures:
                self._waiting.clear()
        for future, _ in waiting:
            future.cancel()

    def _fill(self) -> None:
        while self._waiting and self._running < self._width:
            future, call = self._waiting.popleft()
            try:
                self._pool.submit(self._run, future, call)
            except RuntimeError:
                # The process ends: a thread that waits for the result must not wait for ever.
                future.cancel()
            else:
                self._running += 1

    def _run(self, future: futures.Future[Any], call: Callable[[], Any]) -> None:
        try:
            if future.set_running_or_notify_cancel():
                try:
                    result = call()
                except BaseException as error:  # noqa: BLE001 - the future passes it to the caller
                    future.set_exception(error)
                else:
                    future.set_result(result)
        finally:
            with self._lock:
                self._running -= 1
                self._fill()
