"""Names and metadata of the objects that operations create in a cloud.

By them retries find the objects, protectable plugins hide them, and operators recognize them.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from karbor_like.plugins.objects import Mark

OPERATION: Final = "karbor_like_operation"
ROLE: Final = "karbor_like_role"
RESOURCE: Final = "karbor_like_resource"

ALL: Final = (OPERATION, ROLE, RESOURCE)

_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAME: Final = re.compile(rf"karbor-like-({_UUID})-")


def name_prefix(operation_id: str, resource: str) -> str:
    """Return the beginning of the names of all objects that *operation_id* creates for one resource.

    :param resource: unique among the resources of the operation
    """
    return f"karbor-like-{operation_id}-{resource}"


def markers(operation_id: str, role: str, resource_key: str) -> dict[str, str]:
    """Return the metadata (of an image: properties) of the object that *operation_id* creates as *role*."""
    return {OPERATION: operation_id, ROLE: role, RESOURCE: resource_key}


def operation_of(name: str | None, metadata: Mapping[str, Any]) -> str | None:
    """Return the id of the operation that created the object, or None if the object belongs to the tenant.

    A restored resource loses name and metadata when it is complete.
    """
    match = _NAME.match(name or "")
    return metadata.get(OPERATION) or (match[1] if match else None)


def mark(
    cloud_id: str, name: str | None, metadata: Mapping[str, Any], created_at: object, *, final: bool = False
) -> Mark | None:
    """Return the mark of an object, or None if no operation created it. A tenant may have written the metadata.

    :param created_at: as the cloud shows it: in ISO 8601, without a time zone in UTC
    :param final: see :class:`~karbor_like.plugins.objects.Mark`
    """
    operation_id = operation_of(name, metadata)
    if not isinstance(operation_id, str) or not re.fullmatch(_UUID, operation_id):
        return None
    return Mark(cloud_id, name or "", operation_id, _moment(created_at), final)


def _moment(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)
