"""Requests with an ``Idempotency-Key``: every repetition with the same key and body returns the same object.

The id of the new object is recorded here before the object is created, and the creation is idempotent for that id. Therefore
a crash between the two steps, or a lost response, still leads to one object.
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

#: How long a client may repeat its request with the same key.
KEPT: Final = timedelta(days=7)


def reserve(session: orm.Session, project_id: str, key: str, fingerprint: str, former: Collection[str] = ()) -> str:
    """Return the id of the object that a request creates: the same for each repeat of the request.

    Call it inside ``Database.write``, which retries if two first requests collide.

    :param fingerprint: keyed digest of method, path and body (64 hex digits); keyed because a body may hold a password
    :param former: digests of the same request by earlier secret keys
    :raises Conflict: the key was used for another request
    """
    row = session.get(IdempotencyKey, (project_id, key), with_for_update=True)
    if row is not None:
        if row.fingerprint not in (fingerprint, *former):
            raise exception.IdempotencyKeyReused(f"Idempotency-Key {key!r} was used for another request; use a new key")
        return row.resource_id
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
    return row.resource_id


def forget(session: orm.Session, before: datetime) -> int:
    """Remove keys older than *before* and return their number."""
    query = sa.delete(IdempotencyKey).where(IdempotencyKey.created_at < before)
    return session.execute(query).rowcount  # type: ignore[attr-defined]
