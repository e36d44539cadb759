"""A checkpoint is copied from Swift to another provider's bank of files, and outlives everything that it was made of."""

import json

import pytest

from tests.scenario.tenant import IMAGE, MIB, VOLUME, Tenant, path_of, random_bytes


@pytest.fixture
def things(cloud, alice):
    """A volume with 20 MiB of random data and the rest zeros, and an image."""
    volume = alice.volume("data-1", metadata={"role": "db"})
    cloud.write_volume(volume.id, random_bytes(11, 20), offset=cloud.gib // 3)
    image = alice.image("golden", b"".join(random_bytes(12, 3)) + b"odd end")
    yield volume, image
    for volume_id in alice.volume_ids():
        alice.delete_volume(volume_id)
    for image_id in alice.belongings()["images"]:
        alice.glance.images.delete(image_id)


def test_a_copy_outlives_its_source_and_what_was_protected(cloud, system, alice: Tenant, bob: Tenant, things):
    volume, image = things
    plan = alice.plan(system.provider, (VOLUME, volume), (IMAGE, image))
    sources = [alice.protected(plan)]
    (first,) = alice.copied(plan, system.file_provider)
    assert first["status"] == "available", first
    assert first["new_bytes"] == sources[0]["new_bytes"] >= 20 * MIB
    assert first["logical_bytes"] == sources[0]["logical_bytes"] > cloud.gib

    cloud.write_volume(volume.id, random_bytes(13, 1), offset=MIB)
    digest, image_digest = cloud.volume_digest(volume.id), alice.image_digest(image.id)
    sources.append(alice.protected(plan))
    belongings = alice.belongings()
    (copy,) = alice.copied(plan, system.file_provider)
    assert copy["status"] == "available", copy
    assert copy["new_bytes"] == MIB, "only what the first copy lacks is stored"
    assert alice.belongings() == belongings, "a copy makes nothing in the cloud"
    info = json.loads(copy["extra_info"])
    assert (info["source_checkpoint_id"], info["copy_status"]) == (sources[1]["id"], "finished")
    assert alice.copied(plan, system.file_provider) == []
    assert bob.call("GET", f"/providers/{system.file_provider}/checkpoints")["checkpoints"] == []
    assert bob.refused("GET", path_of(copy))[0] == 404

    for gone in (*sources, first):
        alice.call("DELETE", path_of(gone))
        assert alice.settled(gone)["status"] == "deleted"
    alice.delete_volume(volume.id)
    alice.glance.images.delete(image.id)
    made = alice.restored(copy)

    (volume_id,), (image_id,) = made[VOLUME], made[IMAGE]
    assert cloud.volume_digest(volume_id) == digest
    assert alice.cinder.volumes.get(volume_id).metadata["role"] == "db"
    assert alice.image_digest(image_id) == image_digest
