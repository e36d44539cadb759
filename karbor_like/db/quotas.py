"""Limits and what is used of them. Use is counted in the transaction that adds, under a lock per project, so that parallel
requests can never exceed a limit together and nothing has to be given back.
"""

from collections.abc import Callable, Mapping

import sqlalchemy as sa
from oslo_db import exception as db_exception
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.db import models
from karbor_like.db.models import Checkpoint, Plan, Quota, QuotaClass, QuotaLock

UNLIMITED = -1
DEFAULT_CLASS = "default"


def _plans(session: orm.Session, project_id: str) -> int:
    query = sa.select(sa.func.count()).select_from(Plan).where(Plan.project_id == project_id)
    return session.execute(query).scalar_one()


def _checkpoints(session: orm.Session, project_id: str) -> int:
    query = (
        sa.select(sa.func.count())
        .select_from(Checkpoint)
        .where(Checkpoint.project_id == project_id, Checkpoint.deleted_at.is_(None))
    )
    return session.execute(query).scalar_one()


#: What is limited, and how its use is counted.
COUNTED: Mapping[str, Callable[[orm.Session, str], int]] = {"plans": _plans, "checkpoints": _checkpoints}


def _rows(session: orm.Session, model: type[models.Base], **equal: str) -> dict[str, int]:
    rows = session.execute(sa.select(model).filter_by(**equal)).scalars()
    return {row.resource: row.hard_limit for row in rows if row.resource in COUNTED}  # type: ignore[attr-defined]


def class_limits(session: orm.Session, class_name: str, defaults: Mapping[str, int]) -> dict[str, int]:
    """Limits of a quota class; the configuration's *defaults* where it sets none."""
    return {**defaults, **_rows(session, QuotaClass, class_name=class_name)}


def default_limits(session: orm.Session, defaults: Mapping[str, int]) -> dict[str, int]:
    """What applies to a project without limits of its own: the class ``default``, then the configuration."""
    return class_limits(session, DEFAULT_CLASS, defaults)


def limits(session: orm.Session, project_id: str, defaults: Mapping[str, int]) -> dict[str, int]:
    """What applies to a project."""
    return {**default_limits(session, defaults), **_rows(session, Quota, project_id=project_id)}


def usage(session: orm.Session, project_id: str) -> dict[str, int]:
    """What a project uses now."""
    return {resource: count(session, project_id) for resource, count in COUNTED.items()}


def set_limits(session: orm.Session, project_id: str, values: Mapping[str, int]) -> None:
    """Give a project limits of its own; -1 is unlimited."""
    for resource, limit in values.items():
        session.merge(Quota(project_id=project_id, resource=resource, hard_limit=limit))


def set_class_limits(session: orm.Session, class_name: str, values: Mapping[str, int]) -> None:
    """Change a quota class; -1 is unlimited."""
    for resource, limit in values.items():
        session.merge(QuotaClass(class_name=class_name, resource=resource, hard_limit=limit))


def delete_limits(session: orm.Session, project_id: str) -> None:
    """Take a project's own limits away: the defaults apply again."""
    session.execute(sa.delete(Quota).where(Quota.project_id == project_id))


def lock(session: orm.Session, project_id: str) -> None:
    """Hold the project's lock until the transaction ends: for whoever counts before :func:`enforce` does. Inside
    ``Database.write``, which runs it again when two first requests of a project meet.
    """
    # Locking reads only: a plain read would fix MariaDB's snapshot before the lock is had, and the count would be old.
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
    """Make room for *wanted* more of *resource* in this transaction, which then adds them. Raises OverQuota.

    Inside ``Database.write``: see :func:`lock`.
    """
    lock(session, project_id)
    limit = limits(session, project_id, defaults)[resource]
    if limit == UNLIMITED:
        return
    used = COUNTED[resource](session, project_id)
    if used + wanted > limit:
        raise exception.OverQuota(
            f"the quota of project {project_id} for {resource} is {limit}, of which {used} are used: there is no room for"
            f" {wanted} more; delete some or ask for more"
        )
