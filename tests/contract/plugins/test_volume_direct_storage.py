"""The backends of the direct plugin on real storage: Ceph and files of a share. Cinder is the sandbox's."""

import hashlib
import itertools
import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from karbor_like.bank import Bank
from karbor_like.clients.factory import ClientFactory
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.cinder.direct.backend import StoredVolume
from karbor_like.plugins.cinder.direct.share import ShareBackend
from karbor_like.sandbox.cloud import Sandbox
from karbor_like.testing import sandbox
from karbor_like.testing.host import Host, memory_bank
from tests.cloud.ceph import CINDER, POOL, READER, WRITER, Ceph
from tests.contract.datapath.rbd import FEATURES, Images
from tests.contract.plugins.test_volume_direct import make_plugin, protect
from tests.contract.plugins.test_volume_glance import SIZE, VolumeSubject

BYTES = SIZE * sandbox.SMALL_GIB


class Image:
    """The image in Ceph of a volume in the sandbox."""

    def __init__(self, images: Images, volume_id: str) -> None:
        self.images = images
        self.name = f"volume-{volume_id}"
        images.rbd.RBD().create(images.pool, self.name, BYTES, old_format=False, features=FEATURES)
        self.write(0, random.Random(1).randbytes(300_000))

    def write(self, offset: int, data: bytes) -> None:
        self.images.write(self.name, {offset: data})

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.images.content(self.name)).hexdigest()

    @property
    def snapshots(self) -> list[str]:
        with self.images.open(self.name, read_only=True) as opened:
            return [found["name"] for found in opened.list_snaps()]


class TestCeph:
    @pytest.fixture
    def images(self, ceph: Ceph) -> Iterator[Images]:
        opened = Images(ceph)
        yield opened
        opened.close()

    @pytest.fixture
    def subject(self, cloud: Sandbox, factory: ClientFactory, ceph: Ceph) -> VolumeSubject:
        made = VolumeSubject(cloud, factory.for_context(sandbox.context_of(cloud)))
        made.plugin = make_plugin(
            backends=[f"*:rbd={POOL}"],
            keep_mark="rbd",
            fallback="error",
            rbd_conf=str(ceph.conf),
            rbd_user=READER,
            rbd_write_user=WRITER,
        )
        return made

    @pytest.fixture
    def image(self, images: Images, subject: VolumeSubject) -> Iterator[Image]:
        made = Image(images, subject.resource.id)
        yield made
        images.remove(made.name)

    @pytest.fixture
    def bank(self) -> Iterator[Bank]:
        opened = memory_bank()
        yield opened
        opened.close()

    @pytest.fixture
    def host(self, factory: ClientFactory, cloud: Sandbox, bank: Bank, subject: VolumeSubject, image: Image) -> Host:
        return Host(subject.plugin, factory.for_context(sandbox.context_of(cloud)), bank, factory.as_service())

    def digest(self, host: Host, subject: VolumeSubject, checkpoint: str) -> str:
        with host.section(checkpoint, subject.resource).read("data") as reader:
            return hashlib.sha256(b"".join(map(bytes, reader))).hexdigest()

    def test_marks_below_cinder(self, host: Host, subject: VolumeSubject, image: Image) -> None:
        chain = [protect(host, subject)]
        for number in range(3):
            assert self.digest(host, subject, chain[-1]) == image.digest
            assert subject.belongings()["snapshots"] == set()
            image.write(100_000 * number, b"changed")
            operation = host.operation(OperationType.PROTECT, subject.resource)
            host.perform(operation, bases=chain[-1:])
            chain.append(operation.checkpoint_id)
            assert host.section(chain[-1], subject.resource).get("mark")["chain"] == chain
            assert len(image.snapshots) == 2
        assert self.digest(host, subject, chain[-1]) == image.digest
        for checkpoint in chain:
            host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))
        assert image.snapshots == []

    @pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
    def test_crash_at_any_request(
        self, host: Host, subject: VolumeSubject, image: Image, line: sandbox.Line, answered: bool
    ) -> None:
        for nth in itertools.count(1):
            operation = host.operation(OperationType.PROTECT, subject.resource)
            try:
                with line.crash(nth, answered=answered):
                    host.attempt(operation)
                break
            except sandbox.Crash:
                host.cleanup(operation)
            assert image.snapshots == [], f"after a crash at request {nth}"
        assert len(image.snapshots) == 1

    def test_volume_that_is_deleted(self, host: Host, subject: VolumeSubject, image: Image) -> None:
        """Its marks are deleted with it, and the checkpoint can still be deleted."""
        checkpoint = protect(host, subject)
        image.images.remove(image.name)
        subject.destroy()
        host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))

    def test_image_that_is_replaced(self, host: Host, subject: VolumeSubject, image: Image) -> None:
        first = protect(host, subject)
        image.images.remove(image.name)
        replaced = Image(image.images, subject.resource.id)
        replaced.write(500_000, b"another image")
        second = protect(host, subject, first)
        assert self.digest(host, subject, second) == replaced.digest
        assert host.section(second, subject.resource).get("mark")["chain"] == [second]

    def test_other_plugin_leaves_the_mark(self, host: Host, subject: VolumeSubject, image: Image) -> None:
        checkpoint = protect(host, subject)
        host.plugin = sandbox.make_plugin(VolumeSubject.plugin_name)
        result = host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))
        assert "deleted with the volume" in result["remarks"][0]

    def test_restored_image(self, host: Host, subject: VolumeSubject, image: Image) -> None:
        """The connection is what Cinder answers to a client that attaches the volume."""
        checkpoint, original = protect(host, subject), image.digest
        backend = make_plugin(backends=[f"*:rbd={POOL}"], rbd_conf=str(image.images.ceph.conf), rbd_write_user=WRITER)
        target = Image(image.images, "6f1b2c3d-0000-4000-8000-000000000001")
        target.write(0, bytes(300_000))
        volume_id = target.name.removeprefix("volume-")
        volume = StoredVolume(volume_id, volume_id, None, SIZE)
        connection = {"driver_volume_type": "rbd", "name": f"{POOL}/{target.name}"}
        with backend.rules[0].backend.open_writer(cast(Any, None), volume, connection) as writer:
            host.section(checkpoint, subject.resource).restore("data", writer, empty=True)
            writer.flush()
        restored = target.digest
        image.images.remove(target.name)
        assert restored == original

    def test_snapshots_of_cinder(self, host: Host, subject: VolumeSubject, image: Image, ceph: Ceph) -> None:
        """The image has the snapshot by Cinder's name for it."""
        options = {"rbd_conf": str(ceph.conf), "rbd_user": READER, "rbd_write_user": CINDER}
        host.plugin = make_plugin(backends=[f"*:rbd={POOL}"], fallback="error", **options)
        operation = host.operation(OperationType.PROTECT, subject.resource)
        host.perform(operation, check=lambda: self.take_snapshots(subject, image))
        assert self.digest(host, subject, operation.checkpoint_id) == image.digest

    def test_mark_that_cannot_be_made(self, host: Host, subject: VolumeSubject, image: Image, ceph: Ceph) -> None:
        """A snapshot of Cinder's replaces it, and the tenant learns why."""
        options = {"rbd_conf": str(ceph.conf), "rbd_user": READER, "rbd_write_user": READER, "keep_mark": "rbd"}
        host.plugin = make_plugin(backends=[f"*:rbd={POOL}"], fallback="error", **options)
        operation = host.operation(OperationType.PROTECT, subject.resource)
        result = host.perform(operation, check=lambda: self.take_snapshots(subject, image))
        assert self.digest(host, subject, operation.checkpoint_id) == image.digest
        (remark,) = result["remarks"]
        assert "no mark was kept" in remark
        assert READER not in remark
        assert POOL not in remark
        assert subject.belongings()["snapshots"] == set()
        assert not operation.journal.entries()

    @staticmethod
    def take_snapshots(subject: VolumeSubject, image: Image) -> None:
        """Take the snapshots that Cinder has, which is the sandbox's, in Ceph."""
        for snapshot_id in subject.belongings()["snapshots"]:
            name = f"snapshot-{snapshot_id}"
            if name not in image.snapshots:
                with image.images.open(image.name) as opened:
                    opened.create_snap(name)


@pytest.mark.usefixtures("qemu")
class TestShare:
    ID = "6f1b2c3d-0000-4000-8000-000000000001"
    SNAPSHOTS = ("6f1b2c3d-0000-4000-8000-000000000003", "6f1b2c3d-0000-4000-8000-000000000004")

    @pytest.fixture
    def share(self, tmp_path: Path) -> Path:
        """A share with a raw volume."""
        (tmp_path / f"volume-{self.ID}").write_bytes(random.Random(1).randbytes(65536).ljust(1 << 20, b"\0"))
        (tmp_path / f"volume-{self.ID}.info").write_text("{}")
        return tmp_path

    @pytest.fixture
    def backend(self, share: Path) -> ShareBackend:
        return ShareBackend(SimpleNamespace(io_timeout=60), str(share))

    @property
    def volume(self) -> StoredVolume:
        return StoredVolume(self.ID, self.ID, None, 1)

    def snapshot(self, share: Path, snapshot_id: str) -> None:
        """Take a snapshot as Cinder's driver does."""
        info = share / f"volume-{self.ID}.info"
        known = json.loads(info.read_text())
        below, overlay = known.get("active", f"volume-{self.ID}"), f"volume-{self.ID}.{snapshot_id}"
        kind = "qcow2" if known else "raw"
        argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", kind, "-b", below, overlay]
        subprocess.run(argv, check=True, cwd=share)
        info.write_text(json.dumps({**known, "active": overlay, snapshot_id: overlay}))

    def test_snapshots_and_changes(self, share: Path, backend: ShareBackend) -> None:
        original = (share / f"volume-{self.ID}").read_bytes()
        self.snapshot(share, self.SNAPSHOTS[0])
        source = share / "source"
        source.write_bytes(b"n" * 65536)
        overlay = share / f"volume-{self.ID}.{self.SNAPSHOTS[0]}"
        argv = ["qemu-io", "-f", "qcow2", "-c", f"write -q -s {source} 524288 65536", str(overlay)]
        subprocess.run(argv, check=True)
        self.snapshot(share, self.SNAPSHOTS[1])
        none = cast(Any, None)
        with backend.open_reader(none, self.volume, self.SNAPSHOTS[0], none) as first:
            assert first.read(0, 1 << 20).result() == original
            mark = first.mark()
            first.confirm()
        with backend.open_reader(none, self.volume, self.SNAPSHOTS[1], none) as second:
            assert second.read(524288, 65536).result() == source.read_bytes()
            assert mark is not None
            changed = second.changed(mark)
            assert changed is not None
            assert [(each.offset, each.length) for each in changed] == [(524288, 65536)]

    def test_new_volume(self, share: Path, backend: ShareBackend) -> None:
        connection = {"driver_volume_type": "nfs", "name": f"volume-{self.ID}", "format": "raw"}
        with backend.open_writer(cast(Any, None), self.volume, connection) as writer:
            writer.write(4096, memoryview(b"x" * 512))
            writer.flush()
        assert (share / f"volume-{self.ID}").read_bytes()[4096:4608] == b"x" * 512
