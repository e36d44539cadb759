"""Progress of the operations behind checkpoints, restores and verifications, read in three queries for a whole page."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import orm

from karbor_like.api import views
from karbor_like.db import operations, queues
from karbor_like.domain.operation import OperationType


def progress_of(
    session: orm.Session, column: str, ids: Sequence[str], types: Collection[OperationType] | None = None
) -> dict[str, dict[str, Any]]:
    """Return the progress (see :func:`views.progress`) for each of *ids*, which are values of *column* of the operations."""
    latest = operations.latest_by(session, column, ids, types)
    rows: dict[str, list[Any]] = {}
    for row in operations.resources_of(session, [operation.id for operation in latest.values()]):
        rows.setdefault(row.operation_id, []).append(row)
    queued = [operation.id for operation in latest.values() if operation.queue_state == operations.QUEUED]
    positions = queues.positions(session, queued) if queued else {}
    progress = {}
    for object_id in ids:
        operation = latest.get(object_id)
        key = operation.id if operation else ""
        progress[object_id] = views.progress(operation, rows.get(key, []), positions.get(key))
    return progress
