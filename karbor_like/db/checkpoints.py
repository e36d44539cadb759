"""Queries on the checkpoint index."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.db import models, repository
from karbor_like.db import session as db_session
from karbor_like.db.models import Checkpoint, Operation
from karbor_like.db.operations import DONE
from karbor_like.domain import states
from karbor_like.domain.graph import Graph
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource

CHECKPOINTS = repository.Repository(
    models.Checkpoint,
    noun="checkpoint",
    not_found=exception.CheckpointNotFound,
    filters={
        "provider_id": repository.exact,
        "plan_id": repository.exact,
        "status": repository.exact,
        "project_id": repository.exact,
    },
)

_bank_project: Final = sa.func.coalesce(Checkpoint.bank_project_id, Checkpoint.project_id)
#: Rows that one transaction gives to other projects.
_BATCH: Final = 500
#: Graphs in memory at once.
_GRAPHS: Final = 20


def get(
    session: orm.Session, checkpoint_id: str, provider_id: str, project_id: str | None = None, *, lock: bool = False
) -> Checkpoint:
    """Return a checkpoint at a provider. A deleted one is returned, too.

    :param project_id: the project that the checkpoint must belong to; None: any
    :param lock: whether to lock the row until the transaction ends
    :raises CheckpointNotFound: there is no such checkpoint, or it belongs to another project or provider
    """
    row = CHECKPOINTS.get(session, checkpoint_id, project_id, lock=lock)
    if row.provider_id != provider_id:
        raise exception.CheckpointNotFound(f"checkpoint {checkpoint_id} could not be found")
    return row


def totals(session: db_session.Queryable) -> Sequence[Any]:
    """Return number and sizes of the checkpoints that are not deleted, by provider and status.

    :returns: rows with ``provider_id``, ``status``, ``number``, ``logical_bytes``, ``new_bytes`` and ``stored_bytes``
    """
    sizes = (Checkpoint.logical_bytes, Checkpoint.new_bytes, Checkpoint.stored_bytes)
    sums = [sa.func.sum(size).label(size.key) for size in sizes]
    query = (
        sa.select(Checkpoint.provider_id, Checkpoint.status, sa.func.count().label("number"), *sums)
        .where(Checkpoint.status != states.DELETED)
        .group_by(Checkpoint.provider_id, Checkpoint.status)
        .order_by(Checkpoint.provider_id, Checkpoint.status)
    )
    return session.execute(query).all()


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def page(
    session: orm.Session,
    provider_id: str,
    *,
    project_id: str | None = None,
    filters: Mapping[str, Any] | None = None,
    start_date: date | None = None,
    end_date: date | None = None,
    **paging: Any,
) -> Sequence[Checkpoint]:
    """Return checkpoints of a provider that are not deleted. Both days (UTC) are inclusive. See ``Repository.list``."""
    where: list[sa.ColumnElement[bool]] = [Checkpoint.provider_id == provider_id, Checkpoint.deleted_at.is_(None)]
    if start_date is not None:
        where.append(Checkpoint.created_at >= _midnight(start_date))
    if end_date is not None:
        where.append(Checkpoint.created_at <= datetime.combine(end_date, time.max, UTC))
    index = "ix_checkpoints_provider" if project_id is not None else None
    if filters and isinstance(filters.get("plan_id"), str):
        index = "ix_checkpoints_plan"
    return CHECKPOINTS.list(session, project_id=project_id, filters=filters, where=where, index=index, **paging)


def statuses(session: orm.Session, checkpoint_ids: Sequence[str]) -> Mapping[str, str]:
    """Return the statuses of those of the checkpoints that are in the database, by id."""
    query = sa.select(Checkpoint.id, Checkpoint.status).where(Checkpoint.id.in_(list(checkpoint_ids)))
    return {row.id: row.status for row in session.execute(query)}


def present(session: orm.Session, provider_id: str, before: datetime) -> Sequence[Any]:
    """Return the checkpoints of a provider that were created before *before* and are not deleted.

    Their plans and graphs are not read: together, those of a large site are too large for the memory.

    :returns: rows with ``id`` and ``status``
    """
    query = sa.select(Checkpoint.id, Checkpoint.status).where(
        Checkpoint.provider_id == provider_id, Checkpoint.deleted_at.is_(None), Checkpoint.created_at < before
    )
    return session.execute(query.order_by(Checkpoint.created_at, Checkpoint.id)).all()


def of_plan(
    session: orm.Session,
    provider_id: str,
    project_id: str,
    plan_id: str,
    *,
    deleted: bool = False,
    lock: bool = False,
) -> Sequence[Checkpoint]:
    """Return the checkpoints of a plan at a provider, oldest first.

    :param deleted: whether to include those that are deleted
    :param lock: whether to lock the rows until the transaction ends
    """
    query = sa.select(Checkpoint).where(
        Checkpoint.provider_id == provider_id,
        Checkpoint.project_id == project_id,
        Checkpoint.plan_id == plan_id,
    )
    if not deleted:
        query = query.where(Checkpoint.deleted_at.is_(None))
    query = query.order_by(Checkpoint.created_at, Checkpoint.id)
    return session.execute(query.with_for_update() if lock else query).scalars().all()


def available_of_plan(session: orm.Session, provider_id: str, project_id: str, plan_id: str) -> Sequence[Checkpoint]:
    """Return the available checkpoints of a plan at a provider, oldest first."""
    return [row for row in of_plan(session, provider_id, project_id, plan_id) if row.status == states.AVAILABLE]


def never_complete() -> sa.ColumnElement[bool]:
    """Match failed checkpoints that never became available: their sizes are unknown, and nothing can be restored."""
    return sa.and_(Checkpoint.status == states.ERROR, Checkpoint.logical_bytes.is_(None))


def failed(session: orm.Session, provider_id: str, before: datetime, after: str, limit: int) -> Sequence[Checkpoint]:
    """Return checkpoints of a provider that failed before *before* and never became available, in the order of their ids.

    :param after: only those whose ids are greater
    """
    query = (
        sa.select(Checkpoint)
        .where(
            Checkpoint.provider_id == provider_id,
            Checkpoint.deleted_at.is_(None),
            never_complete(),
            sa.func.coalesce(Checkpoint.updated_at, Checkpoint.created_at) < before,
            Checkpoint.id > after,
        )
        .order_by(Checkpoint.id)
        .limit(limit)
    )
    return session.execute(query).scalars().all()


def in_use(session: orm.Session, checkpoint_ids: Sequence[str]) -> Mapping[str, str]:
    """Return which of the checkpoints are used by an unfinished operation: checkpoint id -> text that names it."""
    users = {}
    for used in (models.Operation.checkpoint_id, models.Operation.source_checkpoint_id):
        query = sa.select(used, models.Operation.operation_type).where(
            used.in_(list(checkpoint_ids)), models.Operation.queue_state != DONE
        )
        users.update({str(checkpoint_id): f"{kind} is running" for checkpoint_id, kind in session.execute(query)})
    return users


def _available(entity: Any, *, provider_id: str, project_id: str, bank_project: str) -> sa.Select[Any]:
    """Return a query for the available checkpoints of a project at a provider, newest first.

    :param entity: what it returns of each: the row or a column
    """
    return (
        sa.select(entity)
        .where(
            Checkpoint.provider_id == provider_id,
            Checkpoint.project_id == project_id,
            _bank_project == bank_project,
            Checkpoint.status == states.AVAILABLE,
        )
        .order_by(Checkpoint.created_at.desc(), Checkpoint.id.desc())
    )


def latest_available(
    session: orm.Session, provider_id: str, project_id: str, bank_project: str, *, limit: int
) -> Sequence[Checkpoint]:
    """Return the newest available checkpoints of a project at a provider, newest first.

    :param bank_project: the project that they belong to in the bank
    :param limit: how many
    """
    query = _available(Checkpoint, provider_id=provider_id, project_id=project_id, bank_project=bank_project)
    return session.execute(query.limit(limit)).scalars().all()


def available_ids(
    session: orm.Session, provider_id: str, project_id: str, bank_project: str, resource: Resource | None = None
) -> Sequence[str]:
    """Return the ids of all available checkpoints of a project at a provider, newest first.

    :param bank_project: the project that they belong to in the bank
    :param resource: only those whose graphs contain it; None: all
    """
    query = _available(Checkpoint.id, provider_id=provider_id, project_id=project_id, bank_project=bank_project)
    if resource is None:
        return session.execute(query).scalars().all()
    # The database leaves out most graphs; all of them do not fit into the memory.
    named = Checkpoint.resource_graph.contains(json.dumps(resource.id), autoescape=True)
    rows = session.execute(
        query.add_columns(Checkpoint.resource_graph).where(named).execution_options(yield_per=_GRAPHS)
    )
    return [row.id for row in rows if resource in Graph.from_text(row.resource_graph).nodes]


def left_unfinished(session: orm.Session, provider_id: str) -> Sequence[tuple[Checkpoint, str]]:
    """Return the checkpoints of a provider that seem to be in progress although their operation has ended, with its reason.

    The end of an operation changes the status of its checkpoint, so only a recovery of the control plane leaves any.
    """
    query = (
        sa.select(Checkpoint, Operation.error_info)
        .join(Operation, Operation.checkpoint_id == Checkpoint.id)
        .where(
            Checkpoint.provider_id == provider_id,
            Checkpoint.status.in_(sorted(states.UNFINISHED)),
            Operation.operation_type.in_((OperationType.PROTECT.value, OperationType.COPY.value)),
            Operation.queue_state == DONE,
        )
        .order_by(Checkpoint.created_at, Checkpoint.id)
    )
    return [(row, reason or "its operation has ended") for row, reason in session.execute(query)]


def move(session: orm.Session, checkpoint_id: str, to: str, allowed_from: Sequence[str], **values: Any) -> bool:
    """Change the status if it is one of *allowed_from*. Return whether it was changed."""
    changes = {"status": to, **values}
    if to == states.DELETED:
        changes["deleted_at"] = db_session.now(session)
    return CHECKPOINTS.update(session, checkpoint_id, changes, expected={"status": list(allowed_from)})


def map_projects(session: orm.Session, provider_id: str, projects: Mapping[str, str]) -> int:
    """Give checkpoints of a provider to the projects that *projects* maps theirs in the bank to; others get their own.

    :param projects: project in the bank -> project here
    :returns: how many were given to another project; 0: all are right
    """
    wrong = [sa.and_(_bank_project == there, Checkpoint.project_id != here) for there, here in sorted(projects.items())]
    wrong.append(sa.and_(Checkpoint.bank_project_id.is_not(None), Checkpoint.bank_project_id.not_in(list(projects))))
    query = sa.select(Checkpoint).where(Checkpoint.provider_id == provider_id, sa.or_(*wrong)).limit(_BATCH)
    rows = session.execute(query.with_for_update()).scalars().all()
    for row in rows:
        there = row.bank_project
        row.project_id = projects.get(there, there)
        row.bank_project_id = there if row.project_id != there else None
    session.flush()
    return len(rows)
