"""Snapshots below Cinder that are kept as marks: later protects read what differs from them.

They have names of the form that Cinder's driver removes together with an image. Snapshots with other names would keep a
volume from being deleted. Cinder's own backups into Ceph use the same form and look for the newest of their snapshots by the
text of the time, so ours begin with a zero: Cinder never takes one for its own, and we do not take Cinder's for ours.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from karbor_like.datapath import errors
from karbor_like.datapath.contract import Mark
from karbor_like.datapath.location import RbdImage
from karbor_like.datapath.rbd import opening
from karbor_like.datapath.rbd.access import Access, Description, Snapshot
from karbor_like.datapath.rbd.extentmap import MARK_NAME, Map, make_mark
from karbor_like.datapath.rbd.opening import Way, as_target, open_access
from karbor_like.datapath.rbd.volume import RbdReader


@dataclass(frozen=True)
class KeptMark:
    """A snapshot that is kept as a mark.

    :param id: chosen by who made it
    :param name: of the snapshot
    :param created: timezone-aware UTC, in whole seconds
    """

    id: UUID
    name: str
    created: datetime
    mark: Mark


def keep(image: RbdImage, mark_id: UUID, created: datetime, *, timeout: float, way: Way = "auto") -> KeptMark:
    """Create a snapshot of *image* to be kept, or return the one with this id.

    The user of *image* must be allowed to write.

    :param created: present time, timezone-aware
    :param timeout: seconds that each call may take
    :raises CannotOpen: Ceph refuses the user, or this host has no way to Ceph
    :raises TargetFailed: the image does not exist, or Ceph does not answer or fails
    """
    with _connected(image, timeout, way) as access:
        found = _find(access, mark_id)
        if found is None:
            access.create_snapshot(f"backup.{mark_id}.snap.0{int(created.timestamp())}")
            found = _find(access, mark_id)
    if found is None:
        raise errors.TargetFailed(
            f"{image}: the snapshot of mark {mark_id} was removed as soon as it was made; try again"
        )
    return found


def listed(image: RbdImage, *, timeout: float, way: Way = "auto") -> Sequence[KeptMark]:
    """Return the marks that are kept of *image*, oldest first. There are none if the image does not exist.

    :raises CannotOpen: as for :func:`keep`
    :raises TargetFailed: Ceph does not answer or fails
    """
    with _connected(image, timeout, way) as access:
        try:
            return _marks(access, access.describe())
        except errors.SourceGone:
            return []


def open_reader(image: RbdImage, mark_id: UUID, *, timeout: float, kind: Map = "exact", way: Way = "auto") -> RbdReader:
    """Open the snapshot of a mark. Parameters and errors as of :func:`.opening.open_reader`."""

    def find(described: Description) -> Snapshot | None:
        return next((snapshot for found, _, snapshot in _snapshots(described) if found == mark_id), None)

    return opening.open_reader(image, timeout=timeout, kind=kind, way=way, find=find)


def remove(image: RbdImage, mark_id: UUID, *, timeout: float, way: Way = "auto") -> None:
    """Remove the snapshot of a mark. Nothing happens if it or the image does not exist.

    :raises CannotOpen: as for :func:`keep`
    :raises TargetFailed: Ceph does not answer or fails, or the snapshot is protected
    """
    with _connected(image, timeout, way) as access:
        try:
            found = _find(access, mark_id)
        except errors.SourceGone:
            return
        if found is not None:
            access.remove_snapshot(found.name)


@contextmanager
def _connected(image: RbdImage, timeout: float, way: Way) -> Iterator[Access]:
    with as_target():
        access = open_access(image, timeout=timeout, way=way)
        try:
            yield access
        finally:
            access.close()


def _find(access: Access, mark_id: UUID) -> KeptMark | None:
    return next((found for found in _marks(access, access.describe()) if found.id == mark_id), None)


def _marks(access: Access, image: Description) -> Sequence[KeptMark]:
    return [
        KeptMark(mark_id, snapshot.name, created, make_mark(access.location, access.fsid(), image, snapshot))
        for mark_id, created, snapshot in _snapshots(image)
    ]


def _snapshots(image: Description) -> Iterator[tuple[UUID, datetime, Snapshot]]:
    """Yield the id, the time of creation and the snapshot of each mark of *image*, oldest first."""
    for snapshot in image.snapshots:
        match = MARK_NAME.fullmatch(snapshot.name)
        if match and snapshot.usable:
            yield UUID(match[1]), datetime.fromtimestamp(int(match[2]), UTC), snapshot
