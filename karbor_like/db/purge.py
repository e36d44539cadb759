"""Removal, by the operator's command, of rows of objects that were deleted or ended long ago.

The operations of a checkpoint, restore or verification stay as long as its row, because the API shows them together. Each
batch is a transaction of its own, small enough not to block other clients of the database.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like.db import idempotency
from karbor_like.db import session as db_session
from karbor_like.db.models import Base, Checkpoint, IdempotencyKey, Operation, Restore, ScheduledRun, Verification
from karbor_like.db.operations import DONE
from karbor_like.db.session import Database
from karbor_like.domain import states

#: Rows per transaction.
BATCH = 500


@dataclass
class PurgeReport:
    """Numbers of rows that were removed, or would be. Resources and journals are removed with their operation, uncounted."""

    checkpoints: int = 0
    restores: int = 0
    verifications: int = 0
    operations: int = 0
    scheduled_runs: int = 0
    idempotency_keys: int = 0


def purge(database: Database, days: float, *, dry_run: bool = False) -> PurgeReport:
    """Remove rows of objects that were deleted or ended more than *days* days ago, by the database's clock.

    Idempotent. It may be interrupted, and several processes may run it concurrently.

    :param dry_run: count the rows but remove nothing
    """
    with database.reader() as session:
        now = db_session.now(session)
    report = PurgeReport()
    for name, model, old in _old(now, timedelta(days=days)):
        if dry_run:
            with database.reader() as session:
                query = sa.select(sa.func.count()).select_from(model).where(old)
                setattr(report, name, session.execute(query).scalar_one())
        else:
            setattr(report, name, _remove(database, model, old))
    return report


def _old(now: datetime, age: timedelta) -> Iterator[tuple[str, Any, sa.ColumnElement[bool]]]:
    """Yield a member of the report, its table, and the condition on old rows.

    No condition depends on the removal of rows of another table, so that counting and removing agree.
    """
    before = now - age
    objects: tuple[tuple[Any, Any, sa.ColumnElement[bool]], ...] = (
        (Checkpoint, Operation.checkpoint_id, _past(Checkpoint.deleted_at, before)),
        (Restore, Operation.restore_id, _ended(Restore, before)),
        (Verification, Operation.verification_id, _ended(Verification, before)),
    )
    # An ended operation has a lease as long as objects that it left in a cloud are to be deleted.
    ended = sa.and_(Operation.queue_state == DONE, Operation.lease_until.is_(None))
    kept: list[sa.ColumnElement[bool]] = []
    for model, link, old in objects:
        needed = sa.select(Operation.id).where(link == model.id, ~ended)
        yield model.__tablename__, model, sa.and_(old, ~needed.exists())
        kept.append(sa.select(model.id).where(link == model.id, ~old).exists())
    # The API shows a checkpoint without its restores and verifications, so their operations are kept by their own rows only.
    kept[0] &= sa.and_(Operation.restore_id.is_(None), Operation.verification_id.is_(None))
    yield (
        "operations",
        Operation,
        sa.and_(ended, _past(Operation.ended_at, before), ~sa.or_(*kept)),
    )
    yield "scheduled_runs", ScheduledRun, _past(ScheduledRun.ended_at, before)
    # Clients may repeat a request for this long.
    yield "idempotency_keys", IdempotencyKey, IdempotencyKey.created_at < now - max(age, idempotency.KEPT)


def _past(moment: Any, before: datetime) -> sa.ColumnElement[bool]:
    """Compare so that a NULL *moment* gives false and not NULL: the condition is also used negated."""
    return sa.and_(moment.is_not(None), moment < before)


def _ended(model: type[Restore] | type[Verification], before: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(model.status != states.IN_PROGRESS, sa.func.coalesce(model.updated_at, model.created_at) < before)


def _remove(database: Database, model: type[Base], old: sa.ColumnElement[bool]) -> int:
    """Remove old rows in the order of the primary key, so that each remaining row is read only once."""
    keys = sa.inspect(model).primary_key
    total, last = 0, None
    while True:

        def batch(session: orm.Session, last: Any = last) -> tuple[Any, int]:
            query = sa.select(*keys).where(old).order_by(*keys).limit(BATCH)
            if last is not None:
                query = query.where(sa.tuple_(*keys) > sa.tuple_(*last))
            rows = session.execute(query).all()
            if not rows:
                return None, 0
            chosen = sa.tuple_(*keys).in_([tuple(row) for row in rows])
            result = session.execute(sa.delete(model).where(chosen).execution_options(synchronize_session=False))
            return (tuple(rows[-1]) if len(rows) == BATCH else None), result.rowcount  # type: ignore[attr-defined]

        last, removed = database.write(batch)
        total += removed
        if last is None:
            return total
