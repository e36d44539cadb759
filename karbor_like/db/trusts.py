"""The Keystone trusts by which the operation engine acts for users. The id is stored encrypted."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exception
from sqlalchemy import orm

from karbor_like.db import session as db_session
from karbor_like.db.models import ScheduledOperation, Trust


def get(session: orm.Session, user_id: str, project_id: str, *, lock: bool = False) -> Trust | None:
    """The trust of a user in a project, if there is one; it may be released.

    :param lock: wait for whoever is changing it
    """
    return session.get(Trust, (user_id, project_id), with_for_update=lock or None)


def keep(session: orm.Session, user_id: str, project_id: str, trust_id: str, former: str | None = None) -> bool:
    """Store a trust (*trust_id* encrypted), in place of *former* (encrypted) where there was one.

    False where there is another already: the caller deletes the one it made.
    """
    if former is not None:
        query = _is(sa.update(Trust), user_id, project_id, former)
        result = session.execute(query.values(trust_id=trust_id, created_at=db_session.now(session), released_at=None))
        return result.rowcount == 1  # type: ignore[attr-defined]
    row = Trust(user_id=user_id, project_id=project_id, trust_id=trust_id, created_at=db_session.now(session))
    try:
        with session.begin_nested():
            session.add(row)
    except db_exception.DBDuplicateEntry:
        return False
    return True


def _is(query: Any, user_id: str, project_id: str, trust_id: str) -> Any:
    return query.where(Trust.user_id == user_id, Trust.project_id == project_id, Trust.trust_id == trust_id)


def unused(session: orm.Session, seconds: float) -> Sequence[tuple[str, str]]:
    """Users and projects whose trust has been needed by no scheduled operation, or released, for *seconds* or more."""
    before = db_session.now(session) - timedelta(seconds=seconds)
    needs = sa.select(ScheduledOperation.id).where(
        ScheduledOperation.user_id == Trust.user_id, ScheduledOperation.project_id == Trust.project_id
    )
    since = sa.func.coalesce(Trust.released_at, Trust.created_at)
    query = sa.select(Trust).where(since < before, ~needs.exists())
    return [(row.user_id, row.project_id) for row in session.execute(query).scalars()]


def release(session: orm.Session, user_id: str, project_id: str) -> str | None:
    """Let nothing act by a trust any more and return its (encrypted) id, unless a scheduled operation needs it: then None.

    The row stays, so that whoever dies before the trust is deleted in Keystone leaves it to others.
    """
    row = session.get(Trust, (user_id, project_id), with_for_update=True)
    used = sa.select(sa.func.count()).where(
        ScheduledOperation.user_id == user_id, ScheduledOperation.project_id == project_id
    )
    if row is None or session.execute(used).scalar_one():
        return None
    row.released_at = db_session.now(session)
    return row.trust_id


def forget(session: orm.Session, user_id: str, project_id: str, trust_id: str) -> None:
    """Remove a released trust (*trust_id* encrypted), unless another took its place meanwhile."""
    session.execute(_is(sa.delete(Trust), user_id, project_id, trust_id).where(Trust.released_at.is_not(None)))
