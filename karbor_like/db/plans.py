"""Queries on plans."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.db import models, repository
from karbor_like.db.models import Checkpoint, Plan, ScheduledOperation, Trigger
from karbor_like.db.session import Queryable
from karbor_like.domain import states

#: Whether the last good checkpoint of a plan is too old for its schedules (``operationengine/rpo.py``).
VIOLATED: Final = "violated"
MET: Final = "met"

PLANS = repository.Repository(
    models.Plan,
    noun="plan",
    not_found=exception.PlanNotFound,
    filters={
        "name": repository.contains,
        "description": repository.contains,
        "status": repository.exact,
        "project_id": repository.exact,
        "provider_id": repository.exact,
    },
)


def get(
    session: orm.Session, plan_id: str, provider_id: str, project_id: str | None = None, *, lock: bool = False
) -> Plan:
    """Return a plan that is for a provider.

    :param project_id: the project that the plan must belong to; None: any
    :param lock: whether to lock the row until the transaction ends
    :raises PlanNotFound: there is no such plan, or it belongs to another project
    :raises PlanWrongProvider: the plan is for another provider
    """
    plan = PLANS.get(session, plan_id, project_id, lock=lock)
    if plan.provider_id != provider_id:
        raise exception.PlanWrongProvider(f"plan {plan_id} is for provider {plan.provider_id}, not for {provider_id}")
    return plan


def projects_with_plans(session: orm.Session, among: Iterable[str]) -> set[str]:
    """Return those of the projects *among* that have plans."""
    query = sa.select(Plan.project_id).where(Plan.project_id.in_(list(among))).distinct()
    return set(session.execute(query).scalars())


def _newest_good() -> sa.ScalarSelect[datetime]:
    """Match the time of the newest available checkpoint of a plan at its own provider: copies elsewhere are not newer."""
    return (
        sa.select(Checkpoint.created_at)
        .where(
            Checkpoint.plan_id == Plan.id,
            Checkpoint.provider_id == Plan.provider_id,
            Checkpoint.status == states.AVAILABLE,
        )
        .order_by(Checkpoint.created_at.desc(), Checkpoint.id.desc())
        .limit(1)
        .correlate(Plan)
        .scalar_subquery()
    )


def last_checkpoints(session: Queryable, plan_ids: Sequence[str]) -> Mapping[str, datetime]:
    """Return the time of the newest available checkpoint of each of these plans that has one, by id of the plan."""
    if not plan_ids:
        return {}
    newest = _newest_good().label("newest")
    rows = session.execute(sa.select(Plan.id, newest).where(Plan.id.in_(list(plan_ids))))
    return {row.id: row.newest for row in rows if row.newest is not None}


def _scheduled() -> sa.Subquery:
    """Return the plans that an enabled scheduled operation protects, with the time when the first of these was created."""
    return (
        sa.select(ScheduledOperation.plan_id, sa.func.min(ScheduledOperation.created_at).label("created_at"))
        .where(ScheduledOperation.enabled.is_(True))
        .group_by(ScheduledOperation.plan_id)
        .subquery()
    )


def oldest(session: Queryable, limit: int) -> Sequence[Any]:
    """Return the scheduled plans with the oldest newest checkpoints.

    :returns: rows with ``id``, ``project_id`` and ``since``: the time of the newest available checkpoint, or that since when
        the plan is scheduled if there is none
    """
    scheduled = _scheduled()
    since = sa.func.coalesce(_newest_good(), scheduled.c.created_at).label("since")
    query = sa.select(Plan.id, Plan.project_id, since).join(scheduled, scheduled.c.plan_id == Plan.id)
    return session.execute(query.order_by(sa.text("since"), Plan.id).limit(limit)).all()


def schedules(session: Queryable) -> Sequence[Any]:
    """Return the enabled scheduled operations of all plans, with what the objectives of the plans depend on.

    :returns: rows with ``id`` of the plan, ``newest`` (time of its newest available checkpoint, or None), ``scheduled_at``,
        and ``trigger_id``, ``type`` and ``properties`` of the trigger
    """
    query = (
        sa.select(
            Plan.id,
            _newest_good().label("newest"),
            ScheduledOperation.created_at.label("scheduled_at"),
            Trigger.id.label("trigger_id"),
            Trigger.type,
            Trigger.properties,
        )
        .join(ScheduledOperation, ScheduledOperation.plan_id == Plan.id)
        .join(Trigger, Trigger.id == ScheduledOperation.trigger_id)
        .where(ScheduledOperation.enabled.is_(True))
    )
    return session.execute(query).all()


def violated(session: Queryable) -> set[str]:
    """Return the ids of the plans whose last good checkpoint is recorded as too old."""
    return set(session.execute(sa.select(Plan.id).where(Plan.rpo_state == VIOLATED)).scalars())


def count_violated(session: Queryable) -> int:
    """Return the number of plans whose last good checkpoint is recorded as too old."""
    return session.execute(sa.select(sa.func.count()).where(Plan.rpo_state == VIOLATED)).scalar_one()


def count(session: Queryable) -> tuple[int, int]:
    """Return the number of plans, and of those that an enabled scheduled operation protects."""
    number = sa.select(sa.func.count()).select_from(Plan)
    scheduled = _scheduled()
    busy = number.join(scheduled, scheduled.c.plan_id == Plan.id)
    return session.execute(number).scalar_one(), session.execute(busy).scalar_one()
