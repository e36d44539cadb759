"""Readers and writers of images, over either way to the data."""

from collections.abc import Iterable
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from karbor_like.datapath import errors
from karbor_like.datapath.contract import Extent, Mark
from karbor_like.datapath.rbd import extentmap
from karbor_like.datapath.rbd.access import Access, Description, ReadableData, Snapshot, WritableData
from karbor_like.datapath.rbd.extentmap import Map


class RbdReader:
    """Implements :class:`.contract.VolumeReader`.

    :param image: as it was when *data* was opened, or before
    """

    def __init__(self, access: Access, data: ReadableData, image: Description, snapshot: Snapshot, kind: Map) -> None:
        self._access = access
        self._data = data
        self._image = image
        self._snapshot = snapshot
        self._kind: Map = kind

    @property
    def size(self) -> int:
        return self._snapshot.size

    def allocated(self) -> Iterable[Extent]:
        return extentmap.allocated(self._access, self._image, self._snapshot, self._kind)

    def changed(self, mark: Mark) -> Iterable[Extent] | None:
        base = extentmap.find_base(self._access.location, self._access.fsid(), self._image, mark)
        if base is None or base.id > self._snapshot.id:
            return None
        if base.id == self._snapshot.id:
            return ()
        present = self._access.describe()
        extentmap.require(self._access.location, present, self._image.image_id, self._snapshot)
        # By its present name.
        base = present.find(base.id)
        if base is None:
            return None
        kind = extentmap.usable_kind(self._kind, base, mark)
        return extentmap.changed(self._access, present, self._snapshot, base, kind)

    def read(self, offset: int, length: int) -> Future[bytes]:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise errors.SourceFailed(
                f"{self._access.location}: has no {length} bytes at offset {offset}; its size is {self.size}"
            )
        return self._data.read(offset, length)

    def mark(self) -> Mark | None:
        return extentmap.make_mark(self._access.location, self._access.fsid(), self._image, self._snapshot)

    def confirm(self) -> None:
        self._data.check()
        extentmap.require(self._access.location, self._access.describe(), self._image.image_id, self._snapshot)

    def close(self) -> None:
        """Abandon reads in progress and disconnect, in limited time."""
        self._data.close()
        self._access.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class RbdWriter:
    """Implements :class:`.contract.VolumeWriter`."""

    def __init__(self, access: Access, data: WritableData, size: int) -> None:
        self._access = access
        self._data = data
        self._size = size

    @property
    def size(self) -> int:
        return self._size

    def write(self, offset: int, data: memoryview) -> None:
        if offset < 0 or offset + len(data) > self._size:
            raise errors.TargetFailed(
                f"{self._access.location}: {len(data)} bytes at offset {offset} do not fit into {self._size} bytes"
            )
        self._data.write(offset, data)

    def flush(self) -> None:
        self._data.flush()

    def close(self) -> None:
        """Disconnect, in limited time."""
        self._data.close()
        self._access.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
