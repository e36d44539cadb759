"""Creation of servers, server groups and key pairs of the template of a restore, without Heat.

Their properties are Heat's. The member ``direct`` of a server's properties has what Heat cannot set:

* ``hostname`` and ``description``;
* ``device_tags``: a tag or null for each member of ``block_device_mapping_v2``;
* ``user_data``: user data that is no text, in base64.
"""

import base64
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import quote

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.domain import resource
from karbor_like.plugins.deployable import Deployable, Properties
from karbor_like.plugins.neutron.deployables.objects import Port
from karbor_like.plugins.neutron.schema import PORT
from karbor_like.plugins.nova import reading
from karbor_like.plugins.nova.objects import MARKS, NAME, Servers

#: The type of server groups in templates.
SERVER_GROUP: Final = "OS::Nova::ServerGroup"

_AVAILABLE: Final = "available"


#: What a new server can have since a microversion.
_SINCE: Final = {"description": "2.19", "tags": "2.52", "hostname": "2.90"}


def same_key(one: str, other: str) -> bool:
    """Return whether two public keys are the same, apart from their comments."""
    if one.startswith("-----"):  # an X.509 certificate
        return one.split() == other.split()
    return one.split()[:2] == other.split()[:2]


class Server(Servers, Deployable):
    """A server. It has its final name from the start, and marks in its metadata until it is complete."""

    def create(self, name: str, markers: Mapping[str, str]) -> str:
        nova, given = reading.newest(self.clients), self.properties()
        with translated(f"creating server {given['name']!r}"):
            return str(nova.servers.create(**arguments(nova, given, {**markers, NAME: name})).id)

    def needs(self) -> Mapping[str, int]:
        given = self.properties()
        with translated(f"flavor {given['flavor']}"):
            flavor = self.clients.nova().flavors.get(given["flavor"])
        # Nova makes the ports that are not in the template.
        ports = sum("network" in network for network in given.get("networks") or ())
        return {"instances": 1, "cores": flavor.vcpus, "ram": flavor.ram, "port": ports}

    def complete(self, cloud_id: str) -> list[str]:
        with translated(f"removing the marks of server {cloud_id}"):
            servers = self.clients.nova().servers
            present = servers.get(cloud_id).metadata
            marks = [name for name in MARKS if name in present]
            if marks:
                servers.delete_meta(cloud_id, marks)
        lacking = too_old_for(reading.newest(self.clients), self.properties())
        return [f"Nova is too old to restore its {', '.join(lacking)}"] if lacking else []


def arguments(nova: Any, given: Properties, marks: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of novaclient's ``servers.create``. What Nova is too old for is left out.

    :param nova: the novaclient
    :param given: the properties in the template
    :param marks: further metadata
    """
    direct = given.get("direct") or {}
    asked = {
        "name": given["name"],
        "image": given.get("image"),
        "flavor": given["flavor"],
        "meta": {**(given.get("metadata") or {}), **marks},
        "key_name": given.get("key_name"),
        "availability_zone": given.get("availability_zone"),
        "config_drive": given.get("config_drive"),
        "disk_config": given.get("diskConfig"),
        "userdata": given.get("user_data"),
        "scheduler_hints": given.get("scheduler_hints"),
        "block_device_mapping_v2": _devices(nova, given, direct),
        "nics": _nics(nova, given.get("networks") or ()),
    }
    if direct.get("user_data"):
        asked["userdata"] = base64.b64decode(direct["user_data"])
    newer = {**direct, **given}
    asked.update({name: newer.get(name) for name, since in _SINCE.items() if reading.is_at_least(nova, since)})
    return {name: value for name, value in asked.items() if value is not None or name == "image"}


def too_old_for(nova: Any, given: Properties) -> list[str]:
    """Return what the properties in a template ask for and a version of Nova does not know."""
    direct = given.get("direct") or {}
    newer = {**direct, **given}
    lacking = [name for name, since in _SINCE.items() if newer.get(name) and not reading.is_at_least(nova, since)]
    tagged = any(network.get("tag") for network in given.get("networks") or ()) or any(direct.get("device_tags") or ())
    return [*lacking, *(["device tags"] if tagged and not _takes_tags(nova) else [])]


def _devices(nova: Any, given: Properties, direct: Properties) -> list[dict[str, Any]]:
    devices = given.get("block_device_mapping_v2") or []
    tags = direct.get("device_tags") or [None] * len(devices)
    found = []
    for device, tag in zip(devices, tags, strict=True):
        each = {
            "uuid": device["volume_id"],
            "source_type": "volume",
            "destination_type": "volume",
            "boot_index": device["boot_index"],
            "delete_on_termination": device.get("delete_on_termination", False),
        }
        if device.get("device_name"):
            each["device_name"] = device["device_name"]
        if tag and _takes_tags(nova):
            each["tag"] = tag
        found.append(each)
    return found


def _nics(nova: Any, networks: Sequence[Properties]) -> Any:
    if not networks or networks[0].get("allocate_network") == "none":
        # Older clouds connect such a server to a network of the project.
        return "none" if reading.is_at_least(nova, "2.37") else None
    tagged = _takes_tags(nova)
    return [
        {
            **({"port-id": network["port"]} if "port" in network else {"net-id": network["network"]}),
            **({"tag": network["tag"]} if network.get("tag") and tagged else {}),
        }
        for network in networks
    ]


def _takes_tags(nova: Any) -> bool:
    """Return whether Nova takes tags of devices: in 2.32 to 2.36 and from 2.42 on."""
    return reading.is_at_least(nova, "2.42")


class ServerGroup(Deployable):
    """A server group. It has no metadata and cannot be renamed.

    A restore uses a group of the same name and policy without members instead of creating another one. So one that a retry
    finds is the restore's.
    """

    noun = "server group"
    ready = _AVAILABLE
    deletable = None
    journal_type = SERVER_GROUP

    def needs(self) -> Mapping[str, int]:
        return {"server_groups": 1}

    def create(self, name: str, markers: Mapping[str, str]) -> str:
        nova, given = reading.newest(self.clients), self.properties()
        policy = given["policies"][0]
        rules = {"rules": given["direct"]["rules"]} if given.get("direct") else {}
        with translated(f"creating server group {given['name']!r}"):
            if reading.is_at_least(nova, "2.64"):
                return str(nova.server_groups.create(given["name"], policy, **rules).id)
            return str(nova.server_groups.create(given["name"], [policy]).id)

    def get(self, cloud_id: str) -> Any:
        with translated(f"server group {cloud_id}"):
            group = self.clients.nova().server_groups.get(cloud_id)
        group.status = _AVAILABLE
        return group

    def find(self, name: str) -> Sequence[str]:
        given = self.properties()
        return empty_groups(reading.newest(self.clients), given["name"], given["policies"][0])

    def delete(self, current: Any) -> None:
        if current.members:
            raise exception.Conflict(f"server group {current.id} has members: {', '.join(current.members[:10])}")
        with translated(f"deleting server group {current.id}"):
            self.clients.nova().server_groups.delete(current.id)

    def failure(self, current: Any) -> str | None:
        return None

    def is_used(self, current: Any) -> bool:
        # Also a later restore uses a group of the same name and policy.
        return bool(current.members)


def empty_groups(nova: Any, name: str, policy: str) -> list[str]:
    """Return the ids of the project's server groups of that name and policy that have no members, sorted."""
    return sorted(
        group["id"]
        for group in reading.server_groups(nova)
        if group["name"] == name
        and policy in (group.get("policy"), *(group.get("policies") or ()))
        and not group.get("members")
    )


class KeyPair(Deployable):
    """A key pair of the user. Its id is its name; the key tells whether it is the restore's.

    The search for orphaned resources does not know it: it has no field for a mark, the user may use its name again, and only
    the user and administrators see it. One that remains is a public key of the user, which the next restore uses.
    """

    noun = "key pair"
    ready = _AVAILABLE
    deletable = None

    def needs(self) -> Mapping[str, int]:
        return {"key_pairs": 1}

    def create(self, name: str, markers: Mapping[str, str]) -> str:
        nova, given = reading.newest(self.clients), self.properties()
        kind = {"key_type": given["type"]} if reading.is_at_least(nova, "2.2") else {}
        with translated(f"importing key pair {given['name']!r}"):
            return str(nova.keypairs.create(given["name"], given["public_key"], **kind).name)

    def get(self, cloud_id: str) -> Any:
        found = reading.find_key_pair(reading.newest(self.clients), cloud_id)
        return SimpleNamespace(id=cloud_id, status=_AVAILABLE, public_key=str(found.get("public_key")))

    def find(self, name: str) -> Sequence[str]:
        given = self.properties()
        try:
            present = self.get(given["name"])
        except exception.NotFound:
            return []
        return [present.id] if same_key(present.public_key, given["public_key"]) else []

    def delete(self, current: Any) -> None:
        if not same_key(current.public_key, self.properties()["public_key"]):
            raise exception.Conflict(f"key pair {current.id!r} has another key than the restore imported")
        with translated(f"deleting key pair {current.id!r}"):
            self.clients.nova().keypairs.delete(quote(current.id, safe=""))

    def failure(self, current: Any) -> str | None:
        return None


#: What the plugin for servers contributes.
DEPLOYABLES: Final[Mapping[str, type[Deployable]]] = {
    resource.SERVER: Server,
    SERVER_GROUP: ServerGroup,
    resource.KEY_PAIR: KeyPair,
    PORT: Port,
}
