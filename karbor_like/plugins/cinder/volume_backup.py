"""The plugin for volumes that makes backups with Cinder. The bank holds the description of the volume, and the records with
which another Cinder that uses the same store of backups finds the data.

Protect: 1. create a temporary snapshot of the volume, 2. a backup of the snapshot; 3. store the records of the backup and
its ancestors; 4. delete the snapshot. Restore: 1. create a volume, or use the requested one; 2. import the records where
Cinder does not know the backup; 3. restore the backup into the volume. Cinder itself would create a shorter volume.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from oslo_config import cfg

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.domain import resource
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.cinder import backups, metadata, records, restored, source
from karbor_like.plugins.cinder.backups import Deletion, Located
from karbor_like.plugins.cinder.objects import Backups, Snapshots, Volumes, cinder_message, rename
from karbor_like.plugins.cinder.restored import VOLUME
from karbor_like.plugins.cinder.source import SNAPSHOT
from karbor_like.plugins.objects import CloudObjects
from karbor_like.plugins.protection import EMPTY_SCHEMA, HookContext, ProtectionPlugin, ResourceOperation, Schemas
from karbor_like.plugins.toolkit import cleanup, cloud_objects, documents, names, transfer
from karbor_like.plugins.toolkit.comparison import require_equal
from karbor_like.plugins.toolkit.transfer import TransferTimeout

LOG = logging.getLogger(__name__)

BACKUP: Final = "backup"

# Clients know the members without volume_type and availability_zone. See Schemas for the meaning of "required".
OPTIONS_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Cinder Protection Options",
    "type": "object",
    "properties": {
        "backup_name": {
            **names.NAME,
            "title": "Backup Name",
            "description": "The name of the backup.",
            "default": None,
        },
        "backup_mode": {
            "type": "string",
            "title": "Backup Mode",
            "description": (
                "full: each backup has all bytes; incremental: it has the bytes that changed since the latest backup of the"
                " volume, and depends on it."
            ),
            "enum": ["full", "incremental"],
            "default": "full",
        },
        "container": {
            **names.NAME,
            "title": "Container",
            "description": "The container of Cinder's store in which the backup is placed.",
            "default": None,
        },
        "description": {
            **names.DESCRIPTION,
            "title": "Description",
            "description": "The description of the backup.",
        },
        "force": {
            "type": "boolean",
            "title": "Force",
            "description": "Has no effect: volumes in use are always backed up, from a snapshot.",
            "default": False,
        },
    },
    "required": ["backup_name", "backup_mode", "container", "force"],
}

RESTORE_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Cinder Protection Restore",
    "type": "object",
    "properties": {
        "volume_id": {
            "type": "string",
            "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![\\s\\S])",
            "maxLength": 36,
            "title": "Volume ID",
            "description": (
                "The target volume ID to restore to. All its bytes are replaced. It must be available and have the size of"
                " the backup."
            ),
            "default": None,
        },
        "restore_name": {
            **names.NAME,
            "title": "Restore Name",
            "description": "The name of the restored volume.",
            "default": None,
        },
        "restore_description": {
            **names.DESCRIPTION,
            "title": "Restore Description",
            "description": "The description of the restored volume.",
            "default": None,
        },
        **restored.PLACEMENT_PROPERTIES,
    },
    "required": ["restore_name"],
}

SAVED_INFO_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Cinder Protection Saved Info",
    "type": "object",
    "properties": {
        "name": {"type": "string", "title": "Name", "description": "The name of the backup."},
        "is_incremental": {
            "type": "boolean",
            "title": "Is Incremental",
            "description": "Whether the backup depends on an earlier one.",
        },
        "status": {
            "type": "string",
            "title": "Status",
            "description": "The status of the backup, such as available.",
            "enum": ["creating", "available", "deleting", "error", "restoring", "error_deleting"],
        },
        "progress": {"type": "number", "title": "Progress", "description": "The progress of the backup."},
        "fail_reason": {"type": "string", "title": "Fail Reason", "description": "Why the backup failed."},
        "size": {"type": "integer", "title": "Size", "description": "The size of the backup in GiB."},
        "volume_id": {"type": "string", "title": "Volume ID", "description": "The ID of the volume."},
    },
    "required": ["name", "status", "progress", "fail_reason", "size", "volume_id"],
}


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
        backup = self._back_up(context, volume)
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

    def _back_up(self, context: HookContext, volume: Mapping[str, Any]) -> Any:
        """Return the available backup of the snapshot. Create it unless an earlier attempt did."""
        objects = Backups(context.clients)

        def create(name: str, markers: Mapping[str, str]) -> str:
            snapshot_id = source.find_snapshot(context)
            if self._may_be_incremental(context, volume, snapshot_id):
                try:
                    return self._send(context, name, snapshot_id, incremental=True)
                except exception.ResourceFailed as error:
                    LOG.info("%s: a full backup is made instead of an incremental one: %s", context.resource.key, error)
            return self._send(context, name, snapshot_id, incremental=False)

        backup_id = cloud_objects.ensure(context, objects, BACKUP, create, keep=True)
        backup = cloud_objects.wait(context, objects, backup_id, self.plugin.volume_timeout(context, volume["size"]))
        require_equal(f"size in GiB of {context.resource.key}", {"volume": volume["size"], "backup": backup.size})
        return backup

    @staticmethod
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

    def _may_be_incremental(self, context: HookContext, volume: Mapping[str, Any], snapshot_id: str) -> bool:
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
            if chain == 0 and backup.size != volume["size"]:
                return False  # Cinder accepts the request, and fails
            chain += 1
            if not backup.is_incremental:
                break
        return 0 < chain < self.plugin.conf.max_chain

    @staticmethod
    def _store_records(context: HookContext, backup: Any) -> list[str]:
        """Store the records of *backup* and its ancestors. Return a remark if that is not possible."""
        try:
            chain = _export(context, backup.id)
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
        try:
            described = _described(documents.get(context), context)
            self._check_backup(context, described)
            target = context.parameters.get("volume_id")
            reasons = _obstacles(context, target, described["size"]) if target else restored.unavailable(context)
        except (exception.ResourceFailed, exception.ResourceNotFound) as error:
            reasons = [exception.public_text(error)]
        if reasons:
            return [PlannedAction(Action.CONFLICT, context.resource.key, reason) for reason in reasons]
        if target:
            return [PlannedAction(Action.MAP, context.resource.key, f"the bytes of volume {target} are replaced")]
        return [PlannedAction(Action.CREATE, context.resource.key)]

    def main(self, context: HookContext) -> dict[str, Any]:
        document = documents.get(context)
        described = _described(document, context)
        bytes_total = described["size"] * self.plugin.gib
        timeout = self.plugin.volume_timeout(context, described["size"])
        context.report.progress(0, bytes_total)
        target = context.parameters.get("volume_id")
        volume_id = target or self._create(context, document["volume"], described["size"])
        located = backups.locate(context, described) or backups.bring(context, described, timeout)
        context.report.step("restoring the backup into the volume")
        volume = _Restoring(context, located, volume_id).perform(timeout)
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
            _require_restorable(located)
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

    def _create(self, context: HookContext, document: Mapping[str, Any], size: int) -> str:
        """Return the id of an available volume of exactly the size of the backup."""
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
            timeout=self.plugin.volume_timeout(context, size),
            check=context.check,
        )
        require_equal(f"size in GiB of volume {volume_id}", {"backup": size, "volume": volume.size})
        return volume_id


class Verify(ResourceOperation):
    """Checks that Cinder has the backup and its ancestors, and that the records can be imported elsewhere."""

    plugin: "VolumeBackupProtection"

    def main(self, context: HookContext) -> None:
        context.report.step("checking the backup and its ancestors")
        described = _described(documents.get(context), context)
        located = backups.locate(context, described)
        if located is None:
            raise exception.ResourceFailed(
                f"backup {described['id']} does not exist in this cloud: it was deleted, or made in another cloud; verify it"
                " there"
            )
        _require_restorable(located)
        if described["has_records"]:
            for record in records.load(context, described["id"])[:-1]:
                ancestor = records.id_of(record)
                try:
                    backup = cloud_objects.fetch(context, Backups(located.clients), ancestor)
                except exception.ResourceNotFound:
                    raise exception.ResourceFailed(
                        f"backup {located.backup.id} depends on backup {ancestor}, which does not exist"
                    ) from None
                _require_restorable(Located(backup, located.clients, located.imported))


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
        try:
            described = documents.get(context).get("backup")
        except errors.ObjectNotFound:
            return []
        if described is None:
            return []  # the protect failed, and its clean-up deleted the backup
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
    schemas = {resource.VOLUME: Schemas(OPTIONS_SCHEMA, RESTORE_SCHEMA, SAVED_INFO_SCHEMA, EMPTY_SCHEMA)}
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


class _Restoring(Volumes):
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


def _created(context: HookContext) -> Mapping[str, CloudObjects]:
    """Return the types of the objects that a protect creates, by role."""
    return {SNAPSHOT: Snapshots(context.clients), BACKUP: Backups(context.clients)}


def _described(document: Mapping[str, Any], context: HookContext) -> Mapping[str, Any]:
    """Return what the checkpoint states of the backup. Raises ResourceFailed if it has none."""
    described: Mapping[str, Any] | None = document.get("backup")
    if described is None:
        raise exception.ResourceFailed(
            f"the checkpoint has no backup of {context.resource.key}: another plugin made it, which must restore it"
        )
    return described


def _export(context: HookContext, backup_id: str) -> list[records.Record]:
    """Return the records of a backup and its ancestors, oldest first. Raises ResourceFailed if there are too many."""
    service = context.service
    if service is None:
        raise exception.ConfigurationError(
            "records are exported by the service user, and [service_auth] is not configured"
        )

    def export(wanted: str) -> records.Record:
        with translated(f"the record of backup {wanted}"):
            record = service.cinder().backups.export_record(wanted)
            return {name: record[name] for name in ("backup_service", "backup_url")}

    chain: list[records.Record] = []
    following: str | None = backup_id
    while following is not None and len(chain) <= records.MAX_RECORDS:
        chain.insert(0, context.waiter.call(lambda wanted=following: export(wanted), check=context.check))  # type: ignore[misc]
        following = records.parent_of(chain[0])
    return chain


def _require_restorable(located: Located) -> None:
    """Raise ResourceFailed if the backup will not become restorable. One that is being restored will."""
    if located.backup.status not in ("available", "restoring"):
        reason = Backups(located.clients).failure(located.backup) or f"it is {located.backup.status!r}"
        raise exception.ResourceFailed(f"backup {located.backup.id} cannot be restored: {reason}")


def _obstacles(context: HookContext, volume_id: str, size: int) -> list[str]:
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
