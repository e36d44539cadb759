"""Nova as python-novaclient sees it: servers and the volumes they hold."""

from typing import Any

import pytest
from cinderclient import exceptions as cinder_exceptions
from novaclient import exceptions

from tests.functional.sandbox.conftest import Clients, waiter


@pytest.fixture
def server(alice: Clients) -> Any:
    image = alice.image()
    made = alice.nova.servers.create("web", image.id, "1", nics="none", meta={"k": "v"})
    return alice.settled(alice.nova.servers, made.id, "ACTIVE")


def test_a_server(alice: Clients, server: Any) -> None:
    assert (server.name, server.metadata, server.flavor["original_name"]) == ("web", {"k": "v"}, "m1.tiny")
    assert alice.glance.images.get(server.image["id"]).status == "active"
    assert [found.id for found in alice.nova.servers.list(search_opts={"name": "web"})] == [server.id]
    assert [flavor.name for flavor in alice.nova.flavors.list()] == ["m1.tiny", "m1.small"]


def test_a_volume_knows_its_server_and_the_server_its_volume(alice: Clients, server: Any) -> None:
    volume = alice.volume()
    alice.nova.volumes.create_server_volume(server.id, volume.id)

    found = alice.settled(alice.cinder.volumes, volume.id, "in-use")
    assert [a["server_id"] for a in found.attachments] == [server.id]
    attached = getattr(alice.nova.servers.get(server.id), "os-extended-volumes:volumes_attached")
    assert [a["id"] for a in attached] == [volume.id]
    assert [a.volumeId for a in alice.nova.volumes.get_server_volumes(server.id)] == [volume.id]
    with pytest.raises(cinder_exceptions.BadRequest):
        alice.cinder.volumes.delete(volume.id)

    snapshot = alice.cinder.volume_snapshots.create(volume.id)
    alice.settled(alice.cinder.volume_snapshots, snapshot.id)
    alice.nova.volumes.delete_server_volume(server.id, volume.id)
    assert alice.settled(alice.cinder.volumes, volume.id).attachments == []


def test_a_server_from_a_volume_lets_it_go_when_it_is_deleted(alice: Clients) -> None:
    volume = alice.volume()
    device = {"uuid": volume.id, "source_type": "volume", "destination_type": "volume", "boot_index": 0}
    made = alice.nova.servers.create("v", None, "1", nics="none", block_device_mapping_v2=[device])
    alice.settled(alice.nova.servers, made.id, "ACTIVE")
    assert alice.cinder.volumes.get(volume.id).status == "in-use"
    assert alice.nova.servers.get(made.id).image == ""

    alice.nova.servers.delete(made.id)
    waiter().until("no server", alice.nova.servers.list, done=lambda found: not found, failed=lambda found: None)
    assert alice.cinder.volumes.get(volume.id).status == "available"


def test_bad_servers_are_refused(alice: Clients) -> None:
    device = {"uuid": "none-such", "source_type": "volume", "destination_type": "volume", "boot_index": 0}
    with pytest.raises(exceptions.BadRequest, match="Block Device Mapping"):
        alice.nova.servers.create("v", None, "1", nics="none", block_device_mapping_v2=[device])
    with pytest.raises(exceptions.BadRequest, match="requested image"):
        alice.nova.servers.create("v", "none-such", "1", nics="none")
    assert alice.nova.servers.list() == []


def test_foreign_servers_do_not_exist(bob: Clients, admin: Clients, server: Any) -> None:
    with pytest.raises(exceptions.NotFound):
        bob.nova.servers.get(server.id)
    assert bob.nova.servers.list(search_opts={"all_tenants": 1}) == []
    assert [found.id for found in admin.nova.servers.list(search_opts={"all_tenants": 1})] == [server.id]
