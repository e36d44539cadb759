"""Periodic jobs that exactly one service process runs each time they are due."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like.db import session as db_session
from karbor_like.db.models import PeriodicJob

#: How the names of jobs begin; the id of a provider follows.
COLLECT: Final = "collect "
FAILED: Final = "failed "
#: Member of the result of :data:`COLLECT`: the bytes that the bank holds.
STORED_BYTES: Final = "stored_bytes"
#: Member of the result of :data:`FAILED`: the checkpoint after which the next run continues; empty for the first one.
LAST: Final = "last"


def take(session: orm.Session, name: str, owner: str, seconds: float) -> bool:
    """Take job *name* for *owner* by compare-and-set if it is due. The job is then due again *seconds* from now.

    A new job is due immediately. If the owner dies while running the job, the job is not repeated before its next due time.

    :returns: whether *owner* runs the job now
    """
    now = db_session.now(session)
    due_at = now + timedelta(seconds=seconds)
    changed = session.execute(
        sa.update(PeriodicJob)
        .where(PeriodicJob.name == name, PeriodicJob.due_at <= now)
        .values(due_at=due_at, owner=owner)
        .execution_options(synchronize_session=False)
    )
    if changed.rowcount:  # type: ignore[attr-defined]
        return True
    if session.get(PeriodicJob, name) is not None:
        return False
    session.add(PeriodicJob(name=name, due_at=due_at, owner=owner))
    session.flush()
    return True


def done(session: orm.Session, name: str) -> None:
    """Record that the job *name* has just succeeded."""
    session.execute(
        sa.update(PeriodicJob)
        .where(PeriodicJob.name == name)
        .values(done_at=db_session.now(session))
        .execution_options(synchronize_session=False)
    )


def record(session: orm.Session, name: str, result: Mapping[str, Any]) -> None:
    """Record what the job *name* has just found out.

    :param result: any JSON
    """
    session.execute(
        sa.update(PeriodicJob)
        .where(PeriodicJob.name == name)
        .values(result=dict(result), result_at=db_session.now(session))
        .execution_options(synchronize_session=False)
    )


def results(session: db_session.Queryable, prefix: str) -> Mapping[str, tuple[Mapping[str, Any], datetime]]:
    """Return what the jobs whose names begin with *prefix* last found out, and when, by the rest of the name."""
    query = sa.select(PeriodicJob.name, PeriodicJob.result, PeriodicJob.result_at).where(
        PeriodicJob.name.startswith(prefix, autoescape=True), PeriodicJob.result_at.is_not(None)
    )
    return {row.name.removeprefix(prefix): (row.result, row.result_at) for row in session.execute(query)}


def done_times(session: db_session.Queryable, prefix: str) -> Mapping[str, datetime | None]:
    """Return when the jobs whose names begin with *prefix* last succeeded, by the rest of the name.

    None: it has been taken, and has never succeeded.
    """
    query = sa.select(PeriodicJob.name, PeriodicJob.done_at).where(PeriodicJob.name.startswith(prefix, autoescape=True))
    return {row.name.removeprefix(prefix): row.done_at for row in session.execute(query)}
