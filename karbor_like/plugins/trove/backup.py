"""The backup of a checkpoint: what the bank says about it, and whether it can still be used."""

from collections.abc import Mapping
from typing import Any, Final

from karbor_like import exception
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import cloud_objects, documents, ownership, schemas
from karbor_like.plugins.trove import description
from karbor_like.plugins.trove.objects import COMPLETED, Backups, Found, words

#: Role of the backup.
BACKUP: Final = "backup"


def document(context: HookContext) -> dict[str, Any]:
    """Return the checked document of the checkpoint. Raises ResourceFailed if it is damaged."""
    return _checked(documents.get(context))


def find_document(context: HookContext) -> dict[str, Any] | None:
    """Return the checked document of a checkpoint that is being deleted, or None: see :func:`.documents.find`."""
    found = documents.find(context)
    return None if found is None else _checked(found)


def _checked(found: Mapping[str, Any]) -> dict[str, Any]:
    return schemas.valid(found, description.SCHEMA, "the stored description of the database instance")


def require_usable(context: HookContext, described: Mapping[str, Any]) -> Found:
    """Return the backup. Raises ResourceFailed if it no longer exists, or cannot be restored.

    :param described: member ``backup`` of the document
    """
    try:
        found: Found = cloud_objects.fetch(context, Backups(context.clients), described["id"])
    except (exception.ResourceNotFound, exception.Unsupported):
        raise exception.CheckpointDamaged(
            f"database backup {described['id']} does not exist in this cloud: it was deleted, or the checkpoint was made in"
            " another cloud, and cannot be restored here"
        ) from None
    reason = foreign(context, described, found)
    if not reason and found.status != COMPLETED:
        reason = f"it is in state {found.status!r}"
    if reason:
        raise exception.CheckpointDamaged(f"database backup {found.id} cannot be restored: {reason}")
    return found


def foreign(context: HookContext, described: Mapping[str, Any], found: Found) -> str | None:
    """Return why a backup is not the one of this checkpoint, or None if it is. A document may be wrong."""
    if found.values.get("instance_id") != context.resource.id:
        return f"it is a backup of database instance {found.values.get('instance_id')}"
    # The name in the journal has the id of the operation.
    if not any(ownership.operation_of(word, {}) == described["operation"] for word in words(found.values)):
        return "another operation made it, or a user"
    return None
