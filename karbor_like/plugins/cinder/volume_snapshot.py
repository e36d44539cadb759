"""The plugin for volumes that keeps a snapshot in Cinder. The bank holds only the description of volume and snapshot.

It is fast and moves no bytes, but a checkpoint is lost together with the volume or its storage. Restore: create a volume of
the snapshot, or revert the original volume to it. The volumes of a group share a group snapshot: see :mod:`.group_snapshots`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.domain import resource
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.cinder import group_snapshots, metadata, restored, source
from karbor_like.plugins.cinder.objects import Snapshots, Volumes, rename
from karbor_like.plugins.cinder.restored import VOLUME
from karbor_like.plugins.cinder.revert import Revert
from karbor_like.plugins.cinder.snapshot_schemas import OPTIONS_SCHEMA, RESTORE_SCHEMA, SAVED_INFO_SCHEMA
from karbor_like.plugins.cinder.source import SNAPSHOT
from karbor_like.plugins.objects import CloudObjects
from karbor_like.plugins.protection import EMPTY_SCHEMA, HookContext, ProtectionPlugin, ResourceOperation, Schemas
from karbor_like.plugins.toolkit import cleanup, cloud_objects, documents, ownership, planning, quotas, transfer
from karbor_like.plugins.toolkit.comparison import require_equal
from karbor_like.plugins.toolkit.transfer import TransferTimeout

#: Members of the document: why the snapshot is not part of one of the group, and in the description of the snapshot, the id
#: of that group snapshot.
_UNGROUPED: Final = "ungrouped"
_GROUP_SNAPSHOT: Final = "group_snapshot_id"

#: The remark of every checkpoint.
REMARK: Final = (
    "the data is a snapshot in Cinder: it is lost if the volume is deleted together with its snapshots, or if the storage of"
    " the volume is lost"
)


class Protect(ResourceOperation):
    """Takes a snapshot and keeps it. It is a result, which is deleted only if the operation fails."""

    plugin: "VolumeSnapshotProtection"

    def prepare_finish(self, context: HookContext) -> None:
        volume = source.wait_until_idle(context)
        if any(entry.role == SNAPSHOT for entry in context.journal.entries()):
            shared, document = False, documents.get(context)  # of an earlier attempt, which had tried the group
        else:
            shared, reason = group_snapshots.take(context, volume)
            # The properties at the time of the snapshot. Another process may run the main hook.
            document = {"volume": metadata.describe(volume), **({_UNGROUPED: reason} if reason else {})}
        documents.put(context, document)
        if not shared:
            source.take_snapshot(context, volume, keep=True)

    def main(self, context: HookContext) -> dict[str, Any]:
        snapshots, document = Snapshots(context.clients), documents.get(context)
        snapshot = group_snapshots.find_snapshot(context)
        group_snapshot_id = snapshot.group_snapshot_id if snapshot else None
        if snapshot is None:
            snapshot = cloud_objects.fetch(context, snapshots, source.find_snapshot(context))
        context.report.step("storing the metadata")
        described = {
            "id": snapshot.id,
            "size": snapshot.size,
            "operation": context.operation_id,
            **({_GROUP_SNAPSHOT: group_snapshot_id} if group_snapshot_id else {}),
        }
        documents.put(context, {**document, "snapshot": described})
        self.plugin.report_size(context, snapshot.size)
        # The snapshots in a group snapshot have its description.
        description = context.parameters.get("description") if group_snapshot_id else None
        renamed = rename(context, snapshots, snapshot.id, context.parameters.get("snapshot_name"), description)
        return {"remarks": [REMARK, *_ungrouped(document), *renamed]}

    def cleanup(self, context: HookContext) -> None:
        snapshots, shares = Snapshots(context.clients), group_snapshots.Shares(context)
        cleanup.remove_all(context, {SNAPSHOT: snapshots, group_snapshots.SHARE: shares})


class Restore(ResourceOperation):
    """Creates a volume of the snapshot, or reverts the original volume to it."""

    plugin: "VolumeSnapshotProtection"

    def plan(self, context: HookContext) -> Sequence[PlannedAction]:
        def obstacles() -> list[str]:
            document = documents.get(context)
            _require_usable(context, document)
            return Revert(context, document).obstacles() if _reverts(context) else restored.unavailable(context)

        action = Action.REUSE if _reverts(context) else Action.CREATE
        reason = "the volume is reverted to the snapshot" if _reverts(context) else ""
        return planning.plan(context, obstacles, PlannedAction(action, context.resource.key, reason))

    def needs(self, context: HookContext) -> Mapping[str, int]:
        return {} if _reverts(context) else restored.needs(documents.get(context)["snapshot"]["size"])

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
        try:
            snapshot = cloud_objects.fetch(context, Snapshots(context.clients), described["id"])
            reason = _foreign(context, described, snapshot)
        except exception.ResourceNotFound:
            return []
        if reason:
            return [f"snapshot {snapshot.id} was not deleted: {reason}"]
        objects: CloudObjects = Snapshots(context.clients)
        cloud_id = described["id"]
        if _GROUP_SNAPSHOT in described:
            objects = group_snapshots.Shares(context, described["operation"])
            cloud_id = described[_GROUP_SNAPSHOT]
        timeout = self.plugin.timeout(context, described["size"] * self.plugin.gib)
        cloud_objects.delete(context, objects, cloud_id, timeout=timeout, check=context.check)
        return []


class VolumeSnapshotProtection(TransferTimeout, ProtectionPlugin):
    """Keeps snapshots of volumes in Cinder."""

    #: Bytes of a volume for each GiB of its size. Clouds for tests may have smaller volumes.
    gib: ClassVar[int] = 1024**3

    api_version = 1
    group = "volume_snapshot_plugin"
    options = (transfer.seconds_per_gib("Cinder copies from a snapshot"),)
    schemas = {resource.VOLUME: Schemas(OPTIONS_SCHEMA, RESTORE_SCHEMA, SAVED_INFO_SCHEMA, EMPTY_SCHEMA)}
    quotas = (quotas.volume,)
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
        foreign = _foreign(context, described, snapshot)
    except exception.ResourceNotFound:
        raise exception.ResourceFailed(
            f"snapshot {described['id']} does not exist in this cloud: it was deleted, for example together with its volume,"
            " or the checkpoint was made in another cloud, and cannot be restored here"
        ) from None
    reason = foreign or snapshots.failure(snapshot)
    if reason:
        raise exception.ResourceFailed(f"snapshot {snapshot.id} cannot be restored: {reason}")
    return snapshot


def _foreign(context: HookContext, described: Mapping[str, Any], snapshot: Any) -> str | None:
    """Return why *snapshot* is not the one of this checkpoint, or None if it is. A document may be wrong.

    Raises ResourceNotFound if the group snapshot that it should be part of does not exist.
    """
    if snapshot.volume_id != context.resource.id:
        return f"it is a snapshot of volume {snapshot.volume_id}"
    operation = snapshot.metadata.get(ownership.OPERATION, described["operation"])
    if operation != described["operation"]:
        return f"operation {operation} took it for another checkpoint"
    group_snapshot_id = described.get(_GROUP_SNAPSHOT)
    if group_snapshot_id is None:
        return None
    shares = group_snapshots.Shares(context, described["operation"])
    if getattr(snapshot, "group_snapshot_id", None) != group_snapshot_id:
        return f"it is not part of group snapshot {group_snapshot_id}"
    if not shares.is_ours(cloud_objects.fetch(context, shares, group_snapshot_id)):
        return f"group snapshot {group_snapshot_id} does not belong to this checkpoint"
    return None


def _ungrouped(document: Mapping[str, Any]) -> list[str]:
    reason = document.get(_UNGROUPED)
    return [f"the snapshot was taken alone, not together with those of the volume's group: {reason}"] if reason else []
