"""Sources and targets with random access, in memory."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future

from karbor_like.bank import Extent


class MemorySource:
    """A snapshot in memory, which notes what is read of it.

    :param allocated: None: the ranges of whole *grain* bytes that are not zero
    """

    def __init__(self, data: bytes, allocated: Sequence[Extent] | None = None, *, grain: int = 16) -> None:
        self.data = data
        self.grain = grain
        self._allocated = allocated
        self.reads: list[Extent] = []
        self.confirmed = 0

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def bytes_read(self) -> int:
        return sum(extent.length for extent in self.reads)

    def allocated(self) -> Iterable[Extent]:
        return self.changed(b"") if self._allocated is None else self._allocated

    def changed(self, before: bytes) -> Iterator[Extent]:
        """The ranges of whole *grain* bytes that differ from *before*, which is zero after its end."""
        for at in range(0, len(self.data), self.grain):
            piece = self.data[at : at + self.grain]
            if piece != before[at : at + len(piece)].ljust(len(piece), b"\0"):
                yield Extent(at, len(piece))

    def read(self, offset: int, length: int) -> Future[bytes]:
        self.reads.append(Extent(offset, length))
        future: Future[bytes] = Future()
        future.set_result(self.data[offset : offset + length])
        return future

    def confirm(self) -> None:
        self.confirmed += 1


class MemoryTarget:
    """A volume in memory, which notes what is written to it.

    :param fill: what all of its bytes are at first
    """

    def __init__(self, size: int, fill: int = 0) -> None:
        self.data = bytearray([fill]) * size
        self.writes: list[Extent] = []
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        return len(self.data)

    def write(self, offset: int, data: memoryview) -> None:
        assert 0 <= offset <= offset + len(data) <= self.size
        assert data.readonly
        with self._lock:
            self.writes.append(Extent(offset, len(data)))
        self.data[offset : offset + len(data)] = data
