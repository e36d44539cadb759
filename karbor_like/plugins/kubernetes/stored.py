"""What the section of a pod has in the bank: the description, and the environment variables in a document of their own."""

from typing import Any, Final

from karbor_like.bank import errors
from karbor_like.plugins.kubernetes import description
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import documents, schemas

#: Name of the document with the environment variables. A bank without encryption does not have it.
ENVIRONMENT: Final = "environment"

_DOCUMENT: Final = {"type": "object", "properties": {"pod": description.POD}, "required": ["pod"]}


def pod(context: HookContext) -> dict[str, Any]:
    """Return the checked description. Raises ResourceFailed if it is damaged."""
    document = schemas.valid(documents.get(context), _DOCUMENT, "the stored description of the pod")
    return dict(document["pod"])


def environment(context: HookContext) -> dict[str, Any]:
    """Return the checked environment variables by the names of the containers. Raises ResourceFailed if they are damaged."""
    try:
        found = context.section.get(ENVIRONMENT).get("containers")
    except errors.ObjectNotFound:
        return {}
    return schemas.valid(found, description.ENVIRONMENT, "the stored environment of the pod")
