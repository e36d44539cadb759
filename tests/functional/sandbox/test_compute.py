"""Nova with python-novaclient: servers and their volumes."""

from typing import Any

import pytest
from cinderclient import exceptions as cinder_exceptions
from novaclient import exceptions

from tests.functional.sandbox.conftest import Clients, waiter


@pytest.fixture
def server(alice: Clients) -> Any:
    image = alice.image()
    created = alice.nova.servers.create("web", image.id, "1", nics="none", meta={"k": "v"})
    return alice.settled(alice.nova.servers, created.id, "ACTIVE")


def test_a_server(alice: Clients, server: Any) -> None:
    assert (server.name, server.metadata, server.flavor["original_name"]) == ("web", {"k": "v"}, "m1.tiny")
    assert alice.glance.images.get(server.image["id"]).status == "active"
    assert [listed.id for listed in alice.nova.servers.list(search_opts={"name": "web"})] == [server.id]
    assert [flavor.name for flavor in alice.nova.flavors.list()] == ["m1.tiny", "m1.small", "m1.medium"]


def test_an_attachment_is_shown_by_volume_and_server(alice: Clients, server: Any) -> None:
    volume = alice.volume()
    alice.nova.volumes.create_server_volume(server.id, volume.id)

    attached = alice.settled(alice.cinder.volumes, volume.id, "in-use")
    assert [a["server_id"] for a in attached.attachments] == [server.id]
    attached = getattr(alice.nova.servers.get(server.id), "os-extended-volumes:volumes_attached")
    assert [a["id"] for a in attached] == [volume.id]
    assert [a.volumeId for a in alice.nova.volumes.get_server_volumes(server.id)] == [volume.id]
    with pytest.raises(cinder_exceptions.BadRequest):
        alice.cinder.volumes.delete(volume.id)

    snapshot = alice.cinder.volume_snapshots.create(volume.id)
    alice.settled(alice.cinder.volume_snapshots, snapshot.id)
    alice.nova.volumes.delete_server_volume(server.id, volume.id)
    assert alice.settled(alice.cinder.volumes, volume.id).attachments == []


@pytest.mark.parametrize(
    ("version", "attached", "attachment"),
    [
        ("2.1", set(), {"id"}),
        ("2.3", {"delete_on_termination"}, {"id"}),
        ("2.79", {"delete_on_termination"}, {"id", "tag", "delete_on_termination"}),
        ("2.96", {"delete_on_termination"}, {"tag", "delete_on_termination", "attachment_id", "bdm_uuid"}),
    ],
)
def test_attributes_of_attachments_depend_on_the_microversion(
    alice: Clients, server: Any, version: str, attached: set[str], attachment: set[str]
) -> None:
    """The same attributes as Nova shows (its API reference, "Servers with volume attachments")."""
    volume = alice.volume()
    alice.nova.volumes.create_server_volume(server.id, volume.id)

    def get(path: str) -> Any:
        return alice.session.get(path, endpoint_filter={"service_type": "compute"}, microversion=version).json()

    (shown,) = get(f"/servers/{server.id}")["server"]["os-extended-volumes:volumes_attached"]
    assert set(shown) == {"id"} | attached
    (listed,) = get(f"/servers/{server.id}/os-volume_attachments")["volumeAttachments"]
    assert set(listed) == {"volumeId", "serverId", "device"} | attachment


def test_a_shelved_server_reserves_its_volumes_and_cinder_shows_no_attachment(alice: Clients, server: Any) -> None:
    volume = alice.volume()
    alice.nova.volumes.create_server_volume(server.id, volume.id)
    alice.nova.servers.shelve(server.id)
    shelved, reserved = alice.nova.servers.get(server.id), alice.cinder.volumes.get(volume.id)
    assert (shelved.status, reserved.status, reserved.attachments) == ("SHELVED_OFFLOADED", "reserved", [])
    assert [a["id"] for a in getattr(shelved, "os-extended-volumes:volumes_attached")] == [volume.id]


def test_deleting_a_server_releases_its_boot_volume(alice: Clients) -> None:
    volume = alice.volume()
    device = {"uuid": volume.id, "source_type": "volume", "destination_type": "volume", "boot_index": 0}
    created = alice.nova.servers.create("v", None, "1", nics="none", block_device_mapping_v2=[device])
    alice.settled(alice.nova.servers, created.id, "ACTIVE")
    assert alice.cinder.volumes.get(volume.id).status == "in-use"
    assert alice.nova.servers.get(created.id).image == ""

    alice.nova.servers.delete(created.id)
    waiter().until("no server", alice.nova.servers.list, done=lambda servers: not servers)
    assert alice.cinder.volumes.get(volume.id).status == "available"


def test_invalid_servers_are_refused(alice: Clients) -> None:
    device = {"uuid": "none-such", "source_type": "volume", "destination_type": "volume", "boot_index": 0}
    with pytest.raises(exceptions.BadRequest, match="Block Device Mapping"):
        alice.nova.servers.create("v", None, "1", nics="none", block_device_mapping_v2=[device])
    with pytest.raises(exceptions.BadRequest, match="requested image"):
        alice.nova.servers.create("v", "none-such", "1", nics="none")
    assert alice.nova.servers.list() == []


def test_servers_of_other_projects_are_not_found(bob: Clients, admin: Clients, server: Any) -> None:
    with pytest.raises(exceptions.NotFound):
        bob.nova.servers.get(server.id)
    assert bob.nova.servers.list(search_opts={"all_tenants": 1}) == []
    assert [listed.id for listed in admin.nova.servers.list(search_opts={"all_tenants": 1})] == [server.id]
