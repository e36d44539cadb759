"""Calls of libraries that may block without a limit of their own."""

import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

#: The total time of a request over HTTP, in multiples of the time that it waits for the next bytes.
TOTAL: Final = 10


class Call(Generic[T]):
    """A call of *function* in a thread of its own, which starts at once.

    A caller that has waited long enough abandons it. The thread ends with the function, and never keeps the process alive.

    :param name: of the thread
    :param finish: called in the thread when the function has ended, also after the call was abandoned
    """

    def __init__(self, name: str, function: Callable[[], T], finish: Callable[[], None] = lambda: None) -> None:
        self._function = function
        self._finish = finish
        self._ended = threading.Event()
        self._result: list[T] = []
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the function, at most *seconds*, and return whether it has ended."""
        return self._ended.wait(seconds)

    def result(self) -> T:
        """Return what the function returned, or raise what it raised. It must have ended."""
        if self._error is not None:
            raise self._error
        return self._result[0]

    def _run(self) -> None:
        try:
            self._result.append(self._function())
        except BaseException as error:  # noqa: BLE001 - raised in the thread of the caller
            self._error = error
        finally:
            self._finish()
            self._ended.set()


def within(seconds: float, name: str, function: Callable[[], T]) -> T:
    """Return what *function* returns, or raise what it raises, if that takes at most *seconds*.

    :param name: of the function's thread
    :raises TimeoutError: the function has not ended; it continues in its thread
    """
    call = Call(name, function)
    if not call.wait(seconds):
        raise TimeoutError(f"{name}: has not ended in {seconds:g} seconds")
    return call.result()
