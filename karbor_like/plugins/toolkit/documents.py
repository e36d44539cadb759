"""The document that describes a protected resource in its section of the bank."""

from collections.abc import Mapping
from typing import Any, Final

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.plugins.protection import HookContext

METADATA: Final = "metadata"

#: Version of the documents that this code writes. Readers refuse other versions.
VERSION: Final = 1


def put(context: HookContext, members: Mapping[str, Any]) -> None:
    """Write the document of this resource, in place of an earlier one."""
    context.section.put(METADATA, {"version": VERSION, **members})


def find(context: HookContext) -> dict[str, Any] | None:
    """Return the document of a resource whose checkpoint is being deleted, or None if there is nothing to learn from it.

    The protect may have failed before it was stored, or an earlier attempt at the deletion has deleted it: that comes after
    everything that the document names. Raises like :func:`get`.
    """
    try:
        return get(context)
    except (errors.ObjectNotFound, errors.ObjectMissing):
        return None


def get(context: HookContext) -> dict[str, Any]:
    """Return the document of this resource. Raises ResourceFailed if a later version of this code wrote it."""
    document = context.section.get(METADATA)
    if document["version"] != VERSION:
        raise exception.ResourceFailed(
            f"{context.resource.key} was protected by a later version of this software: its metadata has version"
            f" {document['version']}, this version reads {VERSION}"
        )
    return document
