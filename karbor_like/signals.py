"""Signals that the main thread of a process waits for."""

import queue
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

#: Seconds after which the main thread interrupts its wait, so that Python can run the handlers of signals.
_PATIENCE: Final = 1.0


class Signals:
    """A queue of signals. The main thread makes it and waits.

    :param numbers: of the signals
    :param received: called in the handler of a signal, before :meth:`wait` returns its number
    """

    def __init__(self, numbers: Iterable[int], received: Callable[[int], None] = lambda number: None) -> None:
        self._queue: queue.SimpleQueue[int] = queue.SimpleQueue()

        def receive(number: int, frame: Any) -> None:
            received(number)
            self._queue.put(number)

        for number in numbers:
            signal.signal(number, receive)

    def wait(self) -> int:
        """Return the number of the next signal.

        Python runs a handler in the main thread, between two instructions. A signal does not interrupt the wait if it arrives
        just before the wait begins, or if the kernel gives it to another thread. So the wait is limited, and repeated.
        """
        while True:
            with suppress(queue.Empty):
                return self._queue.get(timeout=_PATIENCE)
