"""Origin of a copied checkpoint, recorded in its ``extra_info``: pure functions on that mapping."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

#: Added when the copy is complete.
FINISHED: Final = {"copy_status": "finished"}

_SOURCE: Final = "source_checkpoint_id"

#: Members by which the operation engine recognizes its checkpoints. A copy must not inherit them: it is not a run of a
#: schedule, and retention must neither count nor delete it.
_NOT_INHERITED: Final = frozenset(
    {"created_by", "trigger_id", "scheduled_operation_id", "due_at", "attempt", *FINISHED}
)


def extra_info(checkpoint_id: str, provider_id: str, created_at: datetime, own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``extra_info`` of a new copy.

    :param checkpoint_id: id of the source
    :param provider_id: provider of the source
    :param created_at: creation time of the source
    :param own: ``extra_info`` of the source; the copy inherits the members that the owner set
    """
    return {
        **{name: value for name, value in own.items() if name not in _NOT_INHERITED},
        "created_by": "copy",
        _SOURCE: checkpoint_id,
        "source_provider_id": provider_id,
        "source_created_at": created_at.isoformat(),
    }


def source_of(given: Mapping[str, Any]) -> str | None:
    """Return the id of the checkpoint that was copied, or None if the checkpoint with this ``extra_info`` is not a copy."""
    return given.get(_SOURCE)
