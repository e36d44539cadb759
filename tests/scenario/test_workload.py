"""Workloads are protected as projects, deleted, and restored.

The large one has two servers with their disks, networks, groups and a key. Heat can express all of the small one.
"""

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from cinderclient import client as cinderclient
from heatclient import client as heatclient
from novaclient import client as novaclient

from karbor_like.clients.neutron import Neutron
from karbor_like.domain.resource import KEY_PAIR, NETWORK, PROJECT, SERVER, VOLUME
from tests.scenario.tenant import FLAVOR, MIB, Tenant, random_bytes, restore_of, until

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS alice@laptop"
#: Collections of Neutron, in an order in which their objects can be deleted.
COLLECTIONS = ("floatingips", "ports", "routers", "networks", "security-groups")


@dataclasses.dataclass
class Workload:
    """What the test made, and how it looked."""

    web: str
    db: str
    servers: dict[str, dict[str, Any]]
    digests: dict[str, str]
    networks: dict[str, Any]


class Clients:
    """A tenant's clients of Nova and Neutron."""

    def __init__(self, cloud: Any, tenant: Tenant) -> None:
        self.cloud = cloud
        self.tenant = tenant
        self.project = tenant.session.get_project_id()
        self.nova = novaclient.Client("2.96", session=tenant.session)
        self.neutron = Neutron("2.0", session=tenant.session, service_type="network")
        self.heat = heatclient.Client("1", session=tenant.session, service_type="orchestration")

    def own(self, collection: str) -> list[dict[str, Any]]:
        return self.neutron.list(collection, project_id=self.project)

    def settled(self, server_id: str, status: str = "ACTIVE") -> Any:
        server = until(lambda: self.nova.servers.get(server_id), lambda s: s.status in (status, "ERROR"))
        assert server.status == status, server.to_dict()
        return server

    def server_looks(self, server: Any) -> dict[str, Any]:
        """Return what must be the same after a restore."""
        shown = server.to_dict()
        names = ("description", "metadata", "tags", "key_name", "OS-EXT-SRV-ATTR:hostname", "flavor", "config_drive")
        volumes = self.nova.volumes.get_server_volumes(server.id)
        ports = self.neutron.list("ports", device_id=server.id)
        groups = {group["id"]: group["name"] for group in self.own("security-groups")}
        return {
            **{name: shown[name] for name in names},
            "server groups": [self.nova.server_groups.get(each).name for each in shown["server_groups"]],
            "volumes": [
                (each.device, each.delete_on_termination, self._volume_name(each.volumeId)) for each in volumes
            ],
            "ports": [
                (
                    port["name"],
                    port["mac_address"],
                    [fixed["ip_address"] for fixed in port["fixed_ips"]],
                    sorted(groups[group] for group in port["security_groups"]),
                    port["allowed_address_pairs"],
                )
                for port in ports
            ],
        }

    def _volume_name(self, volume_id: str) -> str:
        return self.tenant.cinder.volumes.get(volume_id).name

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of all volumes, by their names."""
        return {each.name: self.cloud.volume_digest(each.id) for each in self.tenant.cinder.volumes.list()}

    def network_looks(self) -> dict[str, Any]:
        """Return the topology by names, without ids."""
        subnets = {each["id"]: each for each in self.own("subnets")}
        groups = {each["id"]: each for each in self.own("security-groups")}
        rules = {
            group["name"]: sorted(
                str([rule[name] for name in ("direction", "ethertype", "protocol", "port_range_min", "port_range_max")])
                + str(groups.get(rule["remote_group_id"], {}).get("name"))
                for rule in group["security_group_rules"]
            )
            for group in groups.values()
        }
        routers = {}
        for router in self.own("routers"):
            inside = self.neutron.list("ports", device_id=router["id"], device_owner="network:router_interface")
            fixed = [
                (subnets[each["subnet_id"]]["name"], each["ip_address"]) for p in inside for each in p["fixed_ips"]
            ]
            gateway = router["external_gateway_info"]
            routers[router["name"]] = (sorted(fixed), bool(gateway), router["routes"])
        return {
            "networks": sorted(network["name"] for network in self.own("networks")),
            "subnets": sorted((each["name"], each["cidr"], each["gateway_ip"]) for each in subnets.values()),
            "groups": rules,
            "routers": routers,
            "floating IPs": len(self.own("floatingips")),
        }

    def counts(self) -> dict[str, int]:
        """Return the number of the tenant's objects of every kind."""
        found = {kind: len(ids) for kind, ids in self.tenant.belongings().items()}
        found |= {kind: len(self.own(kind)) for kind in (*COLLECTIONS, "subnets")}
        found |= {"servers": len(self.nova.servers.list()), "keys": len(self.nova.keypairs.list())}
        found |= {"stacks": len(self.stacks())}
        return found | {"server groups": len(self.nova.server_groups.list())}

    def stacks(self) -> list[Any]:
        return [*self.heat.stacks.list()]

    def delete_stacks(self) -> None:
        for stack in self.stacks():
            self.heat.stacks.delete(stack.id)
        assert until(self.stacks, lambda stacks: not stacks) == []

    def stack_resources(self, status: str) -> list[Any]:
        """Return the resources of all stacks that have a status."""
        listed = [each for stack in self.stacks() for each in self.heat.resources.list(stack.id)]
        return [each for each in listed if each.resource_status == status]

    def delete_everything(self) -> None:
        self.delete_stacks()
        for server in self.nova.servers.list():
            self.tenant.delete_server(server.id)
        for volume_id in self.tenant.volume_ids():
            self.tenant.delete_volume(volume_id)
        for image_id in self.tenant.belongings()["images"]:
            self.tenant.glance.images.delete(image_id)
        for group in self.nova.server_groups.list():
            self.nova.server_groups.delete(group.id)
        for pair in self.nova.keypairs.list():
            self.nova.keypairs.delete(pair)
        for router in self.own("routers"):
            self.neutron.update("routers", router["id"], {"routes": []})
        for collection in COLLECTIONS:
            for each in self.own(collection):
                if each.get("device_owner") == "network:router_interface":
                    self.neutron.call("routers", each["device_id"], "remove_router_interface", {"port_id": each["id"]})
                elif each["name"] != "default" if collection == "security-groups" else True:
                    self.neutron.delete(collection, each["id"])


@pytest.fixture
def external(cloud: Any) -> Iterator[str]:
    """The id of an external network."""
    neutron = Neutron("2.0", session=cloud.session("admin"), service_type="network")
    network = neutron.create("networks", {"name": "outside", "router:external": True})["id"]
    subnet = {"network_id": network, "ip_version": 4, "cidr": "192.0.2.0/24", "enable_dhcp": False}
    neutron.create("subnets", subnet)
    yield network
    neutron.delete("networks", network)


@pytest.fixture
def clients(cloud: Any, alice: Tenant, external: str) -> Iterator[Clients]:
    clients = Clients(cloud, alice)
    clients.delete_everything()  # a killed run may have left something
    yield clients
    clients.delete_everything()


@pytest.fixture
def workload(clients: Clients, cloud: Any, alice: Tenant, external: str) -> Workload:
    neutron, nova = clients.neutron, clients.nova
    network = neutron.create("networks", {"name": "inner"})["id"]
    subnet = {"name": "inner-4", "network_id": network, "ip_version": 4, "cidr": "10.0.3.0/24", "enable_dhcp": False}
    subnet_id = neutron.create("subnets", subnet)["id"]
    router = neutron.create("routers", {"name": "edge", "external_gateway_info": {"network_id": external}})["id"]
    neutron.call("routers", router, "add_router_interface", {"subnet_id": subnet_id})
    neutron.update("routers", router, {"routes": [{"destination": "10.9.0.0/16", "nexthop": "10.0.3.200"}]})
    groups = {name: neutron.create("security-groups", {"name": name})["id"] for name in ("front", "back")}
    for own, other in (("front", "back"), ("back", "front")):  # they refer to each other
        rule = {"direction": "ingress", "protocol": "tcp", "port_range_min": 5432, "port_range_max": 5432}
        rule |= {"security_group_id": groups[own], "remote_group_id": groups[other]}
        neutron.create("security-group-rules", rule)
    closed = neutron.show("security-groups", groups["back"])
    for rule in closed["security_group_rules"]:
        if rule["direction"] == "egress":
            neutron.delete("security-group-rules", rule["id"])
    ports = {}
    for name, address in (("web", "10.0.3.10"), ("db", "10.0.3.20")):
        port = {
            "name": f"{name}-port",
            "network_id": network,
            "fixed_ips": [{"subnet_id": subnet_id, "ip_address": address}],
        }
        port |= {"security_groups": [groups["front" if name == "web" else "back"]]}
        port |= {"allowed_address_pairs": [{"ip_address": "10.0.3.99"}]} if name == "web" else {}
        ports[name] = neutron.create("ports", port)["id"]
    neutron.create("floatingips", {"floating_network_id": external, "port_id": ports["web"]})

    nova.keypairs.create("laptop", public_key=PUBLIC_KEY)
    group = nova.server_groups.create("apart", "soft-anti-affinity").id
    image = alice.image("base", b"".join(random_bytes("base image", 1)))
    root = alice.volume("db-root", imageRef=image.id)
    data = alice.volume("db-data")
    cloud.write_volume(data.id, random_bytes("workload data", 3), offset=MIB)
    common = {"key_name": "laptop", "scheduler_hints": {"group": group}}
    web = nova.servers.create(
        "web",
        image.id,
        FLAVOR,
        nics=[{"port-id": ports["web"], "tag": "front"}],
        meta={"role": "web"},
        tags=["blue"],
        description="what customers see",
        hostname="www",
        userdata=b"#!/bin/sh\necho secret\n",
        config_drive=True,
        **common,
    )
    devices = [
        {"uuid": root.id, "source_type": "volume", "destination_type": "volume", "boot_index": 0, "device_name": "vda"},
        {
            "uuid": data.id,
            "source_type": "volume",
            "destination_type": "volume",
            "boot_index": -1,
            "device_name": "vdc",
        },
    ]
    db = nova.servers.create(
        "db", None, FLAVOR, nics=[{"port-id": ports["db"]}], block_device_mapping_v2=devices, **common
    )
    servers = {name: clients.settled(server.id) for name, server in (("web", web), ("db", db))}
    looks = {name: clients.server_looks(server) for name, server in servers.items()}
    return Workload(web.id, db.id, looks, clients.digests(), clients.network_looks())


@pytest.fixture
def small(clients: Clients, alice: Tenant) -> dict[str, Any]:
    """A server that boots from an image, with a port in a network of its own. Return how it looks."""
    return make_small(clients, alice)


def make_small(clients: Clients, alice: Tenant, volumes: Sequence[Any] = ()) -> dict[str, Any]:
    neutron = clients.neutron
    network = neutron.create("networks", {"name": "lone"})["id"]
    subnet = {"name": "lone-4", "network_id": network, "ip_version": 4, "cidr": "10.0.4.0/24", "enable_dhcp": False}
    neutron.create("subnets", subnet)
    group = neutron.create("security-groups", {"name": "shut"})["id"]
    rule = {"security_group_id": group, "direction": "ingress", "protocol": "tcp", "port_range_min": 22}
    neutron.create("security-group-rules", {**rule, "port_range_max": 22, "remote_ip_prefix": "10.0.4.0/24"})
    port = neutron.create("ports", {"name": "lone-port", "network_id": network, "security_groups": [group]})["id"]
    image = alice.image("base", b"".join(random_bytes("base image", 1)))
    disk = {"source_type": "volume", "destination_type": "volume", "boot_index": -1, "delete_on_termination": False}
    disks = [{**disk, "uuid": volume.id} for volume in volumes]
    values = {"nics": [{"port-id": port}], "block_device_mapping_v2": disks or None, "tags": ["green"]}
    server = clients.settled(clients.nova.servers.create("lone", image.id, FLAVOR, **values).id)
    return look(clients, server)


def look(clients: Clients, server: Any) -> dict[str, Any]:
    return {"server": clients.server_looks(server), "network": clients.network_looks(), "digests": clients.digests()}


def protect_project(
    system: Any, alice: Tenant, clients: Clients, provider_id: str | None = None, **values: Any
) -> dict[str, Any]:
    project = {"type": PROJECT, "id": clients.project, "name": "alice"}
    before = clients.counts()
    checkpoint = alice.protected(alice.plan(provider_id or system.workload_provider, resources=[project], **values))
    assert checkpoint["status"] == "available", checkpoint
    assert "left_out" not in checkpoint or checkpoint["left_out"] == [], checkpoint
    assert clients.counts() == before, "temporary cloud objects remain after protect"
    return checkpoint


def check_restored(
    cloud: Any, alice: Tenant, clients: Clients, workload: Workload, created: dict[str, list[str]]
) -> None:
    assert len(created[SERVER]) == 2
    servers = {server.name: server for server in map(clients.settled, created[SERVER])}
    assert {name: clients.server_looks(server) for name, server in servers.items()} == workload.servers
    assert clients.digests() == workload.digests
    assert clients.network_looks() == workload.networks
    image = alice.glance.images.get(servers["web"].image["id"])
    block = hashlib.sha256(workload.web.encode()).digest()  # both clouds repeat it on a server's root disk
    expected = hashlib.sha256(block * (image.size // len(block))).hexdigest()
    assert (image.size >= MIB, alice.image_digest(image.id)) == (True, expected)
    admin = novaclient.Client("2.96", session=cloud.session("admin"))
    shown = admin.servers.get(servers["web"].id).to_dict()
    assert shown["OS-EXT-SRV-ATTR:user_data"] == "IyEvYmluL3NoCmVjaG8gc2VjcmV0Cg=="
    assert created[KEY_PAIR] == ["laptop"]
    assert created[NETWORK] == [clients.project]


@pytest.mark.once
@pytest.mark.turn(1)
def test_a_project_is_restored_after_its_loss(cloud, system, alice, clients, workload):
    parameters = {f"{SERVER}#{workload.db}": {"consistency": "nova-snapshot"}}
    checkpoint = protect_project(system, alice, clients, parameters=parameters)
    clients.delete_everything()
    empty = clients.counts()

    plan = alice.restore(checkpoint, dry_run=True)
    assert plan["status"] == "success", plan
    assert {line["action"] for line in plan["plan"]["actions"]} <= {"create", "reuse", "skip"}, plan["plan"]
    assert plan["plan"]["bytes"] > 3 * MIB
    assert "echo" not in str(plan)
    quotas = {each["resource"]: each for each in plan["plan"]["quotas"]}
    assert {name: quotas[name]["needed"] for name in ("volumes", "instances", "key_pairs")} == {
        "volumes": 2,
        "instances": 2,
        "key_pairs": 1,
    }
    assert all(each["free"] is None or each["free"] >= each["needed"] for each in quotas.values()), quotas
    assert clients.counts() == empty, "a dry run creates nothing"

    limits = cinderclient.Client("3", session=cloud.session("admin")).quotas
    limits.update(clients.project, volumes=1)
    refused = alice.restore(checkpoint)
    limits.update(clients.project, volumes=quotas["volumes"]["limit"])
    assert refused["status"] == "fail", refused
    assert "quota 'volumes': the restore needs 2, and 1 are free" in refused["reason"]
    assert clients.counts() == empty, "a restore that exceeds a quota creates nothing"

    check_restored(cloud, alice, clients, workload, alice.restored(checkpoint))


@pytest.mark.once
@pytest.mark.turn(2)
def test_a_server_is_restored_beside_the_original(cloud, system, alice, clients, workload):
    checkpoint = protect_project(system, alice, clients)
    before = clients.network_looks()
    restore = alice.restore(checkpoint, resources=[f"{SERVER}#{workload.db}"])
    assert restore["status"] == "success", restore
    (key,) = [key for key in restore["resources_status"] if key.startswith(SERVER)]
    copy = clients.settled(key.partition("#")[2])
    original = clients.server_looks(clients.nova.servers.get(workload.db))
    assert original == workload.servers["db"], "the original is as it was"
    looks = clients.server_looks(copy)
    assert {name: looks[name] for name in ("flavor", "volumes", "key_name", "server groups")} == {
        name: original[name] for name in ("flavor", "volumes", "key_name", "server groups")
    }
    ((_, mac, addresses, groups, _),) = looks["ports"]
    ((_, old_mac, old_addresses, old_groups, _),) = original["ports"]
    assert (mac != old_mac, addresses != old_addresses, groups) == (True, True, old_groups)
    assert "address" in restore["resources_reason"][key]
    assert clients.network_looks() == before
    volumes = {f"{VOLUME}#{each.volumeId}" for each in clients.nova.volumes.get_server_volumes(copy.id)}
    assert volumes == {key for key in restore["resources_status"] if key.startswith(VOLUME)}
    data = {clients.cloud.volume_digest(volume.partition("#")[2]) for volume in volumes}
    assert data == set(workload.digests.values())


@pytest.mark.once
@pytest.mark.turn(0)
def test_a_stack_has_the_servers_and_networks_but_not_the_data(cloud, system, alice, clients):
    volume = alice.volume("lone-data")
    cloud.write_volume(volume.id, random_bytes("lone data", 2), offset=MIB)
    small = make_small(clients, alice, [volume])
    checkpoint = protect_project(system, alice, clients)
    clients.delete_everything()
    empty = clients.counts()
    assert alice.restore(checkpoint, dry_run=True)["status"] == "success"
    assert clients.counts() == empty, "a dry run creates nothing"

    created = alice.restored(checkpoint)
    assert [stack.stack_status for stack in clients.stacks()] == ["CREATE_COMPLETE"]
    assert look(clients, clients.settled(created[SERVER][0])) == small
    clients.delete_stacks()
    left = clients.counts()
    assert {name: number - empty[name] for name, number in left.items() if number != empty[name]} == {
        "volumes": 1,
        "images": 2,  # of the server, and its root disk
    }
    assert [volume.status for volume in alice.cinder.volumes.list()] == ["available"]
    assert clients.digests() == small["digests"]


@contextlib.contextmanager
def impatient(system: Any, seconds: int) -> Iterator[None]:
    """Let operations wait for the cloud for a few seconds only."""
    usual = system.configuration.read_text()
    try:
        for text in (usual.replace("[waiter]\n", f"[waiter]\ntimeout = {seconds}\n"), usual):
            system.stop()
            system.configuration.write_text(text)
            system.start()
            if text != usual:
                yield
    finally:
        system.configuration.write_text(usual)


@pytest.mark.cloud
@pytest.mark.turn(2)
def test_nothing_remains_of_a_stack_whose_engine_was_killed(cloud, system, alice, clients, small):
    checkpoint = protect_project(system, alice, clients, system.stack_provider)
    (server,) = clients.nova.servers.list()
    clients.delete_everything()
    empty = clients.counts()
    resources = [f"{SERVER}#{server.id}", f"{NETWORK}#{clients.project}"]
    with impatient(system, 60):
        restore = alice.begin_restore(checkpoint, resources=resources, with_children=False)
        until(lambda: clients.stack_resources("CREATE_COMPLETE"), bool)
        with cloud.stopped("neutron-api"):
            # Heat never learns the ids of what it has just asked for.
            until(lambda: clients.stack_resources("CREATE_IN_PROGRESS"), bool)
            cloud.kill("heat-engine")
        cloud.up()
        restore = alice.ended(restore)
    assert restore["status"] in ("success", "fail"), restore
    if restore["status"] == "fail":
        assert clients.counts() == empty, restore


@pytest.mark.once
@pytest.mark.turn(1)
def test_what_heat_refuses_is_restored_without_it(cloud, system, alice, clients, small, delegates):
    networks = [{"type": NETWORK, "id": clients.project, "name": "alice"}]
    only_heat = alice.protected(alice.plan(system.stack_provider, resources=networks))
    checkpoint = protect_project(system, alice, clients)
    clients.delete_everything()

    for tenant in delegates.values():
        status, reason = tenant.refused("POST", "/restores", {"restore": restore_of(only_heat)})
        assert (status, "of a trust" in reason) == (400, True), reason
        made = tenant.restored(checkpoint, resources=[f"{NETWORK}#{clients.project}"], with_children=False)
        assert (made, clients.stacks()) == ({NETWORK: [clients.project]}, [])
        assert clients.network_looks() == small["network"]
        clients.delete_everything()

    # A token that ends before the restore has moved anything.
    token = cloud.brief_token("alice", 60 if cloud.real else 30)
    call = {"headers": {"X-Auth-Token": token}, "authenticated": False}
    status, reason = alice.refused("POST", "/restores", {"restore": restore_of(only_heat)}, **call)
    assert (status, "the token expires in" in reason) == (400, True), reason
    restore = alice.call("POST", "/restores", {"restore": restore_of(checkpoint)}, **call)["restore"]
    system.kill()
    until(lambda: is_valid(cloud, alice, token), lambda valid: not valid)
    system.start()
    restore = alice.ended(restore)
    assert (restore["status"], clients.stacks()) == ("success", []), restore
    (server,) = clients.nova.servers.list()
    assert look(clients, clients.settled(server.id)) == small


def is_valid(cloud: Any, tenant: Tenant, token: str) -> bool:
    url = f"{cloud.auth_url.removesuffix('/v3')}/v3/auth/tokens"
    return bool(tenant.session.get(url, headers={"X-Subject-Token": token}, raise_exc=False).ok)
