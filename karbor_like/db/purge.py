"""Removes rows that nobody needs any more, when an operator asks: what was deleted or has ended long ago.

What the API still shows keeps what it is shown with: the operations that made a checkpoint, restore or verification stay for
as long as its row does. Each batch is a transaction of its own, small enough to be in nobody's way.
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

#: Rows of one transaction.
BATCH = 500


@dataclass
class PurgeReport:
    """How many rows were removed, or would be. Resources and journals of operations go with them and are not counted."""

    checkpoints: int = 0
    restores: int = 0
    verifications: int = 0
    operations: int = 0
    scheduled_runs: int = 0
    idempotency_keys: int = 0


def purge(database: Database, days: float, *, dry_run: bool = False) -> PurgeReport:
    """Remove what was deleted or has ended more than *days* days ago, by the database's clock. May be interrupted, done again
    and done twice at the same time.

    :param dry_run: only count
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
    """Member of the report, table, and which of its rows are old. None of these depends on another's rows being gone
    already, so that counting and removing agree.
    """
    before = now - age
    objects: tuple[tuple[Any, Any, sa.ColumnElement[bool]], ...] = (
        (Checkpoint, Operation.checkpoint_id, _past(Checkpoint.deleted_at, before)),
        (Restore, Operation.restore_id, _ended(Restore, before)),
        (Verification, Operation.verification_id, _ended(Verification, before)),
    )
    kept: list[sa.ColumnElement[bool]] = []
    for model, link, old in objects:
        running = sa.select(Operation.id).where(link == model.id, Operation.queue_state != DONE)
        yield model.__tablename__, model, sa.and_(old, ~running.exists())
        kept.append(sa.select(model.id).where(link == model.id, ~old).exists())
    # What was restored or verified is shown without the operations that did it; they go with their own row.
    kept[0] &= sa.and_(Operation.restore_id.is_(None), Operation.verification_id.is_(None))
    yield (
        "operations",
        Operation,
        sa.and_(Operation.queue_state == DONE, _past(Operation.ended_at, before), ~sa.or_(*kept)),
    )
    yield "scheduled_runs", ScheduledRun, _past(ScheduledRun.ended_at, before)
    # A client may still repeat a request for so long.
    yield "idempotency_keys", IdempotencyKey, IdempotencyKey.created_at < now - max(age, idempotency.KEPT)


def _past(moment: Any, before: datetime) -> sa.ColumnElement[bool]:
    """False, and not NULL, where there is no *moment*: it is negated, too."""
    return sa.and_(moment.is_not(None), moment < before)


def _ended(model: type[Restore] | type[Verification], before: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(model.status != "in_progress", sa.func.coalesce(model.updated_at, model.created_at) < before)


def _remove(database: Database, model: type[Base], old: sa.ColumnElement[bool]) -> int:
    """Walks the table by its key, so that what stays is looked at only once."""
    keys = sa.inspect(model).primary_key
    total, last = 0, None
    while True:

        def batch(session: orm.Session, last: Any = last) -> tuple[Any, int]:
            query = sa.select(*keys).where(old).order_by(*keys).limit(BATCH)
            if last is not None:
                query = query.where(sa.tuple_(*keys) > sa.tuple_(*last))
            found = session.execute(query).all()
            if not found:
                return None, 0
            chosen = sa.tuple_(*keys).in_([tuple(row) for row in found])
            done = session.execute(sa.delete(model).where(chosen).execution_options(synchronize_session=False))
            return (tuple(found[-1]) if len(found) == BATCH else None), done.rowcount  # type: ignore[attr-defined]

        last, removed = database.write(batch)
        total += removed
        if last is None:
            return total
