"""The main use case: volumes and an image are protected, deleted, and restored."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from karbor_like.clients.neutron import Neutron
from karbor_like.domain.resource import NETWORK, Resource
from tests.scenario.tenant import IMAGE, MIB, SERVER, VOLUME, Tenant, path_of, random_bytes, until

#: Fraction of the first volume that has random data. The rest is zeros.
DATA = 0.3
IMAGE_PROPERTIES = {"hw_disk_bus": "scsi", "os_distro": "debian", "note": "snow ❄"}


@pytest.fixture
def image_data(request):
    """The bytes of the image that a test protects."""
    return b"".join(random_bytes(f"{request.node.name} image", 5)) + b"odd end"


@pytest.fixture
def things(request, cloud, alice, image_data):
    """Two volumes, one with random data in its first third, and an image.

    Each test has different random data, because the tests share a bank, which stores equal blocks once.
    """
    test = request.node.name
    first = alice.volume("data-1", metadata={"role": "db"}, description="the first")
    second = alice.volume("data-2")
    cloud.write_volume(first.id, random_bytes(f"{test} first", _mebibytes(cloud)))
    cloud.write_volume(second.id, random_bytes(f"{test} second", 8), offset=_volume_bytes(cloud) // 2)
    image = alice.image("golden", image_data, min_disk=1, tags=["x"], **IMAGE_PROPERTIES)
    yield first, second, image
    for volume_id in alice.volume_ids():
        alice.delete_volume(volume_id)
    for image_id in alice.belongings()["images"]:
        alice.glance.images.delete(image_id)


def _volume_bytes(cloud) -> int:
    return cloud.size * cloud.gib


def _mebibytes(cloud) -> int:
    """Return the number of mebibytes of random data in the first volume."""
    return int(_volume_bytes(cloud) * DATA) // MIB


def _main_job(cloud, system, alice: Tenant, things, during_protect=lambda checkpoint: None) -> dict:
    first, second, image = things
    before = alice.belongings()
    digests = {volume.name: cloud.volume_digest(volume.id) for volume in (first, second)}
    image_digest = alice.image_digest(image.id)

    plan = alice.plan(system.provider, (VOLUME, first), (VOLUME, second), (IMAGE, image))
    checkpoint = alice.protect(plan)
    assert checkpoint["status"] == "protecting"
    during_protect(checkpoint)
    checkpoint = alice.settled(checkpoint)
    assert checkpoint["status"] == "available", json.dumps({**checkpoint, "protection_plan": None}, indent=1)
    assert alice.belongings() == before, "temporary cloud objects remain after protect"

    for volume in (first, second):
        alice.delete_volume(volume.id)
    alice.glance.images.delete(image.id)
    created = alice.restored(checkpoint)

    restored = {volume.name: volume for volume in map(alice.cinder.volumes.get, created[VOLUME])}
    assert {name: cloud.volume_digest(volume.id) for name, volume in restored.items()} == digests
    assert restored["data-1"].description == "the first"
    assert restored["data-1"].metadata["role"] == "db"
    assert {volume.size for volume in restored.values()} == {cloud.size}
    (image_id,) = created[IMAGE]
    assert alice.image_digest(image_id) == image_digest
    found = alice.glance.images.get(image_id)
    assert {name: found[name] for name in IMAGE_PROPERTIES} == IMAGE_PROPERTIES
    assert (found.name, found.min_disk, found.tags, found.disk_format) == ("golden", 1, ["x"], "raw")
    # A killed run may have left other objects.
    replaced = {"volumes": {first.id, second.id}, "images": {image.id}, "snapshots": set()}
    made = {"volumes": set(created[VOLUME]), "images": {image_id}, "snapshots": set()}
    assert alice.belongings() == {kind: before[kind] - replaced[kind] | made[kind] for kind in before}
    return checkpoint


def _delete(system, alice: Tenant, checkpoint: dict) -> None:
    assert alice.call("DELETE", path_of(checkpoint)) == {}
    assert alice.settled(checkpoint)["status"] == "deleted"
    remaining = [key for key in system.bank_keys() if checkpoint["id"] in key]
    # The collector removes the tombstone when no listing can include the checkpoint any more.
    assert remaining in ([], [f"checkpoints/{checkpoint['id']}/deleted"])


@pytest.mark.parametrize("time", ["first", pytest.param("again", marks=[pytest.mark.once, pytest.mark.turn(0)])])
def test_volumes_and_an_image_are_restored_bit_for_bit(cloud, system, alice, bob, things, time):
    checkpoint = _main_job(cloud, system, alice, things)
    _nobody_else_knows(bob, checkpoint)
    _delete(system, alice, checkpoint)


@pytest.mark.turn(1)
def test_a_killed_protection_service_continues_after_its_restart(full_size, cloud, system, alice, things):
    first = things[0]

    def kill(checkpoint):
        def bytes_done():
            progress = alice.checkpoint(checkpoint)["progress"]["resources"]
            return progress.get(f"{VOLUME}#{first.id}", {}).get("bytes_done") or 0

        assert until(bytes_done, lambda done: done > 0) < _volume_bytes(cloud), (
            "the volume was complete before the service was killed"
        )
        system.kill()
        system.start()

    checkpoint = _main_job(cloud, system, alice, things, kill)
    _delete(system, alice, checkpoint)


@pytest.mark.sandbox
def test_a_lost_site_is_restored_under_another_name(cloud, system, backing, alice, tmp_path):
    volume = alice.volume("precious")
    cloud.write_volume(volume.id, random_bytes("precious", 2))
    digest = cloud.volume_digest(volume.id)
    plan = alice.plan(system.file_provider, (VOLUME, volume))
    checkpoint = alice.protected(plan)
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("only one of the two people knows it\n")
    passphrase.chmod(0o600)
    words = ("--passphrase-file", str(passphrase), "--format", "json")
    archive = json.loads(system.manage("control", "backup", "--to", str(tmp_path), *words))["archive"]
    later = alice.protected(plan)
    alice.delete_volume(volume.id)

    system.kill()
    shutil.rmtree(system.directory / "providers.d")
    system.configuration.unlink()
    path = Path(backing.database_url.removeprefix("sqlite:///"))
    for lost in path.parent.glob(f"{path.name}*"):
        lost.unlink()

    report = json.loads(system.manage("control", "restore", archive, "--etc", str(system.directory), *words))
    assert report["files"] == 1 + len(list((system.directory / "providers.d").iterdir()))
    with system.configuration.open("a") as file:
        file.write("[service]\nhost = another\n")
    system.start()
    (restored,) = alice.restored(checkpoint)[VOLUME]
    assert cloud.volume_digest(restored) == digest
    alice.delete_volume(restored)

    def found() -> set[str]:
        listed = alice.call("GET", f"/providers/{system.file_provider}/checkpoints")["checkpoints"]
        return {row["id"] for row in listed}

    # The bank knows a checkpoint that is younger than the archive.
    assert later["id"] in until(found, lambda ids: later["id"] in ids)


def _nobody_else_knows(bob: Tenant, checkpoint: dict) -> None:
    """Assert that for another tenant, the objects look as if they did not exist."""
    provider = checkpoint["protection_plan"]["provider_id"]
    plan = checkpoint["protection_plan"]["id"]
    body = {"provider_id": provider, "checkpoint_id": checkpoint["id"], "parameters": {}}
    for method, path, sent in (
        ("GET", path_of(checkpoint), None),
        ("DELETE", path_of(checkpoint), None),
        ("PUT", path_of(checkpoint), {"os-resetState": {"state": "error"}}),
        ("GET", f"/plans/{plan}", None),
        ("PUT", f"/plans/{plan}", {"plan": {"name": "mine"}}),
        ("DELETE", f"/plans/{plan}", None),
        ("POST", f"/providers/{provider}/checkpoints", {"checkpoint": {"plan_id": plan}}),
        ("POST", "/restores", {"restore": body}),
    ):
        assert bob.refused(method, path, sent)[0] == 404, (method, path)
    assert bob.call("GET", f"/providers/{provider}/checkpoints")["checkpoints"] == []
    assert bob.call("GET", "/plans")["plans"] == []


@pytest.mark.turn(0)
def test_a_second_checkpoint_stores_only_what_changed(cloud, system, alice, things):
    first = things[0]
    plan = alice.plan(system.provider, (VOLUME, first))
    full = alice.protected(plan)
    assert full["status"] == "available", full
    assert full["new_bytes"] >= _mebibytes(cloud) * MIB
    cloud.write_volume(first.id, random_bytes("what changed", 1), offset=7 * MIB)
    digest = cloud.volume_digest(first.id)
    second = alice.protected(plan)
    assert second["new_bytes"] == MIB
    _delete(system, alice, full)
    (volume_id,) = alice.restored(second)[VOLUME]
    assert cloud.volume_digest(volume_id) == digest, "a checkpoint does not depend on the previous one"


def test_the_digest_of_an_image_covers_its_bytes(alice, things, image_data):
    assert alice.image_digest(things[2].id) == hashlib.sha256(image_data).hexdigest()


def test_a_plan_gives_no_access_to_an_administrators_volumes(cloud, system, bob):
    """Bob's plan contains a volume of the administrator, who then protects the plan."""
    admin = Tenant(cloud, "admin")
    theirs, mine = admin.volume("secret"), bob.volume("own")
    before = admin.belongings()
    try:
        for volume in (theirs, mine):
            plan = bob.plan(system.provider, (VOLUME, volume))
            body = {"checkpoint": {"plan_id": plan["id"], "extra-info": None}}
            status, message = admin.refused("POST", f"/providers/{system.provider}/checkpoints", body)
            assert (status, "token for that project" in message) == (403, True), message
            assert bob.call("GET", f"/providers/{system.provider}/checkpoints") == {"checkpoints": []}
            bob.call("DELETE", f"/plans/{plan['id']}")
        assert admin.belongings() == before
    finally:
        admin.delete_volume(theirs.id)
        bob.delete_volume(mine.id)


def test_a_project_is_protected_without_what_cannot_be(cloud, system, alice, things):
    """The provider has no plugin for projects, which have no data of their own."""
    first, second, image = things
    empty = alice.glance.images.create(name="never filled", disk_format="raw", container_format="bare")
    admin = Tenant(cloud, "admin")
    admin.cinder.volumes.reset_state(second.id, "error")
    try:
        resource = {"type": "OS::Keystone::Project", "id": alice.session.get_project_id(), "name": "alice"}
        plan = alice.plan(system.provider, resources=[resource])
        checkpoint = alice.protected(plan)
    finally:
        admin.cinder.volumes.reset_state(second.id, "available")

    assert checkpoint["status"] == "available", checkpoint
    reasons = {entry["id"]: entry["reason"] for entry in checkpoint["left_out"]}
    assert reasons == {second.id: "it is in state 'error'", empty.id: "it is in state 'queued'"}
    assert all(f"{key} " in checkpoint["reason"] for key in reasons)
    created = alice.restored(checkpoint)
    assert {kind: len(ids) for kind, ids in created.items()} == {VOLUME: 1, IMAGE: 1}
    assert cloud.volume_digest(created[VOLUME][0]) == cloud.volume_digest(first.id)
    assert alice.image_digest(created[IMAGE][0]) == alice.image_digest(image.id)


@pytest.fixture
def server(alice, things):
    """A server that was booted from the image and has the second volume."""
    _, volume, image = things
    server = alice.server("web", image, volume)
    yield server
    if server.id in [left.id for left in alice.nova.servers.list()]:
        alice.delete_server(server.id)


@pytest.mark.once
@pytest.mark.turn(2)
def test_the_volume_and_the_image_of_a_server_are_restored(cloud, system, alice, things, image_data, server):
    """The server itself is left out, because the provider has no plugin for servers."""
    other, volume, image = things
    alice.delete_volume(other.id)
    shown = alice.call("GET", f"/protectables/{SERVER}/instances/{server.id}")["instance"]
    assert (shown["name"], {child["id"] for child in shown["dependent_resources"]}) == ("web", {volume.id, image.id})

    project = {"type": "OS::Keystone::Project", "id": alice.session.get_project_id(), "name": "alice"}
    before = alice.belongings()
    checkpoint = alice.protected(alice.plan(system.provider, resources=[project]))
    assert checkpoint["status"] == "available", checkpoint
    assert server.id in [entry["id"] for entry in checkpoint["left_out"]]
    assert SERVER in checkpoint["reason"]
    assert alice.belongings() == before, "temporary cloud objects remain after protect"

    alice.delete_server(server.id)
    digest = cloud.volume_digest(volume.id)
    alice.delete_volume(volume.id)
    alice.glance.images.delete(image.id)
    created = alice.restored(checkpoint)
    # The project may have other volumes and images, which a killed run left.
    assert digest in [cloud.volume_digest(volume_id) for volume_id in created[VOLUME]]
    assert hashlib.sha256(image_data).hexdigest() in [alice.image_digest(image_id) for image_id in created[IMAGE]]


def test_the_networks_of_a_project_are_restored(cloud, system, alice):
    neutron = Neutron("2.0", session=alice.session, service_type="network")
    project = alice.session.get_project_id()
    made = _small_network(neutron)
    before = {kind: neutron.show(kind, made[kind]) for kind in made}

    topology = Resource(NETWORK, project, "Network Topology")
    checkpoint = alice.protected(alice.plan(system.workload_provider, (NETWORK, topology)))
    assert checkpoint["status"] == "available", checkpoint
    kept = made.pop("security-groups")
    _remove(neutron, made)
    assert alice.restored(checkpoint)[NETWORK] == [project]

    restored = {}
    for kind, original in before.items():
        (restored[kind],) = [each["id"] for each in neutron.list(kind, name=original["name"], project_id=project)]
    assert restored["security-groups"] == kept, "it still exists, and is reused"
    port, original = (found["ports"] for found in ({k: neutron.show(k, v) for k, v in restored.items()}, before))
    for name in ("mac_address", "security_groups", "description", "admin_state_up"):
        assert port[name] == original[name]
    assert [fixed["ip_address"] for fixed in port["fixed_ips"]] == ["10.11.0.77"]
    (interface,) = neutron.list("ports", device_id=restored["routers"])
    assert [fixed["ip_address"] for fixed in interface["fixed_ips"]] == ["10.11.0.1"]
    _remove(neutron, restored)


def _small_network(neutron: Neutron) -> dict[str, str]:
    """Create a network with a subnet behind a router, and a port in a group. Return the ids by collection."""
    made = {"networks": neutron.create("networks", {"name": "scene-net"})["id"]}
    subnet = {"name": "scene-subnet", "network_id": made["networks"], "ip_version": 4, "cidr": "10.11.0.0/24"}
    made["subnets"] = neutron.create("subnets", {**subnet, "enable_dhcp": False})["id"]
    made["routers"] = neutron.create("routers", {"name": "scene-router"})["id"]
    neutron.call("routers", made["routers"], "add_router_interface", {"subnet_id": made["subnets"]})
    made["security-groups"] = neutron.create("security-groups", {"name": "scene-group"})["id"]
    port = {"name": "scene-port", "description": "a port", "network_id": made["networks"]}
    port["fixed_ips"] = [{"subnet_id": made["subnets"], "ip_address": "10.11.0.77"}]
    made["ports"] = neutron.create("ports", {**port, "security_groups": [made["security-groups"]]})["id"]
    return made


def _remove(neutron: Neutron, made: dict[str, str]) -> None:
    neutron.call("routers", made["routers"], "remove_router_interface", {"subnet_id": made["subnets"]})
    for kind in ("ports", "routers", "networks", "security-groups"):
        if kind in made:
            neutron.delete(kind, made[kind])
