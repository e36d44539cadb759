"""The plugin for volumes that keeps a snapshot in Cinder. The bank holds only the description of volume and snapshot.

It is fast and moves no bytes, but a checkpoint is lost together with the volume or its storage. Restore: create a volume of
the snapshot, or revert the original volume to it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.domain import resource
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.cinder import metadata, restored, source
from karbor_like.plugins.cinder.objects import Snapshots, Volumes, rename
from karbor_like.plugins.cinder.restored import VOLUME
from karbor_like.plugins.cinder.revert import Revert
from karbor_like.plugins.cinder.source import SNAPSHOT
from karbor_like.plugins.protection import EMPTY_SCHEMA, HookContext, ProtectionPlugin, ResourceOperation, Schemas
from karbor_like.plugins.toolkit import cleanup, cloud_objects, documents, names, ownership, transfer
from karbor_like.plugins.toolkit.comparison import require_equal
from karbor_like.plugins.toolkit.transfer import TransferTimeout

#: The remark of every checkpoint.
REMARK: Final = (
    "the data is a snapshot in Cinder: it is lost if the volume is deleted together with its snapshots, or if the storage of"
    " the volume is lost"
)

# Clients know the members without mode, volume_type and availability_zone. See Schemas for the meaning of "required".
OPTIONS_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Volume Snapshot Options",
    "type": "object",
    "properties": {
        "snapshot_name": {
            **names.NAME,
            "title": "Snapshot Name",
            "description": "The name of the snapshot.",
            "default": None,
        },
        "description": {
            **names.DESCRIPTION,
            "title": "Description",
            "description": "The description of the snapshot.",
        },
        "force": {
            "type": "boolean",
            "title": "Force",
            "description": "Has no effect: volumes in use are always snapshotted.",
            "default": False,
        },
    },
    "required": ["snapshot_name", "force"],
}

RESTORE_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Volume Snapshot Restore",
    "type": "object",
    "properties": {
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
        "mode": {
            "type": "string",
            "title": "Mode",
            "description": (
                "new: create a volume; revert: replace the bytes of the original volume, which must be available and have no"
                " later snapshot."
            ),
            "enum": ["new", "revert"],
            "default": "new",
        },
        **restored.PLACEMENT_PROPERTIES,
    },
    "required": ["restore_name"],
}

SAVED_INFO_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Volume Snapshot Saved Info",
    "type": "object",
    "properties": {},
    "required": [],
}


class Protect(ResourceOperation):
    """Takes a snapshot and keeps it. It is a result, which is deleted only if the operation fails."""

    plugin: "VolumeSnapshotProtection"

    def prepare_finish(self, context: HookContext) -> None:
        volume = source.wait_until_idle(context)
        # The properties at the time of the snapshot. Another process may run the main hook.
        documents.put(context, {"volume": metadata.describe(volume)})
        source.take_snapshot(context, volume, keep=True)

    def main(self, context: HookContext) -> dict[str, Any]:
        snapshot_id = source.find_snapshot(context)
        snapshot = cloud_objects.fetch(context, Snapshots(context.clients), snapshot_id)
        context.report.step("storing the metadata")
        described = {"id": snapshot_id, "size": snapshot.size, "operation": context.operation_id}
        documents.put(context, {**documents.get(context), "snapshot": described})
        self.plugin.report_size(context, snapshot.size)
        renamed = rename(context, Snapshots(context.clients), snapshot_id, context.parameters.get("snapshot_name"))
        return {"remarks": [REMARK, *renamed]}

    def cleanup(self, context: HookContext) -> None:
        cleanup.remove_all(context, {SNAPSHOT: Snapshots(context.clients)})


class Restore(ResourceOperation):
    """Creates a volume of the snapshot, or reverts the original volume to it."""

    plugin: "VolumeSnapshotProtection"

    def plan(self, context: HookContext) -> Sequence[PlannedAction]:
        try:
            document = documents.get(context)
            _require_usable(context, document)
            reasons = Revert(context, document).obstacles() if _reverts(context) else restored.unavailable(context)
        except (exception.ResourceFailed, exception.ResourceNotFound) as error:
            reasons = [exception.public_text(error)]
        if reasons:
            return [PlannedAction(Action.CONFLICT, context.resource.key, reason) for reason in reasons]
        if _reverts(context):
            return [PlannedAction(Action.REUSE, context.resource.key, "the volume is reverted to the snapshot")]
        return [PlannedAction(Action.CREATE, context.resource.key)]

    def main(self, context: HookContext) -> dict[str, Any]:
        document = documents.get(context)
        size = document["snapshot"]["size"]
        timeout = self.plugin.timeout(context, size * self.plugin.gib)
        context.report.progress(0, size * self.plugin.gib)
        if _reverts(context):
            volume_id, remarks = Revert(context, document).perform(timeout)
        else:
            volume_id, remarks = self._create(context, document, timeout)
        context.report.progress(size * self.plugin.gib, size * self.plugin.gib)
        return {"restored": {context.resource.key: volume_id}, "remarks": remarks}

    def cleanup(self, context: HookContext) -> None:
        # The journal does not have a volume that is reverted.
        cleanup.remove_all(context, {VOLUME: Volumes(context.clients)})

    @staticmethod
    def _create(context: HookContext, document: Mapping[str, Any], timeout: float) -> tuple[str, list[str]]:
        context.report.step("creating a volume of the snapshot")
        size = document["snapshot"]["size"]
        # Cinder takes type and zone from the volume of the snapshot. It accepts others only where its storage allows it.
        arguments = {"snapshot_id": document["snapshot"]["id"], **restored.requested(context)}
        volume_id = restored.create(context, size, arguments)
        volume = restored.wait(context, volume_id, size, timeout)
        return volume_id, restored.finish(context, volume, document["volume"])


class Verify(ResourceOperation):
    """Checks that the snapshot still exists and can be restored."""

    plugin: "VolumeSnapshotProtection"

    def main(self, context: HookContext) -> None:
        context.report.step("checking the snapshot")
        document = documents.get(context)
        snapshot = _require_usable(context, document)
        require_equal(
            f"size in GiB of snapshot {snapshot.id}",
            {"checkpoint": document["snapshot"]["size"], "snapshot": snapshot.size},
        )


class Delete(ResourceOperation):
    """Deletes the snapshot, and then the section in the bank that names it."""

    plugin: "VolumeSnapshotProtection"

    def main(self, context: HookContext) -> dict[str, Any]:
        remarks = self._delete_snapshot(context)
        context.report.step("deleting the objects in the bank")
        context.section.delete()
        return {"remarks": remarks}

    def _delete_snapshot(self, context: HookContext) -> list[str]:
        context.report.step("deleting the snapshot")
        try:
            described = documents.get(context).get("snapshot")
        except errors.ObjectNotFound:
            return []
        if described is None:
            return []  # the protect failed, and its clean-up deleted the snapshot
        snapshots = Snapshots(context.clients)
        try:
            snapshot = cloud_objects.fetch(context, snapshots, described["id"])
        except exception.ResourceNotFound:
            return []
        reason = _foreign(context, described, snapshot)
        if reason:
            return [f"snapshot {snapshot.id} was not deleted: {reason}"]
        timeout = self.plugin.timeout(context, described["size"] * self.plugin.gib)
        cloud_objects.delete(context, snapshots, snapshot.id, timeout=timeout, check=context.check)
        return []


class VolumeSnapshotProtection(TransferTimeout, ProtectionPlugin):
    """Keeps snapshots of volumes in Cinder."""

    #: Bytes of a volume for each GiB of its size. Clouds for tests may have smaller volumes.
    gib: ClassVar[int] = 1024**3

    api_version = 1
    group = "volume_snapshot_plugin"
    options = (transfer.seconds_per_gib("Cinder copies from a snapshot"),)
    schemas = {resource.VOLUME: Schemas(OPTIONS_SCHEMA, RESTORE_SCHEMA, SAVED_INFO_SCHEMA, EMPTY_SCHEMA)}
    operations = {
        OperationType.PROTECT: Protect,
        OperationType.RESTORE: Restore,
        OperationType.VERIFY: Verify,
        OperationType.DELETE: Delete,
    }
    refusals = {
        OperationType.COPY: "the data of its checkpoints is a snapshot in Cinder, which a copy would not include"
    }

    def report_size(self, context: HookContext, size: int) -> None:
        """Record that *size* GiB are protected, none of them in the bank."""
        context.report.progress(size * self.gib, size * self.gib)
        context.report.sizes(logical=size * self.gib, new=0, stored=0)


def _reverts(context: HookContext) -> bool:
    return context.parameters.get("mode") == "revert"


def _require_usable(context: HookContext, document: Mapping[str, Any]) -> Any:
    """Return the snapshot. Raises ResourceFailed if it no longer exists, or cannot be restored."""
    described, snapshots = document.get("snapshot"), Snapshots(context.clients)
    if described is None:
        raise exception.ResourceFailed(
            f"the checkpoint has no snapshot of {context.resource.key}: another plugin made it, which must restore it"
        )
    try:
        snapshot = cloud_objects.fetch(context, snapshots, described["id"])
    except exception.ResourceNotFound:
        raise exception.ResourceFailed(
            f"snapshot {described['id']} does not exist in this cloud: it was deleted, for example together with its volume,"
            " or the checkpoint was made in another cloud, and cannot be restored here"
        ) from None
    reason = _foreign(context, described, snapshot) or snapshots.failure(snapshot)
    if reason:
        raise exception.ResourceFailed(f"snapshot {snapshot.id} cannot be restored: {reason}")
    return snapshot


def _foreign(context: HookContext, described: Mapping[str, Any], snapshot: Any) -> str | None:
    """Return why *snapshot* is not the one of this checkpoint, or None if it is. A document may be wrong."""
    if snapshot.volume_id != context.resource.id:
        return f"it is a snapshot of volume {snapshot.volume_id}"
    operation = snapshot.metadata.get(ownership.OPERATION, described["operation"])
    return None if operation == described["operation"] else f"operation {operation} took it for another checkpoint"
