"""Names of and marks on what an operation creates in a cloud, by which people, a re-run and the protectables know it."""

import re
from collections.abc import Mapping
from typing import Any, Final

OPERATION: Final = "karbor_like_operation"
ROLE: Final = "karbor_like_role"
RESOURCE: Final = "karbor_like_resource"

ALL: Final = (OPERATION, ROLE, RESOURCE)

_NAME: Final = re.compile(r"karbor-like-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-")


def name(operation_id: str, resource: str) -> str:
    """What the names of all things begin with that *operation_id* creates for one resource.

    :param resource: tells it from the operation's other resources
    """
    return f"karbor-like-{operation_id}-{resource}"


def make(operation_id: str, role: str, resource_key: str) -> dict[str, str]:
    """Metadata (properties, for an image) of something that *operation_id* creates as *role* for *resource_key*."""
    return {OPERATION: operation_id, ROLE: role, RESOURCE: resource_key}


def operation_of(name: str | None, metadata: Mapping[str, Any]) -> str | None:
    """The operation that something with this name and metadata belongs to, or None where it is the tenant's own. A restored
    resource loses both when it is complete.
    """
    named = _NAME.match(name or "")
    return metadata.get(OPERATION) or (named[1] if named else None)
