"""The protectable plugins for Nova servers and key pairs."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

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

    def dependencies(self, clients: Clients, resources: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        """The networks, ports and security groups of all servers are one resource."""
        networks = Resource(resource.NETWORK, clients.project_id)
        named = {server.id: _key_name(clients, server) for server in servers(clients)} if resources else {}
        return {
            server: [networks, *([_key_pair(name)] if (name := named.get(server.id)) else [])] for server in resources
        }


class KeyPairProtectable(ProtectablePlugin):
    """Lists the key pairs of the calling user, who has them in every project. Their ids are their names."""

    api_version = 1
    resource_type = resource.KEY_PAIR
    parent_types = frozenset({resource.PROJECT})

    def is_id(self, text: str) -> bool:
        return _KEY_NAME.fullmatch(text) is not None

    def list(self, clients: Clients, parameters: Mapping[str, Any] | None = None) -> Sequence[Resource]:
        try:
            with translated("the key pairs of the user"):
                listed = clients.nova().keypairs.list()
        except exception.Unsupported:
            return []  # a cloud without Nova has no key pairs
        return [_key_pair(pair.name) for pair in listed if self.is_id(pair.name)]

    def show(self, clients: Clients, resource_id: str, parameters: Mapping[str, Any] | None = None) -> Resource:
        what = f"key pair {resource_id!r}"
        if not self.is_id(resource_id):
            raise exception.ResourceNotFound(f"{what} does not exist")
        try:
            with translated(what):
                clients.nova().keypairs.get(quote(resource_id))
        except exception.Unsupported as error:
            raise exception.ResourceNotFound(f"{what} does not exist: {exception.public_text(error)}") from error
        return _key_pair(resource_id)

    def children(self, clients: Clients, parents: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        found = self.list(clients) if parents else []
        return {parent: found if parent.id == clients.project_id else [] for parent in parents}


#: What Nova allows in names. A longer one is too long for a key ``Type#id`` in the database.
_KEY_NAME: Final = re.compile(r"(?!\.+\Z)[A-Za-z0-9 _@.-]{1,230}")


def _key_pair(name: str) -> Resource:
    return Resource(resource.KEY_PAIR, name, name)


def _key_name(clients: Clients, server: Any) -> str | None:
    """Return the name of a server's key pair, if that is the calling user's."""
    return server.key_name if server.user_id == clients.context.user_id else None


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
