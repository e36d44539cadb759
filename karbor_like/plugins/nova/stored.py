"""What the section of a server has in the bank: the description, and the user data in a document of its own."""

import base64
from typing import Any, Final

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.plugins.neutron import schema as network
from karbor_like.plugins.nova import description, root_disk
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import documents

#: Name of the document with the user data. A bank without encryption does not have it.
USER_DATA: Final = "user-data"
#: Nova's limit for user data in base64, bytes.
_MAX_USER_DATA: Final = 65535


NOT_DESCRIBED: Final = (
    "the checkpoint does not describe the server, because the provider had no plugin for servers when it was made: only its"
    " volumes and images can be restored"
)


def find_document(context: HookContext) -> dict[str, Any] | None:
    """Return the checked document of a server, or None if the checkpoint is older than the plugin.

    Raises ResourceFailed if it is damaged.
    """
    try:
        document = documents.get(context)
    except errors.ObjectNotFound:
        return None
    description.checked(document.get("server"))
    network.checked(document.get("ports"))
    if document["server"]["image"] and not set(root_disk.MEMBERS) <= set(document):
        raise exception.CheckpointDamaged(
            "the stored description of the server is damaged: it lacks that of the root disk"
        )
    return document


def put_user_data(context: HookContext, encoded: str) -> None:
    """Store user data in a document of its own.

    :param encoded: in base64
    """
    context.section.put(USER_DATA, {"version": documents.VERSION, "user_data": encoded})


def user_data(context: HookContext) -> bytes | None:
    """Return the user data, or None if there is none or the restore must drop it. Raises ResourceFailed if it is damaged."""
    if context.parameters.get("user_data") == "drop":
        return None
    try:
        encoded = context.section.get(USER_DATA).get("user_data")
    except errors.ObjectNotFound:
        return None
    try:
        if not isinstance(encoded, str) or len(encoded) > _MAX_USER_DATA:
            raise ValueError
        return base64.b64decode(encoded, validate=True)
    except ValueError:
        raise exception.CheckpointDamaged("the stored user data of the server is damaged") from None
