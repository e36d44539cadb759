"""Volumes are read and written where they are stored: files on a share, and images in Ceph."""

import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cloud.cinder import CEPH, FILES
from tests.cloud.handle import RealCloud
from tests.fixtures.cloud import Backing
from tests.scenario.direct import BACKENDS, DirectSystem, Remains, fill, fingerprint
from tests.scenario.tenant import MIB, VOLUME, Tenant, path_of, random_bytes, until

pytestmark = pytest.mark.cloud

#: Mebibytes of random data in a volume of 1 GiB.
DATA = 96
PIECE = 256 * 1024
#: Pieces that change: two percent of the data.
PIECES = 8


@pytest.fixture(scope="module")
def system(cloud: RealCloud, backing: Backing, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectSystem]:
    """The services, which can import the modules of Ceph."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(cloud.ceph.bindings), prepend=os.pathsep)
        system = DirectSystem(cloud, backing, tmp_path_factory.mktemp("direct"))
        try:
            system.up()
            yield system
        finally:
            system.stop()


@pytest.fixture
def admin(cloud: RealCloud) -> Tenant:
    return Tenant(cloud, "admin")


@pytest.fixture
def clean(cloud: RealCloud, alice: Tenant, admin: Tenant) -> Iterator[None]:
    """Delete all volumes of the tenant after the test, and check that nothing else is left."""
    before = Remains.of(cloud, admin)
    yield
    for volume_id in alice.volume_ids():
        alice.delete_volume(volume_id, cascade=True)
    assert until(lambda: Remains.of(cloud, admin), lambda left: left == before) == before


@pytest.fixture
def volumes(request: pytest.FixtureRequest, cloud: RealCloud, alice: Tenant, clean: None) -> list[Any]:
    """A volume of each backend with random data."""
    created = [alice.volume(kind, volume_type=kind) for kind in BACKENDS]
    for volume in created:
        fill(cloud, volume.id, f"{request.node.name} {volume.name}", DATA)
    return created


def restored(alice: Tenant, checkpoint: dict[str, Any]) -> dict[str, str]:
    """Restore a checkpoint, and return the ids of the new volumes by the types of the protected ones."""
    return {alice.cinder.volumes.get(each).name: each for each in alice.restored(checkpoint)[VOLUME]}


def test_a_protect_reads_what_has_changed_and_each_checkpoint_is_restored(
    cloud: RealCloud, system: DirectSystem, alice: Tenant, admin: Tenant, volumes: list[Any]
) -> None:
    plan = alice.plan(system.provider, *((VOLUME, volume) for volume in volumes))
    begin = system.bytes_read()
    first = alice.protected(plan)
    assert first["status"] == "available", first
    read_first = system.bytes_read() - begin
    assert first["new_bytes"] == len(volumes) * DATA * MIB
    contents = [{volume.name: fingerprint(cloud, volume.id) for volume in volumes}]

    for volume in volumes:
        for number in range(PIECES):
            piece = next(random_bytes(f"{volume.id} {number}", 1))[:PIECE]
            cloud.write_volume(volume.id, piece, offset=8 * MIB + number * (DATA // PIECES) * MIB)
    contents.append({volume.name: fingerprint(cloud, volume.id) for volume in volumes})

    begin = system.bytes_read()
    second = alice.protected(plan)
    assert second["status"] == "available", second
    read_second = system.bytes_read() - begin
    changed = len(volumes) * PIECES * PIECE
    print(f"read {read_first / MIB:.1f} MiB and {read_second / MIB:.1f} MiB; {changed / MIB:.1f} MiB have changed")
    assert second["new_bytes"] == changed
    # Linux counts also what is read of files of configuration, locks and the bank.
    assert changed <= read_second <= changed + 16 * MIB < len(volumes) * DATA * MIB <= read_first

    assert Remains.of(cloud, admin).attachments == frozenset()
    for checkpoint, content in zip((first, second), contents, strict=True):
        new = restored(alice, checkpoint)
        assert {name: fingerprint(cloud, volume_id) for name, volume_id in new.items()} == content
        for volume_id in new.values():
            alice.delete_volume(volume_id)
    for checkpoint in (first, second):
        alice.call("DELETE", path_of(checkpoint))
        assert alice.settled(checkpoint)["status"] == "deleted"
    assert until(lambda: alice.belongings()["snapshots"], lambda left: not left) == set(), (
        "marks of deleted checkpoints"
    )


@pytest.mark.turn(0)
def test_marks_in_the_storage_take_the_place_of_snapshots(
    cloud: RealCloud, system: DirectSystem, alice: Tenant, clean: None
) -> None:
    volume = alice.volume("marked", volume_type=CEPH)
    fill(cloud, volume.id, "marked", PIECES)
    plan = alice.plan(system.marking_provider, (VOLUME, volume))
    checkpoints = []
    for number in range(3):
        cloud.write_volume(volume.id, next(random_bytes(f"{volume.id} {number}", 1))[:PIECE], offset=number * MIB)
        checkpoints.append(alice.protected(plan))
        assert alice.belongings()["snapshots"] == set()
        # A mark is deleted when the checkpoint after its successor is made.
        assert len(cloud.ceph.snapshots(f"volume-{volume.id}")) == min(number + 1, 2)
    news = [checkpoint["new_bytes"] for checkpoint in checkpoints]
    assert news == [PIECES * MIB + PIECE, PIECE, PIECE], checkpoints
    content = fingerprint(cloud, volume.id)
    ((_, new),) = restored(alice, checkpoints[-1]).items()
    assert fingerprint(cloud, new) == content
    alice.delete_volume(volume.id)
    assert f"volume-{volume.id}" not in cloud.ceph.images(), "Cinder deletes the marks with the volume"
    for checkpoint in checkpoints:
        alice.call("DELETE", path_of(checkpoint))
        assert alice.settled(checkpoint)["status"] == "deleted"


@pytest.fixture
def headers(tmp_path: Path) -> dict[str, bytes]:
    """The first bytes of volumes that look like something else, and in part refer to files of the host."""

    def made(kind: str, *options: str) -> bytes:
        path = tmp_path / kind
        subprocess.run(["qemu-img", "create", "-q", "-f", kind, *options, str(path), "64M"], check=True)
        return path.read_bytes()

    json = b'{"keyslots":{},"tokens":{},"segments":{},"digests":{},"config":{"json_size":"12288","keyslots_size":"16744448"}}'
    return {
        "luks2": (b"LUKS\xba\xbe" + struct.pack(">HQQ", 2, 16384, 1)).ljust(4096, b"\0") + json,
        "qcow2": made("qcow2", "-b", "/etc/hostname", "-F", "raw"),
        "vmdk": made("vmdk"),
    }


def test_volumes_with_headers_of_other_formats_come_back_bit_for_bit(
    cloud: RealCloud, system: DirectSystem, alice: Tenant, clean: None, headers: dict[str, bytes]
) -> None:
    contents, volumes = {}, []
    # Cinder itself cannot take snapshots of volumes in files whose content QEMU recognizes.
    for kind, name in ((FILES, "luks2"), *((CEPH, name) for name in headers)):
        volume = alice.volume(f"{kind}-{name}", volume_type=kind)
        cloud.write_volume(volume.id, headers[name] + name.encode())
        contents[volume.name] = fingerprint(cloud, volume.id)
        volumes.append(volume)
    plan = alice.plan(system.provider, *((VOLUME, volume) for volume in volumes))
    checkpoint = alice.protected(plan)
    assert checkpoint["status"] == "available", checkpoint
    new = restored(alice, checkpoint)
    assert {name: fingerprint(cloud, volume_id) for name, volume_id in new.items()} == contents
    alice.call("DELETE", path_of(checkpoint))
    assert alice.settled(checkpoint)["status"] == "deleted"


@pytest.mark.turn(1)
def test_a_killed_service_finishes_reading_and_writing_and_leaves_nothing(
    cloud: RealCloud, system: DirectSystem, alice: Tenant, admin: Tenant, volumes: list[Any]
) -> None:
    content = {volume.name: fingerprint(cloud, volume.id) for volume in volumes}
    size = cloud.size * cloud.gib

    def transferring(shown: dict[str, Any]) -> bool:
        transfers = [part["bytes_done"] or 0 for part in shown["progress"]["resources"].values()]
        assert not transfers or min(transfers) < size, "the transfers ended before the service was killed"
        return len(transfers) == len(volumes) and all(transfers)

    def kill(get: Any) -> None:
        until(get, transferring)
        system.kill()
        system.start()

    before = Remains.of(cloud, admin)
    checkpoint = alice.protect(alice.plan(system.slow_provider, *((VOLUME, volume) for volume in volumes)))
    kill(lambda: alice.checkpoint(checkpoint))
    checkpoint = alice.settled(checkpoint)
    assert checkpoint["status"] == "available", checkpoint
    kept = Remains.of(cloud, admin)
    assert (kept.volumes, kept.attachments, len(kept.snapshots)) == (before.volumes, frozenset(), len(volumes))

    restore = alice.begin_restore(checkpoint)
    kill(lambda: alice.call("GET", f"/restores/{restore['id']}")["restore"])
    restore = alice.ended(restore)
    assert restore["status"] == "success", restore
    new = [key.partition("#")[2] for key in restore["resources_status"]]
    assert {alice.cinder.volumes.get(each).name: fingerprint(cloud, each) for each in new} == content
    for volume_id in new:
        alice.delete_volume(volume_id)
    alice.call("DELETE", path_of(checkpoint))
    assert alice.settled(checkpoint)["status"] == "deleted"
    assert until(lambda: Remains.of(cloud, admin), lambda left: left == before) == before
