"""What a restore would do, resource by resource."""

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What a restore would do for a resource."""

    CREATE = "create"
    #: Use the resource that the restore request maps it to.
    MAP = "map"
    #: Use the original, which still exists.
    REUSE = "reuse"
    SKIP = "skip"
    #: The restore cannot succeed.
    CONFLICT = "conflict"


@dataclass(frozen=True)
class PlannedAction:
    """One line of a restore plan.

    :param resource_key: ``Type#id`` of the resource in the checkpoint, or of another resource that it refers to
    :param reason: why the action is planned; required for conflicts
    :param takes: ``Type#id`` of an existing object that the action changes, so that no other resource may take it; or empty
    """

    action: Action
    resource_key: str
    reason: str = ""
    takes: str = ""
