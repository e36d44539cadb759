"""What the plugins have in common that keep the bytes of volumes in the bank: either restores checkpoints of the other.

The section of a volume has the stream ``data``, and a document with these members:

* ``volume``: what :func:`karbor_like.plugins.cinder.metadata.describe` returned;
* ``image``: the bytes as an image, see :mod:`karbor_like.plugins.glance.integrity`;
* ``backup_name`` and ``description``: what the request stated;
* ``route``: how the bytes were read, if the plugin had a choice, see :mod:`karbor_like.plugins.cinder.direct.route`.

A second document, :data:`karbor_like.plugins.cinder.kept.MARK`, names a snapshot that was kept for the next protect.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Final

from karbor_like import exception
from karbor_like.bank import StreamStats
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.cinder import kept, restored
from karbor_like.plugins.glance import data
from karbor_like.plugins.objects import CloudObjects
from karbor_like.plugins.protection import HookContext, ProtectionPlugin, ResourceOperation
from karbor_like.plugins.toolkit import documents, names, planning
from karbor_like.plugins.toolkit.comparison import require_equal
from karbor_like.plugins.toolkit.copying import SectionCopy
from karbor_like.plugins.toolkit.transfer import TransferTimeout

# Clients know the options, and restore_name, which must not change. See Schemas for the meaning of "required" in them.
OPTION_PROPERTIES: Final[Mapping[str, Any]] = {
    "backup_name": {
        **names.NAME,
        "title": "Backup Name",
        "description": "The name of the backup.",
        "default": None,
    },
    "description": {
        **names.DESCRIPTION,
        "title": "Description",
        "description": "The description of the backup.",
    },
}

RESTORE_PROPERTIES: Final[Mapping[str, Any]] = {
    "restore_name": {
        **names.NAME,
        "title": "Restore Resource Name",
        "description": "The name of the restore resource ",
        "default": None,
    },
    **names.PREFIX_PROPERTIES,
    **restored.PLACEMENT_PROPERTIES,
}


class Verify(data.Verify):
    """Also checks that all bytes of the volume were stored."""

    plugin: "VolumeDataPlugin"

    def check_stored(self, context: HookContext, document: Mapping[str, Any]) -> StreamStats:
        return self.plugin.check_stored(context, document)


class VolumeRestore(ResourceOperation):
    """Creates a volume."""

    def plan(self, context: HookContext) -> Sequence[PlannedAction]:
        created = PlannedAction(Action.CREATE, context.resource.key)
        return planning.plan(context, lambda: restored.unavailable(context, documents.get(context)["volume"]), created)

    def needs(self, context: HookContext) -> Mapping[str, int]:
        return restored.needs(documents.get(context)["volume"]["size"])


class Delete(ResourceOperation):
    """Deletes the snapshot that was kept, if any, and then the section in the bank that names it."""

    plugin: "VolumeDataPlugin"

    def main(self, context: HookContext) -> dict[str, Any]:
        remarks = kept.delete(context, self.plugin.storage_marks(context))
        context.report.step("deleting the objects in the bank")
        context.section.delete()
        return {"remarks": remarks}


class Copy(SectionCopy):
    """Copies everything but the mark: the kept snapshot belongs to the original."""

    def omitted(self, context: HookContext) -> Collection[str]:
        return (kept.MARK,)


class VolumeDataPlugin(TransferTimeout, ProtectionPlugin):
    """A plugin that keeps the bytes of volumes in the bank. A subclass adds protect and restore to :attr:`operations`."""

    #: Bytes of a volume for each GiB of its size. Clouds for tests may have smaller volumes.
    gib: ClassVar[int] = 1024**3

    operations: ClassVar[Mapping[OperationType, type[ResourceOperation]]] = {
        OperationType.DELETE: Delete,
        OperationType.VERIFY: Verify,
        OperationType.COPY: Copy,
    }

    def storage_marks(self, context: HookContext) -> CloudObjects | None:
        """Return the marks that the storage keeps of the volume below Cinder. None: the plugin cannot reach them."""
        return None

    def check_stored(self, context: HookContext, document: Mapping[str, Any]) -> StreamStats:
        """Check that the stored bytes are those in *document* and all bytes of the volume. Raises CheckpointDamaged."""
        stats = data.check_stored(context, document)
        self.check_size(context, document, stats, exception.CheckpointDamaged)
        return stats

    def check_size(
        self,
        context: HookContext,
        document: Mapping[str, Any],
        stats: StreamStats,
        kind: type[exception.ResourceFailed] = exception.ResourceFailed,
    ) -> None:
        """Raise an error of the class *kind* unless the stored stream has as many bytes as the volume in *document*."""
        require_equal(
            f"size in bytes of {context.resource.key}",
            {"volume": document["volume"]["size"] * self.gib, "stored": stats.logical},
            "The cloud's image of the volume was incomplete when it was protected",
            kind=kind,
        )


def require_unencrypted(volume: Any, why: str) -> None:
    """Raise ResourceNotProtectable if Cinder encrypts *volume*.

    :param why: a clause
    """
    if volume.encrypted:
        raise exception.ResourceNotProtectable(
            f"volume {volume.id} is encrypted by Cinder: {why}; protect it with a plugin that stores Cinder backups"
        )
