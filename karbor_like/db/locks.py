"""Locks of the database by name, which a transaction holds until its end. For those who count rows before they add one."""

import sqlalchemy as sa
from oslo_db import exception as db_exception
from sqlalchemy import orm

from karbor_like.db.models import QuotaLock


def take(session: orm.Session, name: str) -> None:
    """Take the lock *name* until the transaction ends.

    Call it inside ``Database.write``, which retries if two transactions are the first ones to take a lock.

    :param name: id of a project, or of something else with a UUID, or a name that is no id
    """
    # A locking read: a plain read would fix MariaDB's snapshot before the lock is acquired, and the count would be stale.
    query = sa.select(QuotaLock).where(QuotaLock.project_id == name).with_for_update()
    if session.execute(query).scalar_one_or_none() is None:
        session.add(QuotaLock(project_id=name))
        try:
            session.flush()
        except db_exception.DBDuplicateEntry as error:
            raise db_exception.RetryRequest(error) from None
