"""Queries on runs of scheduled operations. A run is recorded once per due time; any engine can then claim it."""

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.db import models, repository
from karbor_like.db.models import Operation, ScheduledOperation, ScheduledRun, Trigger
from karbor_like.db.operations import DONE
from karbor_like.db.session import Queryable
from karbor_like.domain import states
from karbor_like.domain.operation import OperationType

STARTED: Final = "started"
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
MISSED: Final = "missed"
SKIPPED: Final = "skipped"

RUNS = repository.Repository(models.ScheduledRun, noun="run", not_found=exception.NotFound)


# Due triggers


def due_triggers(session: orm.Session, now: datetime, limit: int, without: Sequence[str] = ()) -> Sequence[Trigger]:
    """Lock the triggers that are due at *now* until the transaction ends, longest due first.

    Triggers that another engine has locked are skipped, if the database supports that.

    :param without: ids of triggers to leave out
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


def oldest_due(session: Queryable, now: datetime) -> datetime | None:
    """Return the due time of the trigger that has been due for the longest time and was not fired, or None."""
    return session.execute(sa.select(sa.func.min(Trigger.next_run_at)).where(Trigger.next_run_at <= now)).scalar_one()


def lock_unchanged(session: orm.Session, triggers: Sequence[Trigger]) -> Sequence[Trigger]:
    """Lock those of *triggers* that have not been changed or fired since they were read, until the transaction ends.

    Triggers that another engine has locked are left out, if the database supports that.
    """
    query = sa.select(Trigger).where(Trigger.id.in_([row.id for row in triggers])).order_by(Trigger.id)
    rows = {row.id: row for row in session.execute(query.with_for_update(skip_locked=True)).scalars()}
    return [rows[row.id] for row in triggers if row.id in rows and _schedule(rows[row.id]) == _schedule(row)]


def _schedule(row: Trigger) -> tuple[Any, ...]:
    """Return what the due times of a trigger depend on."""
    return row.next_run_at, row.type, row.properties


def advance(session: orm.Session, fired: Iterable[tuple[str, datetime | None, datetime | None]]) -> None:
    """Change ``next_run_at`` of triggers by compare-and-set.

    :param fired: id, old value and new value of each trigger
    :raises Conflict: a trigger no longer has its old value, because it was fired by another engine or changed; the caller
        must roll back the transaction
    """
    rows = list(fired)
    # Two statements in all: a round trip for every trigger would take longer than the rest of the transaction.
    changed = _advance(session, [(trigger_id, old, new) for trigger_id, old, new in rows if new is not None])
    changed += _advance(session, [(trigger_id, old, None) for trigger_id, old, new in rows if new is None])
    if changed != len(rows):
        raise exception.Conflict(f"{len(rows) - changed} of {len(rows)} triggers were fired by another engine")


def _advance(session: orm.Session, rows: Sequence[tuple[str, datetime | None, datetime | None]]) -> int:
    """Change *rows*, whose new values are either all None or all not None, and return how many had the old value."""
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
    """Return the enabled operations bound to these triggers, by trigger id.

    They are locked until the transaction ends, against :func:`start_now`.
    """
    query = sa.select(ScheduledOperation).where(
        ScheduledOperation.trigger_id.in_(list(trigger_ids)), ScheduledOperation.enabled.is_(True)
    )
    operations: dict[str, list[ScheduledOperation]] = {}
    locked = query.order_by(ScheduledOperation.id).with_for_update(read=True)
    for operation in session.execute(locked).scalars():
        operations.setdefault(operation.trigger_id, []).append(operation)
    return operations


def running(session: orm.Session, operation_ids: Sequence[str]) -> Mapping[str, datetime]:
    """Return the operations that have an unfinished run, each with the due time of that run."""
    query = sa.select(ScheduledRun.scheduled_operation_id, ScheduledRun.due_at).where(
        ScheduledRun.scheduled_operation_id.in_(list(operation_ids)), ScheduledRun.state == STARTED
    )
    return {operation_id: due_at for operation_id, due_at in session.execute(query)}  # noqa: C416 - rows are not pairs to mypy


def recorded(session: orm.Session, operation_ids: Sequence[str], since: datetime) -> Set[tuple[str, datetime]]:
    """Return the pairs of operation and due time, from *since* on, for which a run is recorded."""
    query = sa.select(ScheduledRun.scheduled_operation_id, ScheduledRun.due_at).where(
        ScheduledRun.scheduled_operation_id.in_(list(operation_ids)), ScheduledRun.due_at >= since
    )
    return {(operation_id, due_at) for operation_id, due_at in session.execute(query)}  # noqa: C416 - as above


def record(session: orm.Session, runs: Sequence[Mapping[str, Any]]) -> None:
    """Add runs.

    :raises DBDuplicateEntry: a run of the same operation and due time is already recorded
    """
    session.add_all(ScheduledRun(**run) for run in runs)
    session.flush()


def not_ended(due_at: datetime) -> str:
    """Return why a run is skipped: that of *due_at* is unfinished."""
    return f"the run that was due at {due_at.isoformat()} has not ended"


def start_now(
    session: orm.Session, run_id: str, operation: ScheduledOperation, now: datetime, window: timedelta
) -> ScheduledRun:
    """Record a run that is due at once. It is skipped if another one of the operation has not ended.

    :param operation: locked by the caller
    :param window: how long after *now* the run may start
    """
    # Unique for the operation. Only a clock that was set back has recorded later ones.
    due_at = max((at + datetime.resolution for _, at in recorded(session, [operation.id], now)), default=now)
    busy = running(session, [operation.id]).get(operation.id)
    values: dict[str, Any] = {"state": STARTED, "next_look_at": now}
    if busy is not None:
        reason = not_ended(busy)
        values = {"state": SKIPPED, "reason": reason, "ended_at": now}
        log(session, operation, SKIPPED, due_at, now, reason)
    run = ScheduledRun(
        id=run_id,
        scheduled_operation_id=operation.id,
        project_id=operation.project_id,
        due_at=due_at,
        window_ends_at=due_at + window,
        created_at=now,
        **values,
    )
    session.add(run)
    session.flush()
    return run


# Claims on runs


def _pending(now: datetime) -> Sequence[sa.ColumnElement[bool]]:
    """Match runs whose next step is due at *now* and that no engine has claimed."""
    return (
        ScheduledRun.state == STARTED,
        ScheduledRun.next_look_at <= now,
        sa.or_(ScheduledRun.lease_until.is_(None), ScheduledRun.lease_until < now),
    )


def has_pending(session: orm.Session, now: datetime) -> bool:
    """Return whether the next step of any run is due. Locks nothing, so that idle engines do not contend."""
    return session.execute(sa.select(ScheduledRun.id).where(*_pending(now)).limit(1)).first() is not None


def claim(session: orm.Session, owner: str, now: datetime, lease_seconds: float, limit: int) -> Sequence[ScheduledRun]:
    """Claim runs whose next step is due, longest waiting first.

    Each claim increases the epoch, which every later write for the run carries. A slower engine with an earlier claim is thus
    fenced. Each run gets the trust of its scheduled operation, or none if that was deleted.
    """
    query = (
        sa.select(ScheduledRun)
        .where(*_pending(now))
        .order_by(ScheduledRun.next_look_at, ScheduledRun.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = session.execute(query).scalars().all()
    trusts = _trusts_of(session, [row.scheduled_operation_id for row in rows]) if rows else {}
    until = now + timedelta(seconds=lease_seconds)
    for row in rows:
        trust_id = trusts.get(row.scheduled_operation_id)
        row.update({"owner": owner, "epoch": row.epoch + 1, "lease_until": until, "trust_id": trust_id})
    session.flush()
    return rows


def _trusts_of(session: orm.Session, operation_ids: Sequence[str]) -> Mapping[str, str | None]:
    """Return the trusts of scheduled operations, by their ids.

    The lock makes a concurrent deletion of an operation wait, so that it sees the runs that act by the trust.
    """
    query = sa.select(ScheduledOperation.id, ScheduledOperation.trust_id).where(
        ScheduledOperation.id.in_(operation_ids)
    )
    locked = query.order_by(ScheduledOperation.id).with_for_update(read=True)
    return {operation_id: trust_id for operation_id, trust_id in session.execute(locked)}  # noqa: C416 - as above


_UNCLAIMED: Final = {"lease_until": None, "owner": None, "trust_id": None}


def release(session: orm.Session, run: ScheduledRun, next_look_at: datetime, **values: Any) -> bool:
    """Record progress and the time of the next step, and release the claim.

    :returns: False if the claim was lost and nothing was recorded
    """
    values = {"next_look_at": next_look_at, **_UNCLAIMED, **values}
    return RUNS.update(session, run.id, values, {"epoch": run.epoch, "state": STARTED})


def end(session: orm.Session, run: ScheduledRun, state: str, now: datetime, reason: str | None = None) -> bool:
    """Record the end of a run.

    :returns: False if the claim was lost and nothing was recorded
    """
    values = {"state": state, "reason": reason, "ended_at": now, "next_look_at": None, **_UNCLAIMED}
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
    """Record a run that did not succeed in the operation log. An operation that the run started has its own entry as well."""
    session.add(
        Operation(
            operation_type=OperationType.PROTECT.value,
            project_id=operation.project_id,
            user_id=operation.user_id,
            provider_id=operation.operation_definition["provider_id"],
            plan_id=operation.plan_id,
            checkpoint_id=checkpoint_id,
            scheduled_operation_id=operation.id,
            queue_state=DONE,
            # The closest status that clients know.
            status=states.ERROR,
            error_info=f"{state}: {reason}" if reason else state,
            extra_info={"run": state, "due_at": due_at.isoformat()},
            created_at=now,
            started_at=due_at,
            ended_at=now,
        )
    )


def forget(session: orm.Session, before: datetime, limit: int = 1000) -> int:
    """Remove up to *limit* runs that ended before *before*, and return their number."""
    old = sa.select(ScheduledRun.id).where(ScheduledRun.ended_at < before).limit(limit)
    ids = session.execute(old).scalars().all()
    if ids:
        session.execute(sa.delete(ScheduledRun).where(ScheduledRun.id.in_(ids)))
    return len(ids)
