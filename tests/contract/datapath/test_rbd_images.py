"""What is special about images in Ceph: replaced images, maps that lie, clients that died, users, and marks."""

import random
import re
import subprocess
import sys
import threading
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from karbor_like.clock import SystemClock
from karbor_like.datapath import rbd
from karbor_like.datapath.contract import VolumeReader
from karbor_like.datapath.errors import CannotOpen, SourceFailed, SourceGone, TargetFailed
from karbor_like.datapath.location import RbdImage
from karbor_like.datapath.rbd import marks
from karbor_like.datapath.rbd.extentmap import Map
from karbor_like.datapath.rbd.opening import Way
from tests.cloud.ceph import QEMU_READER, READER, WRITER, Ceph
from tests.contract.datapath.rbd import FEATURES, Administrator, Images, administrator, images, silent
from tests.contract.datapath.suites import GENEROUS, checked, fetch, uncovered

__all__ = ["administrator", "images"]

MIB = 1024 * 1024
SIZE = 6 * MIB + 512
#: layering and exclusive-lock: without maps of objects
NO_MAPS = 5
STRIPING = 2
WAYS: list[Way] = ["librbd", "qemu-nbd"]
NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
#: As Cinder finds the snapshots that it removes together with an image.
CINDER_PATTERN = r"^backup\.([a-z0-9\-]+?)\.snap\.(.+)$"


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return request.param


def read(location: RbdImage, way: Way = "librbd", kind: Map = "exact", timeout: float = GENEROUS) -> VolumeReader:
    user = READER if way == "librbd" else QEMU_READER
    return rbd.open_reader(replace(location, user=user), timeout=timeout, kind=kind, way=way)


def mark_of(location: RbdImage) -> Any:
    with read(location) as reader:
        return reader.mark()


class TestReplacedImages:
    def test_it_is_not_confirmed_and_its_marks_are_not_used(self, images: Images, way: Way) -> None:
        image = images.create(SIZE)
        images.write(image, {0: b"x" * MIB})
        location = images.location(image, images.snapshot(image))
        with read(location, way) as reader:
            mark = reader.mark()
            images.rbd.RBD().rename(images.pool, image, f"{image}-old")
            images.create(SIZE, name=image)
            with images.open(image) as opened:
                opened.create_snap(location.snapshot)
            with pytest.raises(SourceGone, match="replaced"):
                reader.confirm()
        images.remove(f"{image}-old")
        assert mark is not None
        with read(location, way) as reader:
            assert reader.changed(mark) is None

    def test_it_is_not_confirmed_if_its_name_is_gone(self, images: Images) -> None:
        image = images.create(SIZE)
        location = images.location(image, images.snapshot(image))
        with read(location) as reader:
            images.rbd.RBD().rename(images.pool, image, f"{image}-other")
            with pytest.raises(SourceGone):
                reader.confirm()
            images.rbd.RBD().rename(images.pool, f"{image}-other", image)

    def test_a_snapshot_made_anew_under_its_name_is_not_confirmed(self, images: Images, way: Way) -> None:
        image = images.create(SIZE)
        location = images.location(image, images.snapshot(image))
        with read(location, way) as reader:
            with images.open(image) as opened:
                opened.remove_snap(location.snapshot)
                opened.create_snap(location.snapshot)
            with pytest.raises(SourceGone, match="removed"):
                reader.confirm()

    def test_a_base_that_is_removed_while_it_is_compared(self, images: Images, way: Way) -> None:
        image = images.create(SIZE)
        images.write(image, {0: b"x" * MIB})
        base = images.snapshot(image)
        mark = mark_of(images.location(image, base))
        images.write(image, {2 * MIB: b"y"})
        with read(images.location(image, images.snapshot(image)), way) as reader:
            extents = reader.changed(mark)
            assert extents is not None
            with images.open(image) as opened:
                opened.remove_snap(base)
            with pytest.raises(SourceFailed):
                list(extents)

    def test_marks_of_later_snapshots_are_not_used(self, images: Images) -> None:
        image = images.create(SIZE)
        first = images.location(image, images.snapshot(image))
        mark = mark_of(images.location(image, images.snapshot(image)))
        with read(first) as reader:
            assert reader.changed(mark) is None

    def test_a_base_that_was_renamed_is_found(self, images: Images) -> None:
        image = images.create(SIZE)
        base = images.snapshot(image)
        mark = mark_of(images.location(image, base))
        images.write(image, {2 * MIB: b"y"})
        with images.open(image) as opened:
            opened.rename_snap(base, "renamed")
        with read(images.location(image, images.snapshot(image))) as reader:
            extents = reader.changed(mark)
            assert extents is not None
            assert [extent.offset for extent in extents] == [2 * MIB]


class TestMaps:
    """The map of objects of a snapshot says that nothing exists, as after a crash at a bad moment."""

    @pytest.fixture
    def lying(self, images: Images) -> RbdImage:
        image = images.create(SIZE)
        images.write(image, {MIB: b"x" * MIB})
        location = images.location(image, images.snapshot(image))
        images.empty_maps(image)
        return location

    def test_exact_maps_do_not_rely_on_it(self, lying: RbdImage, way: Way) -> None:
        with read(lying, way) as reader:
            assert not uncovered(checked(reader.allocated(), SIZE), bytes(MIB) + b"x" * MIB + bytes(SIZE - 2 * MIB))

    def test_fast_maps_rely_on_it(self, lying: RbdImage, way: Way) -> None:
        with read(lying, way, "fast") as reader:
            assert list(reader.allocated()) == []

    @pytest.mark.parametrize("of_snapshot", [True, False])
    def test_fast_maps_do_not_rely_on_it_if_it_is_invalid(
        self, images: Images, lying: RbdImage, way: Way, of_snapshot: bool
    ) -> None:
        images.invalidate(lying.image, lying.snapshot if of_snapshot else None)
        with read(lying, way, "fast") as reader:
            assert [(extent.offset, extent.length) for extent in reader.allocated()] == [(MIB, MIB)]

    def test_fast_maps_without_the_feature(self, images: Images) -> None:
        image = images.create(SIZE, NO_MAPS)
        images.write(image, {MIB: b"x" * 1000})
        with read(images.location(image, images.snapshot(image)), "librbd", "fast") as reader:
            assert [(extent.offset, extent.length) for extent in reader.allocated()] == [(MIB, 1000)]

    def test_a_striped_image(self, images: Images, way: Way) -> None:
        """Each object has many ranges of the image."""
        image = images.create(SIZE, FEATURES | STRIPING, stripe_unit=65536, stripe_count=2)
        images.write(image, {0: b"x" * 1000})
        with read(images.location(image, images.snapshot(image)), way, "fast") as reader:
            assert not uncovered(checked(reader.allocated(), SIZE), (b"x" * 1000).ljust(SIZE, b"\0"))

    def test_an_image_that_shrank_and_grew(self, images: Images, way: Way) -> None:
        image = images.create(SIZE)
        images.write(image, {5 * MIB: b"x" * 1000})
        mark = mark_of(images.location(image, images.snapshot(image)))
        for size in (4 * MIB, SIZE):
            with images.open(image) as opened:
                opened.resize(size)
            snapshot = images.snapshot(image)
        old = bytes(5 * MIB) + b"x" * 1000
        with read(images.location(image, snapshot), way, "fast") as reader:
            extents = reader.changed(mark)
            assert extents is not None
            assert not uncovered(checked(extents, SIZE), bytes(SIZE), old)

    @pytest.mark.parametrize("remains", [True, False])
    def test_an_image_that_was_reverted_to_an_earlier_snapshot(self, images: Images, remains: bool) -> None:
        """Ceph restores the map of objects of that snapshot, which does not say what was written after it."""
        image = images.create(SIZE)
        images.write(image, {MIB: b"a" * 1000})
        images.snapshot(image)
        earlier = images.snapshot(image)
        images.write(image, {MIB: b"b" * 1000})
        writer = images.location(image, user=WRITER)
        mark = marks.keep(writer, uuid.uuid4(), NOW, timeout=GENEROUS).mark
        with images.open(image) as opened:
            opened.rollback_to_snap(earlier)
            for found in [*opened.list_snaps()] if not remains else []:
                if found["name"].startswith("snapshot-"):
                    opened.remove_snap(found["name"])
        with read(images.location(image, images.snapshot(image)), kind="fast") as reader:
            extents = reader.changed(mark)
            assert extents is not None
            new, old = (bytes(MIB) + each * 1000 + bytes(SIZE - MIB - 1000) for each in (b"a", b"b"))
            assert not uncovered(checked(extents, SIZE), new, old)

    def test_a_map_that_is_left_half_way(self, images: Images) -> None:
        image = images.create(SIZE)
        images.write(image, {0: b"x", 3 * MIB: b"y"})
        with read(images.location(image, images.snapshot(image))) as reader:
            extents = iter(reader.allocated())
            next(extents)
        del extents


#: Opens an image for writing, and waits for its death.
CLIENT = """
import sys, rados, rbd
cluster = rados.Rados(conffile=sys.argv[1], rados_id="cinder")
cluster.connect()
image = rbd.Image(cluster.open_ioctx("volumes"), sys.argv[2])
image.write(b"dead", 0)
print("open", flush=True)
sys.stdin.read()
"""


class TestOtherClients:
    @pytest.fixture
    def image(self, images: Images) -> str:
        return images.create(SIZE)

    @pytest.fixture
    def other(self, images: Images, administrator: Administrator, image: str) -> Any:
        administrator.forget_clients_after(2)
        argv = [sys.executable, "-c", CLIENT, str(images.ceph.conf), image]
        pipe, environment = subprocess.PIPE, {"PYTHONPATH": str(images.ceph.bindings)}
        with subprocess.Popen(argv, stdin=pipe, stdout=pipe, env=environment) as child:
            assert child.stdout
            assert child.stdout.readline() == b"open\n"
            yield child
            child.kill()

    def test_an_image_in_use_is_refused(self, images: Images, image: str, other: Any, way: Way) -> None:
        with pytest.raises(TargetFailed, match="is used by 127.0.0.1"):
            rbd.open_writer(images.location(image, user=WRITER), timeout=GENEROUS, wait=0, way=way)

    def test_a_client_that_died_is_waited_for(self, images: Images, image: str, other: Any, way: Way) -> None:
        other.kill()
        location = images.location(image, user=WRITER)
        with rbd.open_writer(location, timeout=GENEROUS, way=way, clock=SystemClock()) as writer:
            writer.write(1, memoryview(b"new"))
            writer.flush()
        assert images.content(image)[:5] == b"dnew\0"


class TestRefusals:
    @pytest.fixture
    def location(self, images: Images) -> RbdImage:
        image = images.create(SIZE)
        return images.location(image, images.snapshot(image), READER)

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"conf": Path("/missing/ceph.conf")}, CannotOpen, "install the configuration"),
            ({"user": "unknown"}, CannotOpen, "refuses client.unknown; check its keyring"),
            ({"pool": "missing"}, CannotOpen, "no pool missing"),
            ({"image": "missing"}, SourceGone, "missing.* does not exist"),
            ({"snapshot": "missing"}, SourceGone, "@missing.* does not exist"),
            ({"snapshot": None}, SourceGone, "does not exist"),
        ],
    )
    def test_readers(
        self, location: RbdImage, way: Way, change: dict[str, Any], error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            rbd.open_reader(replace(location, **change), timeout=GENEROUS, way=way)

    def test_writers_that_may_only_read(self, location: RbdImage, way: Way) -> None:
        with pytest.raises(CannotOpen, match=r"client.mover.* capabilities .*'profile rbd pool=volumes'"):
            rbd.open_writer(replace(location, snapshot=None), timeout=GENEROUS, way=way)

    def test_readers_by_qemu_that_may_not_write_headers(self, location: RbdImage) -> None:
        with pytest.raises(CannotOpen, match=r"client.mover the capabilities .*object_prefix rbd_header"):
            rbd.open_reader(location, timeout=GENEROUS, way="qemu-nbd")

    def test_writers_of_a_missing_image(self, location: RbdImage, way: Way) -> None:
        with pytest.raises(TargetFailed, match="does not exist"):
            rbd.open_writer(replace(location, image="missing", user=WRITER), timeout=GENEROUS, way=way)

    @pytest.mark.parametrize("name", [Ceph.MONITOR, Ceph.OSD])
    def test_a_cluster_that_does_not_answer(self, location: RbdImage, servers: Any, way: Way, name: str) -> None:
        with silent(servers, name), pytest.raises((SourceFailed, CannotOpen), match="did not answer"):
            rbd.open_reader(location, timeout=0.5, way=way)
        with read(location, way) as reader:
            assert fetch(reader, 0, 512) == bytes(512)

    def test_a_map_when_the_cluster_does_not_answer(self, location: RbdImage, servers: Any) -> None:
        with read(location, timeout=1) as reader, silent(servers, Ceph.OSD):
            with pytest.raises(SourceFailed):
                list(reader.allocated())
            with pytest.raises(SourceFailed):
                reader.confirm()
        assert threading.active_count() < 50


class TestMarks:
    def test_their_life(self, images: Images, way: Way) -> None:
        image = images.create(SIZE)
        images.write(image, {0: b"x"})
        location, first, second = images.location(image, user=WRITER), uuid.uuid4(), uuid.uuid4()
        kept = marks.keep(location, first, NOW, timeout=GENEROUS, way=way)
        assert (kept.id, kept.created) == (first, NOW)
        images.write(image, {2 * MIB: b"y" * 512})
        later = marks.keep(location, second, NOW, timeout=GENEROUS, way=way)
        assert marks.keep(location, first, NOW, timeout=GENEROUS, way=way) == kept, "there is one per id"
        assert list(marks.listed(location, timeout=GENEROUS, way=way)) == [kept, later]
        with read(replace(location, snapshot=later.name), way) as reader:
            assert reader.mark() == later.mark
            extents = reader.changed(kept.mark)
            assert extents is not None
            assert [extent.offset for extent in extents] == [2 * MIB]
        with marks.open_reader(location, first, timeout=GENEROUS, way=way) as reader:
            assert reader.mark() == kept.mark
            assert fetch(reader, 2 * MIB, 512) == bytes(512), "as it was then"
        for _ in range(2):
            marks.remove(location, first, timeout=GENEROUS, way=way)
        with pytest.raises(SourceGone):
            marks.open_reader(location, first, timeout=GENEROUS, way=way)
        assert list(marks.listed(location, timeout=GENEROUS, way=way)) == [later]

    def test_their_names_are_removed_with_an_image_but_not_taken_for_backups_of_cinder(self, images: Images) -> None:
        image = images.create(SIZE)
        location = images.location(image, user=WRITER)
        cinders = f"backup.{uuid.uuid4()}.snap.1700000000.12"
        with images.open(image) as opened:
            opened.create_snap(cinders)
        kept = marks.keep(location, uuid.uuid4(), NOW, timeout=GENEROUS, way="librbd")
        assert list(marks.listed(location, timeout=GENEROUS, way="librbd")) == [kept]
        ours, theirs = (re.search(CINDER_PATTERN, name) for name in (kept.name, cinders))
        assert ours
        assert theirs
        # Cinder compares the text of the times to find the last one.
        assert ours[2] < theirs[2]

    def test_of_a_missing_image(self, images: Images) -> None:
        location = images.location("missing", user=WRITER)
        assert list(marks.listed(location, timeout=GENEROUS)) == []
        marks.remove(location, uuid.uuid4(), timeout=GENEROUS)
        with pytest.raises(TargetFailed, match="does not exist"):
            marks.keep(location, uuid.uuid4(), NOW, timeout=GENEROUS)

    def test_by_a_user_who_may_only_read(self, images: Images, way: Way) -> None:
        location = images.location(images.create(SIZE), user=READER)
        with pytest.raises(CannotOpen, match="client.mover"):
            marks.keep(location, uuid.uuid4(), NOW, timeout=GENEROUS, way=way)


def test_the_parent_of_a_clone(images: Images, way: Way) -> None:
    image = images.create(SIZE)
    snapshot = images.snapshot(image)
    location = images.location(images.clone(image, snapshot))
    assert rbd.parent(location, timeout=GENEROUS, way=way) == replace(location, image=image, snapshot=snapshot)
    assert rbd.parent(images.location(image), timeout=GENEROUS, way=way) is None


@pytest.mark.parametrize(("seed", "way"), [(0, "librbd"), (1, "librbd"), (2, "librbd"), (3, "qemu-nbd")])
def test_maps_of_made_up_histories(images: Images, seed: int, way: Way) -> None:
    """Clones, flattening, growth, shrinking, discards and writes: both maps cover what differs, between all snapshots."""
    chance = random.Random(seed)
    features = chance.choice([FEATURES, FEATURES, NO_MAPS])
    image = images.create(8 * MIB, features)
    if chance.random() < 0.6:
        for _ in range(4):
            change(images, image, chance)
        image = images.clone(image, images.snapshot(image), features)
    contents = list[tuple[Any, bytes]]()
    # Without librbd, each map is a process.
    for _ in range(4 if way == "librbd" else 2):
        for _ in range(chance.randrange(2, 6)):
            change(images, image, chance)
        location = images.location(image, images.snapshot(image))
        data = images.content(image, location.snapshot)
        kinds: list[Map] = ["exact", "fast"]
        for kind in kinds:
            with read(location, way, kind) as reader:
                assert not uncovered(checked(reader.allocated(), len(data)), data), kind
                for mark, old in contents:
                    extents = reader.changed(mark)
                    assert extents is not None
                    assert not uncovered(checked(extents, len(data)), data, old), kind
        contents.append((mark_of(location), data))


def change(images: Images, image: str, chance: random.Random) -> None:
    with images.open(image) as opened:
        size = opened.size()
        length = chance.choice([512, 65536, 300_000, 2 * MIB])
        offset = chance.randrange(0, size - length, 512) if size > length else 0
        length = min(length, size)
        match chance.choice(["write", "write", "write", "zeros", "discard", "discard", "grow", "shrink", "flatten"]):
            case "write":
                opened.write(chance.randbytes(length), offset)
            case "zeros":
                opened.write(bytes(length), offset)
            case "discard":
                opened.discard(offset, length)
            case "grow":
                opened.resize(size + chance.choice([512, MIB, 3 * MIB]))
            case "shrink":
                opened.resize(max(size - chance.choice([512, MIB, 3 * MIB]), 4 * MIB))
            case "flatten" if opened.overlap():
                opened.flatten()
