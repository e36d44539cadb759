"""The creation of a backup of the temporary snapshot: an incremental one where the request and the chain allow it."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.plugins.cinder import source
from karbor_like.plugins.cinder.objects import Backups, Snapshots
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import cloud_objects, names
from karbor_like.plugins.toolkit.comparison import require_equal

LOG = logging.getLogger(__name__)

#: Role of the backup.
BACKUP: Final = "backup"


def back_up(context: HookContext, size: int, *, max_chain: int, timeout: float) -> Any:
    """Return the available backup of the snapshot. Create it unless an earlier attempt did.

    :param size: of the volume, GiB
    :param max_chain: longest chain of backups that depend on each other
    :param timeout: seconds

    Raises ResourceFailed with Cinder's reason, also if the backup has another size.
    """
    objects = Backups(context.clients)

    def create(name: str, markers: Mapping[str, str]) -> str:
        snapshot_id = source.find_snapshot(context)
        if _may_be_incremental(context, size, snapshot_id, max_chain):
            try:
                return _send(context, name, snapshot_id, incremental=True)
            except exception.ResourceFailed as error:
                LOG.info("%s: a full backup is made instead of an incremental one: %s", context.resource.key, error)
        return _send(context, name, snapshot_id, incremental=False)

    backup_id = cloud_objects.ensure(context, objects, BACKUP, create, keep=True)
    backup = cloud_objects.wait(context, objects, backup_id, timeout)
    require_equal(f"size in GiB of {context.resource.key}", {"volume": size, "backup": backup.size})
    return backup


def _send(context: HookContext, name: str, snapshot_id: str, *, incremental: bool) -> str:
    with translated(f"creating the backup of volume {context.resource.id}"):
        backup = context.clients.cinder().backups.create(
            context.resource.id,
            container=context.parameters.get("container"),
            name=name,
            description=names.plain(context.parameters.get("description") or ""),
            incremental=incremental,
            snapshot_id=snapshot_id,
        )
    backup_id: str = backup.id
    return backup_id


def _may_be_incremental(context: HookContext, size: int, snapshot_id: str, max_chain: int) -> bool:
    """Return whether the request asks for an incremental backup, and a chain allows another one.

    Cinder takes the latest backup of the volume that is older than the snapshot as the parent, also one of the tenant. It
    shows tenants no parents. So the chain of that backup is counted back to the latest full one.
    """
    if context.parameters.get("backup_mode") != "incremental":
        return False
    snapshot = Snapshots(context.clients).get(snapshot_id)
    chain = 0
    for backup in Backups(context.clients).of_volume(context.resource.id):
        if backup.status != "available" or not (backup.data_timestamp or "") < snapshot.created_at:
            continue
        if chain == 0 and backup.size != size:
            return False  # Cinder accepts the request, and fails
        chain += 1
        if not backup.is_incremental:
            break
    return 0 < chain < max_chain
