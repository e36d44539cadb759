"""Reads what a project has in Neutron, for its description."""

import contextlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients

#: Collections of extensions that a cloud may lack.
_OPTIONAL: Final = frozenset({"routers", "floatingips", "security-groups", "trunks", "subnetpools", "qos/policies"})
#: Ids in one request: more would make the URL too long for some servers.
_IDS: Final = 50
#: What is read of objects of other projects.
_NAMED: Final = (
    "id",
    "name",
    "description",
    "project_id",
    "network_id",
    "router:external",
    "shared",
    "ip_version",
    "cidr",
)

Objects = list[dict[str, Any]]


def read(clients: Clients) -> tuple[dict[str, Objects], dict[str, Objects]]:
    """Return the arguments ``answers`` and ``port_forwardings`` of :func:`~karbor_like.plugins.neutron.description.describe`.

    Raises the exceptions of :func:`karbor_like.clients.errors.translated`.
    """
    found = read_objects(clients)
    return found, _port_forwardings(clients, found["floatingips"])


def read_objects(clients: Clients, groups: Sequence[str] = ()) -> dict[str, Objects]:
    """Return what the project owns, and what it sees of networks, subnets, pools and QoS policies, by collection.

    :param groups: ids of security groups of other projects to look for

    Raises the exceptions of :func:`karbor_like.clients.errors.translated`.
    """
    own = {"project_id": clients.project_id}
    names = {"fields": [*_NAMED]}
    found: dict[str, Objects] = {
        collection: _list(clients, collection, **own)
        for collection in ("ports", "routers", "security-groups", "floatingips", "trunks", "subnetpools")
    }
    networks = _list(clients, "networks", **own)
    shared = _list(clients, "networks", shared=True, **names)
    external = _list(clients, "networks", **{"router:external": True}, **names)
    found["networks"] = _distinct(networks, shared, external)
    found["subnets"] = _distinct(
        _subnets_of(clients, networks),
        _subnets_of(clients, _distinct(shared), **names),
        _list(clients, "subnets", **own),
    )
    found["subnetpools"] = _distinct(found["subnetpools"], _list(clients, "subnetpools", shared=True, **names))
    found["qos/policies"] = _list(clients, "qos/policies", fields=["id", "name"])
    for some in _batches(groups):
        found["security-groups"] = _distinct(
            found["security-groups"], _list(clients, "security-groups", id=some, **names)
        )
    return found


def _list(clients: Clients, collection: str, **filters: Any) -> Objects:
    try:
        with translated(f"the {collection} of project {clients.project_id}"):
            return clients.neutron().list(collection, **filters)
    except exception.NotFound:
        if collection in _OPTIONAL:
            return []
        raise


def _subnets_of(clients: Clients, networks: Sequence[Mapping[str, Any]], **filters: Any) -> Objects:
    return [
        subnet
        for some in _batches([network["id"] for network in networks])
        for subnet in _list(clients, "subnets", network_id=some, **filters)
    ]


def _batches(ids: Sequence[str]) -> list[list[str]]:
    return [list(ids[start : start + _IDS]) for start in range(0, len(ids), _IDS)]


def _distinct(*lists: Objects) -> Objects:
    """Join lists. Of several objects with the same id, the first one is kept, which has all attributes."""
    found: dict[str, dict[str, Any]] = {}
    for each in itertools.chain(*lists):
        found.setdefault(each["id"], each)
    return [*found.values()]


def _port_forwardings(clients: Clients, floating_ips: Objects) -> dict[str, Objects]:
    """Return the forwardings of floating IPs. One that is associated with a port has none."""
    found: dict[str, Objects] = {}
    for floating in floating_ips:
        if not floating.get("port_id"):
            # Not found: a cloud without the extension, or a floating IP that was deleted since it was listed.
            with (
                contextlib.suppress(exception.NotFound),
                translated(f"the port forwardings of floating IP {floating['id']}"),
            ):
                found[floating["id"]] = clients.neutron().list(f"floatingips/{floating['id']}/port_forwardings")
    return found
