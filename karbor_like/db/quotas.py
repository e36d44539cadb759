"""Quotas: limits and usage of projects.

Usage is counted in the transaction that adds an object, under a lock per project. Concurrent requests therefore cannot exceed
a limit together, and there are no reservations to release.
"""

from collections.abc import Callable, Mapping

import sqlalchemy as sa
from oslo_db import exception as db_exception
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.db import checkpoints, models
from karbor_like.db.models import Checkpoint, Plan, Quota, QuotaClass, QuotaLock

UNLIMITED = -1
DEFAULT_CLASS = "default"


def _plans(session: orm.Session, project_id: str) -> int:
    query = sa.select(sa.func.count()).select_from(Plan).where(Plan.project_id == project_id)
    return session.execute(query).scalar_one()


def _checkpoints(session: orm.Session, project_id: str) -> int:
    """Count checkpoints, except failures, which would otherwise use up the quota until nothing can be protected."""
    query = (
        sa.select(sa.func.count())
        .select_from(Checkpoint)
        .where(Checkpoint.project_id == project_id, Checkpoint.deleted_at.is_(None), ~checkpoints.never_complete())
    )
    return session.execute(query).scalar_one()


#: The limited resources, and the functions that count their usage.
COUNTED: Mapping[str, Callable[[orm.Session, str], int]] = {"plans": _plans, "checkpoints": _checkpoints}


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
    """Return the current usage of a project."""
    return {resource: count(session, project_id) for resource, count in COUNTED.items()}


def set_limits(session: orm.Session, project_id: str, values: Mapping[str, int]) -> None:
    """Set limits of a project; -1 is unlimited."""
    for resource, limit in values.items():
        session.merge(Quota(project_id=project_id, resource=resource, hard_limit=limit))


def set_class_limits(session: orm.Session, class_name: str, values: Mapping[str, int]) -> None:
    """Set limits of a quota class; -1 is unlimited."""
    for resource, limit in values.items():
        session.merge(QuotaClass(class_name=class_name, resource=resource, hard_limit=limit))


def delete_limits(session: orm.Session, project_id: str) -> None:
    """Remove the limits of a project, so that the defaults apply again."""
    session.execute(sa.delete(Quota).where(Quota.project_id == project_id))


def lock(session: orm.Session, project_id: str) -> None:
    """Take the project's lock until the transaction ends, for callers that count before they call :func:`enforce`.

    Call it inside ``Database.write``, which retries if two first requests of a project collide.
    """
    # A locking read: a plain read would fix MariaDB's snapshot before the lock is acquired, and the count would be stale.
    query = sa.select(QuotaLock).where(QuotaLock.project_id == project_id).with_for_update()
    if session.execute(query).scalar_one_or_none() is None:
        session.add(QuotaLock(project_id=project_id))
        try:
            session.flush()
        except db_exception.DBDuplicateEntry as error:
            raise db_exception.RetryRequest(error) from None


def enforce(
    session: orm.Session, project_id: str, resource: str, defaults: Mapping[str, int], *, wanted: int = 1
) -> None:
    """Check that the quota allows *wanted* more of *resource*, which the same transaction then adds.

    Call it inside ``Database.write``: see :func:`lock`.

    :raises OverQuota: the limit would be exceeded
    """
    lock(session, project_id)
    limit = limits(session, project_id, defaults)[resource]
    if limit == UNLIMITED:
        return
    used = COUNTED[resource](session, project_id)
    if used + wanted > limit:
        raise exception.OverQuota(
            f"project {project_id}: quota for {resource} exceeded: limit {limit}, in use {used}, requested {wanted}; delete"
            f" some {resource} or request a higher quota"
        )
