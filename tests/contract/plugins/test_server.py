"""The plugin for servers: the contract suites, and what is specific to servers."""

import base64
import dataclasses
import io
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from karbor_like import exception
from karbor_like.bank import Bank
from karbor_like.bank.keys.keyring import Keyring
from karbor_like.bank.keys.masters import ConfiguredMasterKeys
from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.bank.options import BankOptions
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.clients.waiter import Waiter
from karbor_like.clock import SystemClock
from karbor_like.domain import resource
from karbor_like.domain.actions import Action
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.domain.template import Template
from karbor_like.plugins.nova.contribution import Contribution
from karbor_like.plugins.nova.restore import Restore
from karbor_like.plugins.nova.server import Protect
from karbor_like.plugins.nova.stored import NOT_DESCRIBED, find_document
from karbor_like.plugins.nova.volume_snapshots import SNAPSHOTS
from karbor_like.sandbox.cloud import Sandbox
from karbor_like.sandbox.compute import imaging
from karbor_like.testing import protection, sandbox
from karbor_like.testing.host import Host, Operation, memory_bank
from karbor_like.testing.protection import Belongings, added, sha256

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS alice@laptop"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH6rlrXuHHVJGLTmlLSy3jmZ+W3nP4WvrVfzB1lYsvwz alice@other"


class ServerSubject(sandbox.Subject):
    """A server of Alice that boots from an image, with a port in her network."""

    def __init__(self, cloud: Sandbox, clients: Clients, **arguments: Any) -> None:
        super().__init__(cloud, clients)
        self.clients = clients
        self.nova, self.neutron = clients.nova("2.96"), clients.neutron()
        self.plugin = sandbox.make_plugin("karbor_like.plugins.nova.server:ServerProtection")
        self.waiter = Waiter(SystemClock(), interval=0.005, max_interval=0.05, timeout=120)
        image = self.glance.images.create(name="base", disk_format="raw", container_format="bare", hw_disk_bus="scsi")
        self.glance.images.upload(image.id, io.BytesIO(b"base"))
        network = self.neutron.create("networks", {"name": "inner"})["id"]
        self.neutron.create("subnets", {"network_id": network, "ip_version": 4, "cidr": "10.0.0.0/24"})
        self.group = self.neutron.create("security-groups", {"name": "web"})["id"]
        values = {"network_id": network, "name": "front", "security_groups": [self.group]}
        self.port = self.neutron.create("ports", values)["id"]
        defaults = {
            "description": "what the shop runs on",
            "hostname": "shop-1",
            "meta": {"role": "front"},
            "tags": ["blue"],
            "config_drive": True,
            "availability_zone": "nova",
            "nics": [{"port-id": self.port, "tag": "nic"}],
        }
        values = {"image": image.id, "flavor": "1", **defaults, **arguments}
        made = self.nova.servers.create("shop", **values)
        self.resource = Resource(resource.SERVER, made.id, "shop")
        self.settled(made.id)

    def settled(self, server_id: str, status: str = "ACTIVE") -> Any:
        return self.waiter.until(
            f"server {server_id} to be {status}",
            lambda: self.nova.servers.get(server_id),
            done=lambda server: server.status == status,
        )

    def digest(self, resource_id: str) -> str:
        """The root disk of a restored server is the image of which it was made."""
        if resource_id == self.resource.id:
            return sha256([imaging.content(resource_id)])
        return sha256(self.glance.images.data(self.nova.servers.get(resource_id).image["id"]))

    def looks(self, resource_id: str) -> dict[str, Any]:
        server = self.nova.servers.get(resource_id).to_dict()
        names = ["name", "description", "OS-EXT-SRV-ATTR:hostname", "metadata", "tags", "config_drive", "flavor"]
        names += ["status", "pinned_availability_zone", "key_name", "locked"]
        ports = self.neutron.list("ports", device_id=resource_id)
        own = ("name", "network_id", "security_groups", "description")
        tags = [each.tag for each in self.nova.servers.interface_list(resource_id)]
        return {name: server[name] for name in names} | {
            "ports": [{name: port[name] for name in own} for port in ports],
            "tags of interfaces": tags,
        }

    def destroy(self) -> None:
        self.nova.servers.delete(self.resource.id)
        self.waiter.until("deletion", self.belongings, done=lambda seen: self.resource.id not in seen["servers"])

    def belongings(self) -> Belongings:
        # A restored server has an image of its own.
        servers, found = self.nova.servers.list(), super().belongings()
        return {
            **found,
            "images": found["images"] - {server.image["id"] for server in servers if server.image},
            "servers": {server.id for server in servers},
            "ports": {port["id"] for port in self.neutron.list("ports")},
            "key pairs": {pair.name for pair in self.nova.keypairs.list()},
            "server groups": {group.id for group in self.nova.server_groups.list()},
        }


@pytest.fixture
def subject(cloud: Sandbox, factory: ClientFactory) -> ServerSubject:
    # Ports are deployed by the plugin for networks.
    return ServerSubject(cloud, factory.for_context(sandbox.context_of(cloud)), nics="none")


class TestServer(sandbox.CopyContract, sandbox.ProtectionContract):
    size = imaging.SIZE

    @pytest.fixture
    def host(self, clients: Clients, bank: Bank, subject: ServerSubject, factory: ClientFactory) -> Host:
        return Host(subject.plugin, clients, bank, service=factory.as_service())

    def test_delete_is_idempotent(self, host: Host, subject: protection.Subject, checkpoint: str) -> None:
        """A checkpoint without a description is one that was made before the provider had the plugin."""
        for _ in range(2):
            host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))
        operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
        assert [line.action for line in host.plan(operation)] == [Action.SKIP]
        assert host.contribute(operation).resources == {}
        for kind in (OperationType.VERIFY, OperationType.RESTORE):
            assert host.perform(host.operation(kind, subject.resource, checkpoint)) == {"remarks": [NOT_DESCRIBED]}

    @pytest.mark.parametrize("kind", [OperationType.PROTECT, OperationType.RESTORE])
    def test_lost_answer_of_nova(
        self, host: Host, subject: ServerSubject, checkpoint: str, kind: OperationType
    ) -> None:
        for nth in range(1, sandbox.LOST_ANSWERS_APART):
            before = subject.belongings()
            how = {"kind": "cut", "where": "response", "nth": nth, "every": sandbox.LOST_ANSWERS_APART, "times": 0}
            with sandbox.Struck(subject.cloud, "^/v2.1/", **how) as struck:
                operation = host.operation(
                    kind, subject.resource, checkpoint if kind is not OperationType.PROTECT else None
                )
                operation.parameters = {"consistency": "pause"} if kind is OperationType.PROTECT else {}
                result = host.perform(operation)
            assert struck.once
            assert added(before, subject.belongings()) == self.results(operation, result)
            assert subject.nova.servers.get(subject.resource.id).status == "ACTIVE"


class World:
    """A host and servers of different kinds."""

    def __init__(self, cloud: Sandbox, factory: ClientFactory, bank: Bank) -> None:
        self.cloud, self.factory, self.bank = cloud, factory, bank
        self.clients = factory.for_context(sandbox.context_of(cloud))

    def server(self, **arguments: Any) -> tuple[ServerSubject, Host]:
        subject = ServerSubject(self.cloud, self.clients, **arguments)
        return subject, Host(subject.plugin, self.clients, self.bank, service=self.factory.as_service())

    def volume(self, **arguments: Any) -> str:
        volumes = self.clients.cinder().volumes
        made = volumes.create(1, **arguments)
        Waiter(SystemClock(), interval=0.005, timeout=120).until(
            "volume", lambda: volumes.get(made.id), done=lambda volume: volume.status == "available"
        )
        return str(made.id)

    def ports_of(self, server_id: str) -> list[dict[str, Any]]:
        return self.clients.neutron().list("ports", device_id=server_id)


def encrypted_bank() -> Bank:
    store = MemoryStore()
    keyring = Keyring(store, ConfiguredMasterKeys([f"m:{base64.b64encode(bytes(32)).decode()}"]))
    return Bank(store, keyring=keyring, options=BankOptions(), clock=SystemClock())


@pytest.fixture
def world(cloud: Sandbox, factory: ClientFactory) -> Iterator[World]:
    bank = encrypted_bank()
    yield World(cloud, factory, bank)
    bank.close()


def perform(host: Host, subject: ServerSubject, checkpoint: str, **parameters: Any) -> tuple[str, str]:
    """Restore a server. Return its id and all remarks."""
    result = host.perform(host.operation(OperationType.RESTORE, subject.resource, checkpoint, **parameters))
    return result["restored"][subject.resource.key], "; ".join(result["remarks"])


def test_ports(world: World) -> None:
    """Ports of a server that lives get new addresses, a free port is used, and a deleted one is made again."""
    subject, host = world.server()
    looks = subject.looks(subject.resource.id)
    (port,) = world.ports_of(subject.resource.id)
    checkpoint = host.protect(subject.resource).checkpoint_id

    beside, remarks = perform(host, subject, checkpoint)
    (other,) = world.ports_of(beside)
    assert subject.looks(beside) == looks
    assert other["fixed_ips"] != port["fixed_ips"]
    assert f"OS::Neutron::Port#{port['id']}: its addresses" in remarks
    assert "the original port is in use" in remarks

    subject.destroy()
    operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
    with host._context(operation) as context:
        template = Template()
        Restore(subject.plugin).contribute(dataclasses.replace(context, is_dry_run=True), template)
    shown = template.resolve({})[f"server_{subject.resource.id}"]["properties"]
    assert shown["networks"] == [{"port": port["id"], "tag": "nic"}]
    assert shown["image"] == "(image of the root disk)"
    assert operation.journal.entries() == []

    reusing, remarks = perform(host, subject, checkpoint)
    assert [each["id"] for each in world.ports_of(reusing)] == [port["id"]]
    assert remarks == ""
    assert subject.looks(reusing) == looks

    subject.nova.servers.delete(reusing)
    subject.waiter.until("deletion", subject.belongings, done=lambda seen: reusing not in seen["servers"])
    subject.neutron.delete("ports", port["id"])
    address = port["fixed_ips"][0]["ip_address"]
    squatter = {"network_id": port["network_id"], "fixed_ips": port["fixed_ips"]}
    taken = subject.neutron.create("ports", squatter)["id"]
    with pytest.raises(exception.Conflict, match=f"{address} is in use: choose other addresses with 'fixed_ips'"):
        perform(host, subject, checkpoint)
    with pytest.raises(exception.Conflict, match=f"{address} is in use, which a strict restore must not accept"):
        perform(host, subject, checkpoint, fixed_ips="keep-or-new", strict=True)
    subject.neutron.delete("ports", taken)

    again, remarks = perform(host, subject, checkpoint, power="on", strict=True)
    (made,) = world.ports_of(again)
    assert (made["fixed_ips"], made["mac_address"]) == (port["fixed_ips"], port["mac_address"])
    assert remarks == ""
    assert subject.looks(again) == looks

    how = {"restore_net_id": port["network_id"], "name_prefix": "test-"}
    moved, remarks = perform(host, subject, checkpoint, **how)
    assert [each["security_groups"] for each in world.ports_of(moved)] != [[subject.group]]
    made = subject.nova.servers.get(moved)
    assert (made.name, subject.glance.images.get(made.image["id"]).name) == ("test-shop", "test-shop")


def test_dual_stack_ports_in_their_order(world: World) -> None:
    """Automatic addresses follow from the MAC addresses. Guests tell interfaces by their order, and Neutron lists by id."""
    neutron, ports = world.clients.neutron(), []
    for number in range(2):
        network = neutron.create("networks", {"name": f"network {number}"})["id"]
        neutron.create("subnets", {"network_id": network, "ip_version": 4, "cidr": f"10.{number}.0.0/24"})
        six = {"network_id": network, "ip_version": 6, "cidr": f"2001:db8:{number}::/64"}
        neutron.create("subnets", {**six, "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"})
        ports.append(neutron.create("ports", {"network_id": network, "dns_domain": f"{number}.example.org."})["id"])
    subject, host = world.server(nics=[{"port-id": port} for port in sorted(ports, reverse=True)])
    addresses = [*subject.nova.servers.get(subject.resource.id).addresses.items()]
    checkpoint = host.protect(subject.resource).checkpoint_id
    subject.destroy()
    for port in ports:
        neutron.delete("ports", port)

    restored, remarks = perform(host, subject, checkpoint)
    assert [*subject.nova.servers.get(restored).addresses.items()] == addresses
    assert {each["dns_domain"] for each in world.ports_of(restored)} == {"0.example.org.", "1.example.org."}
    assert remarks == ""


def test_qos_policies_of_ports(world: World) -> None:
    neutron, admin = world.clients.neutron(), world.factory.as_service()
    assert admin is not None
    policy = admin.neutron().create("qos/policies", {"name": "slow", "shared": True})["id"]
    subject, host = world.server()
    neutron.update("ports", subject.port, {"qos_policy_id": policy})
    checkpoint = host.protect(subject.resource).checkpoint_id
    subject.destroy()
    neutron.delete("ports", subject.port)

    restored, remarks = perform(host, subject, checkpoint)
    (made,) = world.ports_of(restored)
    assert (made["qos_policy_id"], remarks) == (policy, "")

    neutron.update("ports", made["id"], {"qos_policy_id": None})
    admin.neutron().delete("qos/policies", policy)
    again, remarks = perform(host, subject, checkpoint, fixed_ips="new")
    (made,) = world.ports_of(again)
    assert made["qos_policy_id"] is None
    assert f"its QoS policy {policy} does not exist in this cloud, so it has none" in remarks
    with pytest.raises(exception.Conflict, match="QoS policy .* does not exist"):
        perform(host, subject, checkpoint, fixed_ips="new", strict=True)


def test_floating_ips_and_trunks_of_ports(world: World) -> None:
    """Nothing says that they are lost as long as the port is there, and can be used again."""
    subject, host = world.server()
    neutron, admin = world.clients.neutron(), world.factory.as_service()
    (port,) = world.ports_of(subject.resource.id)
    trunk = neutron.create("trunks", {"port_id": port["id"], "sub_ports": []})["id"]
    assert admin is not None
    outside = admin.neutron().create("networks", {"name": "outside", "router:external": True})["id"]
    admin.neutron().create("subnets", {"network_id": outside, "ip_version": 4, "cidr": "203.0.113.0/24"})
    router = neutron.create("routers", {"external_gateway_info": {"network_id": outside}})["id"]
    inner = port["fixed_ips"][0]["subnet_id"]
    neutron.call("routers", router, "add_router_interface", {"subnet_id": inner})
    floating = neutron.create("floatingips", {"floating_network_id": outside, "port_id": port["id"]})
    checkpoint = host.protect(subject.resource).checkpoint_id
    subject.destroy()

    restored, remarks = perform(host, subject, checkpoint, strict=True)
    assert [each["id"] for each in world.ports_of(restored)] == [port["id"]]
    assert remarks == ""

    _, remarks = perform(host, subject, checkpoint)
    assert f"none of its floating IPs {floating['floating_ip_address']}" in remarks
    assert f"none of its trunks {trunk}" in remarks


def test_network_that_no_longer_exists(world: World) -> None:
    subject, host = world.server()
    (port,) = world.ports_of(subject.resource.id)
    checkpoint = host.protect(subject.resource).checkpoint_id
    subject.destroy()
    subject.neutron.delete("ports", port["id"])
    subject.neutron.delete("networks", port["network_id"])
    subject.neutron.delete("security-groups", subject.group)
    before = subject.belongings()
    operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
    network, group = f"OS::Neutron::Net#{port['network_id']}", f"OS::Neutron::SecurityGroup#{subject.group}"
    assert {line.resource_key: line.action for line in host.plan(operation)} == {
        network: Action.CONFLICT,
        group: Action.CONFLICT,
    }
    with pytest.raises(exception.Conflict, match="map it with 'network_map'"):
        host.perform(operation)
    assert subject.belongings() == before

    other = subject.neutron.create("networks", {"name": "other"})["id"]
    subject.neutron.create("subnets", {"network_id": other, "ip_version": 4, "cidr": "10.7.0.0/24"})
    mapped = {
        port["network_id"]: other,
        subject.group: subject.neutron.create("security-groups", {"name": "new"})["id"],
    }
    with pytest.raises(exception.Conflict, match=f"network_map: {subject.group} does not exist"):
        perform(host, subject, checkpoint, network_map={**mapped, subject.group: subject.group})
    restored, _ = perform(host, subject, checkpoint, network_map=mapped)
    (made,) = world.ports_of(restored)
    assert (made["network_id"], made["security_groups"]) == (other, [mapped[subject.group]])


def test_boot_from_volume_with_everything(world: World) -> None:
    """Volumes that are not in the checkpoint are used if no server has them; so are key pair and server group."""
    root, data = world.volume(name="root"), world.volume(name="data")
    nova = world.clients.nova("2.96")
    key = nova.keypairs.create("laptop", PUBLIC_KEY, key_type="ssh")
    group = nova.server_groups.create("apart", "anti-affinity")
    volume = {"source_type": "volume", "destination_type": "volume"}
    subject, host = world.server(
        image=None,
        key_name=key.name,
        scheduler_hints={"group": group.id},
        userdata="#!/bin/sh\necho secret",
        block_device_mapping_v2=[
            {**volume, "uuid": root, "boot_index": 0},
            {
                **volume,
                "uuid": data,
                "boot_index": -1,
                "device_name": "/dev/vdq",
                "tag": "data",
                "delete_on_termination": True,
            },
        ],
    )
    checkpoint = host.protect(subject.resource).checkpoint_id
    with pytest.raises(exception.Conflict, match=f"OS::Cinder::Volume#{root}: server .* boots from it, and"):
        perform(host, subject, checkpoint)
    with pytest.raises(exception.Conflict, match=f"volume_map: volume {root} does not exist, or is in use"):
        perform(host, subject, checkpoint, volume_map={root: root})
    another = world.volume(name="another")
    with pytest.raises(exception.Conflict, match=f"#{data}: it is mapped to volume {another}, and so is .*#{root}"):
        perform(host, subject, checkpoint, volume_map={root: another, data: another})
    mapped, _ = perform(host, subject, checkpoint, volume_map={root: another})
    assert [each.volumeId for each in nova.volumes.get_server_volumes(mapped)] not in ([], [root])
    nova.servers.delete(mapped)
    subject.waiter.until("deletion", subject.belongings, done=lambda seen: mapped not in seen["servers"])
    nova.volumes.update_server_volume(subject.resource.id, data, data, delete_on_termination=False)
    subject.destroy()

    restored, remarks = perform(host, subject, checkpoint)
    attached = [each.to_dict() for each in nova.volumes.get_server_volumes(restored)]
    assert [(each["volumeId"], each["device"], each["tag"]) for each in attached] == [
        (root, "/dev/vda", None),
        (data, "/dev/vdq", "data"),
    ]
    assert not any(each["delete_on_termination"] for each in attached)
    assert f"volume {data} existed before, so it is not deleted together with the server" in remarks
    assert nova.servers.get(restored).key_name == "laptop"
    assert nova.server_groups.get(group.id).members == [restored]
    shown = world.factory.for_context(sandbox.context_of(world.cloud, "admin")).nova("2.96").servers.get(restored)
    shown = getattr(shown, "OS-EXT-SRV-ATTR:user_data")
    assert base64.b64decode(shown) == b"#!/bin/sh\necho secret"
    host.perform(host.operation(OperationType.VERIFY, subject.resource, checkpoint))


def test_key_pair_and_group_that_were_deleted(world: World) -> None:
    nova = world.clients.nova("2.96")
    nova.keypairs.create("laptop", PUBLIC_KEY, key_type="ssh")
    group = nova.server_groups.create("apart", "anti-affinity")
    subject, host = world.server(nics="none", key_name="laptop", scheduler_hints={"group": group.id})
    checkpoint = host.protect(subject.resource).checkpoint_id
    subject.destroy()
    nova.server_groups.delete(group.id)
    nova.keypairs.delete("laptop")
    nova.keypairs.create("laptop", OTHER_KEY, key_type="ssh")
    before = subject.belongings()

    operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
    with (
        sandbox.Struck(
            world.cloud, "/servers$", service="compute", method="POST", kind="error", reason="no valid host"
        ),
        pytest.raises(exception.ResourceFailed, match="'ERROR': no valid host"),
    ):
        host.perform(operation)
    assert subject.belongings() == before

    operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
    result = host.perform(operation)
    server = nova.servers.get(result["restored"][subject.resource.key])
    assert server.key_name == f"laptop-{operation.id[:8]}"
    assert nova.keypairs.get(server.key_name).public_key == PUBLIC_KEY
    (made,) = nova.server_groups.list()
    assert (made.name, made.policy, made.members) == ("apart", "anti-affinity", [server.id])
    assert "another key pair has the name 'laptop'" in "; ".join(result["remarks"])


def test_copy_does_not_join_the_group_of_its_original(world: World) -> None:
    nova = world.clients.nova("2.96")
    group = nova.server_groups.create("apart", "anti-affinity")
    subject, host = world.server(nics="none", scheduler_hints={"group": group.id})
    restored, _ = perform(host, subject, host.protect(subject.resource).checkpoint_id)
    members = {each.id: each.members for each in nova.server_groups.list()}
    assert members.pop(group.id) == [subject.resource.id]
    assert [*members.values()] == [[restored]]


def test_with_the_networks_of_the_checkpoint(world: World) -> None:
    """The plugin for networks contributes the ports, to which the server then refers."""
    subject, host = world.server()
    checkpoint = host.protect(subject.resource).checkpoint_id
    (port,) = world.ports_of(subject.resource.id)
    original, template = f"OS::Neutron::Port#{port['id']}", Template()
    template.add("theirs", "OS::Neutron::Port", {}, restores=original)
    operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
    with host._context(operation) as context:
        Restore(subject.plugin).contribute(context, template)
    assert set(template.resources) == {"theirs", f"server_{subject.resource.id}"}
    networks = template.resources[f"server_{subject.resource.id}"]["properties"]["networks"]
    assert networks == [{"port": {"ref": original}, "tag": "nic"}]
    with host._context(operation) as context:
        document = find_document(context)
        assert document
        assert Contribution(dataclasses.replace(context, template=template), document).remarks() == []


def test_pause(world: World) -> None:
    """The server is paused while Nova copies its disk, and runs afterwards, wherever the process dies."""
    subject, host = world.server(nics="none")
    operation = host.operation(OperationType.PROTECT, subject.resource, consistency="pause")
    world.cloud.forget_calls()
    host.perform(operation)
    bodies = [call["path"] for call in world.cloud.calls("compute", "POST", "/action$")]
    assert len(bodies) == 3, "pause, createImage, unpause"
    assert subject.nova.servers.get(subject.resource.id).status == "ACTIVE"

    subject.nova.servers.lock(subject.resource.id)
    result = host.perform(host.operation(OperationType.PROTECT, subject.resource, consistency="pause"))
    assert result["remarks"] == ["the server was not paused, because it is locked"]
    subject.nova.servers.unlock(subject.resource.id)

    subject.nova.servers.pause(subject.resource.id)
    subject.settled(subject.resource.id, "PAUSED")
    host.protect(subject.resource, consistency="pause")
    assert subject.nova.servers.get(subject.resource.id).status == "PAUSED"


@pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
def test_pause_ends_after_a_crash_at_any_request(world: World, line: sandbox.Line, answered: bool) -> None:
    subject, host = world.server(nics="none")
    before = subject.belongings()
    for nth in itertools.count(1):
        operation = host.operation(OperationType.PROTECT, subject.resource, consistency="pause")
        if not sandbox.crashes(host, line, operation, nth, answered):
            break
        host.cleanup(operation)
        assert subject.nova.servers.get(subject.resource.id).status == "ACTIVE", f"after a crash at request {nth}"
        assert subject.belongings() == before


def test_stopped_and_locked(world: World) -> None:
    subject, host = world.server(nics="none", availability_zone=None)
    subject.nova.servers.stop(subject.resource.id)
    subject.settled(subject.resource.id, "SHUTOFF")
    subject.nova.servers.lock(subject.resource.id)
    checkpoint = host.protect(subject.resource).checkpoint_id
    restored, remarks = perform(host, subject, checkpoint)
    assert subject.looks(restored) == subject.looks(subject.resource.id)
    assert remarks == ""
    running, _ = perform(host, subject, checkpoint, power="on", flavor="m1.medium")
    shown = subject.nova.servers.get(running)
    assert (shown.status, shown.flavor["original_name"]) == ("ACTIVE", "m1.medium")
    for parameters in ({"flavor": "moon"}, {"key_name": "moon"}):
        with pytest.raises(exception.Conflict, match="'moon'"):
            perform(host, subject, checkpoint, **parameters)


def test_user_data_needs_encryption(world: World) -> None:
    subject, host = world.server(nics="none", userdata=b"\xff\x00 no text")
    checkpoint = host.protect(subject.resource).checkpoint_id
    restored, _ = perform(host, subject, checkpoint)
    admin = world.factory.for_context(sandbox.context_of(world.cloud, "admin")).nova("2.96")
    shown = getattr(admin.servers.get(restored), "OS-EXT-SRV-ATTR:user_data")
    assert base64.b64decode(shown) == b"\xff\x00 no text"
    without, _ = perform(host, subject, checkpoint, user_data="drop")
    assert getattr(admin.servers.get(without), "OS-EXT-SRV-ATTR:user_data") is None

    plain = Host(subject.plugin, world.clients, memory_bank(), service=host.service)
    copied = plain.copy(host, subject.resource, checkpoint)
    assert plain.section(copied.checkpoint_id, subject.resource).documents() == ["metadata"]
    result = plain.perform(plain.operation(OperationType.PROTECT, subject.resource))
    assert result["remarks"] == [
        "the user data of the server is not in the checkpoint, because the bank is not encrypted"
    ]
    plain.service = None
    result = plain.perform(plain.operation(OperationType.PROTECT, subject.resource))
    assert "because Nova does not show it to the service user" in result["remarks"][0]
    plain.bank.close()


def test_states_that_cannot_be_protected(world: World) -> None:
    subject, host = world.server(nics="none")
    subject.nova.servers.shelve(subject.resource.id)
    with pytest.raises(exception.ResourceNotProtectable, match="'SHELVED_OFFLOADED', in which Nova does not copy"):
        host.protect(subject.resource)


def test_image_that_nova_does_not_finish(world: World) -> None:
    subject, host = world.server(nics="none")
    before = subject.belongings()
    with (
        sandbox.Struck(world.cloud, "/action$", service="compute", kind="error", reason="the disk caught fire"),
        pytest.raises(exception.ResourceFailed, match="no longer exists; Nova deletes it when copying"),
    ):
        host.protect(subject.resource)
    assert subject.belongings() == before


class Volumes:
    """A server that boots from a volume and has another one, and the operations that protect all three together."""

    def __init__(self, world: World) -> None:
        self.volumes = [world.volume(name=name) for name in ("root", "data")]
        kind = {"source_type": "volume", "destination_type": "volume"}
        devices = [{**kind, "uuid": each, "boot_index": -number} for number, each in enumerate(self.volumes)]
        self.server, self.host = world.server(image=None, nics="none", block_device_mapping_v2=devices)
        plugin = sandbox.make_plugin("karbor_like.plugins.cinder.volume_snapshot:VolumeSnapshotProtection")
        self.volume_host = Host(plugin, world.clients, world.bank)
        self.volume_host.siblings = [self.server.resource]

    def operations(self) -> tuple[Operation, list[Operation]]:
        protect, kind = OperationType.PROTECT, resource.VOLUME
        of_server = self.host.operation(protect, self.server.resource, consistency="nova-snapshot")
        checkpoint = of_server.checkpoint_id
        of_volumes = [
            Operation(protect, Resource(kind, each, "v"), checkpoint, {}, id=of_server.id) for each in self.volumes
        ]
        return of_server, of_volumes

    def begin(self, operation: Operation) -> None:
        with self.host._context(operation) as context:
            Protect(self.server.plugin).prepare_begin(context)
        operation.done.add("prepare_begin")

    def names(self) -> list[str]:
        return [each.name for each in self.server.cinder.volume_snapshots.list()]


@pytest.fixture
def volumes(world: World) -> Volumes:
    return Volumes(world)


def test_nova_snapshots_of_all_volumes(world: World, volumes: Volumes) -> None:
    """Each volume that is protected takes over its own. The others, and the image that names them, are deleted."""
    before = volumes.server.belongings()
    of_server, (of_root, of_data) = volumes.operations()
    world.cloud.forget_calls()
    volumes.begin(of_server)
    assert len(volumes.names()) == 2
    volumes.volume_host.perform(of_root)
    volumes.host.perform(of_server)
    left = added(before, volumes.server.belongings())
    section = volumes.volume_host.section(of_root.checkpoint_id, of_root.resource)
    assert left == {section.get("metadata")["snapshot"]["id"]}
    assert world.cloud.calls("volume", "POST", "/snapshots$") == []
    assert not [name for name in volumes.names() if name.startswith("snapshot for")]

    # A volume that comes too late takes a snapshot of its own, and a server that is stopped has no need of it.
    volumes.volume_host.perform(of_data)
    assert len(world.cloud.calls("volume", "POST", "/snapshots$")) == 1
    volumes.server.nova.servers.stop(volumes.server.resource.id)
    volumes.server.settled(volumes.server.resource.id, "SHUTOFF")
    stopped, _ = volumes.operations()
    volumes.begin(stopped)
    assert stopped.journal.entries() == []


@pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
def test_nova_snapshots_after_a_crash_at_any_request(volumes: Volumes, line: sandbox.Line, answered: bool) -> None:
    before = volumes.server.belongings()
    for nth in itertools.count(1):
        of_server, _ = volumes.operations()
        crashed = sandbox.crashes(volumes.host, line, of_server, nth, answered)
        if crashed:
            volumes.host.cleanup(of_server)
        assert volumes.server.belongings() == before, f"after a crash at request {nth}"
        if not crashed:
            break
    for nth in itertools.count(1):
        of_server, (of_root, _) = volumes.operations()
        volumes.begin(of_server)
        if not sandbox.crashes(volumes.volume_host, line, of_root, nth, answered):
            break
        volumes.volume_host.cleanup(of_root)
        volumes.host.cleanup(of_server)
        assert volumes.server.belongings() == before, f"after a crash of a volume at request {nth}"


def test_nova_snapshots_that_nova_does_not_finish(world: World, volumes: Volumes) -> None:
    """Nova has taken some of them, and has made no image."""
    before = volumes.server.belongings()
    of_server, _ = volumes.operations()
    entry = of_server.journal.intend(SNAPSHOTS)
    world.clients.cinder().volume_snapshots.create(volumes.volumes[1], force=True, name=f"snapshot for {entry.name}")
    volumes.host.cleanup(of_server)
    assert volumes.server.belongings() == before
