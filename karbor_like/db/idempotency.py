"""Requests with an ``Idempotency-Key``: the same key and body get the same object, however often they are sent.

The id of what a request will create is fixed here before anything is created, and the creation is idempotent for that id.
So a crash between the two, or an answer that got lost, leads to one object all the same.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from oslo_db import exception as db_exception
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.db import session as db_session
from karbor_like.db.models import IdempotencyKey, base

#: A key is of use while a client may still repeat its request.
KEPT: Final = timedelta(days=7)


def reserve(
    session: orm.Session, project_id: str, key: str, fingerprint: str, former: Collection[str] = ()
) -> tuple[str, bool]:
    """The id for what this request creates, and whether this is the first time the key is seen.

    :param fingerprint: keyed digest of method, path and body, 64 hex digits: a body may hold a password
    :param former: the same by the keys that were used before
    Inside ``Database.write``, which runs it again when two first requests meet.
    Raises Conflict where the key came with another request before.
    """
    row = session.get(IdempotencyKey, (project_id, key), with_for_update=True)
    if row is not None:
        if row.fingerprint not in (fingerprint, *former):
            raise exception.Conflict(f"Idempotency-Key {key!r} was used for another request; use a new key")
        return row.resource_id, False
    row = IdempotencyKey(
        project_id=project_id,
        key=key,
        fingerprint=fingerprint,
        resource_id=base.new_id(),
        created_at=db_session.now(session),
    )
    session.add(row)
    try:
        session.flush()
    except db_exception.DBDuplicateEntry as error:
        raise db_exception.RetryRequest(error) from None
    return row.resource_id, True


def forget(session: orm.Session, before: datetime) -> int:
    """Remove keys older than *before*. Returns how many."""
    query = sa.delete(IdempotencyKey).where(IdempotencyKey.created_at < before)
    return session.execute(query).rowcount  # type: ignore[attr-defined]
