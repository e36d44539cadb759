"""Queries on plans."""

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.db import models, repository
from karbor_like.db.models import Plan

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
