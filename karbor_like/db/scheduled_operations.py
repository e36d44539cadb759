"""Queries on scheduled operations."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.db import models, repository

SCHEDULED_OPERATIONS = repository.Repository(
    models.ScheduledOperation,
    noun="scheduled operation",
    not_found=exception.ScheduledOperationNotFound,
    filters={
        "name": repository.contains,
        "operation_type": repository.exact,
        "trigger_id": repository.exact,
        "operation_definition": repository.contains,
        "project_id": repository.exact,
    },
)


def of_plan(session: orm.Session, plan_id: str) -> Sequence[models.ScheduledOperation]:
    """List the scheduled operations that use a plan, ordered by name."""
    query = sa.select(models.ScheduledOperation).where(models.ScheduledOperation.plan_id == plan_id)
    return session.execute(query.order_by(models.ScheduledOperation.name)).scalars().all()
