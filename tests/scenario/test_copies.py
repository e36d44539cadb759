"""A copy of a checkpoint in another provider's bank does not depend on its source or on the protected resources."""

import json

import pytest

from tests.scenario.tenant import IMAGE, MIB, VOLUME, Tenant, path_of, random_bytes


@pytest.fixture
def things(cloud, alice):
    """A volume with 20 MiB of random data among zeros, and an image."""
    volume = alice.volume("data-1", metadata={"role": "db"})
    cloud.write_volume(volume.id, random_bytes(11, 20), offset=cloud.gib // 3)
    image = alice.image("golden", b"".join(random_bytes(12, 3)) + b"odd end")
    yield volume, image
    for volume_id in alice.volume_ids():
        alice.delete_volume(volume_id)
    for image_id in alice.belongings()["images"]:
        alice.glance.images.delete(image_id)


@pytest.mark.turn(2)
def test_a_copy_is_restored_after_its_source_and_the_resources_were_deleted(
    cloud, system, alice: Tenant, bob: Tenant, things
):
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
    assert alice.belongings() == belongings, "a copy creates nothing in the cloud"
    info = json.loads(copy["extra_info"])
    assert (info["source_checkpoint_id"], info["copy_status"]) == (sources[1]["id"], "finished")
    assert alice.copied(plan, system.file_provider) == []
    assert bob.call("GET", f"/providers/{system.file_provider}/checkpoints")["checkpoints"] == []
    assert bob.refused("GET", path_of(copy))[0] == 404

    for checkpoint in (*sources, first):
        alice.call("DELETE", path_of(checkpoint))
        assert alice.settled(checkpoint)["status"] == "deleted"
    alice.delete_volume(volume.id)
    alice.glance.images.delete(image.id)
    restored = alice.restored(copy)

    (volume_id,), (image_id,) = restored[VOLUME], restored[IMAGE]
    assert cloud.volume_digest(volume_id) == digest
    assert alice.cinder.volumes.get(volume_id).metadata["role"] == "db"
    assert alice.image_digest(image_id) == image_digest
