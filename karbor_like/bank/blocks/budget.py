"""The limit on the memory that all streams of one bank use together.

When a stream begins, it reserves the memory that it needs to make progress, and waits until that is free. While it runs, it
may borrow more to go faster, unless another stream waits. The limit is therefore hard, and no two streams can block each
other.
"""

import mmap
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

#: Seconds between two checks of whether a waiting stream should stop.
_POLL = 0.2


class Budget:
    """Bytes that streams share.

    :param total: bytes
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._waiting = 0
        self._changed = threading.Condition()

    def reserve(self, size: int, check: Callable[[], None]) -> "Share":
        """Wait until *size* bytes are free, and take them.

        :param check: called repeatedly while waiting; raises to stop
        """
        # A stream that needs more than the total gets all of it and runs alone.
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
    def has_waiters(self) -> bool:
        """Whether a stream waits for memory."""
        return self._waiting > 0

    def borrow(self, size: int) -> bool:
        """Take *size* bytes if they are free and no stream waits. Returns whether they were taken."""
        with self._changed:
            if self._waiting or self._free < size:
                return False
            self._free -= size
            return True

    def release(self, size: int) -> None:
        """Return *size* bytes."""
        with self._changed:
            self._free += size
            self._changed.notify_all()


class Share:
    """The part of a budget that one stream holds. A context manager, whose exit releases all of it."""

    def __init__(self, budget: Budget, size: int) -> None:
        self._budget = budget
        self._size = size
        self._lock = threading.Lock()

    @property
    def has_waiters(self) -> bool:
        """Whether another stream waits, so that borrowed memory should be released."""
        return self._budget.has_waiters

    def borrow(self, size: int) -> bool:
        """Take *size* more bytes if they are free and no stream waits. Returns whether they were taken."""
        if not self._budget.borrow(size):
            return False
        with self._lock:
            self._size += size
        return True

    def release(self, size: int) -> None:
        """Return *size* borrowed bytes."""
        with self._lock:
            self._size -= size
        self._budget.release(size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            size, self._size = self._size, 0
        self._budget.release(size)


Buffer = bytearray | mmap.mmap


class Stopped(Exception):
    """The stream ended while one of its threads waited for a buffer."""


class Buffers:
    """A pool of buffers of one size.

    Buffers are reused. To return memory to the system and to request it again for every few MiB of a stream would cost more
    time than the processing of those bytes.

    :param size: bytes of a buffer
    :param most: maximum number of buffers
    :param reserved: how many of them are part of the stream's reservation; the others are borrowed
    """

    def __init__(self, share: Share, size: int, most: int, reserved: int = 1) -> None:
        self._share = share
        self._bytes = size
        self._most = most
        self._reserved = reserved
        self._count = 0
        self._free: list[Buffer] = []
        self._stopped = False
        self._changed = threading.Condition()

    def get(self) -> Buffer:
        """Return a buffer; wait for a released one if no more may be allocated. Raises Stopped."""
        with self._changed:
            while not self._stopped:
                # Prefer a new buffer to a free one, so that the memory of a stream does not depend on its length.
                buffer = self._allocate() or self._reuse()
                if buffer is not None:
                    return buffer
                self._changed.wait()
            raise Stopped

    def try_get(self) -> Buffer | None:
        """Return a buffer, preferably the most recently used one, or None instead of waiting."""
        with self._changed:
            return self._reuse() or self._allocate()

    def _allocate(self) -> Buffer | None:
        if self._count >= self._reserved and (self._count >= self._most or not self._share.borrow(self._bytes)):
            return None
        self._count += 1
        # Mapped from the system and unmapped again: no allocator keeps or fragments it.
        return mmap.mmap(-1, self._bytes)

    def _reuse(self) -> Buffer | None:
        return self._free.pop() if self._free else None

    def release(self, buffer: Buffer) -> None:
        """Return *buffer* to the pool. The caller must not use it afterwards."""
        with self._changed:
            if self._count > self._reserved and self._share.has_waiters:
                self._count -= 1
                self._share.release(self._bytes)
            else:
                self._free.append(buffer)
            self._changed.notify()

    def stop(self) -> None:
        """Make every present and future :meth:`get` raise Stopped."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
