"""The plugin for volumes that keeps a snapshot in Cinder. The bank holds only the description of volume and snapshot.

It is fast and moves no bytes, but a checkpoint is lost together with the volume or its storage. Restore: create a volume of
the snapshot, or revert the original volume to it. The volumes of a group share a group snapshot: see :mod:`.group_snapshots`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from karbor_like.domain import resource
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.cinder import group_snapshots, metadata, restored, source
from karbor_like.plugins.cinder.objects import GroupSnapshots, Snapshots, Volumes, rename
from karbor_like.plugins.cinder.restored import VOLUME
from karbor_like.plugins.cinder.revert import Revert
from karbor_like.plugins.cinder.snapshot_schemas import OPTIONS_SCHEMA, RESTORE_SCHEMA, SAVED_INFO_SCHEMA
from karbor_like.plugins.protection import EMPTY_SCHEMA, HookContext, ResourceOperation, Schemas
from karbor_like.plugins.toolkit import (
    cleanup,
    cloud_objects,
    documents,
    planning,
    quotas,
    snapshots,
    transfer,
)
from karbor_like.plugins.toolkit.source import SNAPSHOT

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
        objects, document = Snapshots(context.clients), documents.get(context)
        snapshot = group_snapshots.find_snapshot(context)
        group_snapshot_id = snapshot.group_snapshot_id if snapshot else None
        if snapshot is None:
            snapshot = cloud_objects.fetch(context, objects, source.find_snapshot(context))
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
        renamed = rename(context, objects, snapshot.id, context.parameters.get("snapshot_name"), description)
        return {"remarks": [REMARK, *_ungrouped(document), *renamed]}

    def cleanup(self, context: HookContext) -> None:
        objects, shares = Snapshots(context.clients), group_snapshots.Shares(context)
        cleanup.remove_all(context, {SNAPSHOT: objects, group_snapshots.SHARE: shares})


class Restore(ResourceOperation):
    """Creates a volume of the snapshot, or reverts the original volume to it."""

    plugin: "VolumeSnapshotProtection"

    def plan(self, context: HookContext) -> Sequence[PlannedAction]:
        def obstacles() -> list[str]:
            document = documents.get(context)
            snapshot = self.plugin.kept(context).find()
            if _reverts(context):
                return Revert(context, document).obstacles()
            moved = restored.moved(context, document["volume"], snapshot.volume_id)
            return [*restored.unavailable(context, {}), *moved]

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
        arguments = {"snapshot_id": document["snapshot"]["id"], **restored.placement(context, {})}
        volume_id = restored.create(context, size, arguments)
        volume = restored.wait(context, volume_id, size, timeout)
        return volume_id, restored.finish(context, volume, document["volume"])


class _Kept(snapshots.KeptSnapshot):
    source = "volume"

    def __init__(self, context: HookContext) -> None:
        super().__init__(context, Snapshots(context.clients))

    def source_id(self, snapshot: Any) -> str | None:
        return snapshot.volume_id

    def foreign(self, described: Mapping[str, Any], snapshot: Any) -> str | None:
        reason = super().foreign(described, snapshot)
        group_snapshot_id = described.get(_GROUP_SNAPSHOT)
        if reason or group_snapshot_id is None:
            return reason
        shares = group_snapshots.Shares(self.context, described["operation"])
        if getattr(snapshot, "group_snapshot_id", None) != group_snapshot_id:
            return f"it is not part of group snapshot {group_snapshot_id}"
        if not shares.is_ours(cloud_objects.fetch(self.context, shares, group_snapshot_id)):
            return f"group snapshot {group_snapshot_id} does not belong to this checkpoint"
        return None

    def remove(self, described: Mapping[str, Any], timeout: float) -> None:
        if _GROUP_SNAPSHOT not in described:
            return super().remove(described, timeout)
        shares = group_snapshots.Shares(self.context, described["operation"])
        cloud_objects.delete(
            self.context, shares, described[_GROUP_SNAPSHOT], timeout=timeout, check=self.context.check
        )
        return None


class VolumeSnapshotProtection(snapshots.SnapshotPlugin):
    """Keeps snapshots of volumes in Cinder."""

    api_version = 1
    group = "volume_snapshot_plugin"
    options = (transfer.seconds_per_gib("Cinder copies from a snapshot"),)
    schemas = {resource.VOLUME: Schemas(OPTIONS_SCHEMA, RESTORE_SCHEMA, SAVED_INFO_SCHEMA, EMPTY_SCHEMA)}
    creates = (Volumes, Snapshots, GroupSnapshots)
    quotas = (quotas.volume,)
    operations = {
        OperationType.PROTECT: Protect,
        OperationType.RESTORE: Restore,
        OperationType.VERIFY: snapshots.Verify,
        OperationType.DELETE: snapshots.Delete,
    }
    refusals = {
        OperationType.COPY: "the data of its checkpoints is a snapshot in Cinder, which a copy would not include"
    }

    def kept(self, context: HookContext) -> _Kept:
        return _Kept(context)


def _reverts(context: HookContext) -> bool:
    return context.parameters.get("mode") == "revert"


def _ungrouped(document: Mapping[str, Any]) -> list[str]:
    reason = document.get(_UNGROUPED)
    return [f"the snapshot was taken alone, not together with those of the volume's group: {reason}"] if reason else []
