"""The memory that streams of one bank may take together, whatever runs beside what.

Every stream reserves what it needs to make progress when it begins, and waits until that is free. While it runs it may borrow
more, for going faster, as long as nobody waits. So the limit is hard and no two streams can block each other.
"""

import mmap
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

#: Seconds between two looks at whether a waiting stream should stop.
_POLL = 0.2


class Budget:
    """Bytes that are shared out.

    :param total: bytes
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._waiting = 0
        self._changed = threading.Condition()

    def reserve(self, size: int, check: Callable[[], None]) -> "Share":
        """Wait until *size* bytes are free and take them.

        :param check: called every now and then while waiting; raises to stop
        """
        # A stream that needs more than there is has to do with all of it, alone.
        size = min(size, self.total)
        with self._changed:
            self._waiting += 1
            try:
                while self._free < size:
                    self._changed.wait(_POLL)
                    check()
                self._free -= size
            finally:
                self._waiting -= 1
        return Share(self, size)

    @property
    def wanted(self) -> bool:
        """Whether a stream waits."""
        return self._waiting > 0

    def borrow(self, size: int) -> bool:
        """Take *size* bytes if they are free and nobody waits. Returns whether they were taken."""
        with self._changed:
            if self._waiting or self._free < size:
                return False
            self._free -= size
            return True

    def give_back(self, size: int) -> None:
        with self._changed:
            self._free += size
            self._changed.notify_all()


class Share:
    """What one stream has of a budget. A context manager: leaving it gives everything back."""

    def __init__(self, budget: Budget, size: int) -> None:
        self._budget = budget
        self._size = size
        self._lock = threading.Lock()

    @property
    def wanted(self) -> bool:
        """Whether another stream waits, so that what is not needed should be given back."""
        return self._budget.wanted

    def borrow(self, size: int) -> bool:
        """Take *size* bytes more, if they are free and nobody waits."""
        if not self._budget.borrow(size):
            return False
        with self._lock:
            self._size += size
        return True

    def give_back(self, size: int) -> None:
        """Give back *size* bytes that were borrowed."""
        with self._lock:
            self._size -= size
        self._budget.give_back(size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            size, self._size = self._size, 0
        self._budget.give_back(size)


Buffer = bytearray | mmap.mmap


class Stopped(Exception):
    """The stream was given up while a thread of it waited."""


class Buffers:
    """Buffers of one size that are used again and again: memory that is given back to the system and taken anew for every
    few MiB of a stream costs more time than what is done in it.

    :param most: how many at most
    :param least: how many are part of the stream's reservation; the others are borrowed
    """

    def __init__(self, share: Share, size: int, most: int, least: int = 1) -> None:
        self._share = share
        self._bytes = size
        self._most = most
        self._least = least
        self._made = 0
        self._free: list[Buffer] = []
        self._stopped = False
        self._changed = threading.Condition()

    def get(self) -> Buffer:
        """A buffer; waits until one is put back where no more may be made. Raises Stopped."""
        with self._changed:
            while not self._stopped:
                # A new one where possible, even if another is free: so what a stream takes does not depend on its length.
                buffer = self._new() or self._used()
                if buffer is not None:
                    return buffer
                self._changed.wait()
            raise Stopped

    def take(self) -> Buffer | None:
        """A buffer, rather one that was used just now; None where that would mean to wait."""
        with self._changed:
            return self._used() or self._new()

    def _new(self) -> Buffer | None:
        if self._made >= self._least and (self._made >= self._most or not self._share.borrow(self._bytes)):
            return None
        self._made += 1
        # Straight from the system, and back to it: no allocator keeps or splits it.
        return mmap.mmap(-1, self._bytes)

    def _used(self) -> Buffer | None:
        return self._free.pop() if self._free else None

    def put(self, buffer: Buffer) -> None:
        """Give *buffer* back; the caller forgets it."""
        with self._changed:
            if self._made > self._least and self._share.wanted:
                self._made -= 1
                self._share.give_back(self._bytes)
            else:
                self._free.append(buffer)
            self._changed.notify()

    def stop(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
