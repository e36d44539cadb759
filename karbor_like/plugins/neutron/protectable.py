"""The protectable plugin for the network topology of a project.

Networks, subnets, routers, ports, security groups and floating IPs refer to each other, so they are one resource: its id is
that of the project, as in Karbor.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.domain import resource
from karbor_like.domain.resource import Resource
from karbor_like.plugins.protectable import ProtectablePlugin
from karbor_like.plugins.toolkit import ownership, states

NAME: Final = "Network Topology"
#: The group that every project has.
DEFAULT_GROUP: Final = "default"

_COLLECTIONS: Final = ("networks", "routers", "ports", "security-groups", "floatingips")


class NetworkProtectable(ProtectablePlugin):
    """Lists one resource if the project has any network, router, port, floating IP or security group of its own.

    What operations of this service create is not counted, nor are the default security group and ports of Neutron itself.
    """

    api_version = 1
    resource_type = resource.NETWORK
    parent_types = frozenset({resource.PROJECT})

    def list(self, clients: Clients, parameters: Mapping[str, Any] | None = None) -> Sequence[Resource]:
        try:
            with translated("the networks of the project"):
                exists = any(_has_own(clients, collection) for collection in _COLLECTIONS)
        except exception.Unsupported:
            return []  # a cloud without Neutron has no networks
        return [Resource(resource.NETWORK, clients.project_id, NAME)] if exists else []

    def show(self, clients: Clients, resource_id: str, parameters: Mapping[str, Any] | None = None) -> Resource:
        states.require_ours("network topology", resource_id, resource_id, clients.project_id)
        for found in self.list(clients):
            return found
        raise exception.ResourceNotFound(f"project {resource_id} has no networks")

    def children(self, clients: Clients, parents: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        found = self.list(clients) if parents else []
        return {parent: found if parent.id == clients.project_id else [] for parent in parents}


def _has_own(clients: Clients, collection: str) -> bool:
    fields = ["id", "name", "description", "project_id", *(["device_owner"] if collection == "ports" else [])]
    found = clients.neutron().list(collection, project_id=clients.project_id, fields=fields)
    return any(_is_own(each, clients.project_id) for each in found)


def _is_own(each: Mapping[str, Any], project_id: str) -> bool:
    if each.get("project_id") != project_id or str(each.get("device_owner") or "").startswith("network:"):
        return False
    texts = (each.get("name"), each.get("description"))
    return each.get("name") != DEFAULT_GROUP and not any(ownership.operation_of(text, {}) for text in texts)
