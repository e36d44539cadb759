"""Queue of the protection service, which is also the operation log: hold, claim, renew and finish operations.

A claim is a compare-and-set on ``epoch`` and the lease. Leases are measured by the database's clock, so the clocks of hosts
may differ. Nothing here blocks: a service asks which operations are due, and skips those that another service claims first.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.db import locks, models, repository
from karbor_like.db import session as db_session
from karbor_like.db.models import JournalEntry, Operation, OperationResource
from karbor_like.domain import states
from karbor_like.domain.operation import OperationType

OPERATIONS = repository.Repository(
    models.Operation,
    noun="operation log",
    not_found=exception.OperationLogNotFound,
    filters=dict.fromkeys(
        (
            "checkpoint_id",
            "plan_id",
            "restore_id",
            "status",
            "project_id",
            "provider_id",
            "operation_type",
            "scheduled_operation_id",
        ),
        repository.exact,
    ),
)

#: Maximum seconds between two attempts that are interrupted.
_LONGEST_PAUSE = 600.0

QUEUED, RUNNING, DONE = "queued", "running", "done"


@dataclass(frozen=True)
class Claim:
    """Proof that this process runs an operation. Every write for the operation is fenced by *epoch*.

    :param queue_state: ``done`` if the process deletes what the operation left behind
    """

    operation_id: str
    epoch: int
    owner: str
    queue_state: str = RUNNING


@dataclass(frozen=True)
class Limits:
    """How many operations may run at once, over all services. 0 or no entry: any number.

    Deletions do not count and do not wait. Neither does an operation wait that is cancelled: it only ends.

    :param per_project: of one project
    :param per_provider: of the providers with these ids
    :param loaded: ids of the providers that the service has loaded. Operations of others that have lost their processes do
        not count, because it is unknown when they continue. None: all count
    """

    per_project: int = 0
    per_provider: Mapping[str, int] = field(default_factory=dict)
    loaded: Collection[str] | None = None


UNLIMITED: Final = Limits()


def due(
    session: orm.Session,
    limit: int,
    providers: Collection[str],
    limits: Limits = UNLIMITED,
    *,
    only_short: bool = False,
) -> Sequence[Operation]:
    """Return operations that are queued, or whose lease has expired, in the order of :class:`Turns`.

    The copies of a plan to one provider are returned one at a time.

    :param providers: ids of the providers that are loaded; operations of others are due only if they need no plugin to end
    :param limits: those that they leave no room for are left out
    :param only_short: return only deletions and cancelled operations
    """
    now = db_session.now(session)
    conditions = [
        sa.or_(Operation.provider_id.in_(providers), _needless()),
        ~_behind(),
        _has_room(session, now, limits),
    ]
    if only_short:
        conditions.append(_is_short())
    turns = Turns(now, *conditions)
    query = turns.joined(sa.select(Operation)).order_by(*turns.order).limit(limit)
    return session.execute(query).scalars().all()


class Turns:
    """The fair order of the operations that wait, for a query.

    Cancelled ones are first, because they only end. Then projects take turns: first those with the fewest running operations;
    of these, the one whose turn was the longest ago. Within a project, the oldest operation is first.

    :param conditions: of the operations to be considered, in addition to that they wait
    """

    def __init__(self, now: datetime, *conditions: sa.ColumnElement[bool]) -> None:
        alive = sa.and_(Operation.queue_state == RUNNING, Operation.lease_until >= now)
        self._running = (
            sa.select(Operation.project_id, sa.func.count().label("n"))
            .where(alive)
            .group_by(Operation.project_id)
            .subquery()
        )
        # Within a project the oldest has rank 1: two idle projects with many operations each take turns.
        rank = sa.func.row_number().over(
            partition_by=(Operation.project_id, Operation.cancel_requested),
            order_by=(Operation.created_at, Operation.id),
        )
        self._ranked = sa.select(Operation.id, rank.label("rank")).where(_waiting(now), *conditions).subquery()
        projects = sa.select(Operation.project_id).where(_waiting(now)).distinct().subquery()
        before = orm.aliased(Operation)
        # The one that was created last is, within a project, nearly always the one that was started last.
        latest = (
            sa.select(before.started_at)
            .where(before.project_id == projects.c.project_id, before.started_at.is_not(None))
            .order_by(before.created_at.desc(), before.id.desc())
            .limit(1)
            .correlate(projects)
            .scalar_subquery()
        )
        # DISTINCT changes no row. Databases merge a simpler subquery into the query around it, and then search for the latest
        # operation of a project again for each one that waits.
        self._served = sa.select(projects.c.project_id, latest.label("since")).distinct().subquery()

    def joined(self, query: sa.Select[Any]) -> sa.Select[Any]:
        """Return a query of operations with what :attr:`order` needs, for those that wait."""
        return (
            query.join(self._ranked, self._ranked.c.id == Operation.id)
            .join(self._served, self._served.c.project_id == Operation.project_id)
            .outerjoin(self._running, self._running.c.project_id == Operation.project_id)
        )

    @property
    def order(self) -> Sequence[Any]:
        """What to order by."""
        return (
            sa.case((Operation.cancel_requested, 0), else_=1),
            sa.func.coalesce(self._running.c.n, 0) + self._ranked.c.rank,
            sa.case((self._served.c.since.is_(None), 0), else_=1),
            self._served.c.since,
            Operation.created_at,
            Operation.id,
        )


def _is_short() -> sa.ColumnElement[bool]:
    """Match deletions and cancelled operations, which :class:`Limits` do not hold back."""
    return sa.or_(Operation.operation_type == OperationType.DELETE.value, Operation.cancel_requested.is_(True))


def _counted() -> sa.ColumnElement[bool]:
    """Match what counts towards :class:`Limits`. An operation that was never claimed to be run does not: see :func:`hold`."""
    return sa.and_(
        Operation.queue_state == RUNNING,
        Operation.attempts > 0,
        Operation.operation_type != OperationType.DELETE.value,
    )


def _has_room(session: orm.Session, now: datetime, limits: Limits) -> sa.ColumnElement[bool]:
    """Match operations that *limits* do not hold back now. The last word has :func:`claim`."""
    if not limits.per_project and not limits.per_provider:
        return sa.true()
    projects: Counter[str] = Counter()
    providers: Counter[str] = Counter()
    rows = session.execute(
        sa.select(Operation.project_id, Operation.provider_id, sa.func.count())
        .where(_counted(), Operation.lease_until >= now)
        .group_by(Operation.project_id, Operation.provider_id)
    )
    for project_id, provider_id, count in rows:
        projects[project_id] += count
        providers[provider_id] += count
    full = [key for key, count in projects.items() if 0 < limits.per_project <= count]
    closed = [key for key, count in providers.items() if 0 < limits.per_provider.get(key, 0) <= count]
    return sa.or_(_is_short(), sa.and_(Operation.project_id.not_in(full), Operation.provider_id.not_in(closed)))


def waiting_for_others(session: orm.Session, providers: Collection[str]) -> dict[str, str]:
    """Return operations that :func:`due` omits because their providers are not loaded: operation id -> provider id."""
    query = sa.select(Operation.id, Operation.provider_id).where(
        _waiting(db_session.now(session)), Operation.provider_id.not_in(providers), ~_needless()
    )
    return {row.id: row.provider_id for row in session.execute(query)}


def _waiting(now: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(
        Operation.queue_state == QUEUED, sa.and_(Operation.queue_state == RUNNING, Operation.lease_until < now)
    )


def _needless() -> sa.ColumnElement[bool]:
    """Match cancelled operations with an empty journal: they end without their plugins."""
    made = sa.select(JournalEntry.role).where(JournalEntry.operation_id == Operation.id, JournalEntry.gone.is_(False))
    return sa.and_(Operation.cancel_requested.is_(True), ~made.exists())


def _behind() -> sa.ColumnElement[bool]:
    """Match copies that wait for an earlier one of their plan, because each is deduplicated against the last one."""
    # All ranks in one pass. A search for the earlier copies of each one takes time quadratic in their number.
    rank = sa.func.rank().over(partition_by=(Operation.plan_id, Operation.provider_id), order_by=Operation.created_at)
    ranked = (
        sa.select(Operation.id, rank.label("rank"))
        .where(
            Operation.queue_state.in_((QUEUED, RUNNING)),
            Operation.operation_type == OperationType.COPY.value,
            Operation.plan_id.is_not(None),
        )
        .subquery()
    )
    later = sa.select(ranked.c.id).where(ranked.c.rank > 1)
    return sa.and_(
        Operation.operation_type == OperationType.COPY.value,
        Operation.cancel_requested.is_(False),
        Operation.id.in_(later),
    )


def hold(session: orm.Session, operation: Operation, owner: str, lease_seconds: float) -> Claim:
    """Claim an operation in the transaction that inserts it, before any other process can.

    This is no attempt to run it: the owner does what no other process may do meanwhile, and releases it.
    """
    lease_until = db_session.now(session) + timedelta(seconds=lease_seconds)
    operation.update({"queue_state": RUNNING, "owner": owner, "epoch": 1, "lease_until": lease_until})
    session.flush()
    return Claim(operation.id, 1, owner)


def claim(
    session: orm.Session,
    operation: Operation,
    owner: str,
    lease_seconds: float,
    limits: Limits = UNLIMITED,
) -> Claim | None:
    """Claim an operation that :func:`due` returned.

    Call it inside ``Database.write``: see :func:`.locks.take`.

    :returns: None if another process has claimed it meanwhile, or if *limits* leave no room for it
    """
    if not _may_run(session, operation, limits):
        return None
    now = db_session.now(session)
    epoch = operation.epoch + 1
    values = {
        "owner": owner,
        "epoch": epoch,
        "queue_state": RUNNING,
        "lease_until": now + timedelta(seconds=lease_seconds),
        "attempts": operation.attempts + 1,
        "started_at": operation.started_at or now,
    }
    # Compares the lease, too: its owner may have renewed it since, after the database was unreachable.
    expected = {"epoch": operation.epoch, "queue_state": [QUEUED, RUNNING], "lease_until": operation.lease_until}
    if not OPERATIONS.update(session, operation.id, values, expected):
        return None
    return Claim(operation.id, epoch, owner)


def _may_run(session: orm.Session, operation: Operation, limits: Limits) -> bool:
    """Return whether *limits* leave room for an operation, and let no other process claim one until the transaction ends."""
    if operation.operation_type == OperationType.DELETE.value or operation.cancel_requested:
        return True
    limited = [
        (column, value, most)
        for column, value, most in (
            (Operation.project_id, operation.project_id, limits.per_project),
            (Operation.provider_id, operation.provider_id, limits.per_provider.get(operation.provider_id, 0)),
        )
        if most
    ]
    # All locks before the first count, which fixes MariaDB's snapshot; and always in this order, so that no two processes
    # wait for each other.
    for _, value, _ in limited:
        locks.take(session, value)
    alive = Operation.lease_until >= db_session.now(session) if limited else sa.true()
    for column, value, most in limited:
        others = sa.select(sa.func.count()).where(_counted(), column == value, Operation.id != operation.id)
        if operation.queue_state == RUNNING:
            # Its process was lost, perhaps with those of more operations than may run now: one after the other continues.
            others = others.where(alive)
        elif limits.loaded is not None:
            # What was lost continues first, if it can.
            others = others.where(sa.or_(alive, Operation.provider_id.in_(limits.loaded)))
        if session.execute(others).scalar_one() >= most:
            return False
    return True


def renew(session: orm.Session, held: Claim, lease_seconds: float) -> bool:
    """Extend the lease. Return False if the claim is lost: the caller must not change the operation any more."""
    until = db_session.now(session) + timedelta(seconds=lease_seconds)
    return OPERATIONS.update(session, held.operation_id, {"lease_until": until}, _held(held))


def release(session: orm.Session, held: Claim) -> bool:
    """Return an unfinished operation to the queue, for any service to continue. Return False if the claim is lost."""
    values: dict[str, Any] = {"queue_state": QUEUED, "owner": None, "lease_until": None}
    return OPERATIONS.update(session, held.operation_id, values, _held(held))


def interrupt(session: orm.Session, held: Claim, pause: float | None = None) -> None:
    """Record that an attempt ended for a reason outside of its operation, also after its claim was lost.

    :param pause: seconds until the next attempt, if the claim still holds, times the number of interruptions; None: its
        lease is the pause
    """
    row = OPERATIONS.find(session, held.operation_id, lock=True)
    if row is None or row.queue_state == DONE:
        return
    row.update({"interruptions": row.interruptions + 1})
    if pause is not None and row.epoch == held.epoch and row.queue_state == RUNNING:
        seconds = min(pause * row.interruptions, _LONGEST_PAUSE)
        row.update({"lease_until": db_session.now(session) + timedelta(seconds=seconds)})


def show_wait(session: orm.Session, held: Claim, text: str | None) -> None:
    """Let a running operation give *text* as its reason, unless the claim is lost."""
    OPERATIONS.update(session, held.operation_id, {"error_info": text}, {"epoch": held.epoch, "queue_state": RUNNING})


def finish(
    session: orm.Session, held: Claim, status: str, error_info: str | None = None, *, again_in: float | None = None
) -> bool:
    """Record the end of an operation. Return False if the claim is lost.

    :param again_in: seconds until objects that remain in the cloud are to be deleted; the credential is kept until then.
        None: nothing remains
    """
    now = db_session.now(session)
    values: dict[str, Any] = {"queue_state": DONE, "status": status, "error_info": error_info, "ended_at": now}
    values |= _FORGOTTEN if again_in is None else {"lease_until": now + timedelta(seconds=again_in)}
    return OPERATIONS.update(session, held.operation_id, values, _held(held))


def duration(session: orm.Session, operation_id: str) -> float | None:
    """Return the seconds from the start to the end of an operation that has ended; None if it was never started."""
    row = session.get(Operation, operation_id)
    if row is None or row.started_at is None or row.ended_at is None:
        return None
    return max(0.0, (row.ended_at - row.started_at).total_seconds())


#: No lease of an ended operation: nothing is left to do, and its credential is not needed.
_FORGOTTEN: Mapping[str, Any] = {"credential": None, "lease_until": None}


def with_orphans(
    session: orm.Session, limit: int, *, provider_id: str | None = None, ended_before: datetime | None = None
) -> Sequence[Operation]:
    """Return ended operations that left something in a cloud, and whose next attempt to delete it is due.

    :param provider_id: of the operations; None: any
    :param ended_before: end of the operations; None: any
    """
    query = sa.select(Operation).where(Operation.queue_state == DONE, Operation.lease_until <= db_session.now(session))
    if provider_id is not None:
        query = query.where(Operation.provider_id == provider_id)
    if ended_before is not None:
        query = query.where(Operation.ended_at < ended_before)
    return session.execute(query.order_by(Operation.lease_until, Operation.id).limit(limit)).scalars().all()


def count_unclean(session: db_session.Queryable) -> int:
    """Count the ended operations that left something in a cloud, or may have."""
    query = sa.select(sa.func.count()).where(Operation.queue_state == DONE, Operation.lease_until.is_not(None))
    return session.execute(query).scalar_one()


def count_expired(session: db_session.Queryable, now: datetime) -> int:
    """Count the operations whose process does not renew its lease, and that no other process has taken over yet.

    :param now: by the clock of the database
    """
    query = sa.select(sa.func.count()).where(Operation.queue_state == RUNNING, Operation.lease_until < now)
    return session.execute(query).scalar_one()


def claim_ended(session: orm.Session, operation: Operation, owner: str, lease_seconds: float) -> Claim | None:
    """Claim an operation that :func:`with_orphans` returned. Return None if another process has claimed it meanwhile."""
    until = db_session.now(session) + timedelta(seconds=lease_seconds)
    epoch = operation.epoch + 1
    expected = {"epoch": operation.epoch, "queue_state": DONE, "lease_until": operation.lease_until}
    if not OPERATIONS.update(session, operation.id, {"owner": owner, "epoch": epoch, "lease_until": until}, expected):
        return None
    return Claim(operation.id, epoch, owner, DONE)


def postpone_ended(session: orm.Session, held: Claim, seconds: float) -> bool:
    """End an attempt that did not delete everything; the next one is due in *seconds*. Return False if the claim is lost."""
    until = db_session.now(session) + timedelta(seconds=seconds)
    return OPERATIONS.update(session, held.operation_id, {"lease_until": until}, _held(held))


def forget_ended(session: orm.Session, held: Claim) -> bool:
    """Attempt no more, and erase the credential. Return False if the claim is lost."""
    return OPERATIONS.update(session, held.operation_id, _FORGOTTEN, _held(held))


def check(session: orm.Session, held: Claim) -> Operation:
    """Lock an operation and return it.

    :raises LeaseLost: the claim no longer holds
    """
    row = OPERATIONS.find(session, held.operation_id, lock=True)
    if row is None or row.epoch != held.epoch or row.queue_state != held.queue_state:
        raise _lost(held)
    return row


def fence(connection: sa.Connection, held: Claim) -> None:
    """Lock an operation in the transaction of a connection, for writers that have no session.

    :raises LeaseLost: the claim no longer holds
    """
    columns = OPERATIONS.columns
    query = sa.select(columns["id"]).where(
        columns["id"] == held.operation_id, columns["epoch"] == held.epoch, columns["queue_state"] == RUNNING
    )
    if connection.execute(query.with_for_update()).first() is None:
        raise _lost(held)


def _lost(held: Claim) -> exception.LeaseLost:
    return exception.LeaseLost(f"operation {held.operation_id} is no longer held by {held.owner} (epoch {held.epoch})")


def _held(held: Claim) -> dict[str, Any]:
    return {"epoch": held.epoch, "queue_state": held.queue_state}


def request_cancel(session: orm.Session, operation_id: str) -> bool:
    """Ask the process that runs an operation to stop it. Return False if it has ended."""
    return OPERATIONS.update(session, operation_id, {"cancel_requested": True}, {"queue_state": [QUEUED, RUNNING]})


def unfinished_of(session: orm.Session, **equal: Any) -> Sequence[Operation]:
    """Return operations that are queued or running and have these column values, oldest first."""
    query = sa.select(Operation).where(Operation.queue_state.in_((QUEUED, RUNNING))).filter_by(**equal)
    return session.execute(query.order_by(Operation.created_at)).scalars().all()


def using(session: orm.Session, checkpoint_id: str) -> Sequence[Operation]:
    """Return unfinished operations on a checkpoint, and unfinished copies of it, oldest first."""
    either = sa.or_(Operation.checkpoint_id == checkpoint_id, Operation.source_checkpoint_id == checkpoint_id)
    query = sa.select(Operation).where(Operation.queue_state.in_((QUEUED, RUNNING)), either)
    return session.execute(query.order_by(Operation.created_at)).scalars().all()


def latest_of(session: orm.Session, **equal: Any) -> Operation | None:
    """Return the newest operation with these column values."""
    query = sa.select(Operation).filter_by(**equal).order_by(Operation.created_at.desc(), Operation.id.desc()).limit(1)
    return session.execute(query).scalar_one_or_none()


def set_resource(session: orm.Session, operation_id: str, resource_key: str, **values: Any) -> None:
    """Record the progress of a resource."""
    values["updated_at"] = db_session.now(session)
    row = session.get(OperationResource, (operation_id, resource_key))
    if row is None:
        session.add(OperationResource(operation_id=operation_id, resource_key=resource_key, **values))
    else:
        row.update(values)


def projects(session: orm.Session) -> list[str]:
    """Return the ids of the projects that have operations or checkpoints, sorted."""
    queries = (sa.select(model.project_id).distinct() for model in (Operation, models.Checkpoint))
    return sorted({project_id for query in queries for project_id in session.execute(query).scalars()})


def resources_of(session: orm.Session, operation_ids: Sequence[str]) -> Sequence[OperationResource]:
    """Return the progress of the resources of these operations."""
    query = sa.select(OperationResource).where(OperationResource.operation_id.in_(list(operation_ids)))
    return (
        session.execute(query.order_by(OperationResource.operation_id, OperationResource.resource_key)).scalars().all()
    )


def journal(session: orm.Session, operation_id: str, resource_key: str | None = None) -> Sequence[JournalEntry]:
    """Return what an operation intended to create and has not deleted, in order."""
    query = sa.select(JournalEntry).where(JournalEntry.operation_id == operation_id, JournalEntry.gone.is_(False))
    if resource_key is not None:
        query = query.where(JournalEntry.resource_key == resource_key)
    # Sorted here: for the order, SQLite would read the entries of all resources by the index on seq.
    return sorted(session.execute(query).scalars(), key=lambda row: (row.resource_key, row.seq))


def given_up(session: orm.Session, project_id: str, resource_type: str) -> Sequence[JournalEntry]:
    """Return what failed restores of a project created of a type of their templates, and no clean-up deletes any more.

    Entries without the id of an object are left out.
    """
    query = (
        sa.select(JournalEntry)
        .join(Operation, Operation.id == JournalEntry.operation_id)
        .where(
            Operation.project_id == project_id,
            Operation.queue_state == DONE,
            Operation.lease_until.is_(None),
            Operation.operation_type == OperationType.RESTORE,
            Operation.status == states.FAIL,
            JournalEntry.resource_key.startswith(f"{resource_type}#", autoescape=True),
            JournalEntry.gone.is_(False),
            JournalEntry.cloud_id.is_not(None),
        )
    )
    return session.execute(query.order_by(JournalEntry.operation_id, JournalEntry.seq)).scalars().all()


def has_journal(session: orm.Session, operation_id: str) -> bool:
    """Return whether an operation ever intended to create something."""
    query = sa.select(JournalEntry.role).where(JournalEntry.operation_id == operation_id).limit(1)
    return session.execute(query).first() is not None


def reopen(session: orm.Session, operation_id: str, *, temporary_only: bool) -> None:
    """Let the journal of an ended operation name again what was deleted.

    :param temporary_only: leave out results, which stay in the cloud after a success
    """
    query = sa.select(JournalEntry).where(JournalEntry.operation_id == operation_id, JournalEntry.gone.is_(True))
    for row in session.execute(query).scalars():
        if not (temporary_only and row.keep):
            row.update({"gone": False})
    session.flush()


def intend(
    session: orm.Session, operation_id: str, resource_key: str, role: str, *, name: str, keep: bool
) -> JournalEntry:
    """Return the journal entry for *role*. Create it if there is none, and reset it if its object was deleted."""
    row = session.get(JournalEntry, (operation_id, resource_key, role), with_for_update=True)
    if row is None:
        # One sequence for all resources: a deletion goes back in the order of the creations.
        used = sa.select(sa.func.coalesce(sa.func.max(JournalEntry.seq), 0)).where(
            JournalEntry.operation_id == operation_id
        )
        row = JournalEntry(
            operation_id=operation_id,
            resource_key=resource_key,
            role=role,
            seq=session.execute(used).scalar_one() + 1,
            name=name,
            keep=keep,
            gone=False,
        )
        session.add(row)
    elif row.gone:
        row.update({"gone": False, "cloud_id": None, "keep": keep})
    session.flush()
    return row


def note(session: orm.Session, operation_id: str, resource_key: str, role: str, **values: Any) -> JournalEntry:
    """Change ``cloud_id`` or ``gone`` of a journal entry.

    :raises NotFound: there is no such entry
    """
    row = session.get(JournalEntry, (operation_id, resource_key, role), with_for_update=True)
    if row is None:
        raise exception.NotFound(f"operation {operation_id} has no journal entry {role!r} for {resource_key}")
    row.update(values)
    session.flush()
    return row


def latest_by(
    session: orm.Session, column: str, ids: Sequence[str], types: Collection[OperationType] | None = None
) -> dict[str, Operation]:
    """Return the newest operation (of *types*) for each of *ids*, which are values of *column*, such as ``restore_id``."""
    key = getattr(Operation, column)
    query = sa.select(Operation).where(key.in_(list(ids)))
    if types is not None:
        query = query.where(Operation.operation_type.in_([kind.value for kind in types]))
    rows = session.execute(query.order_by(Operation.created_at, Operation.id)).scalars()
    return {getattr(row, column): row for row in rows}
