"""Marks, and the joining of extents."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from karbor_like.datapath.contract import Extent
from karbor_like.datapath.errors import SourceGone
from karbor_like.datapath.location import RbdImage
from karbor_like.datapath.rbd.access import Description, Snapshot
from karbor_like.datapath.rbd.extentmap import find_base, make_mark, merged, require, usable_kind

IMAGE = RbdImage(Path("/etc/ceph/ceph.conf"), "mover", "volumes", "volume-1", "now")
BASE, NOW, TRASH = Snapshot(3, "base", 1000), Snapshot(7, "now", 2000), Snapshot(8, "old", 2000, usable=False)
PRESENT = Description("1a2b", 2000, [BASE, NOW, TRASH], fast_diff=True)
MARK = make_mark(IMAGE, "cluster", PRESENT, BASE)


def test_extents_that_touch_are_joined() -> None:
    extents = [Extent(0, 10), Extent(10, 5), Extent(20, 5), Extent(25, 1)]
    assert list(merged(extents)) == [Extent(0, 15), Extent(20, 6)]
    assert list(merged([])) == []


def test_the_base_of_a_mark() -> None:
    assert find_base(IMAGE, "cluster", PRESENT, MARK) == BASE


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"fsid": "another"},
        {"pool": "images"},
        {"image_id": "ffff"},
        {"size": 2000},
        {"snapshot": {"id": 4, "name": "base"}},
        {"snapshot": {"id": 8, "name": "old"}, "size": 2000},
        {"snapshot": {"id": "3"}},
        {"snapshot": {"id": True}},
        {"snapshot": {"id": [3]}},
        {"snapshot": {}},
        {"snapshot": None},
        {"snapshot": 3},
    ],
)
def test_marks_of_something_else(change: dict[str, Any]) -> None:
    assert find_base(IMAGE, "cluster", PRESENT, {**MARK, **change}) is None


def test_what_is_required() -> None:
    require(IMAGE, PRESENT, "1a2b", BASE)
    with pytest.raises(SourceGone, match="replaced"):
        require(IMAGE, PRESENT, "1a2c", BASE)
    with pytest.raises(SourceGone, match="removed"):
        require(IMAGE, PRESENT, "1a2b", TRASH)


KEPT = [Snapshot(number, f"backup.{UUID(int=number)}.snap.01893553445", 2000) for number in (4, 5)]
OF_CINDER = Snapshot(2, "snapshot-1", 2000)


@pytest.mark.parametrize(
    ("earlier", "kind"),
    [
        ([], "fast"),
        ([KEPT[0]], "fast"),
        ([replace(OF_CINDER, usable=False)], "fast"),
        ([OF_CINDER], "exact"),
        ([OF_CINDER, KEPT[0]], "exact"),
    ],
)
def test_fast_maps_do_not_reach_behind_a_snapshot_to_which_cinder_may_have_reverted(
    earlier: list[Snapshot], kind: str
) -> None:
    base = KEPT[1]
    mark = make_mark(IMAGE, "cluster", replace(PRESENT, snapshots=[*earlier, base, NOW]), base)
    assert usable_kind("fast", base, mark) == kind
    assert usable_kind("exact", base, mark) == "exact"


def test_marks_that_do_not_say_what_they_follow() -> None:
    old = {**MARK, "snapshot": {"id": 5, "name": KEPT[1].name}}
    assert usable_kind("fast", KEPT[1], old) == "exact"
    # Cinder knows this one, and does not revert to earlier ones while it exists.
    assert usable_kind("fast", OF_CINDER, {**MARK, "snapshot": {"id": 2, "name": OF_CINDER.name}}) == "fast"
