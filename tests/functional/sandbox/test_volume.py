"""Cinder with python-cinderclient."""

import io
import os
from typing import Any

import pytest
from cinderclient import exceptions

from karbor_like.sandbox.cloud import Sandbox
from tests.functional.sandbox.conftest import GIBIBYTE, Clients, waiter

DATA = os.urandom(5 << 20)


def gone(manager: Any, key: str) -> None:
    def exists() -> bool:
        try:
            return manager.get(key) is not None
        except exceptions.NotFound:
            return False

    waiter().until(f"{key} to be deleted", exists, done=lambda exists: not exists)


@pytest.fixture
def volume(cloud: Sandbox, alice: Clients) -> Any:
    """A volume of alice that starts with DATA and has some more data at its end."""
    created = alice.volume(name="data", description="what is kept", metadata={"colour": "red"})
    cloud.write_volume(created.id, DATA)
    cloud.write_volume(created.id, DATA[:1000], offset=GIBIBYTE - 1000)
    return created


def test_a_new_volume_is_empty(cloud: Sandbox, alice: Clients) -> None:
    volume = alice.volume(2, name="n", metadata={"a": "b"})

    assert (volume.size, volume.name, volume.metadata, volume.bootable) == (2, "n", {"a": "b"}, "false")
    assert volume.attachments == []
    assert all(chunk == bytes(len(chunk)) for chunk in cloud.read_volume(volume.id))


def test_microversions(alice: Clients, cloud: Sandbox) -> None:
    url = f"{cloud.url}/volume/v3/{alice.session.get_project_id()}/volumes"
    answer = alice.session.get(url, headers={"OpenStack-API-Version": "volume 3.43"})
    assert answer.headers["OpenStack-API-Version"] == "volume 3.43"
    bad = {"OpenStack-API-Version": "volume 3.999"}
    assert alice.session.post(url, json={"volume": {"size": 1}}, headers=bad, raise_exc=False).status_code == 406
    assert alice.session.get(f"{cloud.url}/volume/v3/volumes/detail").json() == {"volumes": []}


def test_data_is_unchanged_after_protection_and_restore(cloud: Sandbox, alice: Clients, volume: Any) -> None:
    """The data is the same after snapshot, volume, image, download, upload, and volume."""
    digest = cloud.volume_digest(volume.id)
    snapshot = alice.cinder.volume_snapshots.create(volume.id, name="s", metadata={"by": "test"})
    alice.settled(alice.cinder.volume_snapshots, snapshot.id)
    cloud.write_volume(volume.id, bytes(len(DATA)))
    temporary = alice.volume(snapshot_id=snapshot.id)
    assert cloud.volume_digest(temporary.id) == digest

    _, body = alice.cinder.volumes.upload_to_image(temporary.id, False, "i", "bare", "raw", "private", False)
    image_id = body["os-volume_upload_image"]["image_id"]
    image = alice.settled(alice.glance.images, image_id, "active")
    assert (image.size, image.name, image.visibility) == (GIBIBYTE, "i", "private")
    alice.settled(alice.cinder.volumes, temporary.id)

    alice.cinder.volumes.delete(temporary.id)
    gone(alice.cinder.volumes, temporary.id)
    alice.cinder.volume_snapshots.delete(snapshot.id)
    gone(alice.cinder.volume_snapshots, snapshot.id)

    restored = alice.volume(imageRef=image_id, name="again")
    assert cloud.volume_digest(restored.id) == digest
    assert restored.bootable == "true"
    assert restored.volume_image_metadata["image_id"] == image_id


def test_a_volume_from_a_volume(cloud: Sandbox, alice: Clients, volume: Any) -> None:
    copy = alice.volume(2, source_volid=volume.id)
    assert next(cloud.read_volume(copy.id)) == DATA[: 1 << 20]
    assert copy.size == 2


def test_lists(alice: Clients, volume: Any) -> None:
    other = alice.volume(name="other", metadata={"colour": "blue"})
    volumes = alice.cinder.volumes

    def ids(**search: Any) -> list[str]:
        return [listed.id for listed in volumes.list(search_opts=search)]

    assert ids() == [other.id, volume.id]
    assert ids(name="data") == ids(metadata={"colour": "red"}) == [volume.id]
    assert ids(status="creating") == []
    assert [listed.id for listed in volumes.list(sort="created_at:asc", limit=1)] == [volume.id]
    assert [listed.id for listed in volumes.list(marker=other.id)] == [volume.id]
    assert volumes.find(name="data").id == volume.id

    snapshot = alice.cinder.volume_snapshots.create(volume.id, metadata={"k": "v"})
    snapshots = alice.cinder.volume_snapshots.list(search_opts={"volume_id": volume.id, "metadata": {"k": "v"}})
    assert [listed.id for listed in snapshots] == [snapshot.id]


def test_update_and_metadata(alice: Clients, volume: Any) -> None:
    alice.cinder.volumes.update(volume.id, name="new", description="d")
    alice.cinder.volumes.set_metadata(volume.id, {"more": "1"})
    alice.cinder.volumes.delete_metadata(volume.id, ["colour"])
    alice.cinder.volumes.set_bootable(volume.id, True)

    shown = alice.cinder.volumes.get(volume.id)
    assert (shown.name, shown.description, shown.metadata, shown.bootable) == ("new", "d", {"more": "1"}, "true")


def test_a_volume_in_use_cannot_be_deleted(alice: Clients, volume: Any) -> None:
    snapshot = alice.cinder.volume_snapshots.create(volume.id)
    alice.settled(alice.cinder.volume_snapshots, snapshot.id)
    with pytest.raises(exceptions.BadRequest, match="have snapshots"):
        alice.cinder.volumes.delete(volume.id)

    alice.cinder.volumes.delete(volume.id, cascade=True)
    gone(alice.cinder.volumes, volume.id)
    gone(alice.cinder.volume_snapshots, snapshot.id)


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"size": 0}, 400),
        ({"size": "many"}, 400),
        ({"size": 1, "imageRef": "00000000-0000-0000-0000-000000000000"}, 400),
        ({"size": 1, "snapshot_id": "00000000-0000-0000-0000-000000000000"}, 404),
        ({"size": 1, "volume_type": "none-such"}, 404),
        ({"size": 1, "name": "n" * 256}, 400),
        ({"size": 1, "metadata": {"k": 1}}, 400),
    ],
)
def test_invalid_volumes_are_refused(alice: Clients, values: dict[str, Any], status: int) -> None:
    url = f"{alice.session.get_endpoint(service_type='volumev3')}/volumes"
    answer = alice.session.post(url, json={"volume": values}, raise_exc=False)
    assert answer.status_code == status
    assert alice.cinder.volumes.list() == []


def test_a_volume_in_error_cannot_be_snapshotted(alice: Clients, admin: Clients, volume: Any) -> None:
    admin.cinder.volumes.reset_state(volume.id, "error")
    with pytest.raises(exceptions.BadRequest, match="when the volume is in error status"):
        alice.cinder.volume_snapshots.create(volume.id)
    with pytest.raises(exceptions.Forbidden):
        alice.cinder.volumes.reset_state(volume.id, "available")


def test_a_volume_must_be_large_enough_for_its_image(alice: Clients) -> None:
    image = alice.image(io.BytesIO(b"x"), min_disk=3)
    with pytest.raises(exceptions.BadRequest, match="cannot be smaller than 3GB"):
        alice.cinder.volumes.create(1, imageRef=image.id)


def test_an_image_that_cannot_be_written_ends_in_error_with_a_message(alice: Clients) -> None:
    image = alice.image(b"QFI", disk_format="qcow2")
    volume = alice.cinder.volumes.create(1, imageRef=image.id)
    alice.settled(alice.cinder.volumes, volume.id, "error")

    (message,) = alice.cinder.messages.list(search_opts={"resource_uuid": volume.id})
    assert "qcow2" in message.user_message


def test_volumes_of_other_projects_are_not_found(
    cloud: Sandbox, alice: Clients, bob: Clients, admin: Clients, volume: Any
) -> None:
    snapshot = alice.cinder.volume_snapshots.create(volume.id)
    for call, key in (
        (bob.cinder.volumes.get, volume.id),
        (bob.cinder.volumes.delete, volume.id),
        (bob.cinder.volume_snapshots.get, snapshot.id),
        (bob.cinder.volume_snapshots.create, volume.id),
    ):
        with pytest.raises(exceptions.NotFound):
            call(key)
    with pytest.raises(exceptions.NotFound):
        bob.cinder.volumes.create(1, source_volid=volume.id)
    assert bob.cinder.volumes.list(search_opts={"all_tenants": 1}) == []
    url = f"{cloud.url}/volume/v3/{alice.session.get_project_id()}/volumes/detail"
    assert bob.session.get(url, raise_exc=False).status_code == 403

    assert admin.cinder.volumes.list() == []
    assert [listed.id for listed in admin.cinder.volumes.list(search_opts={"all_tenants": 1})] == [volume.id]


def test_services_types_and_zones(alice: Clients, admin: Clients) -> None:
    assert {service.state for service in admin.cinder.services.list()} == {"up"}
    with pytest.raises(exceptions.Forbidden):
        alice.cinder.services.list()
    assert [kind.name for kind in alice.cinder.volume_types.list()] == ["sandbox", "sandbox-fast"]
    assert alice.cinder.volume_types.default().name == "sandbox"
    assert [zone.zoneName for zone in alice.cinder.availability_zones.list()] == ["nova"]


def test_a_snapshot_is_kept_when_its_volumes_are_deleted(alice: Clients, volume: Any) -> None:
    snapshot = alice.cinder.volume_snapshots.create(volume.id)
    alice.settled(alice.cinder.volume_snapshots, snapshot.id)
    created = alice.volume(snapshot_id=snapshot.id)
    with pytest.raises(exceptions.BadRequest, match="dependent volumes"):
        alice.cinder.volume_snapshots.delete(snapshot.id)

    alice.cinder.volumes.delete(created.id)
    gone(alice.cinder.volumes, created.id)
    alice.cinder.volume_snapshots.delete(snapshot.id)
    gone(alice.cinder.volume_snapshots, snapshot.id)


def test_flags_and_image_metadata(alice: Clients, volume: Any) -> None:
    volumes = alice.cinder.volumes
    volumes.update_readonly_flag(volume.id, True)
    volumes.set_image_metadata(volume, {"os": "linux", "left": "yes"})
    volumes.delete_image_metadata(volume, ["os"])

    shown = volumes.get(volume.id)
    assert shown.metadata["readonly"] == "True"
    assert shown.volume_image_metadata == {"left": "yes"}


def snapshot_of(user: Clients, volume_id: str) -> Any:
    return user.settled(user.cinder.volume_snapshots, user.cinder.volume_snapshots.create(volume_id).id)


def test_a_volume_is_reverted_to_its_latest_snapshot(cloud: Sandbox, alice: Clients, volume: Any) -> None:
    volumes, snapshots = alice.cinder.volumes, alice.cinder.volume_snapshots
    with pytest.raises(exceptions.BadRequest, match=f"Volume {volume.id} doesn't have any snapshots"):
        volumes.revert_to_snapshot(volume, volume)
    older, latest = snapshot_of(alice, volume.id), snapshot_of(alice, volume.id)
    digest = cloud.volume_digest(volume.id)
    cloud.write_volume(volume.id, b"changed")
    with pytest.raises(exceptions.BadRequest, match=f"Specified snapshot {older.id} is None or not the latest one"):
        volumes.revert_to_snapshot(volume, older)
    held = cloud.fault(service="volume", method="POST", path="/action$", kind="hold")
    volumes.revert_to_snapshot(volume, latest)
    assert (volumes.get(volume.id).status, snapshots.get(latest.id).status) == ("reverting", "restoring")
    with pytest.raises(exceptions.ClientException, match="Volume's status must be 'available'") as caught:
        volumes.revert_to_snapshot(volume, latest)
    assert caught.value.code == 409
    cloud.clear_faults(held)
    alice.settled(volumes, volume.id)
    assert cloud.volume_digest(volume.id) == digest

    cloud.fault(service="volume", method="POST", path="/action$", kind="error")
    volumes.revert_to_snapshot(volume, latest)
    alice.settled(volumes, volume.id, "error")
    assert snapshots.get(latest.id).status == "available"


def test_a_cascade_deletes_snapshots_that_nothing_uses(cloud: Sandbox, alice: Clients, volume: Any) -> None:
    snapshot = snapshot_of(alice, volume.id)
    held = cloud.fault(service="volume", method="POST", path="/backups$", kind="hold")
    alice.cinder.backups.create(volume.id, snapshot_id=snapshot.id)
    with pytest.raises(exceptions.BadRequest, match="must not be migrating"):
        alice.cinder.volumes.delete(volume.id, cascade=True)
    cloud.clear_faults(held)
    alice.settled(alice.cinder.volume_snapshots, snapshot.id)
    held = cloud.fault(service="volume", method="DELETE", kind="hold")
    alice.cinder.volumes.delete(volume.id, cascade=True)
    assert alice.cinder.volume_snapshots.get(snapshot.id).status == "deleting"
    cloud.clear_faults(held)
    gone(alice.cinder.volumes, volume.id)
    gone(alice.cinder.volume_snapshots, snapshot.id)
