"""The snapshot of a protect that is kept as a mark, so that the next protect reads only what has changed since.

It belongs to the tenant, as every snapshot that a protect takes, or the storage keeps it below Cinder. Its entry in the
journal says from the beginning that it is kept. So it is deleted if the protect fails, and at no moment is it unknown: the
document :data:`MARK` names it before the checkpoint is complete, and the deletion of the checkpoint deletes it.

The document also names the older snapshots that it replaces. The next protect deletes those: only then is it certain that
the checkpoint which replaced them exists. Members:

* ``snapshot``: ``id`` and ``operation`` of the kept snapshot, and its ``keeper``: ``cinder``, or the storage (``rbd``);
* ``replaced``: a list of the same, of earlier protects;
* ``content``: the mark of the reader;
* ``chain``: ids of the checkpoints since the last one that was read completely, that one first, this one last;
* ``map``: the kind of map that tells what changed;
* ``distrusted``: whether that kind of map was found to be wrong;
* ``remarks``: what the protect found out about it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from oslo_utils import uuidutils

from karbor_like import exception
from karbor_like.bank import Section, errors
from karbor_like.plugins.cinder.objects import Snapshots
from karbor_like.plugins.objects import CloudObjects
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import cloud_objects, ownership
from karbor_like.plugins.toolkit.snapshots import KeptSnapshot

#: Name of the document.
MARK: Final = "mark"
#: Keepers.
CINDER: Final = "cinder"
RBD: Final = "rbd"


class KeptMark(KeptSnapshot):
    """A snapshot that a document names, which may be wrong."""

    source = "volume"

    def __init__(self, context: HookContext) -> None:
        super().__init__(context, Snapshots(context.clients))

    def source_id(self, snapshot: Any) -> str | None:
        return str(snapshot.volume_id)

    def foreign(self, described: Mapping[str, Any], snapshot: Any) -> str | None:
        if reason := super().foreign(described, snapshot):
            return reason
        # Unlike a snapshot that is the checkpoint itself, it never loses its markers.
        marked = snapshot.metadata.get(ownership.OPERATION) == described["operation"]
        return None if marked else "it does not carry the markers of the operation that took it"


def find(section: Section) -> dict[str, Any] | None:
    """Return the document of a checkpoint, or None if it has none, or none that is readable."""
    try:
        return section.get(MARK)
    except errors.ObjectNotFound:
        return None
    except errors.UNREADABLE:
        return None


def is_there(context: HookContext, described: Mapping[str, Any]) -> bool:
    """Return whether the snapshot can be used: it exists, is of this volume, and is not being deleted.

    The reader knows this of one that the storage keeps.
    """
    if described.get("keeper") == RBD:
        return True
    kept = KeptMark(context)
    try:
        snapshot = cloud_objects.fetch(context, kept.objects, described["id"])
        return kept.foreign(described, snapshot) is None and snapshot.status == kept.objects.ready
    except (exception.ResourceNotFound, exception.ResourceFailed):
        return False


def remove(
    context: HookContext, described: Sequence[Mapping[str, Any]], marks: CloudObjects | None
) -> list[tuple[Mapping[str, Any], str]]:
    """Delete snapshots. Return those that remain, with the reason of each.

    :param marks: those that the storage keeps of the volume; None: they cannot be reached

    Raises what ``context.check`` raises.
    """
    remaining = []
    for each in described:
        try:
            if reason := _drop(context, each, marks):
                remaining.append((each, reason))
        except (exception.LeaseLost, exception.Cancelled):
            raise
        except exception.KarborLikeError as error:
            remaining.append((each, exception.public_text(error)))
    return remaining


def _drop(context: HookContext, described: Mapping[str, Any], marks: CloudObjects | None) -> str | None:
    if described.get("keeper") != RBD:
        return KeptMark(context).drop(described, context.waiter.timeout)
    if marks is None:
        return "the storage keeps it, where only the plugin volume-direct can delete it. It is deleted with the volume"
    cloud_objects.delete(context, marks, described["id"], check=context.check)
    return None


def delete(context: HookContext, marks: CloudObjects | None) -> list[str]:
    """Delete the snapshots that the document of the checkpoint names. Return a remark if one belongs to something else.

    :param marks: as in :func:`remove`

    Raises ResourceFailed, and what the cloud's refusal is translated to, if one cannot be deleted.
    """
    document = find(context.section)
    if document is None:
        return []
    context.report.step("deleting the snapshot that was kept")
    remarks = []
    for described in snapshots_of(document):
        if reason := _drop(context, described, marks):
            remarks.append(f"snapshot {described['id']} was not deleted: {reason}")
    return remarks


def snapshots_of(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the snapshots that a document names, the kept one first. What has another form is left out."""
    named = [document.get("snapshot"), *(document.get("replaced") or ())]
    return [
        each
        for each in named
        if isinstance(each, Mapping) and all(uuidutils.is_uuid_like(each.get(key)) for key in ("id", "operation"))
    ]
