"""Volumes in memory: the shortest example of a driver, and a source of faults for tests of what uses readers and writers."""

import itertools
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock
from types import TracebackType
from typing import Final

from karbor_like.datapath.contract import Extent, Mark, VolumeReader, VolumeWriter
from karbor_like.datapath.errors import CannotOpen, SourceFailed, SourceGone, TargetFailed

KIND: Final = "memory"
#: The granularity of maps, in bytes.
GRAIN: Final = 4096

_ids = itertools.count(1)


@dataclass
class Snapshot:
    """The content of a volume at one time."""

    volume: "MemoryVolume"
    number: int
    data: bytes
    gone: bool = False


@dataclass
class Faults:
    """What is wrong with a reader or writer.

    :param fail_at: reads and writes of the byte at this offset fail
    :param hidden: maps leave out this range, as a storage does that lies
    :param gone: the snapshot no longer exists. Reads return zeros, as those of Ceph do
    :param lost: the storage does not answer: every call fails
    """

    fail_at: int | None = None
    hidden: Extent | None = None
    gone: bool = False
    lost: bool = False


@dataclass
class MemoryVolume:
    """A volume that reads as zero at first.

    :param room: bytes other than zero that it can hold; None: as many as its size
    """

    size: int
    room: int | None = None
    data: bytearray = field(init=False, repr=False)
    snapshots: list[Snapshot] = field(default_factory=list)
    identity: int = field(default_factory=lambda: next(_ids))

    def __post_init__(self) -> None:
        self.data = bytearray(self.size)

    def resize(self, size: int) -> None:
        """Let the volume grow."""
        self.data.extend(bytes(size - self.size))
        self.size = size

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Write within the volume."""
        self.data[offset : offset + len(data)] = data

    def snapshot(self) -> Snapshot:
        """Keep the present content."""
        self.snapshots.append(Snapshot(self, len(self.snapshots) + 1, bytes(self.data)))
        return self.snapshots[-1]


class MemoryReader(VolumeReader):
    """A reader of a :class:`Snapshot`.

    :param faults: they take effect when they are set, also later
    """

    def __init__(self, snapshot: Snapshot, faults: Faults | None = None) -> None:
        self._snapshot = snapshot
        self._closed = False
        self.faults = faults or Faults()
        #: Bytes that were read.
        self.bytes_read = 0
        self._lock = Lock()

    @property
    def size(self) -> int:
        return len(self._snapshot.data)

    def allocated(self) -> Iterable[Extent]:
        self._check()
        return self._extents(b"")

    def changed(self, mark: Mark) -> Iterable[Extent] | None:
        self._check()
        return next((self._extents(old.data) for old in self._kept() if _mark(old) == mark), None)

    def read(self, offset: int, length: int) -> Future[bytes]:
        future = Future[bytes]()
        try:
            self._check()
            if offset < 0 or length < 0 or offset + length > self.size:
                raise SourceFailed(
                    f"read of {length} bytes at {offset}: out of bounds; the volume has {self.size} bytes"
                )
            if self.faults.fail_at is not None and offset <= self.faults.fail_at < offset + length:
                raise SourceFailed(f"read of {length} bytes at {offset}: input/output error")
            with self._lock:
                self.bytes_read += length
            future.set_result(bytes(length) if self._is_gone() else self._snapshot.data[offset : offset + length])
        except SourceFailed as error:
            future.set_exception(error)
        return future

    def confirm(self) -> None:
        self._check()
        if self._is_gone():
            raise SourceGone(f"snapshot {self._snapshot.number} no longer exists")

    def mark(self) -> Mark | None:
        return _mark(self._snapshot)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True

    def _kept(self) -> Iterator[Snapshot]:
        """Yield this snapshot and those before it that still exist."""
        return (old for old in self._snapshot.volume.snapshots[: self._snapshot.number] if not old.gone)

    def _is_gone(self) -> bool:
        return self.faults.gone or self._snapshot.gone

    def _check(self) -> None:
        if self._closed or self.faults.lost:
            raise SourceFailed("the reader is closed" if self._closed else "the connection was lost")

    def _extents(self, old: bytes) -> Iterator[Extent]:
        """Yield the ranges, rounded outward, in which the content differs from *old*, which ends with zeros."""
        new, hidden, start = self._snapshot.data, self.faults.hidden, None
        for offset in range(0, self.size, GRAIN):
            piece = new[offset : offset + GRAIN]
            differs = piece != old[offset : offset + len(piece)].ljust(len(piece), b"\0")
            if hidden is not None and hidden.offset < offset + len(piece) and offset < hidden.end:
                differs = False
            if differs and start is None:
                start = offset
            elif not differs and start is not None:
                yield Extent(start, offset - start)
                start = None
        if start is not None:
            yield Extent(start, self.size - start)


class MemoryWriter(VolumeWriter):
    """A writer of a :class:`MemoryVolume`.

    :param faults: they take effect when they are set, also later
    """

    def __init__(self, volume: MemoryVolume, faults: Faults | None = None) -> None:
        self._volume = volume
        self._closed = False
        self.faults = faults or Faults()
        #: Calls of :meth:`flush`.
        self.flushes = 0
        self._lock = Lock()

    @property
    def size(self) -> int:
        return self._volume.size

    def write(self, offset: int, data: memoryview) -> None:
        self._check()
        end = offset + len(data)
        if offset < 0 or end > self.size:
            raise TargetFailed(
                f"write of {len(data)} bytes at {offset}: out of bounds; the volume has {self.size} bytes"
            )
        if self.faults.fail_at is not None and offset <= self.faults.fail_at < end:
            raise TargetFailed(f"write of {len(data)} bytes at {offset}: input/output error")
        with self._lock:
            volume = self._volume
            if volume.room is not None and len(volume.data) - volume.data.count(0) + len(data) > volume.room:
                raise TargetFailed(f"write of {len(data)} bytes at {offset}: no space left")
            volume.write(offset, data)

    def flush(self) -> None:
        self._check()
        self.flushes += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True

    def _check(self) -> None:
        if self._closed or self.faults.lost:
            raise TargetFailed("the writer is closed" if self._closed else "the connection was lost")


def open_reader(location: Snapshot, *, timeout: float, faults: Faults | None = None) -> MemoryReader:
    """Open a snapshot. Calls never wait.

    :raises CannotOpen: it no longer exists
    """
    if location.gone:
        raise CannotOpen(f"snapshot {location.number} no longer exists")
    return MemoryReader(location, faults)


def open_writer(location: MemoryVolume, *, timeout: float, faults: Faults | None = None) -> MemoryWriter:
    """Open a volume. Calls never wait."""
    return MemoryWriter(location, faults)


def _mark(snapshot: Snapshot) -> Mark:
    return {"kind": KIND, "volume": snapshot.volume.identity, "snapshot": snapshot.number}
