"""Cinder's volumes, snapshots, group snapshots and backups as objects that operations create and delete."""

from collections.abc import Sequence
from typing import Any, ClassVar

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.plugins.objects import CloudObjects
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import details


def cinder_message(clients: Clients, cloud_id: str) -> str:
    """Return Cinder's latest user message about an object, or a placeholder."""
    try:
        with translated("messages"):
            messages = clients.cinder().messages.list(search_opts={"resource_uuid": cloud_id})
    except exception.KarborLikeError:  # the message is informational; callers act on the state
        messages = []
    newest = max(messages, key=lambda message: message.created_at, default=None)
    return newest.user_message if newest else "no reason given"


class _Cinder(CloudObjects):
    ready = "available"
    #: The attribute of cinderclient that manages the objects.
    collection: ClassVar[str]

    @property
    def manager(self) -> Any:
        """Cinderclient's manager of the objects."""
        return getattr(self.clients.cinder(), self.collection)

    def get(self, cloud_id: str) -> Any:
        with translated(f"{self.noun} {cloud_id}"):
            return self.manager.get(cloud_id)

    def find(self, name: str) -> Sequence[str]:
        with translated(f"{self.noun}s named {name}"):
            listed = self.manager.list(search_opts={"name": name})
        return [found.id for found in listed if found.name == name]

    def delete(self, current: Any) -> None:
        with translated(f"deleting {self.noun} {current.id}"):
            self.manager.delete(current.id)

    def failure(self, current: Any) -> str | None:
        if not current.status.startswith("error"):
            return None
        return f"Cinder put it into state {current.status!r}: {cinder_message(self.clients, current.id)}"


class Volumes(_Cinder):
    """Volumes of the project."""

    noun = "volume"
    collection = "volumes"
    deletable = frozenset({"available", "error", "error_restoring", "error_extending", "error_managing"})


class Snapshots(_Cinder):
    """Snapshots of the project."""

    noun = "snapshot"
    collection = "volume_snapshots"
    deletable = frozenset({"available", "error"})


class GroupSnapshots(_Cinder):
    """Snapshots of all volumes of a group."""

    noun = "group snapshot"
    collection = "group_snapshots"
    deletable = frozenset({"available", "error"})


class Backups(_Cinder):
    """Backups of the project."""

    noun = "backup"
    collection = "backups"
    deletable = frozenset({"available", "error"})

    def of_volume(self, volume_id: str) -> Sequence[Any]:
        """Return the project's backups of a volume, newest first."""
        with translated(f"the backups of volume {volume_id}"):
            listed = self.manager.list(search_opts={"volume_id": volume_id})
        found = [backup for backup in listed if backup.volume_id == volume_id]
        return sorted(found, key=lambda backup: backup.data_timestamp or "", reverse=True)

    def failure(self, current: Any) -> str | None:
        if current.status.startswith("error") and current.fail_reason:
            return f"Cinder put it into state {current.status!r}: {current.fail_reason}"
        return super().failure(current)


def rename(
    context: HookContext, objects: Snapshots | Backups, cloud_id: str, name: str | None, description: str | None = None
) -> list[str]:
    """Give an object that is kept the name that the request asks for, if any, instead of the one by which the operation
    finds it, and the description, if any. Return remarks.
    """
    return details.rename(
        context, objects, cloud_id, lambda values: objects.manager.update(cloud_id, **values), name, description
    )
