"""Which resources of a project are protected.

A resource is protected if the newest available checkpoint of any plan contains it, as a resource of the plan or below one. A
resource that was left out of that checkpoint, or that only older ones contain, is not. The plan may have been deleted since.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from karbor_like.db.models import Checkpoint
from karbor_like.db.session import Queryable
from karbor_like.domain import states
from karbor_like.domain.graph import Graph

#: Checkpoints whose graphs are in memory at once.
_BATCH: Final = 20


@dataclass(frozen=True)
class LastCheckpoint:
    """The newest checkpoint that protects a resource."""

    id: str
    provider_id: str
    plan_id: str
    created_at: datetime


def last_checkpoints(session: Queryable, project_id: str, resource_type: str) -> Mapping[str, LastCheckpoint]:
    """Return the protected resources of a type: id of the resource -> the newest checkpoint that protects it."""
    place = sa.func.row_number().over(
        partition_by=Checkpoint.plan_id, order_by=(Checkpoint.created_at.desc(), Checkpoint.id.desc())
    )
    available = (
        sa.select(Checkpoint.id, place.label("place"))
        .where(
            Checkpoint.project_id == project_id,
            Checkpoint.deleted_at.is_(None),
            Checkpoint.status == states.AVAILABLE,
        )
        .subquery()
    )
    columns = (Checkpoint.id, Checkpoint.provider_id, Checkpoint.plan_id, Checkpoint.created_at)
    query = (
        sa.select(*columns, Checkpoint.resource_graph)
        .join(available, available.c.id == Checkpoint.id)
        .where(available.c.place == 1)
        .order_by(Checkpoint.created_at, Checkpoint.id)
    )
    found: dict[str, LastCheckpoint] = {}
    for row in session.execute(query.execution_options(yield_per=_BATCH)):
        checkpoint = LastCheckpoint(row.id, row.provider_id, row.plan_id, row.created_at)
        for node in Graph.from_text(row.resource_graph).nodes:
            if node.type == resource_type:
                found[node.id] = checkpoint
    return found
