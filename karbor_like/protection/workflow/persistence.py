"""Where flows rest: TaskFlow's tables in the service's own database, fenced by the claim of the operation.

TaskFlow fences nothing: two processes that ran one flow would overwrite each other's states. So every transaction on a
flow begins by locking the operation's row and checking that the claim still holds.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exception
from sqlalchemy import orm
from taskflow import exceptions as taskflow_exceptions
from taskflow.persistence import models
from taskflow.persistence.backends import impl_sqlalchemy
from taskflow.persistence.backends.sqlalchemy import tables

from karbor_like.db import migration
from karbor_like.db.session import Database

#: Called with the connection at the beginning of each transaction; raises LeaseLost.
Fence = Callable[[sa.Connection], None]


class DatabasePersistence:
    """Saves, loads and forgets flows.

    :param database: the service's database, which holds TaskFlow's tables too (:meth:`upgrade`)
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        # TaskFlow makes them anew for every connection, about four times a task, and so defeats SQLAlchemy's cache of
        # compiled statements: that costs five times as much as the statements.
        self._metadata = sa.MetaData()
        self._tables = tables.fetch(self._metadata)

    def upgrade(self) -> None:
        """Bring TaskFlow's tables to the installed library's version. May run on several hosts at once."""
        engine = self._database.engine
        with (
            engine.connect() as lock,
            migration.locked(lock),
            contextlib.closing(self._connection(engine)) as connection,
        ):
            connection.upgrade()

    def save(self, session: orm.Session, flow_id: str, name: str) -> None:
        """Add an empty flow *flow_id* in *session*'s transaction, so that it stands if and only if its operation does."""
        book = models.LogBook(name, uuid=flow_id)
        book.add(models.FlowDetail(name, uuid=flow_id))
        self._connection(_SessionEngine(session)).save_logbook(book)

    def forget(self, session: orm.Session, flow_id: str) -> None:
        """Remove a flow in *session*'s transaction. Nothing happens where it is gone."""
        with contextlib.suppress(taskflow_exceptions.NotFound):
            self._connection(_SessionEngine(session)).destroy_logbook(flow_id)

    def backend(self, fence: Fence) -> "FencedBackend":
        """What an engine reads and writes one flow with."""
        return FencedBackend(_FencedEngine(self._database.engine, fence), self._connection)

    def _connection(self, engine: Any) -> "_Connection":
        return _Connection(engine, self._metadata, self._tables)


class FencedBackend(impl_sqlalchemy.SQLAlchemyBackend):
    """TaskFlow's SQL backend on an engine of ours, with connections that share their tables."""

    def __init__(self, engine: "_FencedEngine", connect: Callable[[Any], "_Connection"]) -> None:
        super().__init__({}, engine=engine)
        self._connect = connect
        #: atom -> its state and intention as they are saved
        self.saved: dict[str, tuple[str | None, str | None]] = {}

    def get_connection(self) -> "_Connection":
        connection = self._connect(self.engine)
        connection.owner = self
        return connection


class _Connection(impl_sqlalchemy.Connection):
    # The library's own constructor is not called: making the tables is all it does.
    def __init__(self, engine: Any, metadata: sa.MetaData, shared: tables.Tables) -> None:
        self.owner: FencedBackend | None = None
        self._engine = engine
        self._metadata = metadata
        self._tables = shared
        self._upgrade_lock = contextlib.nullcontext()
        self._converter = impl_sqlalchemy._Alchemist(shared)

    @property
    def backend(self) -> FencedBackend | None:
        return self.owner

    def update_atom_details(self, atom_detail: models.AtomDetail) -> models.AtomDetail:
        """As the library's, but for a change that is none: it notes a progress of 0 and of 1 for each task as well, which
        makes half of all transactions, and which nobody looks at.
        """
        assert self.owner is not None
        now = (atom_detail.state, atom_detail.intention)
        if self.owner.saved.get(atom_detail.uuid) == now:
            return atom_detail
        found = super().update_atom_details(atom_detail)
        self.owner.saved[atom_detail.uuid] = now
        return found


class _FencedEngine:
    """As much of an Engine as TaskFlow's backend uses."""

    def __init__(self, engine: sa.Engine, fence: Fence) -> None:
        self._engine = engine
        self._fence = fence

    @contextlib.contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                self._fence(connection)
                yield connection
        except db_exception.DBError as error:
            # TaskFlow knows SQLAlchemy's errors only, and tries again after this one.
            raise taskflow_exceptions.StorageFailure(f"the database failed: {error}") from error

    connect = begin


class _SessionEngine:
    """An Engine whose transaction is a session's that is open already."""

    def __init__(self, session: orm.Session) -> None:
        self._session = session

    @contextlib.contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        self._session.flush()
        yield self._session.connection()
