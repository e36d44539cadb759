"""Plugins that keep a snapshot in the cloud: the document of a checkpoint names it, and may be wrong."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from karbor_like import exception
from karbor_like.plugins.objects import CloudObjects
from karbor_like.plugins.protection import HookContext, ProtectionPlugin, ResourceOperation
from karbor_like.plugins.toolkit import cloud_objects, documents, names, ownership
from karbor_like.plugins.toolkit.comparison import require_equal
from karbor_like.plugins.toolkit.transfer import TransferTimeout

#: Member of the document: ``id``, ``size`` (GiB) and ``operation`` of the snapshot.
DESCRIPTION: Final = "snapshot"

#: Options that name and describe the snapshot.
OPTION_PROPERTIES: Final[Mapping[str, Any]] = {
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
}


class KeptSnapshot(ABC):
    """The snapshot of a checkpoint.

    A subclass knows the objects of its type in the cloud, which have ``id``, ``size`` (GiB) and ``metadata``.
    """

    #: What the snapshot is of, such as "volume".
    source: ClassVar[str]

    def __init__(self, context: HookContext, objects: CloudObjects) -> None:
        self.context = context
        self.objects = objects

    @abstractmethod
    def source_id(self, snapshot: Any) -> str | None:
        """Return the id of what *snapshot* is of."""

    def foreign(self, described: Mapping[str, Any], snapshot: Any) -> str | None:
        """Return why *snapshot* is not the one of this checkpoint, or None if it is.

        Raises ResourceNotFound if something that belongs to it does not exist.
        """
        source_id = self.source_id(snapshot)
        if source_id != self.context.resource.id:
            return f"it is a snapshot of {self.source} {source_id}"
        operation = snapshot.metadata.get(ownership.OPERATION, described["operation"])
        if operation != described["operation"]:
            return f"operation {operation} took it for another checkpoint"
        return None

    def find(self) -> Any:
        """Return the snapshot. Raises ResourceFailed if it no longer exists, or cannot be restored."""
        described = self._described()
        if described is None:
            raise exception.ResourceFailed(
                f"the checkpoint has no snapshot of {self.context.resource.key}: another plugin made it, which must"
                " restore it"
            )
        try:
            snapshot = cloud_objects.fetch(self.context, self.objects, described["id"])
            foreign = self.foreign(described, snapshot)
        except (exception.ResourceNotFound, exception.Unsupported):
            raise exception.CheckpointDamaged(
                f"snapshot {described['id']} does not exist in this cloud: it was deleted, for example together with its"
                f" {self.source}, or the checkpoint was made in another cloud, and cannot be restored here"
            ) from None
        reason = foreign or self.objects.failure(snapshot)
        if reason:
            raise exception.CheckpointDamaged(f"snapshot {snapshot.id} cannot be restored: {reason}")
        return snapshot

    def delete(self, plugin: "SnapshotPlugin") -> list[str]:
        """Delete the snapshot, and wait until it is deleted. Return a remark if it belongs to something else."""
        self.context.report.step("deleting the snapshot")
        described = (documents.find(self.context) or {}).get(DESCRIPTION)
        if described is None:
            return []  # the protect failed, and its clean-up deleted the snapshot; or it was deleted before
        reason = self.drop(described, plugin.timeout(self.context, described["size"] * plugin.gib))
        return [f"snapshot {described['id']} was not deleted: {reason}"] if reason else []

    def drop(self, described: Mapping[str, Any], timeout: float) -> str | None:
        """Delete the described snapshot, if it exists, and wait until it is deleted. Return why it is not the described one.

        :param timeout: seconds
        """
        try:
            reason = self.foreign(described, cloud_objects.fetch(self.context, self.objects, described["id"]))
        except exception.ResourceNotFound:
            return None
        if reason is None:
            self.remove(described, timeout)
        return reason

    def remove(self, described: Mapping[str, Any], timeout: float) -> None:
        """Delete the described snapshot, and wait until it is deleted.

        :param timeout: seconds
        """
        cloud_objects.delete(self.context, self.objects, described["id"], timeout=timeout, check=self.context.check)

    def _described(self) -> Mapping[str, Any] | None:
        return documents.get(self.context).get(DESCRIPTION)


class Verify(ResourceOperation):
    """Checks that the snapshot still exists and can be restored."""

    plugin: "SnapshotPlugin"

    def main(self, context: HookContext) -> None:
        context.report.step("checking the snapshot")
        snapshot = self.plugin.kept(context).find()
        require_equal(
            f"size in GiB of snapshot {snapshot.id}",
            {"checkpoint": documents.get(context)[DESCRIPTION]["size"], "snapshot": snapshot.size},
            kind=exception.CheckpointDamaged,
        )


class Delete(ResourceOperation):
    """Deletes the snapshot, and then the section in the bank that names it."""

    plugin: "SnapshotPlugin"

    def main(self, context: HookContext) -> dict[str, Any]:
        remarks = self.plugin.kept(context).delete(self.plugin)
        context.report.step("deleting the objects in the bank")
        context.section.delete()
        return {"remarks": remarks}


class SnapshotPlugin(TransferTimeout, ProtectionPlugin):
    """A protection plugin that keeps snapshots in the cloud."""

    #: Bytes for each GiB of the size. Clouds for tests may have smaller volumes.
    gib: ClassVar[int] = 1024**3

    @abstractmethod
    def kept(self, context: HookContext) -> KeptSnapshot:
        """Return the snapshot of a checkpoint."""

    def report_size(self, context: HookContext, size: int) -> None:
        """Record that *size* GiB are protected, none of them in the bank."""
        context.report.progress(size * self.gib, size * self.gib)
        context.report.sizes(logical=size * self.gib, new=0, stored=0)
