"""How far the operations behind checkpoints, restores and verifications are: read in two queries for a whole page."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import orm

from karbor_like.api import views
from karbor_like.db import operations

#: The operations that make a checkpoint; others only refer to it.
MAKING = ("protect", "copy")


def of(
    session: orm.Session, column: str, ids: Sequence[str], types: Sequence[str] | None = None
) -> dict[str, dict[str, Any]]:
    """The progress (``views.work``) behind each of *ids*, which are values of the operations' *column*."""
    latest = operations.latest_by(session, column, ids, types)
    rows: dict[str, list[Any]] = {}
    for row in operations.resources_of(session, [operation.id for operation in latest.values()]):
        rows.setdefault(row.operation_id, []).append(row)
    progress = {}
    for one in ids:
        operation = latest.get(one)
        progress[one] = views.work(operation, rows.get(operation.id, []) if operation else [])
    return progress
