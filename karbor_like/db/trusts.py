"""Queries on the Keystone trusts by which the operation engine acts for users. Trust ids are stored encrypted."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exception
from sqlalchemy import orm

from karbor_like.db import session as db_session
from karbor_like.db.models import ScheduledOperation, Trust


def get(session: orm.Session, user_id: str, project_id: str, *, lock: bool = False) -> Trust | None:
    """Return the trust of a user in a project, or None. The trust may be released.

    :param lock: lock the row, waiting for a transaction that changes it
    """
    return session.get(Trust, (user_id, project_id), with_for_update=lock or None)


def keep(session: orm.Session, user_id: str, project_id: str, trust_id: str, former: str | None = None) -> bool:
    """Store a trust, or replace *former*.

    :param trust_id: id of the trust, encrypted
    :param former: encrypted id of the stored trust to replace, if any
    :returns: False if another trust was stored meanwhile; the caller then deletes its own trust
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
    """List users and projects whose trust no scheduled operation needs and that is at least *seconds* old.

    The age counts from the release, or from the creation if the trust was not released.
    """
    before = db_session.now(session) - timedelta(seconds=seconds)
    needs = sa.select(ScheduledOperation.id).where(
        ScheduledOperation.user_id == Trust.user_id, ScheduledOperation.project_id == Trust.project_id
    )
    since = sa.func.coalesce(Trust.released_at, Trust.created_at)
    query = sa.select(Trust).where(since < before, ~needs.exists())
    return [(row.user_id, row.project_id) for row in session.execute(query).scalars()]


def release(session: orm.Session, user_id: str, project_id: str) -> str | None:
    """Mark a trust as released, so that no run uses it, and return its encrypted id.

    The row stays until the trust is deleted in Keystone, so that another process can do that if this one dies.

    :returns: None if there is no trust or a scheduled operation needs it
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
    """Remove the row of a released trust, unless the trust was replaced meanwhile.

    :param trust_id: encrypted id of the released trust
    """
    session.execute(_is(sa.delete(Trust), user_id, project_id, trust_id).where(Trust.released_at.is_not(None)))
