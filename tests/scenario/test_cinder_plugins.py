"""Volumes whose bytes remain in Cinder, as snapshots or as backups, are restored bit for bit.

The contract tests of the plugins run on the sandbox. Here, Cinder's own services move the bytes.
"""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cloud.handle import RealCloud
from tests.fixtures.cloud import CloudHandle
from tests.fixtures.system import System
from tests.scenario.tenant import MIB, VOLUME, Tenant, path_of, random_bytes, until

pytestmark = pytest.mark.once


@pytest.fixture
def volume(request: pytest.FixtureRequest, cloud: CloudHandle, alice: Tenant) -> Iterator[Any]:
    """A volume with random data among zeros."""
    created = alice.volume("data", metadata={"role": "db"}, description="what it is")
    cloud.write_volume(created.id, random_bytes(request.node.name, 4), offset=8 * MIB)
    yield created
    for volume_id in alice.volume_ids():
        alice.delete_volume(volume_id, cascade=True)


def delete(alice: Tenant, checkpoint: dict[str, Any]) -> None:
    alice.call("DELETE", path_of(checkpoint))
    assert alice.settled(checkpoint)["status"] == "deleted"


def backups(alice: Tenant) -> set[str]:
    return {backup.name for backup in alice.cinder.backups.list()}


def stored_objects(cloud: CloudHandle) -> set[str]:
    """Return the names of the objects of all backups. The sandbox stores them as files."""
    return cloud.backup_objects() if isinstance(cloud, RealCloud) else set()


def test_a_volume_is_restored_from_a_snapshot_and_reverted_to_it(
    cloud: CloudHandle, system: System, alice: Tenant, volume: Any
) -> None:
    digest = cloud.volume_digest(volume.id)
    plan = alice.plan(system.snapshot_provider, (VOLUME, volume))
    checkpoint = alice.protected(plan)
    assert checkpoint["status"] == "available", checkpoint
    assert "lost" in checkpoint["progress"]["resources"][f"{VOLUME}#{volume.id}"]["reason"]
    assert len(alice.belongings()["snapshots"]) == 1
    cloud.write_volume(volume.id, random_bytes("later", 1))

    (copy,) = alice.restored(checkpoint)[VOLUME]
    assert cloud.volume_digest(copy) == digest != cloud.volume_digest(volume.id)
    assert alice.cinder.volumes.get(copy).metadata == {"role": "db"}

    parameters = {VOLUME: {"mode": "revert", "restore_name": None, "restore_description": None}}
    assert alice.restored(checkpoint, parameters=parameters) == {VOLUME: [volume.id]}
    assert cloud.volume_digest(volume.id) == digest

    assert alice.verified(checkpoint)["status"] == "success"
    alice.delete_volume(copy)
    delete(alice, checkpoint)
    assert alice.belongings()["snapshots"] == set()


@pytest.fixture
def pair(cloud: CloudHandle, alice: Tenant) -> Iterator[list[Any]]:
    """Two volumes with random data, in one group."""
    admin = Tenant(cloud, "admin")
    kind = admin.cinder.group_types.create(f"together-{uuid.uuid4()}")
    storage = "file" if cloud.real else "sandbox"
    group = alice.cinder.groups.create(kind.id, storage, name="database").id
    until(lambda: alice.cinder.groups.get(group), lambda group: group.status == "available")
    volumes = [alice.volume(name, volume_type=storage) for name in ("one", "two")]
    alice.cinder.groups.update(group, add_volumes=",".join(volume.id for volume in volumes))
    until(lambda: alice.cinder.groups.get(group), lambda group: group.status == "available")
    for volume in volumes:
        cloud.write_volume(volume.id, random_bytes(volume.id, 2), offset=MIB)
    yield volumes
    alice.cinder.groups.delete(group, delete_volumes=True)
    until(alice.cinder.groups.list, lambda groups: not groups)
    for volume_id in alice.volume_ids():
        alice.delete_volume(volume_id)
    admin.cinder.group_types.delete(kind.id)


@pytest.mark.turn(0)
def test_the_volumes_of_a_group_are_restored_from_one_snapshot_of_it(
    cloud: CloudHandle, system: System, alice: Tenant, pair: list[Any]
) -> None:
    plan = alice.plan(system.snapshot_provider, *((VOLUME, volume) for volume in pair))
    checkpoint = alice.protected(plan)
    assert checkpoint["status"] == "available", checkpoint
    (taken,) = alice.cinder.group_snapshots.list()
    snapshots = alice.cinder.volume_snapshots.list()
    assert {snapshot.group_snapshot_id for snapshot in snapshots} == {taken.id}
    assert {snapshot.volume_id for snapshot in snapshots} == {volume.id for volume in pair}
    digests = {cloud.volume_digest(volume.id) for volume in pair}
    for volume in pair:
        cloud.write_volume(volume.id, random_bytes("later", 1))

    copies = alice.restored(checkpoint)[VOLUME]
    assert {cloud.volume_digest(copy) for copy in copies} == digests
    assert alice.verified(checkpoint)["status"] == "success"
    delete(alice, checkpoint)
    assert (alice.cinder.group_snapshots.list(), alice.belongings()["snapshots"]) == ([], set())


@pytest.mark.turn(2)
def test_a_chain_of_backups_survives_the_deletion_of_its_checkpoints(
    cloud: CloudHandle, system: System, alice: Tenant, bob: Tenant, volume: Any
) -> None:
    before = stored_objects(cloud)
    options = {"backup_name": None, "backup_mode": "incremental", "container": None, "force": False}
    plan = alice.plan(system.backup_provider, (VOLUME, volume), parameters={VOLUME: options})
    full = alice.protected(plan)
    assert full["status"] == "available", full
    incrementals = []
    for number in range(2):
        cloud.write_volume(volume.id, random_bytes(number, 1), offset=MIB)
        incrementals.append(alice.protected(plan))
        assert incrementals[-1]["status"] == "available", incrementals
    digest = cloud.volume_digest(volume.id)
    first, last = incrementals
    assert sorted(backup.is_incremental for backup in alice.cinder.backups.list()) == [False, True, True]
    assert alice.belongings()["snapshots"] == set()
    assert bob.refused("GET", path_of(full))[0] == 404

    delete(alice, full)
    assert len(backups(alice)) == 3, "the incremental backups need the full one"
    assert f"karbor-like-orphan-{full['id']}" in backups(alice)
    assert alice.verified(last)["status"] == "success"
    alice.delete_volume(volume.id)
    (restored,) = alice.restored(last)[VOLUME]
    assert cloud.volume_digest(restored) == digest
    assert alice.cinder.volumes.get(restored).metadata["role"] == "db"

    delete(alice, last)
    assert len(backups(alice)) == 2
    delete(alice, first)
    assert backups(alice) == set()
    assert stored_objects(cloud) == before, "the deleted backups have left objects"
