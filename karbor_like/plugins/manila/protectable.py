"""The protectable plugin for Manila's shares."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.domain import resource
from karbor_like.domain.resource import Resource
from karbor_like.plugins.manila.objects import Shown
from karbor_like.plugins.protectable import ProtectablePlugin
from karbor_like.plugins.toolkit import states

#: States in which Manila allows a snapshot.
USABLE: Final = frozenset({"available"})

#: States of a share with data that end by themselves within minutes. A migration may wait for an administrator.
_BUSY: Final = frozenset({"extending", "shrinking", "backup_creating", "ensuring"})

#: States of a share that receives its data. It is protected only if the plan names it, so that the tenant waits for it.
_FILLING: Final = frozenset({"creating", "creating_from_snapshot", "backup_restoring", "reverting", "manage_starting"})


class ShareProtectable(ProtectablePlugin):
    """Lists shares. The parent of a share is its project, also if it is part of a share group."""

    api_version = 1
    resource_type = resource.SHARE
    parent_types = frozenset({resource.PROJECT})

    def list(self, clients: Clients, parameters: Mapping[str, Any] | None = None) -> Sequence[Resource]:
        return [_resource(share) for share in _shares(clients) if not obstacle(share)]

    def show(self, clients: Clients, resource_id: str, parameters: Mapping[str, Any] | None = None) -> Resource:
        with states.looking_up("share", resource_id):
            share = Shown.of(clients.manila().show("shares", resource_id))
        # Public shares of other projects are visible.
        states.require_ours("share", resource_id, share.owner, clients.project_id)
        states.require_protectable("share", resource_id, _foreign(share) or obstacle(share))
        return _resource(share)

    def children(self, clients: Clients, parents: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        children = [_resource(share, _obstacle(share, USABLE | _BUSY)) for share in _shares(clients)]
        return {parent: children if parent.id == clients.project_id else [] for parent in parents}


def obstacle(share: Shown) -> str | None:
    """Return why a share cannot be protected, even after a wait, or None if it can."""
    return _obstacle(share, USABLE | _BUSY | _FILLING)


def _obstacle(share: Shown, protectable: frozenset[str]) -> str | None:
    if share.values.get("is_soft_deleted"):
        return "it is in the recycle bin"
    return states.obstacle(share, protectable)


def _shares(clients: Clients) -> list[Shown]:
    """Return the shares of the calling project, with one request per page."""
    try:
        with translated("the shares of the project"):
            listed = [Shown.of(share) for share in clients.manila().list("shares")]
    except exception.Unsupported:
        return []  # a cloud without Manila has no shares
    return [share for share in listed if share.owner == clients.project_id and not _foreign(share)]


def _foreign(share: Shown) -> str | None:
    """Return why a share that is not the tenant's cannot be protected, or None for the tenant's shares."""
    return states.owner_obstacle(share, share.metadata)


def _resource(share: Shown, reason: str | None = None) -> Resource:
    return Resource(resource.SHARE, share.id, share.name, None, reason)
