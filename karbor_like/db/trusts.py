"""Queries on the Keystone trusts by which scheduled operations act. The ids of trusts in Keystone are stored encrypted.

A row is inserted before Keystone is asked, as released, so that a trust whose creator died is found and deleted. Afterwards
its scheduled operation adopts it. When no scheduled operation has it any longer, it is released.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.db import models, repository
from karbor_like.db import session as db_session
from karbor_like.db.models import Operation, ScheduledOperation, ScheduledRun, Trust
from karbor_like.db.scheduled_operations import SCHEDULED_OPERATIONS
from karbor_like.db.scheduled_runs import STARTED

TRUSTS = repository.Repository(models.Trust, noun="trust", not_found=exception.NotFound)

#: Fingerprint in operations that an earlier release queued: the trust, if any, is known only by its owner.
UNKNOWN: Final = "unknown"


def intend(session: orm.Session, user_id: str, project_id: str, seconds: float) -> Trust:
    """Record that a trust will be created.

    :param seconds: after this time, a trust that was not adopted is deleted
    """
    now = db_session.now(session)
    later = now + timedelta(seconds=seconds)
    return TRUSTS.insert(
        session, user_id=user_id, project_id=project_id, created_at=now, released_at=now, next_attempt_at=later
    )


def adopt(session: orm.Session, trust_id: str, keystone_id: str, operation_id: str) -> str | None:
    """Give a created trust to a scheduled operation of the same user and project, in place of the one that it had.

    :param keystone_id: encrypted
    :returns: the id of the former trust if it was released
    :raises ScheduledOperationNotFound: the operation was deleted meanwhile
    """
    operation = SCHEDULED_OPERATIONS.get(session, operation_id, lock=True)
    row = TRUSTS.get(session, trust_id, lock=True)
    if (operation.user_id, operation.project_id) != (row.user_id, row.project_id):
        raise exception.NotAuthorized(f"scheduled operation {operation_id} acts as another user")
    former, operation.trust_id = operation.trust_id, row.id
    row.update({"keystone_id": keystone_id, "released_at": None, "next_attempt_at": None})
    session.flush()
    return former if former is not None and release(session, former) else None


def release(session: orm.Session, trust_id: str) -> bool:
    """Release a trust unless a scheduled operation has it, and return whether it is released now."""
    row = TRUSTS.find(session, trust_id, lock=True)
    if row is None or _of_operations(session, row):
        return False
    if row.released_at is None:
        row.released_at = row.next_attempt_at = db_session.now(session)
    return True


def due(session: orm.Session, limit: int) -> Sequence[Trust]:
    """Return released trusts whose deletion is to be attempted, longest waiting first."""
    query = sa.select(Trust).where(Trust.next_attempt_at <= db_session.now(session))
    return session.execute(query.order_by(Trust.next_attempt_at, Trust.id).limit(limit)).scalars().all()


def ids(session: orm.Session) -> Sequence[str]:
    """Return the ids of all rows."""
    return session.execute(sa.select(Trust.id)).scalars().all()


def take(
    session: orm.Session, trust_id: str, fingerprints: Collection[str], *, pause: float, retry: float, bound: float
) -> bool:
    """Return whether to delete a released trust in Keystone now: nothing uses it, or it was released long ago.

    A trust is used by a step of a run that acts by it, and by operations of the protection service until they have ended and
    left nothing behind in the cloud. None of them can start once that is over.

    :param fingerprints: of the trust in Keystone
    :param pause: seconds until the next attempt, if the trust is used
    :param retry: seconds until the next attempt, if this one fails
    :param bound: seconds after the release from which the trust is deleted though it is used
    """
    row = TRUSTS.find(session, trust_id, lock=True)
    if row is None or row.released_at is None:
        return False
    now = db_session.now(session)
    wait = now - row.released_at < timedelta(seconds=bound) and _is_used(session, row, fingerprints)
    row.next_attempt_at = now + timedelta(seconds=pause if wait else retry)
    return not wait


def postpone(session: orm.Session, trust_id: str, seconds: float) -> None:
    """Set the time of the next attempt to delete a released trust."""
    TRUSTS.update(session, trust_id, {"next_attempt_at": db_session.now(session) + timedelta(seconds=seconds)})


def _of_operations(session: orm.Session, row: Trust) -> bool:
    # The user and the project have an index.
    query = sa.select(ScheduledOperation.id).where(
        ScheduledOperation.user_id == row.user_id,
        ScheduledOperation.project_id == row.project_id,
        ScheduledOperation.trust_id == row.id,
    )
    return session.execute(query.limit(1)).first() is not None


def _is_used(session: orm.Session, row: Trust, fingerprints: Collection[str]) -> bool:
    runs = sa.select(ScheduledRun.id).where(ScheduledRun.trust_id == row.id, ScheduledRun.state == STARTED)
    known = Operation.trust_fingerprint.in_(fingerprints)
    unknown = sa.and_(
        Operation.trust_fingerprint == UNKNOWN,
        Operation.user_id == row.user_id,
        Operation.project_id == row.project_id,
    )
    operations = sa.select(Operation.id).where(Operation.credential.is_not(None), sa.or_(known, unknown))
    return any(session.execute(query.limit(1)).first() is not None for query in (runs, operations))
