"""Totals of one project, for its overview. The number of queries is fixed, and indexes limit them to rows of the project."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import sqlalchemy as sa

from karbor_like.db import scheduled_runs
from karbor_like.db.models import (
    Checkpoint,
    Operation,
    Plan,
    Restore,
    ScheduledOperation,
    ScheduledRun,
    Trigger,
    Verification,
)
from karbor_like.db.operations import DONE, QUEUED, RUNNING
from karbor_like.db.plans import VIOLATED
from karbor_like.db.session import Queryable
from karbor_like.domain import states
from karbor_like.domain.operation import OperationType

#: Sizes of a checkpoint in bytes.
SIZES: Final = ("logical_bytes", "new_bytes", "stored_bytes")

_DONE: Final = frozenset(statuses.done for statuses in states.OPERATION.values())
_FAILED: Final = frozenset(statuses.failed for statuses in states.OPERATION.values())


def by_status(session: Queryable, project_id: str) -> Mapping[str, Mapping[str, int]]:
    """Return the numbers of a project's plans, restores, verifications and scheduled operations, by status.

    The statuses of scheduled operations are ``enabled`` and ``disabled``.
    """
    found: dict[str, Mapping[str, int]] = {}
    for model in (Plan, Restore, Verification):
        query = sa.select(model.status, sa.func.count()).where(model.project_id == project_id).group_by(model.status)
        found[model.__tablename__] = {status: count for status, count in session.execute(query)}  # noqa: C416 - rows are not pairs to mypy
    enabled = (
        sa.select(ScheduledOperation.enabled, sa.func.count())
        .where(ScheduledOperation.project_id == project_id)
        .group_by(ScheduledOperation.enabled)
    )
    found["scheduled_operations"] = {
        "enabled" if is_enabled else "disabled": count for is_enabled, count in session.execute(enabled)
    }
    return found


def violated_plans(session: Queryable, project_id: str) -> int:
    """Return the number of a project's plans whose last good checkpoint is too old for their schedules."""
    query = sa.select(sa.func.count()).where(Plan.project_id == project_id, Plan.rpo_state == VIOLATED)
    return session.execute(query).scalar_one()


def checkpoints(session: Queryable, project_id: str) -> Sequence[Any]:
    """Return number and sizes in bytes of a project's checkpoints that are not deleted, by status.

    :returns: rows with ``status``, ``number``, and the members of :data:`SIZES`
    """
    query = (
        sa.select(Checkpoint.status, *_sums())
        .where(Checkpoint.project_id == project_id, Checkpoint.deleted_at.is_(None))
        .group_by(Checkpoint.status)
    )
    return session.execute(query).all()


def _sums() -> Sequence[sa.ColumnElement[Any]]:
    sizes = (sa.func.coalesce(sa.func.sum(getattr(Checkpoint, name)), 0).label(name) for name in SIZES)
    return (sa.func.count().label("number"), *sizes)


@dataclass(frozen=True)
class Point:
    """What a project had at the end of a day (UTC). Sizes are sums over its checkpoints, in bytes."""

    day: date
    checkpoints: int
    logical_bytes: int
    new_bytes: int
    stored_bytes: int


def growth(session: Queryable, project_id: str, current: Sequence[Any], today: date, days: int) -> list[Point]:
    """Return what a project had at the end of each of the last *days* days and today, oldest first.

    It is computed back from *current*, what :func:`checkpoints` returned, by the checkpoints that were created and deleted
    since. A deleted checkpoint whose row was purged is unknown.
    """
    first = datetime.combine(today - timedelta(days=days), time.min, UTC)
    created, deleted = (_changes(session, project_id, column, first) for column in ("created_at", "deleted_at"))
    names = ("number", *SIZES)
    total = {name: sum(int(getattr(row, name)) for row in current) for name in names}
    points = []
    for back in range(days + 1):
        day = today - timedelta(days=back)
        points.append(Point(day, *(total[name] for name in names)))
        for rows, sign in ((created, -1), (deleted, 1)):
            for name in names:
                total[name] += sign * int(getattr(rows.get(str(day)), name, 0))
    return points[::-1]


def _changes(session: Queryable, project_id: str, column: str, first: datetime) -> Mapping[str, Any]:
    """Return number and sizes of the checkpoints that were created or deleted (*column*) on each day from *first* on."""
    moment = getattr(Checkpoint, column)
    day = sa.func.date(moment)
    query = (
        sa.select(day.label("day"), *_sums()).where(Checkpoint.project_id == project_id, moment >= first).group_by(day)
    )
    return {str(row.day): row for row in session.execute(query)}


@dataclass(frozen=True)
class Rate:
    """How the operations of a type ended that were requested in the last *days* days."""

    days: int
    operation_type: OperationType
    succeeded: int
    failed: int
    cancelled: int

    @property
    def ended(self) -> int:
        """How many have ended."""
        return self.succeeded + self.failed + self.cancelled

    @property
    def rate(self) -> float | None:
        """The share of successes, from 0 to 1, without those that were cancelled; None if there are no others."""
        judged = self.succeeded + self.failed
        return round(self.succeeded / judged, 4) if judged else None


def rates(session: Queryable, project_id: str, now: datetime, windows: Sequence[int]) -> list[Rate]:
    """Return how the operations of a project ended, for each type and for each number of days in *windows*.

    Records of runs that started no operation are not counted: see :func:`runs`.
    """
    query = (
        sa.select(
            Operation.operation_type,
            Operation.status,
            Operation.cancel_requested,
            *_windows(Operation.created_at, now, windows),
        )
        .where(
            Operation.project_id == project_id,
            Operation.created_at >= now - timedelta(days=max(windows)),
            Operation.queue_state == DONE,
            Operation.flow_id.is_not(None),
        )
        .group_by(Operation.operation_type, Operation.status, Operation.cancel_requested)
    )
    rows = session.execute(query).all()

    def count(kind: OperationType, days: int, statuses: frozenset[str], cancelled: bool | None) -> int:
        return sum(
            int(getattr(row, f"last_{days}"))
            for row in rows
            if row.operation_type == kind.value
            and row.status in statuses
            and (cancelled is None or row.cancel_requested == cancelled)
        )

    return [
        Rate(
            days,
            kind,
            # A cancellation may come too late.
            succeeded=count(kind, days, _DONE, None),
            failed=count(kind, days, _FAILED, False),
            cancelled=count(kind, days, _FAILED, True),
        )
        for days in windows
        for kind in OperationType
    ]


def runs(session: Queryable, project_id: str, now: datetime, windows: Sequence[int]) -> list[dict[str, int]]:
    """Return how the runs of a project's schedules ended, for each number of days in *windows*.

    :returns: objects with ``days``, ``succeeded``, ``failed``, ``missed`` and ``skipped``
    """
    query = (
        sa.select(ScheduledRun.state, *_windows(ScheduledRun.created_at, now, windows))
        .where(ScheduledRun.project_id == project_id, ScheduledRun.created_at >= now - timedelta(days=max(windows)))
        .group_by(ScheduledRun.state)
    )
    rows = {row.state: row for row in session.execute(query)}
    ends = (scheduled_runs.SUCCEEDED, scheduled_runs.FAILED, scheduled_runs.MISSED, scheduled_runs.SKIPPED)
    return [
        {"days": days, **{state: int(getattr(rows.get(state), f"last_{days}", 0)) for state in ends}}
        for days in windows
    ]


def _windows(column: Any, now: datetime, windows: Sequence[int]) -> Sequence[sa.ColumnElement[Any]]:
    """Return how many rows of a group are of each window, as ``last_<days>``."""
    return [
        sa.func.sum(sa.case((column >= now - timedelta(days=days), 1), else_=0)).label(f"last_{days}")
        for days in windows
    ]


def unfinished(session: Queryable, project_id: str) -> Mapping[str, int]:
    """Return the numbers of a project's operations that are queued and that are running, by these words."""
    query = (
        sa.select(Operation.queue_state, sa.func.count())
        .where(Operation.project_id == project_id, Operation.queue_state.in_((QUEUED, RUNNING)))
        .group_by(Operation.queue_state)
    )
    return {state: count for state, count in session.execute(query)}  # noqa: C416 - as above


def newest_unfinished(session: Any, project_id: str, limit: int) -> Sequence[Operation]:
    """Return a project's operations that are queued or running, newest first."""
    query = (
        sa.select(Operation)
        .where(Operation.project_id == project_id, Operation.queue_state.in_((QUEUED, RUNNING)))
        .order_by(Operation.created_at.desc(), Operation.id.desc())
        .limit(limit)
    )
    return session.execute(query).scalars().all()


def last_failures(session: Any, project_id: str, since: datetime, limit: int) -> Sequence[Operation]:
    """Return a project's operations that failed, requested since *since*, newest first.

    With them are the records of runs that were missed or failed and started no operation. Cancelled operations are no
    failures.
    """
    no_operation = sa.and_(
        Operation.flow_id.is_(None),
        Operation.checkpoint_id.is_(None),
        sa.func.coalesce(Operation.error_info, "").not_like(f"{scheduled_runs.SKIPPED}%"),
    )
    query = (
        sa.select(Operation)
        .where(
            Operation.project_id == project_id,
            Operation.created_at >= since,
            Operation.queue_state == DONE,
            Operation.status.in_(sorted(_FAILED)),
            Operation.cancel_requested.is_(False),
            sa.or_(Operation.flow_id.is_not(None), no_operation),
        )
        .order_by(Operation.created_at.desc(), Operation.id.desc())
        .limit(limit)
    )
    return session.execute(query).scalars().all()


def next_schedules(session: Queryable, project_id: str, limit: int) -> Sequence[Any]:
    """Return the enabled scheduled operations of a project that are due first, with their triggers.

    :returns: rows with ``id``, ``name``, ``operation_type``, ``plan_id`` and ``trigger_id`` of the operation, and ``type``,
        ``properties`` and ``next_run_at`` of the trigger
    """
    operation = ScheduledOperation
    query = (
        sa.select(
            operation.id,
            operation.name,
            operation.operation_type,
            operation.plan_id,
            operation.trigger_id,
            Trigger.type,
            Trigger.properties,
            Trigger.next_run_at,
        )
        .join(Trigger, Trigger.id == operation.trigger_id)
        .where(operation.project_id == project_id, operation.enabled.is_(True), Trigger.next_run_at.is_not(None))
        .order_by(Trigger.next_run_at, operation.id)
        .limit(limit)
    )
    return session.execute(query).all()
