"""Quotas: limits and usage of projects.

Usage is counted in the transaction that adds an object, under a lock per project. Concurrent requests therefore cannot exceed
a limit together, and there are no reservations to release.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.db import checkpoints, locks, models
from karbor_like.db.models import (
    Checkpoint,
    Plan,
    Quota,
    QuotaClass,
    Restore,
    ScheduledOperation,
    Trigger,
    Verification,
)
from karbor_like.domain import states

UNLIMITED = -1
DEFAULT_CLASS = "default"
#: The lock for changes of all quota classes, whose names are too long for one. No project has this name.
_CLASSES_LOCK = "quota classes"


_Conditions = Sequence[sa.ColumnElement[bool]]
#: The limited resources, and which rows of a project count.
COUNTED: Mapping[str, tuple[Any, _Conditions]] = {
    "plans": (Plan, ()),
    # Failures would otherwise use up the quota until nothing can be protected.
    "checkpoints": (Checkpoint, (Checkpoint.deleted_at.is_(None), ~checkpoints.never_complete())),
    "triggers": (Trigger, ()),
    "scheduled_operations": (ScheduledOperation, ()),
    # Their rows stay as a record.
    "restores": (Restore, (Restore.status == states.IN_PROGRESS,)),
    "verifications": (Verification, (Verification.status == states.IN_PROGRESS,)),
}
_ADVICE = {
    "restores": "wait until some have ended",
    "verifications": "wait until some have ended",
}


def _count(resource: str, project_id: str) -> sa.Label[int]:
    model, conditions = COUNTED[resource]
    query = sa.select(sa.func.count()).select_from(model).where(model.project_id == project_id, *conditions)
    return query.scalar_subquery().label(resource)


def _rows(session: orm.Session, model: type[models.Base], **equal: str) -> dict[str, int]:
    rows = session.execute(sa.select(model).filter_by(**equal)).scalars()
    return {row.resource: row.hard_limit for row in rows if row.resource in COUNTED}  # type: ignore[attr-defined]


def class_limits(session: orm.Session, class_name: str, defaults: Mapping[str, int]) -> dict[str, int]:
    """Return the limits of a quota class; *defaults* (from the configuration) apply to resources it does not set."""
    return {**defaults, **_rows(session, QuotaClass, class_name=class_name)}


def default_limits(session: orm.Session, defaults: Mapping[str, int]) -> dict[str, int]:
    """Return the limits of a project that has none of its own: the class ``default``, then the configuration."""
    return class_limits(session, DEFAULT_CLASS, defaults)


def limits(session: orm.Session, project_id: str, defaults: Mapping[str, int]) -> dict[str, int]:
    """Return the limits of a project."""
    return {**default_limits(session, defaults), **_rows(session, Quota, project_id=project_id)}


def usage(session: orm.Session, project_id: str) -> dict[str, int]:
    """Return the current usage of a project, counted in one query."""
    return dict(session.execute(sa.select(*(_count(resource, project_id) for resource in COUNTED))).one()._mapping)


def set_limits(session: orm.Session, project_id: str, values: Mapping[str, int]) -> None:
    """Set limits of a project; -1 is unlimited. Call it inside ``Database.write``: see :func:`.locks.take`."""
    # Otherwise two requests that set a limit for the first time would collide.
    locks.take(session, project_id)
    for resource, limit in values.items():
        session.merge(Quota(project_id=project_id, resource=resource, hard_limit=limit))


def set_class_limits(session: orm.Session, class_name: str, values: Mapping[str, int]) -> None:
    """Set limits of a quota class; -1 is unlimited. Call it inside ``Database.write``: see :func:`.locks.take`."""
    locks.take(session, _CLASSES_LOCK)
    for resource, limit in values.items():
        session.merge(QuotaClass(class_name=class_name, resource=resource, hard_limit=limit))


def delete_limits(session: orm.Session, project_id: str) -> None:
    """Remove the limits of a project, so that the defaults apply again. Call it inside ``Database.write``."""
    locks.take(session, project_id)
    session.execute(sa.delete(Quota).where(Quota.project_id == project_id))


def enforce(
    session: orm.Session, project_id: str, resource: str, defaults: Mapping[str, int], *, wanted: int = 1
) -> None:
    """Check that the quota allows *wanted* more of *resource*, which the same transaction then adds.

    Call it inside ``Database.write``: see :func:`.locks.take`.

    :raises OverQuota: the limit would be exceeded
    """
    locks.take(session, project_id)
    limit = limits(session, project_id, defaults)[resource]
    if limit == UNLIMITED:
        return
    used = session.execute(sa.select(_count(resource, project_id))).scalar_one()
    if used + wanted > limit:
        raise exception.OverQuota(
            f"project {project_id}: quota for {resource} exceeded: limit {limit}, in use {used}, requested {wanted}; "
            f"{_ADVICE.get(resource, f'delete some {resource}')} or request a higher quota"
        )
