"""The plugin for shares that keeps a snapshot in Manila. The bank holds only the description of share and snapshot.

It is fast and moves no bytes, but a checkpoint is lost together with the storage of the share. Restore: create a share of the
snapshot.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.domain import resource
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.manila import metadata
from karbor_like.plugins.manila.objects import Shares, Shown, Snapshots
from karbor_like.plugins.manila.protectable import USABLE, obstacle
from karbor_like.plugins.manila.schemas import KEEP, OPTIONS_SCHEMA, RESTORE_SCHEMA, SAVED_INFO_SCHEMA
from karbor_like.plugins.protection import EMPTY_SCHEMA, HookContext, ResourceOperation, Schemas
from karbor_like.plugins.toolkit import (
    cleanup,
    cloud_objects,
    details,
    documents,
    names,
    planning,
    quotas,
    schemas,
    snapshots,
    transfer,
)
from karbor_like.plugins.toolkit.comparison import require_equal
from karbor_like.plugins.toolkit.source import SNAPSHOT, Source

#: Role of the restored share.
SHARE: Final = "share"

#: Member of the document: remarks on the description.
_REMARKS: Final = "remarks"

#: Schema of the description of the snapshot.
_SNAPSHOT: Final = schemas.record(
    id={"type": "string", "pattern": r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z"},
    size={"type": "integer", "minimum": 1},
    operation=schemas.TEXT,
)

#: The remark of every checkpoint.
REMARK: Final = (
    "the data is a snapshot in Manila: it is lost if the snapshot is deleted, or if the storage of the share is lost"
)


class Protect(ResourceOperation):
    """Takes a snapshot and keeps it. It is a result, which is deleted only if the operation fails."""

    plugin: "ShareSnapshotProtection"

    def prepare_finish(self, context: HookContext) -> None:
        source = _source(context)
        share = source.wait_until_idle()
        _require_support(share)
        # The properties at the time of the snapshot. Another process may run the main hook.
        described, remarks = metadata.describe(context, share)
        documents.put(context, {"share": described, _REMARKS: remarks})
        snapshot = source.take_copy(lambda name, markers: _snapshot(context, name, markers), keep=True)
        require_equal(
            f"size in GiB of share {share.id}",
            {"share": share.size, "snapshot": snapshot.size},
            "If the share was extended meanwhile, protect it again",
        )

    def main(self, context: HookContext) -> dict[str, Any]:
        objects, document = Snapshots(context.clients), documents.get(context)
        snapshot = cloud_objects.fetch(context, objects, _source(context).find_copy())
        context.report.step("storing the metadata")
        described = {"id": snapshot.id, "size": snapshot.size, "operation": context.operation_id}
        documents.put(context, {**document, snapshots.DESCRIPTION: described})
        self.plugin.report_size(context, snapshot.size)
        name = context.parameters.get("snapshot_name")
        renamed = details.rename(
            context, objects, snapshot.id, lambda values: objects.describe(snapshot.id, values), name
        )
        return {"remarks": [REMARK, *document[_REMARKS], *renamed]}

    def cleanup(self, context: HookContext) -> None:
        cleanup.remove_all(context, {SNAPSHOT: Snapshots(context.clients)})


class Restore(ResourceOperation):
    """Creates a share of the snapshot. Manila gives it the type and the share network of the snapshot's share."""

    plugin: "ShareSnapshotProtection"

    def plan(self, context: HookContext) -> Sequence[PlannedAction]:
        def obstacles() -> list[str]:
            _read(context)
            self.plugin.kept(context).find()
            return []

        return planning.plan(context, obstacles, PlannedAction(Action.CREATE, context.resource.key))

    def needs(self, context: HookContext) -> Mapping[str, int]:
        document = _read(context)
        if snapshots.DESCRIPTION not in document:
            return {}  # another plugin made the checkpoint; the plan has a conflict
        size = document[snapshots.DESCRIPTION]["size"]
        replicas = {"share_replicas": 1, "replica_gigabytes": size} if document["share"]["replication_type"] else {}
        return {"shares": 1, "share_gigabytes": size, **replicas}

    def main(self, context: HookContext) -> dict[str, Any]:
        document, shares = _read(context), Shares(context.clients)
        described, size = document["share"], document[snapshots.DESCRIPTION]["size"]
        context.report.progress(0, size * self.plugin.gib)
        context.report.step("creating a share of the snapshot")
        share_id = cloud_objects.ensure(
            context, shares, SHARE, lambda name, markers: _create(context, document, name, markers), keep=True
        )
        context.report.step("waiting for the share")
        timeout = self.plugin.timeout(context, size * self.plugin.gib)
        share = cloud_objects.wait(context, shares, share_id, timeout)
        require_equal(f"size in GiB of share {share_id}", {"protected": size, "restored": share.size})
        context.report.step("restoring the share's metadata and access rules")
        wanted = {
            "name": names.restored(context.parameters, described["name"]),
            "description": context.parameters.get("restore_description") or described["description"],
        }
        remarks = metadata.apply(
            context,
            share_id,
            {**described, **wanted},
            with_rules=context.parameters.get("access_rules", KEEP) == KEEP,
        )
        context.report.progress(size * self.plugin.gib, size * self.plugin.gib)
        return {"restored": {context.resource.key: share_id}, "remarks": remarks}

    def cleanup(self, context: HookContext) -> None:
        cleanup.remove_all(context, {SHARE: Shares(context.clients)})


class _Kept(snapshots.KeptSnapshot):
    source = "share"

    def __init__(self, context: HookContext) -> None:
        super().__init__(context, Snapshots(context.clients))

    def source_id(self, snapshot: Any) -> str | None:
        return snapshot.values.get("share_id")


class ShareSnapshotProtection(snapshots.SnapshotPlugin):
    """Keeps snapshots of shares in Manila."""

    api_version = 1
    group = "manila_snapshot_plugin"
    options = (transfer.seconds_per_gib("Manila copies from a snapshot"),)
    schemas = {resource.SHARE: Schemas(OPTIONS_SCHEMA, RESTORE_SCHEMA, SAVED_INFO_SCHEMA, EMPTY_SCHEMA)}
    creates = (Shares, Snapshots)
    quotas = (quotas.share,)
    operations = {
        OperationType.PROTECT: Protect,
        OperationType.RESTORE: Restore,
        OperationType.VERIFY: snapshots.Verify,
        OperationType.DELETE: snapshots.Delete,
    }
    refusals = {
        OperationType.COPY: "the data of its checkpoints is a snapshot in Manila, which a copy would not include"
    }

    def kept(self, context: HookContext) -> _Kept:
        return _Kept(context)


def _source(context: HookContext) -> Source:
    clients = context.clients
    return Source(context, Shares(clients), Snapshots(clients), USABLE, obstacle, lambda share: share.owner)


def _require_support(share: Shown) -> None:
    for capability, what in (
        ("snapshot_support", "snapshots"),
        ("create_share_from_snapshot_support", "new shares of snapshots, which a restore needs"),
    ):
        if not share.values.get(capability):
            raise exception.ResourceNotProtectable(
                f"share {share.id} cannot be protected: its share type does not support {what}"
            )


def _snapshot(context: HookContext, name: str, markers: Mapping[str, str]) -> str:
    share_id = context.resource.id
    description = names.plain(context.parameters.get("description") or "")
    with translated(f"creating the snapshot of share {share_id}"):
        snapshot = context.clients.manila().create(
            "snapshots", {"share_id": share_id, "name": name, "description": description, "metadata": markers}
        )
    return str(snapshot["id"])


def _create(context: HookContext, document: Mapping[str, Any], name: str, markers: Mapping[str, str]) -> str:
    values = {
        "snapshot_id": document[snapshots.DESCRIPTION]["id"],
        "size": document[snapshots.DESCRIPTION]["size"],
        "share_proto": document["share"]["share_proto"],
        "name": name,
        "metadata": markers,
    }
    if context.parameters.get("availability_zone"):
        values["availability_zone"] = context.parameters["availability_zone"]
    with translated(f"creating a share for {context.resource.key}"):
        share = context.clients.manila().create("shares", values)
    return str(share["id"])


def _read(context: HookContext) -> dict[str, Any]:
    """Return the document. Raises ResourceFailed if it is damaged. One of another plugin has no snapshot."""
    document, what = documents.get(context), context.resource.key
    if snapshots.DESCRIPTION in document:
        schemas.valid(document[snapshots.DESCRIPTION], _SNAPSHOT, f"the description of the snapshot of {what}")
        schemas.valid(document.get("share"), metadata.SCHEMA, f"the description of {what}")
    return document
