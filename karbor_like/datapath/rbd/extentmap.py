"""Maps of what is allocated in a snapshot, or differs from an earlier one."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from karbor_like.bank import Extent
from karbor_like.datapath import errors
from karbor_like.datapath.location import RbdImage
from karbor_like.datapath.rbd.access import Access, Description, Difference, Snapshot

#: ``exact``: the lists of snapshots of all objects are read. ``fast``: Ceph's maps of objects are trusted unless Ceph itself
#: calls them invalid. Before a fix of 2023 (ceph#52109), they lacked changes if a client wrote while a snapshot was taken.
Map = Literal["exact", "fast"]

#: Names of snapshots that are kept as marks, see :mod:`.marks`.
MARK_NAME: Final = re.compile(
    r"backup\.([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\.snap\.0([0-9]{1,12})"
)


def merged(extents: Iterable[Extent]) -> Iterator[Extent]:
    """Join extents that touch."""
    current: Extent | None = None
    for extent in extents:
        if current and extent.offset == current.end:
            current = Extent(current.offset, current.length + extent.length)
        else:
            if current:
                yield current
            current = extent
    if current:
        yield current


def allocated(access: Access, image: Description, snapshot: Snapshot, kind: Map) -> Iterator[Extent]:
    """Yield the ranges of *snapshot* that may contain bytes other than zero."""
    return merged(
        Extent(found.offset, found.length) for found in _map(access, image, snapshot, None, kind) if found.exists
    )


def changed(access: Access, image: Description, snapshot: Snapshot, base: Snapshot, kind: Map) -> Iterator[Extent]:
    """Yield the ranges of *snapshot* that may differ from *base*, an earlier snapshot.

    :raises SourceGone: *base* was removed meanwhile, so the ranges are wrong. This is found after the last one
    """
    differences = _map(access, image, snapshot, base, kind)
    yield from merged(Extent(found.offset, found.length) for found in differences)
    require(access.location, access.describe(), image.image_id, base)


def require(location: RbdImage, present: Description, image_id: str, snapshot: Snapshot) -> None:
    """Raise SourceGone unless the image and its snapshot still exist.

    Ceph answers reads of a snapshot that was removed with zeros, and compares with it as if it were empty.
    """
    if present.image_id != image_id:
        raise errors.SourceGone(
            f"{location}: was replaced by another image with this name while it was read; try again"
        )
    if present.find(snapshot.id) is None:
        raise errors.SourceGone(
            f"{location}: snapshot {snapshot.name} was removed while it was in use, so what was read may be wrong;"
            " try again, and keep the snapshots until the operation ends"
        )


def _map(
    access: Access, image: Description, snapshot: Snapshot, base: Snapshot | None, kind: Map
) -> Iterator[Difference]:
    if kind == "fast" and image.fast_diff:
        first = base.id if base else snapshot.id
        between = [each for each in image.snapshots if first <= each.id <= snapshot.id]
        if _comparable(between) and access.maps_valid(between):
            return access.fast(snapshot, base)
    return access.exact(snapshot, base)


def _comparable(snapshots: Sequence[Snapshot]) -> bool:
    """Return whether Ceph compares all maps of objects of *snapshots* correctly.

    It forgets objects of an image that shrank before one snapshot and grew before a later one: a test found this in 16.2.
    """
    sizes = [snapshot.size for snapshot in snapshots]
    return sizes == sorted(sizes) and all(snapshot.usable for snapshot in snapshots)


def usable_kind(kind: Map, base: Snapshot, mark: Mapping[str, Any]) -> Map:
    """Return the kind of map that tells what changed since *base*.

    When an image is reverted to a snapshot, Ceph gives it the map of objects that the snapshot has, in which nothing says
    what was written later. Cinder reverts to its latest snapshot, also if a mark that it does not know is later. So since a
    mark with such a snapshot before it, and since those of releases that did not look, only the exact map tells what changed.

    :param mark: that names *base*
    """
    reverted = MARK_NAME.fullmatch(base.name) and mark["snapshot"].get("follows") is not False
    return "exact" if reverted else kind


def make_mark(location: RbdImage, fsid: str, image: Description, snapshot: Snapshot) -> Mapping[str, Any]:
    """Return the mark of a snapshot. Member ``follows`` of ``snapshot``: whether the image had an earlier one of Cinder."""
    earlier = (each for each in image.snapshots if each.id < snapshot.id and each.usable)
    return {
        "kind": "rbd",
        "fsid": fsid,
        "pool": location.pool,
        "image_id": image.image_id,
        "snapshot": {
            "id": snapshot.id,
            "name": snapshot.name,
            "follows": not all(MARK_NAME.fullmatch(each.name) for each in earlier),
        },
        "size": snapshot.size,
    }


def find_base(location: RbdImage, fsid: str, image: Description, mark: Mapping[str, Any]) -> Snapshot | None:
    """Return the snapshot that *mark* names if it still exists in the image, or None. Accepts anything as *mark*."""
    if not isinstance(mark, Mapping) or not isinstance(mark.get("snapshot"), Mapping):
        return None
    number = mark["snapshot"].get("id")
    if not isinstance(number, int) or isinstance(number, bool):
        return None
    base = image.find(number)
    if base is None:
        return None
    # Its name may have changed; its size cannot have.
    expected = make_mark(location, fsid, image, base)
    return base if all(mark.get(key) == value for key, value in expected.items() if key != "snapshot") else None
