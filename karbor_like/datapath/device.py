"""Block devices of this host, and files used as such, by system calls. Devices have no maps: all is allocated."""

import errno
import os
import stat
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Final, Self

from karbor_like import exception
from karbor_like.datapath.contract import Extent, Mark, VolumeReader, VolumeWriter
from karbor_like.datapath.errors import CannotOpen, SourceFailed, SourceGone, TargetFailed
from karbor_like.datapath.location import BlockDevice
from karbor_like.datapath.pool import Pool, limited

_THREADS: Final = 4
#: Extents of a sparse file that one call of the pool finds.
_EXTENTS_AT_ONCE: Final = 1000
#: Bytes after which a writer waits for the device, so that a flush has little to do and pages do not fill the memory.
_SYNC_BYTES: Final = 128 * 1024 * 1024
_GONE: Final = (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTDIR, errno.ESTALE)


@dataclass(frozen=True)
class _Identity:
    """What tells a device or file from another one with the same name."""

    device: int
    inode: int
    size: int

    @classmethod
    def of(cls, descriptor: int) -> Self:
        status = os.fstat(descriptor)
        size = os.lseek(descriptor, 0, os.SEEK_END)
        # Nodes of devices may be renewed; their numbers count.
        return cls(status.st_rdev, 0, size) if stat.S_ISBLK(status.st_mode) else cls(status.st_dev, status.st_ino, size)


class _Opened:
    """An open device, and the threads that make calls for it."""

    def __init__(
        self, location: BlockDevice, flags: int, *, timeout: float, failed: type[exception.ResourceFailed]
    ) -> None:
        self.location = location
        self.failed = failed
        self.descriptor, self.identity = limited(
            partial(_open, location, flags), str(location), "open", timeout=timeout, failed=CannotOpen
        )
        self.sparse = stat.S_ISREG(os.fstat(self.descriptor).st_mode)
        self.pool = Pool(str(location), timeout=timeout, failed=failed, threads=_THREADS, name="device")
        self._closed = False

    @property
    def size(self) -> int:
        return self.identity.size

    def check_bounds(self, where: str, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise self.failed(f"{self.location}: {where}: out of bounds; the volume has {self.size} bytes")

    def close(self) -> None:
        if not self._closed and self.pool.close():
            os.close(self.descriptor)
        # Otherwise a thread still uses the descriptor, which must not get another meaning.
        self._closed = True


class DeviceReader(VolumeReader):
    """A reader of a device."""

    def __init__(self, opened: _Opened) -> None:
        self._opened = opened

    @property
    def size(self) -> int:
        return self._opened.size

    def allocated(self) -> Iterable[Extent]:
        if not self._opened.sparse:
            return [Extent(0, self.size)] if self.size else []
        return self._data()

    def changed(self, mark: Mark) -> Iterable[Extent] | None:
        return None

    def read(self, offset: int, length: int) -> Future[bytes]:
        where = f"read of {length} bytes at {offset}"
        self._opened.check_bounds(where, offset, length)
        return self._opened.pool.submit(length, where, partial(self._read, where, offset, length))

    def confirm(self) -> None:
        self._opened.pool.submit(0, "check of the device", self._compare).result()

    def mark(self) -> Mark | None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def _read(self, where: str, offset: int, length: int) -> bytes:
        data = os.pread(self._opened.descriptor, length, offset)
        while len(data) < length:
            more = os.pread(self._opened.descriptor, length - len(data), offset + len(data))
            if not more:
                raise SourceFailed(f"{self._opened.location}: {where}: the device ended")
            data += more
        return data

    def _data(self) -> Iterator[Extent]:
        """Yield the ranges of a sparse file that are not holes."""
        at = 0
        while at < self.size:
            extents, at = self._opened.pool.submit(0, "map", partial(self._extents, at)).result()
            yield from extents

    def _extents(self, at: int) -> tuple[list[Extent], int]:
        """Find some extents. Returns them and where to continue."""
        extents, descriptor = list[Extent](), self._opened.descriptor
        while at < self.size and len(extents) < _EXTENTS_AT_ONCE:
            try:
                start = os.lseek(descriptor, at, os.SEEK_DATA)
                at = min(os.lseek(descriptor, start, os.SEEK_HOLE), self.size)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                return extents, self.size  # no data are left
            extents.append(Extent(start, at - start))
        return extents, at

    def _compare(self) -> None:
        location = self._opened.location
        try:
            descriptor = os.open(location.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in _GONE:
                raise SourceGone(f"{location} no longer exists") from None
            raise
        try:
            if _Identity.of(descriptor) != self._opened.identity:
                raise SourceGone(f"{location} was replaced by another one")
        finally:
            os.close(descriptor)


class DeviceWriter(VolumeWriter):
    """A writer of a device."""

    def __init__(self, opened: _Opened) -> None:
        self._opened = opened
        self._lock = threading.Lock()
        self._written = 0

    @property
    def size(self) -> int:
        return self._opened.size

    def write(self, offset: int, data: memoryview) -> None:
        where = f"write of {len(data)} bytes at {offset}"
        self._opened.check_bounds(where, offset, len(data))
        # A copy, because a thread may still use it when the time is over and the caller fills the buffer again.
        self._opened.pool.submit(len(data), where, partial(self._write, offset, bytes(data))).result()

    def flush(self) -> None:
        self._opened.pool.submit(0, "flush", partial(os.fsync, self._opened.descriptor)).result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def _write(self, offset: int, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            count = os.pwrite(self._opened.descriptor, rest, offset)
            rest, offset = rest[count:], offset + count
        with self._lock:
            self._written += len(data)
            full = self._written >= _SYNC_BYTES
            self._written = 0 if full else self._written
        if full:
            os.fdatasync(self._opened.descriptor)


def open_reader(location: BlockDevice, *, timeout: float) -> DeviceReader:
    """Open a device or file.

    :raises CannotOpen: it does not exist, or is neither
    """
    return DeviceReader(_Opened(location, os.O_RDONLY, timeout=timeout, failed=SourceFailed))


def open_writer(location: BlockDevice, *, timeout: float) -> DeviceWriter:
    """Open a device or file.

    :raises CannotOpen: it does not exist, or is neither, or the host uses the device otherwise
    """
    # Of devices, O_EXCL excludes those that are mounted or otherwise in use.
    return DeviceWriter(_Opened(location, os.O_RDWR | os.O_EXCL, timeout=timeout, failed=TargetFailed))


def _open(location: BlockDevice, flags: int) -> tuple[int, _Identity]:
    # O_NONBLOCK: opening a pipe must not wait. It has no effect on devices and files.
    descriptor = os.open(location.path, flags | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISBLK(mode) or stat.S_ISREG(mode)):
            raise CannotOpen(f"{location}: neither a block device nor a file")
        return descriptor, _Identity.of(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
