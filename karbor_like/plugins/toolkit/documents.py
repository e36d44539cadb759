"""The document that describes a protected resource in its section of the bank."""

from collections.abc import Mapping
from typing import Any, Final

from karbor_like import exception
from karbor_like.plugins.protection import HookContext

METADATA: Final = "metadata"

#: Version of the documents that this code writes. Readers refuse other versions.
VERSION: Final = 1


def put(context: HookContext, members: Mapping[str, Any]) -> None:
    """Write the document of this resource, in place of an earlier one."""
    context.section.put(METADATA, {"version": VERSION, **members})


def get(context: HookContext) -> dict[str, Any]:
    """Return the document of this resource. Raises ResourceFailed if a later version of this code wrote it."""
    document = context.section.get(METADATA)
    if document["version"] != VERSION:
        raise exception.ResourceFailed(
            f"{context.resource.key} was protected by a later version of this software: its metadata has version"
            f" {document['version']}, this version reads {VERSION}"
        )
    return document
