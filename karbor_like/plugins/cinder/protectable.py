"""The protectable plugin for Cinder volumes."""

from collections.abc import Mapping, Sequence
from typing import Any

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.domain import resource
from karbor_like.domain.resource import Resource
from karbor_like.plugins.protectable import ProtectablePlugin
from karbor_like.plugins.toolkit import states

HIDDEN = frozenset({"error", "deleting", "error_deleting"})


class VolumeProtectable(ProtectablePlugin):
    """Lists volumes. Their parents are their project and the servers that they are attached to."""

    api_version = 1
    resource_type = resource.VOLUME
    parent_types = frozenset({resource.PROJECT, resource.SERVER})

    def list(self, clients: Clients, parameters: Mapping[str, Any] | None = None) -> Sequence[Resource]:
        return [_resource(volume) for volume in _volumes(clients)]

    def show(self, clients: Clients, resource_id: str, parameters: Mapping[str, Any] | None = None) -> Resource:
        with states.looking_up("volume", resource_id):
            volume = clients.cinder().volumes.get(resource_id)
        states.require_ours("volume", resource_id, _owner(volume), clients.project_id)
        reason = _obstacle(volume)
        if reason:
            raise exception.ResourceNotProtectable(f"volume {resource_id} cannot be protected: {reason}")
        return _resource(volume)

    def children(self, clients: Clients, parents: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        volumes = _volumes(clients)
        return {parent: [_resource(volume) for volume in volumes if _is_below(volume, parent)] for parent in parents}


def _volumes(clients: Clients) -> list[Any]:
    """Return the protectable volumes of the calling project, with one request per page."""
    try:
        with translated("the volumes of the project"):
            listed = clients.cinder().volumes.list()
    except exception.Unsupported:
        return []  # a cloud without Cinder has no volumes
    return [v for v in listed if _owner(v) == clients.project_id and not _obstacle(v)]


def _owner(volume: Any) -> str | None:
    return getattr(volume, "os-vol-tenant-attr:tenant_id", None)


def _obstacle(volume: Any) -> str | None:
    return states.obstacle(volume, HIDDEN, volume.metadata)


def _is_below(volume: Any, parent: Resource) -> bool:
    if parent.type == resource.PROJECT:
        return _owner(volume) == parent.id
    return any(attachment["server_id"] == parent.id for attachment in volume.attachments)


def _resource(volume: Any) -> Resource:
    zone = volume.availability_zone
    return Resource(resource.VOLUME, volume.id, volume.name or "", {"availability_zone": zone} if zone else None)
