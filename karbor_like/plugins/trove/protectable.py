"""The protectable plugin for database instances of Trove."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.factory import Clients
from karbor_like.domain import resource
from karbor_like.domain.resource import Resource
from karbor_like.plugins.protectable import ProtectablePlugin
from karbor_like.plugins.toolkit import states
from karbor_like.plugins.trove.objects import ACTIVE, Found, Instances, OwnInstances

#: States in which lists show an instance. During a backup it works.
_LISTED: Final = frozenset({ACTIVE, "BACKUP"})
#: States that end by themselves.
BUSY: Final = frozenset({"BACKUP", "REBOOT", "RESIZE", "UPGRADE", "PROMOTE", "EJECT", "DETACH"})


class DatabaseProtectable(ProtectablePlugin):
    """Lists database instances. Their parent is their project."""

    api_version = 1
    resource_type = resource.DATABASE
    parent_types = frozenset({resource.PROJECT})

    def list(self, clients: Clients, parameters: Mapping[str, Any] | None = None) -> Sequence[Resource]:
        return [_resource(each) for each in _instances(clients) if not states.obstacle(each, _LISTED)]

    def show(self, clients: Clients, resource_id: str, parameters: Mapping[str, Any] | None = None) -> Resource:
        with states.looking_up("database instance", resource_id):
            found = OwnInstances(clients).get(resource_id)
        reason = states.owner_obstacle(_Named(found), {}) or states.obstacle(found, _LISTED)
        states.require_protectable("database instance", resource_id, reason)
        return _resource(found)

    def children(self, clients: Clients, parents: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        found = [_resource(each, obstacle(each)) for each in _instances(clients)] if parents else []
        return {parent: found if parent.id == clients.project_id else [] for parent in parents}

    def dependencies(self, clients: Clients, resources: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        """A restored instance is in a restored network."""
        return {each: [Resource(resource.NETWORK, clients.project_id)] for each in resources}


class _Named:
    """An instance as the rules of the toolkit want it."""

    def __init__(self, found: Found) -> None:
        self.name = str(found.values.get("name") or "")


def obstacle(instance: Found) -> str | None:
    """Return why an instance cannot be protected, even after a wait, or None if it can."""
    return states.obstacle(instance, BUSY | {ACTIVE})


def _instances(clients: Clients) -> list[Found]:
    """Return the instances of the calling project, with one request per page."""
    try:
        listed = Instances(clients).all()
    except exception.Unsupported:
        return []  # a cloud without Trove has no database instances
    found = [Found(str(each["id"]), str(each.get("status")), each) for each in listed]
    return [each for each in found if not states.owner_obstacle(_Named(each), {})]


def _resource(instance: Found, reason: str | None = None) -> Resource:
    return Resource(resource.DATABASE, instance.id, _Named(instance).name, obstacle=reason)
