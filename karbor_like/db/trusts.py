"""The Keystone trusts by which the operation engine acts for users. The id is stored encrypted."""

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
from oslo_db import exception as db_exception
from sqlalchemy import orm

from karbor_like.db import session as db_session
from karbor_like.db.models import ScheduledOperation, Trust


def get(session: orm.Session, user_id: str, project_id: str) -> Trust | None:
    """The trust of a user in a project, if there is one."""
    return session.get(Trust, (user_id, project_id))


def keep(session: orm.Session, user_id: str, project_id: str, trust_id: str, former: str | None = None) -> bool:
    """Store a trust (*trust_id* encrypted), in place of *former* (encrypted) where there was one.

    False where there is another already: the caller deletes the one it made.
    """
    if former is not None:
        query = sa.update(Trust).where(
            Trust.user_id == user_id, Trust.project_id == project_id, Trust.trust_id == former
        )
        result = session.execute(query.values(trust_id=trust_id))
        return result.rowcount == 1  # type: ignore[attr-defined]
    row = Trust(user_id=user_id, project_id=project_id, trust_id=trust_id, created_at=db_session.now(session))
    try:
        with session.begin_nested():
            session.add(row)
    except db_exception.DBDuplicateEntry:
        return False
    return True


def unused(session: orm.Session, seconds: float) -> Sequence[tuple[str, str]]:
    """Users and projects whose trust is older than *seconds* and needed by no scheduled operation."""
    before = db_session.now(session) - timedelta(seconds=seconds)
    needs = sa.select(ScheduledOperation.id).where(
        ScheduledOperation.user_id == Trust.user_id, ScheduledOperation.project_id == Trust.project_id
    )
    query = sa.select(Trust).where(Trust.created_at < before, ~needs.exists())
    return [(row.user_id, row.project_id) for row in session.execute(query).scalars()]


def forget(session: orm.Session, user_id: str, project_id: str) -> str | None:
    """Remove a trust and return its (encrypted) id, unless a scheduled operation still needs it: then None."""
    row = session.get(Trust, (user_id, project_id), with_for_update=True)
    used = sa.select(sa.func.count()).where(
        ScheduledOperation.user_id == user_id, ScheduledOperation.project_id == project_id
    )
    if row is None or session.execute(used).scalar_one():
        return None
    session.delete(row)
    return row.trust_id
