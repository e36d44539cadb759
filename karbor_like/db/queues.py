"""Queries on the depth of the queues that the services work on."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from karbor_like.db import session as db_session
from karbor_like.db.models import Operation, ScheduledRun
from karbor_like.db.operations import QUEUED, RUNNING, Turns
from karbor_like.db.scheduled_runs import STARTED
from karbor_like.db.session import Queryable


@dataclass(frozen=True)
class Depth:
    """What a queue holds.

    :param waiting: number of entries that are due and that no process works on
    :param running: number of entries that a process works on
    :param oldest_seconds: how long the oldest entry that waits has been due; None if none waits
    """

    waiting: int
    running: int
    oldest_seconds: float | None


@dataclass(frozen=True)
class Position:
    """The place of an operation in the queue.

    :param position: 1 for the next one
    :param length: number of operations that wait
    """

    position: int
    length: int


def positions(session: Queryable, ids: Collection[str]) -> dict[str, Position]:
    """Return the positions of those of some operations that wait for a protection service, in one query.

    Limits on operations at once, and providers that no service has loaded, can let an operation wait for longer.
    """
    turns = Turns(db_session.now(session))
    ordered = turns.joined(
        sa.select(
            Operation.id,
            sa.func.row_number().over(order_by=turns.order).label("place"),
            sa.func.count().over().label("total"),
        )
    ).subquery()
    rows = session.execute(sa.select(ordered).where(ordered.c.id.in_(list(ids))))
    return {row.id: Position(row.place, row.total) for row in rows}


def operations(session: Queryable) -> Depth:
    """Return the depth of the queue of the protection services."""
    now = db_session.now(session)
    lost = sa.and_(Operation.queue_state == RUNNING, Operation.lease_until < now)
    waiting = sa.or_(Operation.queue_state == QUEUED, lost)
    # One that has lost its process waits since then.
    since = sa.case((Operation.queue_state == QUEUED, Operation.created_at), else_=Operation.lease_until)
    running = sa.and_(Operation.queue_state == RUNNING, sa.not_(Operation.lease_until < now))
    return _depth(session, now, waiting, since, running)


def scheduled_runs(session: Queryable, now: datetime) -> Depth:
    """Return the depth of the queue of the operation engines.

    :param now: by the clocks of the engines, which schedules follow
    """
    claimed = sa.and_(ScheduledRun.lease_until.is_not(None), ScheduledRun.lease_until >= now)
    waiting = sa.and_(ScheduledRun.state == STARTED, ScheduledRun.next_look_at <= now, sa.not_(claimed))
    return _depth(
        session, now, waiting, ScheduledRun.next_look_at, sa.and_(ScheduledRun.state == STARTED, sa.not_(waiting))
    )


def _depth(
    session: Queryable,
    now: datetime,
    waiting: sa.ColumnElement[bool],
    since: Any,
    running: sa.ColumnElement[bool],
) -> Depth:
    count, oldest = session.execute(sa.select(sa.func.count(), sa.func.min(since)).where(waiting)).one()
    busy = session.execute(sa.select(sa.func.count()).where(running)).scalar_one()
    return Depth(count, busy, max(0.0, (now - oldest).total_seconds()) if oldest else None)
