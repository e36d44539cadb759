"""Marks on what an operation creates in a cloud, by which people, a re-run and the protectable plugins know it."""

from collections.abc import Mapping
from typing import Any, Final

OPERATION: Final = "karbor_like_operation"
ROLE: Final = "karbor_like_role"
RESOURCE: Final = "karbor_like_resource"

ALL: Final = (OPERATION, ROLE, RESOURCE)


def make(operation_id: str, role: str, resource_key: str) -> dict[str, str]:
    """Metadata (properties, for an image) of something that *operation_id* creates as *role* for *resource_key*."""
    return {OPERATION: operation_id, ROLE: role, RESOURCE: resource_key}


def operation_of(metadata: Mapping[str, Any]) -> str | None:
    """The operation that something with this metadata belongs to, or None where it is the tenant's own. A restored resource
    loses the marks when it is complete.
    """
    return metadata.get(OPERATION)
