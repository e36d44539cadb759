"""What a copied checkpoint says of itself in its ``extra_info``: pure functions on that mapping."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

#: What is added when all of it is there.
FINISHED: Final = {"copy_status": "finished"}

_SOURCE: Final = "source_checkpoint_id"

#: By these the operation engine knows the checkpoints that it made. A copy is none of them: it must neither be taken for the
#: run of a schedule, nor be counted or deleted by its retention.
_NOT_INHERITED: Final = frozenset(
    {"created_by", "trigger_id", "scheduled_operation_id", "due_at", "attempt", *FINISHED}
)


def extra_info(checkpoint_id: str, provider_id: str, created_at: datetime, own: Mapping[str, Any]) -> dict[str, Any]:
    """That of a copy which is to be made.

    :param checkpoint_id: of the source, as are *provider_id* and *created_at*
    :param own: the source's: what its owner wrote there is the copy's, too
    """
    return {
        **{name: value for name, value in own.items() if name not in _NOT_INHERITED},
        "created_by": "copy",
        _SOURCE: checkpoint_id,
        "source_provider_id": provider_id,
        "source_created_at": created_at.isoformat(),
    }


def source_of(given: Mapping[str, Any]) -> str | None:
    """The checkpoint of which the one with this ``extra_info`` is a copy; None where it is none."""
    return given.get(_SOURCE)
