"""The protectable plugin for Nova servers."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.domain import resource
from karbor_like.domain.resource import Resource
from karbor_like.plugins.protectable import ProtectablePlugin
from karbor_like.plugins.toolkit import states

#: States in which a server may not have its own disks, or none that work.
_UNUSABLE: Final = frozenset({"DELETED", "ERROR", "UNKNOWN", "SOFT_DELETED", "RESCUED", "RESCUE"})


class ServerProtectable(ProtectablePlugin):
    """Lists servers. Their parent is their project."""

    api_version = 1
    resource_type = resource.SERVER
    parent_types = frozenset({resource.PROJECT})

    def list(self, clients: Clients, parameters: Mapping[str, Any] | None = None) -> Sequence[Resource]:
        return [_resource(server) for server in servers(clients) if not _obstacle(server)]

    def show(self, clients: Clients, resource_id: str, parameters: Mapping[str, Any] | None = None) -> Resource:
        with states.looking_up("server", resource_id):
            server = clients.nova().servers.get(resource_id)
        states.require_ours("server", resource_id, server.tenant_id, clients.project_id)
        states.require_protectable(
            "server", resource_id, states.owner_obstacle(server, server.metadata) or _obstacle(server)
        )
        return _resource(server)

    def children(self, clients: Clients, parents: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        own = servers(clients)
        return {
            parent: [_resource(server, _obstacle(server)) for server in own if server.tenant_id == parent.id]
            for parent in parents
        }


def servers(clients: Clients) -> list[Any]:
    """Return novaclient's objects of the servers of the calling project, in any state, with one request per page."""
    try:
        with translated("the servers of the project"):
            listed = clients.nova().servers.list(limit=-1)
    except exception.Unsupported:
        return []  # a cloud without Nova has no servers
    return [s for s in listed if s.tenant_id == clients.project_id and not states.owner_obstacle(s, s.metadata)]


def _obstacle(server: Any) -> str | None:
    return f"it is in state {server.status!r}" if server.status in _UNUSABLE else None


def _resource(server: Any, reason: str | None = None) -> Resource:
    return Resource(resource.SERVER, server.id, server.name, obstacle=reason)
