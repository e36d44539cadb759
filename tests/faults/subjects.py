"""What the operations protect and restore: one small resource per plugin, or a server with all that belongs to it."""

import random
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Final

from heatclient import client as heat

from karbor_like.clients.neutron import Neutron
from karbor_like.domain.resource import IMAGE, NETWORK, SERVER, VOLUME, Resource
from karbor_like.testing.sandbox import SMALL_GIB
from tests.faults.system import BACKUPS, GLANCE, SNAPSHOTS, WORKLOADS, System
from tests.scenario.tenant import FLAVOR, until

OPERATIONS: Final = ("protect", "restore", "verify", "delete", "copy")

#: Kinds and ids of things in the cloud, see :meth:`System.belongings`.
Things = Set[tuple[str, str]]


@dataclass(frozen=True)
class Subject:
    """A resource of the tenant, and how to look at it.

    :param operations: those that its plugin has
    :param make: creates one
    :param content: returns what a restored one must have in common with its original: digests of bytes, values
    :param change: changes the bytes of what was made, so that the bank has to store some
    :param parameters: of its restore
    """

    name: str
    provider_id: str
    operations: tuple[str, ...]
    make: Callable[[System], Resource]
    content: Callable[[System, Things], str]
    change: Callable[[System, Things], None]
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def ids(things: Things, kind: str) -> list[str]:
    """Return the ids of a kind, sorted."""
    return sorted(key for each, key in things if each == kind)


def remove(system: System, things: Things) -> None:
    """Delete things from the cloud, with what belongs to them."""
    alice = system.alice
    neutron = _neutron(system)
    ways: dict[str, Callable[[str], Any]] = {
        "stack": heat.Client("1", session=alice.session, service_type="orchestration").stacks.delete,
        "server": alice.nova.servers.delete,
        "port": lambda key: neutron.delete("ports", key),
        "network": lambda key: neutron.delete("networks", key),
        "security_group": lambda key: neutron.delete("security-groups", key),
        "volume": lambda key: alice.cinder.volumes.delete(key, cascade=True),
        "image": alice.glance.images.delete,
    }
    for kind, delete in ways.items():

        def left(kind: str = kind) -> list[str]:
            return ids(system.belongings() & things, kind)

        for key in left():
            delete(key)
        until(left, lambda keys: not keys)
    rest = system.belongings() & things
    assert not rest, f"what the test does not delete: {sorted(rest)}"


def _neutron(system: System) -> Neutron:
    return Neutron("2.0", session=system.alice.session, service_type="network")


def _make_volume(system: System) -> Resource:
    cinder = system.alice.cinder
    created = cinder.volumes.create(1, name="data")
    until(lambda: cinder.volumes.get(created.id), lambda volume: volume.status == "available")
    # Incompressible, with a hole: several blocks, and a pack that is not empty.
    system.sandbox.write_volume(created.id, random.Random(created.id).randbytes(SMALL_GIB // 2))
    return Resource(VOLUME, created.id, "data")


def _volumes(system: System, things: Things) -> str:
    return " ".join(sorted(system.sandbox.volume_digest(key) for key in ids(things, "volume")))


def _change_volumes(system: System, things: Things) -> None:
    for key in ids(things, "volume"):
        system.sandbox.write_volume(key, random.randbytes(SMALL_GIB // 4))


def _no_change(system: System, things: Things) -> None:
    """What has no bytes, or bytes that do not change."""


def _make_image(system: System) -> Resource:
    image = system.alice.image("data", random.Random(1).randbytes(SMALL_GIB // 2))
    return Resource(IMAGE, image.id, "data")


def _images(system: System, things: Things) -> str:
    return " ".join(sorted(map(system.alice.image_digest, ids(things, "image"))))


def _make_network(system: System) -> Resource:
    neutron, project = _neutron(system), str(system.alice.session.get_project_id())
    network = neutron.create("networks", {"name": "inner"})["id"]
    subnet = {"name": "inner-4", "network_id": network, "ip_version": 4, "cidr": "10.0.3.0/24", "enable_dhcp": False}
    neutron.create("subnets", subnet)
    group = neutron.create("security-groups", {"name": "shut"})["id"]
    rule = {"security_group_id": group, "direction": "ingress", "protocol": "tcp", "port_range_min": 22}
    neutron.create("security-group-rules", {**rule, "port_range_max": 22, "remote_ip_prefix": "10.0.3.0/24"})
    neutron.create("ports", {"name": "inner-port", "network_id": network, "security_groups": [group]})
    return Resource(NETWORK, project, "Network Topology")


def _topology(system: System, things: Things) -> str:
    neutron = _neutron(system)
    subnets = [neutron.show("subnets", key) for key in ids(things, "subnet")]
    groups = [neutron.show("security-groups", key) for key in ids(things, "security_group")]
    # Each project has this group, which is there from the first request on.
    own = [group for group in groups if group["name"] != "default"]
    rules = sorted(
        str((rule["direction"], rule["protocol"])) for group in own for rule in group["security_group_rules"]
    )
    return str((sorted((subnet["name"], subnet["cidr"]) for subnet in subnets), rules))


def _make_server(system: System) -> Resource:
    """Make a server that boots from an image, with a volume, and a port in a network."""
    alice, neutron = system.alice, _neutron(system)
    volume_id, image = _make_volume(system).id, alice.image("base", random.Random(2).randbytes(SMALL_GIB // 4))
    network = neutron.create("networks", {"name": "outer"})["id"]
    subnet = {"name": "outer-4", "network_id": network, "ip_version": 4, "cidr": "10.0.4.0/24", "enable_dhcp": False}
    neutron.create("subnets", subnet)
    port = neutron.create("ports", {"name": "outer-port", "network_id": network})["id"]
    server = alice.nova.servers.create("web", image.id, FLAVOR, nics=[{"port-id": port}])
    until(lambda: alice.nova.servers.get(server.id), lambda shown: shown.status == "ACTIVE")
    alice.nova.volumes.create_server_volume(server.id, volume_id)
    until(lambda: alice.cinder.volumes.get(volume_id), lambda volume: volume.status == "in-use")
    return Resource(SERVER, server.id, "web")


def _servers(system: System, things: Things) -> str:
    nova = system.alice.nova
    volumes = [
        [system.sandbox.volume_digest(each.volumeId) for each in nova.volumes.get_server_volumes(key)]
        for key in ids(things, "server")
    ]
    return str(([nova.servers.get(key).name for key in ids(things, "server")], volumes))


def _volume(name: str, provider_id: str, operations: tuple[str, ...]) -> Subject:
    return Subject(name, provider_id, operations, _make_volume, _volumes, _change_volumes)


SUBJECTS: Final[Mapping[str, Subject]] = {
    subject.name: subject
    for subject in (
        _volume("volume", GLANCE, OPERATIONS),
        Subject("image", GLANCE, OPERATIONS, _make_image, _images, _no_change),
        _volume("snapshot", SNAPSHOTS, ("protect", "restore", "delete")),
        _volume("backup", BACKUPS, ("protect", "restore", "delete")),
        # By Heat, and a server by one request for each thing.
        Subject("network", GLANCE, OPERATIONS, _make_network, _topology, _no_change, {NETWORK: {"mode": "copy"}}),
        Subject("server", WORKLOADS, OPERATIONS, _make_server, _servers, _change_volumes),
    )
}
