"""Cinder's volumes, snapshots, group snapshots and backups as objects that operations create and delete."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.plugins.objects import CloudObjects, Mark
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import details, ownership
from karbor_like.plugins.toolkit.paging import PAGE, paged

#: What the names of the snapshots of a server that Nova makes begin with, before the name of the image.
OF_IMAGE: Final = "snapshot for "


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

    def scan(self) -> Iterable[Any]:
        return paged(f"the {self.noun}s of the project", lambda marker: self.manager.list(marker=marker, limit=PAGE))

    def mark(self, current: Any) -> Mark | None:
        metadata: Mapping[str, Any] = getattr(current, "metadata", None) or {}
        return ownership.mark(current.id, current.name, metadata, current.created_at)


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

    def mark(self, current: Any) -> Mark | None:
        if getattr(current, "group_snapshot_id", None):
            return None  # it exists as long as that of the group
        name = (current.name or "").removeprefix(OF_IMAGE)
        return ownership.mark(current.id, name, current.metadata, current.created_at)


class GroupSnapshots(_Cinder):
    """Snapshots of all volumes of a group."""

    noun = "group snapshot"
    collection = "group_snapshots"
    deletable = frozenset({"available", "error"})

    def scan(self) -> Iterable[Any]:
        with translated("the group snapshots of the project"):
            return list(self.manager.list())


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
