"""Periodic jobs that exactly one service process runs each time they are due."""

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like.db import session as db_session
from karbor_like.db.models import PeriodicJob


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
