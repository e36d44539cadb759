"""Jobs that any of the services does when they are due, and only one of them each time."""

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like.db import session as db_session
from karbor_like.db.models import PeriodicJob


def take(session: orm.Session, name: str, owner: str, seconds: float) -> bool:
    """Whether *owner* is the one to do job *name* now; then it is due again *seconds* from now. Compare and set.

    A job that was never done is due at once. Who dies while doing one has done it.
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
