"""Opening of images, by one of two ways to the data: librbd in this process, or qemu-nbd and the command rbd as children."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal

from karbor_like.clock import Clock, SystemClock
from karbor_like.datapath import errors
from karbor_like.datapath.location import RbdImage
from karbor_like.datapath.rbd import bindings
from karbor_like.datapath.rbd.access import Access, Description, Snapshot
from karbor_like.datapath.rbd.extentmap import Map
from karbor_like.datapath.rbd.librbd import LibrbdAccess
from karbor_like.datapath.rbd.served import ServedAccess
from karbor_like.datapath.rbd.volume import RbdReader, RbdWriter

#: A way to the data. ``auto``: librbd if this Python has Ceph's bindings, otherwise qemu-nbd.
Way = Literal["auto", "librbd", "qemu-nbd"]

#: Seconds for which Ceph remembers a client that died without closing an image, and some more.
DEAD_CLIENT_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.5


def open_reader(
    location: RbdImage,
    *,
    timeout: float,
    kind: Map = "exact",
    way: Way = "auto",
    find: Callable[[Description], Snapshot | None] | None = None,
) -> RbdReader:
    """Open a snapshot.

    :param timeout: seconds that each call may take
    :param kind: of the maps; see :data:`.extentmap.Map`
    :param find: finds the snapshot in the image; None: it is the one that *location* names
    :raises CannotOpen: this host has no way to the data, the configuration or the pool is missing, or Ceph refuses the user
    :raises SourceGone: the image or the snapshot does not exist
    :raises SourceFailed: Ceph does not answer or fails
    """
    access = open_access(location, timeout=timeout, way=way)
    try:
        image = access.describe()
        snapshot = find(image) if find else image.named(location.snapshot or "")
        if snapshot is None:
            raise errors.SourceGone(
                f"{location}: the snapshot does not exist; check its name, and whether it was deleted"
            )
        return RbdReader(access, access.open_snapshot(snapshot), image, snapshot, kind)
    except BaseException:
        access.close()
        raise


def open_writer(
    location: RbdImage,
    *,
    timeout: float,
    wait: float = DEAD_CLIENT_SECONDS,
    way: Way = "auto",
    clock: Clock | None = None,
) -> RbdWriter:
    """Open an image for writing, alone.

    :param timeout: seconds that each call may take
    :param wait: seconds to wait for the end of another client, which may be dead: Ceph remembers it for 30 seconds
    :raises CannotOpen: as for readers
    :raises TargetFailed: the image does not exist, another client uses it, or Ceph does not answer or fails
    """
    clock = clock or SystemClock()
    with as_target():
        access = open_access(location, timeout=timeout, way=way)
        try:
            end = clock.monotonic() + wait
            while (watchers := access.watchers()) and clock.monotonic() < end:
                clock.sleep(_POLL_SECONDS)
            if watchers:
                raise errors.TargetFailed(
                    f"{location}: is used by {', '.join(watchers)}; detach the volume, or wait until Ceph has forgotten a"
                    " client that died"
                )
            size = access.describe().size
            return RbdWriter(access, access.open_image(), size)
        except BaseException:
            access.close()
            raise


@contextmanager
def as_target() -> Iterator[None]:
    """Raise errors of calls that readers have too as errors of writers."""
    try:
        yield
    except errors.SourceFailed as error:
        raise errors.TargetFailed(error.message) from error


def parent(image: RbdImage, *, timeout: float, way: Way = "auto") -> RbdImage | None:
    """Return the snapshot that an image is a clone of, with the same configuration and user, or None.

    :raises SourceFailed: as :func:`open_reader`
    """
    access = open_access(image, timeout=timeout, way=way)
    try:
        return access.parent()
    finally:
        access.close()


def open_access(location: RbdImage, *, timeout: float, way: Way = "auto") -> Access:
    """Connect to the cluster of an image. The caller closes it."""
    if way == "librbd" or (way == "auto" and bindings.load()):
        return LibrbdAccess(location, timeout=timeout)
    return ServedAccess(location, timeout=timeout)
