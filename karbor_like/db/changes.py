"""Changes of state, told once they are committed: of checkpoints, restores, verifications and scheduled runs.

Hooked into the session, through which every writer goes: an inserted row, a changed attribute and ``Repository.update`` all
end in a flush. What was rolled back is never told, since what a session has collected goes with it. Deletions with plain
SQL (rows that are too old) are no changes of state.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like.db.models import Base, Checkpoint, Operation, Restore, ScheduledOperation, ScheduledRun, Verification
from karbor_like.db.session import Database

LOG = logging.getLogger(__name__)

#: The column that is the state of a row.
STATE: Final[Mapping[type[Base], str]] = {
    Checkpoint: "status",
    Restore: "status",
    Verification: "status",
    ScheduledRun: "state",
}

#: The column of an operation that names what it changes.
_LINK: Final[Mapping[type[Base], str]] = {
    Checkpoint: "checkpoint_id",
    Restore: "restore_id",
    Verification: "verification_id",
}

#: A row, its old and its new state.
_Found = tuple[Any, str | None, str]


@dataclass(frozen=True)
class Change:
    """One change of state, with what belongs to it.

    :param row: as it was committed
    :param old: None where the row is new
    :param operation: which the same transaction began or ended on it
    :param checkpoint: that a restore or verification is about
    :param scheduled: the scheduled operation of a run
    """

    row: Any
    old: str | None
    new: str
    operation: Operation | None = None
    checkpoint: Checkpoint | None = None
    scheduled: ScheduledOperation | None = None


def watch(database: Database, tell: Callable[[Sequence[Change]], None]) -> None:
    """Call *tell* with the changes of each transaction of *database* after it was committed, in the thread that did.

    *tell* must be quick. An error of it is logged: what is committed has happened, whether or not it can be told.
    """
    watcher = _Watcher(tell)
    sa.event.listen(database.sessions, "after_flush", watcher.collect)
    sa.event.listen(database.sessions, "before_commit", watcher.complete)
    sa.event.listen(database.sessions, "after_commit", watcher.committed)


class _Watcher:
    """Its part of each session's ``info`` is what it has found in that session."""

    def __init__(self, tell: Callable[[Sequence[Change]], None]) -> None:
        self._tell = tell

    def collect(self, session: orm.Session, context: object) -> None:
        """What a flush writes."""
        found, operations = session.info.setdefault((self, "found"), ([], {}))
        found.extend(_changes(session))
        written = (row for rows in (session.new, session.dirty) for row in rows if isinstance(row, Operation))
        operations.update((row.id, row) for row in written)

    def complete(self, session: orm.Session) -> None:
        """What belongs to the changes, while the session can still be asked."""
        session.flush()
        found, operations = session.info.pop((self, "found"), ([], {}))
        session.info[self] = [_change(session, change, operations.values()) for change in found]

    def committed(self, session: orm.Session) -> None:
        """Tell what was found."""
        changes = session.info.pop(self, ())
        if not changes:
            return
        try:
            self._tell(changes)
        except Exception:  # noqa: BLE001 - the writer must not learn that its committed transaction failed
            LOG.exception("changes of state could not be told")


def _changes(session: orm.Session) -> Iterator[_Found]:
    for row in _watched(session.new):
        yield row, None, getattr(row, STATE[type(row)])
    for row in _watched(session.dirty):
        history = sa.inspect(row).attrs[STATE[type(row)]].history
        if history.added and history.added != history.deleted:
            yield row, history.deleted[0] if history.deleted else None, history.added[0]


def _watched(rows: Iterable[Any]) -> Iterator[Any]:
    return (row for row in rows if type(row) in STATE)


def _change(session: orm.Session, found: _Found, written: Iterable[Operation]) -> Change:
    row, old, new = found
    checkpoint = scheduled = None
    if isinstance(row, ScheduledRun):
        scheduled = session.get(ScheduledOperation, row.scheduled_operation_id)
    elif not isinstance(row, Checkpoint):
        checkpoint = session.get(Checkpoint, row.checkpoint_id)
    operation = next((one for one in written if _is_of(one, row)), None)
    return Change(row, old, new, operation, checkpoint, scheduled)


def _is_of(operation: Operation, row: Any) -> bool:
    if isinstance(row, ScheduledRun):
        # The log's entry of a run that did not succeed.
        return (operation.scheduled_operation_id, operation.started_at) == (row.scheduled_operation_id, row.due_at)
    return getattr(operation, _LINK[type(row)]) == row.id
