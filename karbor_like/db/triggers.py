"""Queries on triggers."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.db import models, repository

TRIGGERS = repository.Repository(
    models.Trigger,
    noun="trigger",
    not_found=exception.TriggerNotFound,
    filters={
        "name": repository.contains,
        "type": repository.exact,
        "properties": repository.contains,
        "project_id": repository.exact,
    },
)


def users(session: orm.Session, trigger_id: str) -> Sequence[models.ScheduledOperation]:
    """List the scheduled operations bound to a trigger, ordered by name."""
    query = sa.select(models.ScheduledOperation).where(models.ScheduledOperation.trigger_id == trigger_id)
    return session.execute(query.order_by(models.ScheduledOperation.name)).scalars().all()


def of_operations(
    session: orm.Session, operations: Sequence[models.ScheduledOperation]
) -> Mapping[str, models.Trigger]:
    """Return the triggers of scheduled operations, by their ids."""
    query = sa.select(models.Trigger).where(models.Trigger.id.in_({row.trigger_id for row in operations}))
    return {row.id: row for row in session.execute(query).scalars()}
