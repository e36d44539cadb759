"""The protectable plugin for Nova servers."""

from collections.abc import Mapping, Sequence
from typing import Any

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.domain import resource
from karbor_like.domain.resource import Resource
from karbor_like.plugins.protectable import ProtectablePlugin
from karbor_like.plugins.toolkit import states

HIDDEN = frozenset({"DELETED", "ERROR", "UNKNOWN", "SOFT_DELETED", "RESCUED", "RESCUE"})


class ServerProtectable(ProtectablePlugin):
    """Lists servers. Their parent is their project."""

    api_version = 1
    resource_type = resource.SERVER
    parent_types = frozenset({resource.PROJECT})

    def list(self, clients: Clients, parameters: Mapping[str, Any] | None = None) -> Sequence[Resource]:
        return [_resource(server) for server in servers(clients)]

    def show(self, clients: Clients, resource_id: str, parameters: Mapping[str, Any] | None = None) -> Resource:
        with states.looking_up("server", resource_id):
            server = clients.nova().servers.get(resource_id)
        states.require_ours("server", resource_id, server.tenant_id, clients.project_id)
        reason = _obstacle(server)
        if reason:
            raise exception.ResourceNotProtectable(f"server {resource_id} cannot be protected: {reason}")
        return _resource(server)

    def children(self, clients: Clients, parents: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        own = servers(clients)
        return {parent: [_resource(server) for server in own if server.tenant_id == parent.id] for parent in parents}


def servers(clients: Clients) -> list[Any]:
    """Return novaclient's objects of the protectable servers of the calling project, with one request per page."""
    try:
        with translated("the servers of the project"):
            listed = clients.nova().servers.list(limit=-1)
    except exception.Unsupported:
        return []  # a cloud without Nova has no servers
    return [s for s in listed if s.tenant_id == clients.project_id and not _obstacle(s)]


def _obstacle(server: Any) -> str | None:
    return states.obstacle(server, HIDDEN, server.metadata)


def _resource(server: Any) -> Resource:
    return Resource(resource.SERVER, server.id, server.name)
