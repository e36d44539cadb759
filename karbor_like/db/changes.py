"""Status changes of checkpoints, restores, verifications, scheduled runs and plans, reported after they are committed.

All writers use the session: an inserted row, a changed attribute and ``Repository.update`` end in a flush, which is watched.
Changes that are rolled back are not reported, because they are discarded with the session. Deletions with plain SQL
(purged rows) are not changes of status.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like.db.models import (
    Base,
    Checkpoint,
    Operation,
    Plan,
    Restore,
    ScheduledOperation,
    ScheduledRun,
    Verification,
)
from karbor_like.db.session import Database

LOG = logging.getLogger(__name__)

#: The column that holds the status of a row. None is no status.
STATE: Final[Mapping[type[Base], str]] = {
    Checkpoint: "status",
    Restore: "status",
    Verification: "status",
    ScheduledRun: "state",
    Plan: "rpo_state",
}

#: The column of an operation that links to the object that it changes.
_LINK: Final[Mapping[type[Base], str]] = {
    Checkpoint: "checkpoint_id",
    Restore: "restore_id",
    Verification: "verification_id",
}

#: What identifies an object that operations change.
_Object = tuple[Any, ...]

#: A row, its old and its new status.
_Found = tuple[Any, str | None, str]


@dataclass(frozen=True)
class Change:
    """One change of status, with the rows that belong to it.

    :param row: as it was committed
    :param old: None if the row is new
    :param operation: the operation that the same transaction started or ended
    :param checkpoint: the checkpoint of a restore or verification
    :param scheduled: the scheduled operation of a run
    """

    row: Any
    old: str | None
    new: str
    operation: Operation | None = None
    checkpoint: Checkpoint | None = None
    scheduled: ScheduledOperation | None = None


def watch(database: Database, notify: Callable[[Sequence[Change]], None]) -> None:
    """Call *notify* with the changes of each transaction of a database, after the commit and in the same thread.

    *notify* must be fast. Its errors are logged, because the transaction is already committed.
    """
    watcher = _Watcher(notify)
    sa.event.listen(database.sessions, "after_flush", watcher.collect)
    sa.event.listen(database.sessions, "before_commit", watcher.complete)
    sa.event.listen(database.sessions, "after_commit", watcher.committed)


class _Watcher:
    """Collects changes in the ``info`` of each session."""

    def __init__(self, notify: Callable[[Sequence[Change]], None]) -> None:
        self._notify = notify

    def collect(self, session: orm.Session, context: object) -> None:
        """Collect the changes that a flush writes."""
        found, operations = session.info.setdefault((self, "found"), ([], {}))
        found.extend(_changes(session))
        written = (row for rows in (session.new, session.dirty) for row in rows if isinstance(row, Operation))
        operations.update((row.id, row) for row in written)

    def complete(self, session: orm.Session) -> None:
        """Load the rows that belong to the changes, while the session can still be queried."""
        session.flush()
        found, operations = session.info.pop((self, "found"), ([], {}))
        related = _related(session, [row for row, _, _ in found])
        by_object = _by_object(operations.values())
        session.info[self] = [_change(change, related, by_object) for change in found]

    def committed(self, session: orm.Session) -> None:
        """Report the collected changes."""
        changes = session.info.pop(self, ())
        if not changes:
            return
        try:
            self._notify(changes)
        except Exception:  # noqa: BLE001 - the writer must not learn that its committed transaction failed
            LOG.exception("changes of status could not be reported")


def _changes(session: orm.Session) -> Iterator[_Found]:
    for row in _watched(session.new):
        if (new := getattr(row, STATE[type(row)])) is not None:
            yield row, None, new
    for row in _watched(session.dirty):
        history = sa.inspect(row).attrs[STATE[type(row)]].history
        if history.added and history.added[0] is not None and history.added != history.deleted:
            yield row, history.deleted[0] if history.deleted else None, history.added[0]


def _watched(rows: Iterable[Any]) -> Iterator[Any]:
    return (row for row in rows if type(row) in STATE)


def _related(session: orm.Session, rows: Iterable[Any]) -> Mapping[str, Any]:
    """Return the checkpoints and scheduled operations to which changed rows belong, by id, with one query for each table."""
    wanted: dict[type[ScheduledOperation | Checkpoint], set[str]] = {}
    for row in rows:
        if isinstance(row, ScheduledRun):
            wanted.setdefault(ScheduledOperation, set()).add(row.scheduled_operation_id)
        elif isinstance(row, Restore | Verification):
            wanted.setdefault(Checkpoint, set()).add(row.checkpoint_id)
    found: dict[str, Any] = {}
    for model, ids in wanted.items():
        loaded: Iterable[Any] = session.execute(sa.select(model).where(model.id.in_(ids))).scalars()
        found.update((each.id, each) for each in loaded)
    return found


def _change(found: _Found, related: Mapping[str, Any], by_object: Mapping[_Object, Operation]) -> Change:
    row, old, new = found
    checkpoint = scheduled = None
    if isinstance(row, ScheduledRun):
        scheduled = related.get(row.scheduled_operation_id)
    elif isinstance(row, Restore | Verification):
        checkpoint = related.get(row.checkpoint_id)
    return Change(row, old, new, by_object.get(_object(row)), checkpoint, scheduled)


def _by_object(written: Iterable[Operation]) -> Mapping[_Object, Operation]:
    """Return for each object the first of the operations that changed it: a search for each would take quadratic time."""
    found: dict[_Object, Operation] = {}
    for operation in written:
        # The log entry of a run that did not succeed.
        found.setdefault((ScheduledRun, operation.scheduled_operation_id, operation.started_at), operation)
        for model, column in _LINK.items():
            found.setdefault((model, getattr(operation, column)), operation)
    return found


def _object(row: Any) -> _Object:
    """Return what identifies a row in :func:`_by_object`."""
    if isinstance(row, ScheduledRun):
        return ScheduledRun, row.scheduled_operation_id, row.due_at
    return type(row), row.id
