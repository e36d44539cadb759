"""Flow persistence: TaskFlow's tables in the service's database, fenced by the claim of the operation.

TaskFlow has no fencing: two processes that run one flow would overwrite each other's states. So every transaction on a flow
first locks the operation's row and checks the claim.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from oslo_db import exception as db_exception
from sqlalchemy import orm
from taskflow import exceptions as taskflow_exceptions
from taskflow import states
from taskflow.persistence import models
from taskflow.persistence.backends import impl_sqlalchemy
from taskflow.persistence.backends.sqlalchemy import tables

from karbor_like.db import migration
from karbor_like.db import session as db_session
from karbor_like.db.session import Database

#: States of a flow without an outcome. A flow resumes from the states of its atoms, whichever of these is saved.
_UNSETTLED = frozenset({None, states.PENDING, states.RESUMING, states.RUNNING, states.SUSPENDING, states.SUSPENDED})

T = TypeVar("T")


class Holder(Protocol):
    """Who runs a flow."""

    def fence(self, connection: sa.Connection) -> None:
        """Check at the start of a transaction that the flow still belongs to this process. Raises LeaseLost."""

    def outlast(self, call: Callable[[], T]) -> T:
        """Return the result of *call*, which is idempotent. Repeat it while the database is unavailable."""


class DatabasePersistence:
    """Saves, loads and deletes flows.

    :param database: the service's database, which also holds TaskFlow's tables (:meth:`upgrade`)
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        # TaskFlow builds them for every connection, about four times a task, which defeats SQLAlchemy's cache of compiled
        # statements: compiling costs five times as much as the statements.
        self._metadata = sa.MetaData()
        self._tables = tables.fetch(self._metadata)

    def upgrade(self) -> None:
        """Upgrade TaskFlow's tables to the installed library's version. May run on several hosts concurrently."""
        engine = self._database.engine
        with (
            engine.connect() as lock,
            migration.locked(lock),
            contextlib.closing(self._connection(engine)) as connection,
        ):
            connection.upgrade()

    def save(self, session: orm.Session, flow_id: str, name: str) -> None:
        """Add an empty flow *flow_id* in *session*'s transaction, so that it exists if and only if its operation does."""
        book = models.LogBook(name, uuid=flow_id)
        book.add(models.FlowDetail(name, uuid=flow_id))
        self._connection(_SessionEngine(session)).save_logbook(book)

    def forget(self, session: orm.Session, flow_id: str) -> None:
        """Delete a flow in *session*'s transaction. Idempotent."""
        with contextlib.suppress(taskflow_exceptions.NotFound):
            self._connection(_SessionEngine(session)).destroy_logbook(flow_id)

    def backend(self, holder: Holder) -> "FencedBackend":
        """Return the backend through which an engine reads and writes one flow."""
        return FencedBackend(self._database.engine, holder, self._connection)

    def _connection(self, engine: Any) -> "_Connection":
        return _Connection(engine, self._metadata, self._tables)


class FencedBackend(impl_sqlalchemy.SQLAlchemyBackend):
    """TaskFlow's SQL backend on a fenced engine, with connections that share their tables."""

    def __init__(self, engine: sa.Engine, holder: Holder, connect: Callable[[Any], "_Connection"]) -> None:
        super().__init__({}, engine=_FencedEngine(engine, holder))
        self._holder = holder
        self._connect = connect
        #: The saved state of the flow, once it was read or written.
        self.flow_state: str | None = None
        #: atom -> its saved state and intention
        self.atoms: dict[str, tuple[str | None, str | None]] = {}

    def get_connection(self) -> "_Connection":
        connection = self._connect(self.engine)
        connection.owner = self
        return connection

    def call(self, request: Callable[[], T]) -> T:
        """Return the result of *request*, one idempotent transaction. An outage of the database is waited for."""
        try:
            return self._holder.outlast(request)
        except db_exception.DBError as error:
            # TaskFlow handles SQLAlchemy's errors and its own only.
            raise taskflow_exceptions.StorageFailure("the database failed") from error


class _Connection(impl_sqlalchemy.Connection):
    # The library's constructor is not called: it only builds the tables.
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

    def get_flow_details(self, fd_uuid: str, lazy: bool = False) -> models.FlowDetail:
        """Load a flow, and remember what is saved of it."""
        assert self.owner is not None
        detail = self.owner.call(functools.partial(super().get_flow_details, fd_uuid, lazy=lazy))
        self._remember(detail)
        return detail

    def update_flow_details(self, flow_detail: models.FlowDetail) -> models.FlowDetail:
        """Save a flow as the library does, unless only its state changed and it has no outcome yet.

        The library also saves that it prepares, suspends and starts a flow, which no resume depends on.
        """
        assert self.owner is not None
        if {self.owner.flow_state, flow_detail.state} <= _UNSETTLED and self.owner.atoms == _states(flow_detail):
            return flow_detail
        saved = self.owner.call(functools.partial(super().update_flow_details, flow_detail))
        self._remember(flow_detail)
        return saved

    def _remember(self, detail: models.FlowDetail) -> None:
        assert self.owner is not None
        self.owner.flow_state, self.owner.atoms = detail.state, _states(detail)

    def update_atom_details(self, atom_detail: models.AtomDetail) -> models.AtomDetail:
        """Save an atom as the library does, unless neither its state nor its intention changed.

        The library also saves a progress of 0 and of 1 for each task: half of all transactions, and never read.
        """
        assert self.owner is not None
        values = (atom_detail.state, atom_detail.intention)
        if self.owner.atoms.get(atom_detail.uuid) == values:
            return atom_detail
        saved = self.owner.call(functools.partial(super().update_atom_details, atom_detail))
        self.owner.atoms[atom_detail.uuid] = values
        return saved


def _states(detail: models.FlowDetail) -> dict[str, tuple[str | None, str | None]]:
    return {atom.uuid: (atom.state, atom.intention) for atom in detail}


class _FencedEngine:
    """The part of an Engine that TaskFlow's backend uses."""

    def __init__(self, engine: sa.Engine, holder: Holder) -> None:
        self._engine = engine
        self._holder = holder

    @contextlib.contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        with db_session.translated(), self._engine.begin() as connection:
            self._holder.fence(connection)
            yield connection

    connect = begin


class _SessionEngine:
    """An Engine whose transaction is that of an open session."""

    def __init__(self, session: orm.Session) -> None:
        self._session = session

    @contextlib.contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        self._session.flush()
        yield self._session.connection()
