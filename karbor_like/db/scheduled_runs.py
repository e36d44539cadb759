"""Runs of scheduled operations: recorded once per due time, then worked on by whichever engine claims them."""

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.db import models, repository
from karbor_like.db.models import Operation, ScheduledOperation, ScheduledRun, Trigger

STARTED: Final = "started"
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
MISSED: Final = "missed"
SKIPPED: Final = "skipped"

RUNS = repository.Repository(models.ScheduledRun, noun="run", not_found=exception.NotFound)


# What is due


def due_triggers(session: orm.Session, now: datetime, limit: int, without: Sequence[str] = ()) -> Sequence[Trigger]:
    """Triggers that should have fired by *now*, longest due first, held until the transaction ends. Those that another
    engine holds are left out, where the database can do that.

    :param without: ids of others that are not wanted
    """
    query = (
        sa.select(Trigger)
        .where(Trigger.next_run_at <= now)
        .order_by(Trigger.next_run_at, Trigger.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if without:
        query = query.where(Trigger.id.not_in(without))
    return session.execute(query).scalars().all()


def next_due(session: orm.Session) -> datetime | None:
    """When the next trigger fires."""
    return session.execute(sa.select(sa.func.min(Trigger.next_run_at))).scalar_one()


def advance(session: orm.Session, fired: Iterable[tuple[str, datetime | None, datetime | None]]) -> None:
    """Compare and set ``next_run_at`` of triggers: (id, what it was, what it becomes).

    Raises Conflict where one was not what it was: somebody else fired or changed it, and nothing of this may stay.
    """
    rows = list(fired)
    # In one statement each: a round trip for every trigger would take longer than all the rest.
    changed = _advance(session, [(trigger_id, old, new) for trigger_id, old, new in rows if new is not None])
    changed += _advance(session, [(trigger_id, old, None) for trigger_id, old, new in rows if new is None])
    if changed != len(rows):
        raise exception.Conflict(f"{len(rows) - changed} of {len(rows)} triggers were fired by another engine")


def _advance(session: orm.Session, rows: Sequence[tuple[str, datetime | None, datetime | None]]) -> int:
    """*rows* end all or none of them with None. Returns how many were as expected and are changed."""
    if not rows:
        return 0
    kind = Trigger.next_run_at.type
    olds = {trigger_id: sa.literal(old, kind) for trigger_id, old, _ in rows}
    news = {trigger_id: sa.literal(new, kind) for trigger_id, _, new in rows}
    following = sa.null() if rows[0][2] is None else sa.case(news, value=Trigger.id)
    statement = (
        sa.update(Trigger)
        .where(Trigger.id.in_(olds), Trigger.next_run_at == sa.case(olds, value=Trigger.id))
        .values(next_run_at=following)
        .execution_options(synchronize_session=False)
    )
    return session.execute(statement).rowcount  # type: ignore[attr-defined]


def operations_of(session: orm.Session, trigger_ids: Sequence[str]) -> Mapping[str, Sequence[ScheduledOperation]]:
    """The enabled operations bound to these triggers, by trigger."""
    query = sa.select(ScheduledOperation).where(
        ScheduledOperation.trigger_id.in_(list(trigger_ids)), ScheduledOperation.enabled.is_(True)
    )
    found: dict[str, list[ScheduledOperation]] = {}
    for operation in session.execute(query.order_by(ScheduledOperation.id)).scalars():
        found.setdefault(operation.trigger_id, []).append(operation)
    return found


def running(session: orm.Session, operation_ids: Sequence[str]) -> Mapping[str, datetime]:
    """Those of the operations that have a run which did not end, and when that was due."""
    query = sa.select(ScheduledRun.scheduled_operation_id, ScheduledRun.due_at).where(
        ScheduledRun.scheduled_operation_id.in_(list(operation_ids)), ScheduledRun.state == STARTED
    )
    return {operation_id: due_at for operation_id, due_at in session.execute(query)}  # noqa: C416 - rows are not pairs to mypy


def recorded(session: orm.Session, operation_ids: Sequence[str], since: datetime) -> Set[tuple[str, datetime]]:
    """The pairs of operation and due time that have a run already, of due times from *since* on."""
    query = sa.select(ScheduledRun.scheduled_operation_id, ScheduledRun.due_at).where(
        ScheduledRun.scheduled_operation_id.in_(list(operation_ids)), ScheduledRun.due_at >= since
    )
    return {(operation_id, due_at) for operation_id, due_at in session.execute(query)}  # noqa: C416 - as above


def record(session: orm.Session, runs: Sequence[Mapping[str, Any]]) -> None:
    """Add runs. Each pair of operation and due time can be recorded once; a second time is an error of the database."""
    session.add_all(ScheduledRun(**run) for run in runs)
    session.flush()


# What is worked on


def _wanting(now: datetime) -> Sequence[sa.ColumnElement[bool]]:
    """That a run wants attention by *now* and no engine works on it."""
    return (
        ScheduledRun.state == STARTED,
        ScheduledRun.next_look_at <= now,
        sa.or_(ScheduledRun.lease_until.is_(None), ScheduledRun.lease_until < now),
    )


def wanting(session: orm.Session, now: datetime) -> bool:
    """Whether a run wants attention. Locks nothing, so that idle engines do not meet."""
    return session.execute(sa.select(ScheduledRun.id).where(*_wanting(now)).limit(1)).first() is not None


def claim(session: orm.Session, owner: str, now: datetime, lease_seconds: float, limit: int) -> Sequence[ScheduledRun]:
    """Take runs that want attention, longest waiting first. Each has an epoch of its own after that, which every write
    for the run carries: a slower engine that had it before cannot write any more.
    """
    query = (
        sa.select(ScheduledRun)
        .where(*_wanting(now))
        .order_by(ScheduledRun.next_look_at, ScheduledRun.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = session.execute(query).scalars().all()
    for row in rows:
        row.owner, row.epoch, row.lease_until = owner, row.epoch + 1, now + timedelta(seconds=lease_seconds)
    session.flush()
    return rows


_FREE: Final = {"lease_until": None, "owner": None}


def leave(session: orm.Session, run: ScheduledRun, next_look_at: datetime, **values: Any) -> bool:
    """Record progress, and when somebody must look again. False: the claim was lost, nothing is recorded."""
    values = {"next_look_at": next_look_at, **_FREE, **values}
    return RUNS.update(session, run.id, values, {"epoch": run.epoch, "state": STARTED})


def end(session: orm.Session, run: ScheduledRun, state: str, now: datetime, reason: str | None = None) -> bool:
    """Record how a run ended. False: the claim was lost, nothing is recorded."""
    values = {"state": state, "reason": reason, "ended_at": now, "next_look_at": None, **_FREE}
    return RUNS.update(session, run.id, values, {"epoch": run.epoch, "state": STARTED})


def log(
    session: orm.Session,
    operation: ScheduledOperation,
    state: str,
    due_at: datetime,
    now: datetime,
    reason: str | None,
    checkpoint_id: str | None = None,
) -> None:
    """Put a run that did not succeed into the operation log. What it may have begun has an entry of its own, too."""
    session.add(
        Operation(
            operation_type="protect",
            project_id=operation.project_id,
            user_id=operation.user_id,
            provider_id=operation.operation_definition["provider_id"],
            plan_id=operation.plan_id,
            checkpoint_id=checkpoint_id,
            scheduled_operation_id=operation.id,
            queue_state="done",
            # The nearest word that clients know.
            status="error",
            error_info=f"{state}: {reason}" if reason else state,
            extra_info={"run": state, "due_at": due_at.isoformat()},
            created_at=now,
            started_at=due_at,
            ended_at=now,
        )
    )


def forget(session: orm.Session, before: datetime, limit: int = 1000) -> int:
    """Remove runs that ended before *before*. Returns how many."""
    old = sa.select(ScheduledRun.id).where(ScheduledRun.ended_at < before).limit(limit)
    ids = session.execute(old).scalars().all()
    if ids:
        session.execute(sa.delete(ScheduledRun).where(ScheduledRun.id.in_(ids)))
    return len(ids)
