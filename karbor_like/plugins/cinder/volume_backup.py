"""The plugin for volumes that makes backups with Cinder. The bank holds the description of the volume, and the records with
which another Cinder that uses the same store of backups finds the data.

Protect: 1. create a temporary snapshot of the volume, 2. a backup of the snapshot; 3. store the records of the backup and
its ancestors; 4. delete the snapshot. Restore: 1. create a volume, or use the requested one; 2. import the records where
Cinder does not know the backup; 3. restore the backup into the volume. Cinder itself would create a shorter volume.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from oslo_config import cfg

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.domain import resource
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.cinder import (
    backup_creation,
    backup_schemas,
    backup_target,
    backups,
    metadata,
    records,
    restored,
    source,
)
from karbor_like.plugins.cinder.backups import Deletion, Located
from karbor_like.plugins.cinder.objects import Backups, Snapshots, Volumes, rename
from karbor_like.plugins.cinder.restored import VOLUME
from karbor_like.plugins.objects import CloudObjects
from karbor_like.plugins.protection import EMPTY_SCHEMA, HookContext, ProtectionPlugin, ResourceOperation, Schemas
from karbor_like.plugins.toolkit import cleanup, cloud_objects, documents, planning, quotas, transfer
from karbor_like.plugins.toolkit.source import SNAPSHOT
from karbor_like.plugins.toolkit.transfer import TransferTimeout

LOG = logging.getLogger(__name__)


class Protect(ResourceOperation):
    """Makes a backup of a temporary snapshot. The backup is a result, which is deleted only if the operation fails."""

    plugin: "VolumeBackupProtection"

    def prepare_finish(self, context: HookContext) -> None:
        volume = source.wait_until_idle(context)
        # The properties at the time of the snapshot. Another process may run the main hook.
        documents.put(context, {"volume": metadata.describe(volume)})
        source.take_snapshot(context, volume)

    def main(self, context: HookContext) -> dict[str, Any]:
        document = documents.get(context)
        volume, bytes_total = document["volume"], document["volume"]["size"] * self.plugin.gib
        context.report.step("creating a backup of the snapshot")
        context.report.progress(0, bytes_total)
        backup = backup_creation.back_up(
            context,
            volume["size"],
            max_chain=self.plugin.conf.max_chain,
            timeout=self.plugin.volume_timeout(context, volume["size"]),
        )
        context.report.step("storing the records of the backup and its ancestors")
        remarks = self._store_records(context, backup)
        described = {
            name: getattr(backup, name)
            for name in ("id", "size", "is_incremental", "data_timestamp", "container", "object_count")
        }
        documents.put(context, {**document, "backup": {**described, "has_records": not remarks}})
        context.report.progress(bytes_total, bytes_total)
        context.report.sizes(logical=bytes_total, new=0, stored=0)
        context.report.step("deleting the temporary snapshot")
        renamed = rename(context, Backups(context.clients), backup.id, context.parameters.get("backup_name"))
        return {"remarks": [*remarks, *renamed, *self.release(context)]}

    def release(self, context: HookContext) -> list[str]:
        return cleanup.release(context, _created(context))

    def cleanup(self, context: HookContext) -> None:
        cleanup.remove_all(context, _created(context))

    @staticmethod
    def _store_records(context: HookContext, backup: Any) -> list[str]:
        """Store the records of *backup* and its ancestors. Return a remark if that is not possible."""
        try:
            chain = records.export(context, backup.id)
            records.check(chain, backup.id, context.resource.id, context.project_id)
        except (exception.LeaseLost, exception.Cancelled):
            raise
        except exception.KarborLikeError as error:
            reason = exception.public_text(error)
            LOG.warning("%s: no record of backup %s: %s", context.resource.key, backup.id, reason)
            return [f"the backup can be restored in this cloud only: {reason}"]
        records.store(context, chain)
        return []


class Restore(ResourceOperation):
    """Restores the backup into a new volume, or into the one that the request names."""

    plugin: "VolumeBackupProtection"

    def plan(self, context: HookContext) -> Sequence[PlannedAction]:
        target = context.parameters.get("volume_id")

        def obstacles() -> list[str]:
            document = documents.get(context)
            described = _described(document, context)
            self._check_backup(context, described)
            if target:
                return backup_target.obstacles(context, target, described["size"])
            return restored.unavailable(context, document["volume"])

        action = Action.MAP if target else Action.CREATE
        reason = f"the bytes of volume {target} are replaced" if target else ""
        takes = f"{resource.VOLUME}#{target}" if target else ""
        return planning.plan(context, obstacles, PlannedAction(action, context.resource.key, reason, takes))

    def needs(self, context: HookContext) -> Mapping[str, int]:
        if context.parameters.get("volume_id"):
            return {}
        return restored.needs(_described(documents.get(context), context)["size"])

    def main(self, context: HookContext) -> dict[str, Any]:
        document = documents.get(context)
        described = _described(document, context)
        bytes_total = described["size"] * self.plugin.gib
        timeout = self.plugin.volume_timeout(context, described["size"])
        context.report.progress(0, bytes_total)
        target = context.parameters.get("volume_id")
        volume_id = target or backup_target.create(context, document["volume"], described["size"], timeout)
        located = backups.locate(context, described) or backups.bring(context, described, timeout)
        context.report.step("restoring the backup into the volume")
        volume = backup_target.Restoring(context, located, volume_id).perform(timeout)
        context.report.progress(bytes_total, bytes_total)
        remarks = (
            restored.name_existing(context, volume_id)
            if target
            else restored.finish(context, volume, document["volume"])
        )
        return {"restored": {context.resource.key: volume_id}, "remarks": remarks}

    def cleanup(self, context: HookContext) -> None:
        # The journal does not have a volume that the request names.
        cleanup.remove_all(context, {VOLUME: Volumes(context.clients)})

    def _check_backup(self, context: HookContext, described: Mapping[str, Any]) -> None:
        """Raise ResourceFailed unless there is a backup to restore, or records to import."""
        located = backups.locate(context, described)
        if located is not None:
            located.require_restorable()
            return
        missing = f"backup {described['id']} does not exist in this cloud"
        if not described["has_records"]:
            raise exception.ResourceFailed(
                f"{missing}, and the checkpoint has no record with which it could be imported"
            )
        if context.service is None:
            raise exception.ResourceFailed(
                f"{missing}, and only the service user of the cloud that this service runs in can import its record"
            )
        records.load(context, described["id"])


class Verify(ResourceOperation):
    """Checks that Cinder has the backup and its ancestors, and that the records can be imported elsewhere."""

    plugin: "VolumeBackupProtection"

    def main(self, context: HookContext) -> None:
        context.report.step("checking the backup and its ancestors")
        described = _described(documents.get(context), context)
        located = backups.locate(context, described)
        if located is None:
            raise exception.CheckpointDamaged(
                f"backup {described['id']} does not exist in this cloud: it was deleted, or made in another cloud; verify it"
                " there"
            )
        located.require_restorable()
        if described["has_records"]:
            for record in records.load(context, described["id"])[:-1]:
                ancestor = records.id_of(record)
                try:
                    backup = cloud_objects.fetch(context, Backups(located.clients), ancestor)
                except exception.ResourceNotFound:
                    raise exception.CheckpointDamaged(
                        f"backup {located.backup.id} depends on backup {ancestor}, which does not exist"
                    ) from None
                Located(backup, located.clients, located.imported).require_restorable()


class Delete(ResourceOperation):
    """Deletes the backup unless others depend on it, and then the section in the bank that names it."""

    plugin: "VolumeBackupProtection"

    def main(self, context: HookContext) -> dict[str, Any]:
        context.report.step("deleting the backup")
        remarks = self._delete_backup(context)
        context.report.step("deleting the objects in the bank")
        context.section.delete()
        return {"remarks": remarks}

    def _delete_backup(self, context: HookContext) -> list[str]:
        described = (documents.find(context) or {}).get("backup")
        if described is None:
            return []  # the protect failed, and its clean-up deleted the backup; or it was deleted before
        timeout = self.plugin.volume_timeout(context, described["size"])
        try:
            located = backups.locate(context, described)
            if located is None and described["has_records"] and context.service is not None:
                located = backups.bring(context, described, timeout, ancestors=False)
        except (exception.ResourceFailed, exception.NotAuthorized, exception.OverQuota, errors.ObjectNotFound) as error:
            return [f"backup {described['id']} was not deleted: {exception.public_text(error)}"]
        if located is None:
            return [
                f"backup {described['id']} does not exist in this cloud. If it was made in another one, it remains there"
            ]
        return Deletion(context, located, timeout).perform()


class VolumeBackupProtection(TransferTimeout, ProtectionPlugin):
    """Keeps volumes as backups in Cinder."""

    #: Bytes of a volume for each GiB of its size. Clouds for tests may have smaller volumes.
    gib: ClassVar[int] = 1024**3

    api_version = 1
    group = "cinder_backup_protection_plugin"
    options = (
        transfer.seconds_per_gib("Cinder backs up or restores"),
        cfg.IntOpt(
            "max_chain",
            default=7,
            min=1,
            max=records.MAX_RECORDS,
            help="""
Longest chain of backups that depend on each other: a full one and the incremental ones after it. Then a full one follows
although the tenant asks for an incremental one. A restore reads all of a chain, and a chain is as safe as each of its parts.
""",
        ),
    )
    schemas = {
        resource.VOLUME: Schemas(
            backup_schemas.OPTIONS_SCHEMA, backup_schemas.RESTORE_SCHEMA, backup_schemas.SAVED_INFO_SCHEMA, EMPTY_SCHEMA
        )
    }
    creates = (Volumes, Snapshots, Backups)
    quotas = (quotas.volume,)
    operations = {
        OperationType.PROTECT: Protect,
        OperationType.RESTORE: Restore,
        OperationType.VERIFY: Verify,
        OperationType.DELETE: Delete,
    }
    refusals = {
        OperationType.COPY: "the data of its checkpoints is in Cinder's store of backups, which a copy would not include"
    }

    def volume_timeout(self, context: HookContext, size: int) -> float:
        """Return the seconds that Cinder may take to back up or restore *size* GiB."""
        return self.timeout(context, size * self.gib)


def _created(context: HookContext) -> Mapping[str, CloudObjects]:
    """Return the types of the objects that a protect creates, by role."""
    return {SNAPSHOT: Snapshots(context.clients), backup_creation.BACKUP: Backups(context.clients)}


def _described(document: Mapping[str, Any], context: HookContext) -> Mapping[str, Any]:
    """Return what the checkpoint states of the backup. Raises ResourceFailed if it has none."""
    described: Mapping[str, Any] | None = document.get("backup")
    if described is None:
        raise exception.ResourceFailed(
            f"the checkpoint has no backup of {context.resource.key}: another plugin made it, which must restore it"
        )
    return described
