"""The protectable plugin for Cinder volumes."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.domain import resource
from karbor_like.domain.resource import Resource
from karbor_like.plugins.kubernetes import reading
from karbor_like.plugins.nova.protectable import servers
from karbor_like.plugins.protectable import ProtectablePlugin
from karbor_like.plugins.toolkit import states

#: States in which Cinder allows a snapshot.
USABLE: Final = frozenset({"available", "in-use"})

#: States of a volume with data that end by themselves. A volume of a shelved server stays ``reserved``, and ``maintenance``
#: ends when an administrator says so.
_BUSY: Final = frozenset({"attaching", "detaching", "backing-up", "extending", "retyping", "uploading"})

#: States of a volume that receives its data. It is protected only if the plan names it, so that the tenant waits for it.
_FILLING: Final = frozenset({"creating", "downloading", "restoring-backup"})

#: Names that Cinder gives volumes and snapshots which it makes in the tenant's project to back up a volume in use.
_MADE_BY_CINDER: Final = re.compile(r"(backup-vol|tmp-snap)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class VolumeProtectable(ProtectablePlugin):
    """Lists volumes. Their parents are their project, the servers that they are attached to, and the pods that use them."""

    api_version = 1
    resource_type = resource.VOLUME
    parent_types = frozenset({resource.PROJECT, resource.SERVER, resource.POD})

    def list(self, clients: Clients, parameters: Mapping[str, Any] | None = None) -> Sequence[Resource]:
        return [_resource(volume) for volume in _volumes(clients) if not obstacle(volume)]

    def show(self, clients: Clients, resource_id: str, parameters: Mapping[str, Any] | None = None) -> Resource:
        with states.looking_up("volume", resource_id):
            volume = clients.cinder().volumes.get(resource_id)
        states.require_ours("volume", resource_id, _owner(volume), clients.project_id)
        states.require_protectable("volume", resource_id, _foreign(volume) or obstacle(volume))
        return _resource(volume)

    def children(self, clients: Clients, parents: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        volumes = [(volume, _child(volume)) for volume in _volumes(clients)]
        attached = _attached(clients) if any(parent.type == resource.SERVER for parent in parents) else {}
        pods = [parent.id for parent in parents if parent.type == resource.POD]
        attached |= reading.volumes_of(clients, pods) if pods else {}
        return {
            parent: [child for volume, child in volumes if _is_below(volume, parent, attached)] for parent in parents
        }


def obstacle(volume: Any) -> str | None:
    """Return why a volume cannot be protected, even after a wait, or None if it can."""
    return states.obstacle(volume, USABLE | _BUSY | _FILLING)


def _volumes(clients: Clients) -> list[Any]:
    """Return the volumes of the calling project, with one request per page."""
    try:
        with translated("the volumes of the project"):
            listed = clients.cinder().volumes.list()
    except exception.Unsupported:
        return []  # a cloud without Cinder has no volumes
    return [volume for volume in listed if _owner(volume) == clients.project_id and not _foreign(volume)]


def _foreign(volume: Any) -> str | None:
    """Return why a volume that is not the tenant's cannot be protected, or None for the tenant's volumes."""
    if _MADE_BY_CINDER.fullmatch(volume.name or ""):
        return "Cinder made it for a backup, and deletes it when the backup ends"
    return states.owner_obstacle(volume, volume.metadata)


def _attached(clients: Clients) -> dict[str, set[str]]:
    """Return the ids of the attached volumes by server id. Cinder does not show the attachments of a shelved server."""
    return {
        server.id: {volume["id"] for volume in getattr(server, "os-extended-volumes:volumes_attached", ())}
        for server in servers(clients)
    }


def _owner(volume: Any) -> str | None:
    return getattr(volume, "os-vol-tenant-attr:tenant_id", None)


def _is_below(volume: Any, parent: Resource, attached: Mapping[str, set[str]]) -> bool:
    if parent.type == resource.PROJECT:
        return _owner(volume) == parent.id
    if volume.id in attached.get(parent.id, ()):
        return True
    return any(attachment["server_id"] == parent.id for attachment in volume.attachments)


def _child(volume: Any) -> Resource:
    return _resource(volume, states.obstacle(volume, USABLE | _BUSY))


def _resource(volume: Any, reason: str | None = None) -> Resource:
    zone = volume.availability_zone
    extra_info = {"availability_zone": zone} if zone else None
    return Resource(resource.VOLUME, volume.id, volume.name or "", extra_info, reason)
