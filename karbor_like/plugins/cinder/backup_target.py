"""The volume that a backup is restored into: a new one of exactly its size, or an existing one of the tenant."""

from collections.abc import Mapping
from typing import Any

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.plugins.cinder import restored
from karbor_like.plugins.cinder.backups import Located
from karbor_like.plugins.cinder.objects import Backups, Volumes, cinder_message
from karbor_like.plugins.cinder.restored import VOLUME
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import cloud_objects
from karbor_like.plugins.toolkit.comparison import require_equal


def obstacles(context: HookContext, volume_id: str, size: int) -> list[str]:
    """Return the reasons why the backup cannot be restored into an existing volume."""
    volume = cloud_objects.fetch(context, Volumes(context.clients), volume_id)
    if getattr(volume, "os-vol-tenant-attr:tenant_id", context.clients.project_id) != context.clients.project_id:
        raise exception.ResourceNotFound(f"volume {volume_id} does not exist")
    reasons = [
        f"the {name.replace('_', ' ')} of an existing volume cannot change" for name in restored.requested(context)
    ]
    if volume.status != "available":
        reasons.append(f"volume {volume_id} is {volume.status!r}, and must be available")
    if volume.size != size:
        reasons.append(f"volume {volume_id} has {volume.size} GiB, and must have {size}, the size of the backup")
    return reasons


def create(context: HookContext, document: Mapping[str, Any], size: int, timeout: float) -> str:
    """Return the id of a volume of exactly the size of the backup, which is available or receives the backup already.

    :param document: the description of the protected volume
    :param size: of the backup, GiB
    :param timeout: seconds
    """
    context.report.step("creating a volume")
    volumes = Volumes(context.clients)
    volume_id = cloud_objects.find_existing(context, volumes, VOLUME)
    if volume_id is None:
        volume_id = restored.create(context, size, restored.placement(context, document))
    volume = context.waiter.until(
        f"volume {volume_id} to become available",
        lambda: volumes.get(volume_id),
        done=lambda volume: volume.status in ("available", "restoring-backup"),
        failed=volumes.failure,
        timeout=timeout,
        check=context.check,
    )
    require_equal(f"size in GiB of volume {volume_id}", {"backup": size, "volume": volume.size})
    return volume_id


class Restoring(Volumes):
    """A volume that receives a backup. The identity whose backup it is restores it into the tenant's volume."""

    def __init__(self, context: HookContext, located: Located, volume_id: str) -> None:
        super().__init__(context.clients)
        self._context = context
        self._backups = Backups(located.clients)
        self._backup_id: str = located.backup.id
        self._volume_id = volume_id
        self._begun = False

    def perform(self, timeout: float) -> Any:
        """Restore the backup and return the available volume. An attempt that is in progress is waited for.

        :param timeout: seconds
        """
        self._context.waiter.until(
            f"the restore of backup {self._backup_id} into volume {self._volume_id} to begin",
            self._begin,
            done=lambda volume: self._begun or volume.status == "restoring-backup",
            failed=self.failure,
            timeout=timeout,
            check=self._context.check,
        )
        return cloud_objects.wait(self._context, self, self._volume_id, timeout)

    def _begin(self) -> Any:
        volume, backup = self.get(self._volume_id), self._backups.get(self._backup_id)
        # Cinder restores a backup into one volume at a time.
        if volume.status == self.ready and backup.status == self._backups.ready and not self._begun:
            self._context.check()
            try:
                self._send(self._backups.clients)
            except exception.ResourceFailed:
                if self._backups.get(self._backup_id).status != "restoring":
                    raise
            else:
                self._begun = True
        return volume

    def _send(self, clients: Clients) -> None:
        with translated(f"restoring backup {self._backup_id} into volume {self._volume_id}"):
            clients.cinder().restores.restore(self._backup_id, volume_id=self._volume_id)

    def failure(self, current: Any) -> str | None:
        if not current.status.startswith("error"):
            return None
        reason = cinder_message(self._backups.clients, self._backup_id)
        return f"Cinder put it into state {current.status!r}: {reason}"
