"""Cinder's volumes and snapshots as objects that operations create and delete."""

from collections.abc import Sequence
from typing import Any

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.plugins.toolkit.cloud_objects import CloudObjects


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

    def failure(self, current: Any) -> str | None:
        if not current.status.startswith("error"):
            return None
        return f"Cinder put it into state {current.status!r}: {cinder_message(self.clients, current.id)}"


class Volumes(_Cinder):
    """Volumes of the project."""

    noun = "volume"
    deletable = frozenset({"available", "error", "error_restoring", "error_extending", "error_managing"})

    def get(self, cloud_id: str) -> Any:
        with translated(f"volume {cloud_id}"):
            return self.clients.cinder().volumes.get(cloud_id)

    def find(self, name: str) -> Sequence[str]:
        with translated(f"volumes named {name}"):
            listed = self.clients.cinder().volumes.list(search_opts={"name": name})
        return [volume.id for volume in listed if volume.name == name]

    def delete(self, current: Any) -> None:
        with translated(f"deleting volume {current.id}"):
            self.clients.cinder().volumes.delete(current.id)


class Snapshots(_Cinder):
    """Snapshots of the project."""

    noun = "snapshot"
    deletable = frozenset({"available", "error"})

    def get(self, cloud_id: str) -> Any:
        with translated(f"snapshot {cloud_id}"):
            return self.clients.cinder().volume_snapshots.get(cloud_id)

    def find(self, name: str) -> Sequence[str]:
        with translated(f"snapshots named {name}"):
            listed = self.clients.cinder().volume_snapshots.list(search_opts={"name": name})
        return [snapshot.id for snapshot in listed if snapshot.name == name]

    def delete(self, current: Any) -> None:
        with translated(f"deleting snapshot {current.id}"):
            self.clients.cinder().volume_snapshots.delete(current.id)


class Backups(_Cinder):
    """Backups of the project."""

    noun = "backup"
    deletable = frozenset({"available", "error"})

    def get(self, cloud_id: str) -> Any:
        with translated(f"backup {cloud_id}"):
            return self.clients.cinder().backups.get(cloud_id)

    def find(self, name: str) -> Sequence[str]:
        with translated(f"backups named {name}"):
            listed = self.clients.cinder().backups.list(search_opts={"name": name})
        return [backup.id for backup in listed if backup.name == name]

    def of_volume(self, volume_id: str) -> Sequence[Any]:
        """Return the project's backups of a volume, newest first."""
        with translated(f"the backups of volume {volume_id}"):
            listed = self.clients.cinder().backups.list(search_opts={"volume_id": volume_id})
        found = [backup for backup in listed if backup.volume_id == volume_id]
        return sorted(found, key=lambda backup: backup.data_timestamp or "", reverse=True)

    def delete(self, current: Any) -> None:
        with translated(f"deleting backup {current.id}"):
            self.clients.cinder().backups.delete(current.id)

    def failure(self, current: Any) -> str | None:
        if current.status.startswith("error") and current.fail_reason:
            return f"Cinder put it into state {current.status!r}: {current.fail_reason}"
        return super().failure(current)
