"""What readers, writers and marks need to know of an image. There is one driver with librbd and one with the command rbd."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from karbor_like.datapath.location import RbdImage


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of an image.

    :param id: unique within the pool, and never used again; later snapshots have higher numbers
    :param name: can be changed, and used again
    :param size: bytes of the image at that time
    :param usable: False: it is in the trash, or belongs to a group or to mirroring
    """

    id: int
    name: str
    size: int
    usable: bool = True


@dataclass(frozen=True)
class Description:
    """An image at one time.

    :param image_id: unique within the pool; another image under the same name has another one
    :param size: bytes, without regard to snapshots
    :param snapshots: in the order of their ids
    :param fast_diff: whether Ceph keeps a map of changed objects for the image
    """

    image_id: str
    size: int
    snapshots: Sequence[Snapshot]
    fast_diff: bool

    def find(self, snapshot_id: int) -> Snapshot | None:
        """Return the usable snapshot with an id, or None."""
        return next((found for found in self.snapshots if found.id == snapshot_id and found.usable), None)

    def named(self, name: str) -> Snapshot | None:
        """Return the usable snapshot with a name, or None."""
        return next((found for found in self.snapshots if found.name == name and found.usable), None)


class Difference(NamedTuple):
    """A range that was written or discarded.

    :param exists: False: it was discarded and now reads as zero
    """

    offset: int
    length: int
    exists: bool


class ReadableData(Protocol):
    """The bytes of a snapshot."""

    def read(self, offset: int, length: int) -> Future[bytes]:
        """Begin to read. A limited number of reads is in progress; others wait."""
        ...

    def check(self) -> None:
        """Raise SourceFailed if the connection was lost."""
        ...

    def close(self) -> None:
        """Fail reads in progress. Never raises."""
        ...


class WritableData(Protocol):
    """The bytes of an image."""

    def write(self, offset: int, data: memoryview) -> None:
        """Write a copy of all of *data*, or begin to: an error is raised by a later call, at the latest by :meth:`flush`."""
        ...

    def flush(self) -> None:
        """Wait until all that was written is durable. Raises an error of an earlier write."""
        ...

    def close(self) -> None:
        """Fail writes in progress. Never raises."""
        ...


class Access(Protocol):
    """Knowledge about one image. Every call ends in limited time.

    All methods raise :class:`.errors.SourceGone` if the image does not exist, :class:`.errors.CannotOpen` if Ceph refuses the
    user, and another :class:`.errors.SourceFailed` if Ceph does not answer or fails.
    """

    location: RbdImage

    def fsid(self) -> str:
        """Return the id of the cluster."""
        ...

    def describe(self) -> Description:
        """Ask Ceph for the present state of the image. Nothing of it is remembered."""
        ...

    def exact(self, snapshot: Snapshot, base: Snapshot | None) -> Iterator[Difference]:
        """Yield what differs between two snapshots, or what is allocated in one, from the lists of snapshots of all objects.

        Takes time in proportion to the size of the image. In ascending order, including what a clone shares with its parent.
        """
        ...

    def fast(self, snapshot: Snapshot, base: Snapshot | None) -> Iterator[Difference]:
        """Yield the same, or ranges that contain it, from Ceph's maps of objects. Takes time in proportion to the changes."""
        ...

    def maps_valid(self, snapshots: Sequence[Snapshot]) -> bool:
        """Return whether Ceph considers the maps of objects of all these snapshots and of the image valid."""
        ...

    def parent(self) -> RbdImage | None:
        """Return the snapshot that the image is a clone of, or None."""
        ...

    def watchers(self) -> Sequence[str]:
        """Return the clients that have opened the image for writing, or have died less than 30 seconds ago."""
        ...

    def create_snapshot(self, name: str) -> None:
        """Create a snapshot of the image. Nothing happens if it exists."""
        ...

    def remove_snapshot(self, name: str) -> None:
        """Remove a snapshot of the image. Nothing happens if it does not exist.

        :raises TargetFailed: it is protected
        """
        ...

    def open_snapshot(self, snapshot: Snapshot) -> ReadableData:
        """Open the bytes of a snapshot."""
        ...

    def open_image(self) -> WritableData:
        """Open the bytes of the image for writing, alone.

        :raises TargetFailed: another client uses the image
        """
        ...

    def close(self) -> None:
        """Disconnect, in limited time. Never raises."""
        ...
