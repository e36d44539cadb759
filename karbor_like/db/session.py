"""Access to the database: one :class:`Database` per process; each transaction is one ``with`` block or one call.

SQLite is the embedded default. Several threads and processes write to it, so every transaction takes the write lock when it
begins (``BEGIN IMMEDIATE``) and uses a write-ahead log. Otherwise transactions that read and then write fail with "database
is locked".
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import api as oslo_db_api
from oslo_db import exception as db_exception
from oslo_db import options as db_options
from oslo_db.sqlalchemy import enginefacade
from sqlalchemy import orm
from sqlalchemy.ext import compiler

from karbor_like import exception

T = TypeVar("T")

_RETRIES = 8
_SQLITE_BUSY_SECONDS = 30


@enginefacade.transaction_context_provider
class _Scope:
    """Holder of one transaction: enginefacade stores the transaction on the object it is "using"."""


class utcnow(sa.sql.expression.FunctionElement):  # noqa: N801 - reads as the SQL function it is
    """The database's clock, in UTC. Leases are measured by it, so that the clocks of hosts need not be synchronized."""

    type = sa.DateTime()
    inherit_cache = True


@compiler.compiles(utcnow, "sqlite")
def _utcnow_sqlite(element: Any, compiler: Any, **kwargs: Any) -> str:
    return "strftime('%Y-%m-%d %H:%M:%f', 'now')"


@compiler.compiles(utcnow, "mysql")
@compiler.compiles(utcnow, "mariadb")
def _utcnow_mysql(element: Any, compiler: Any, **kwargs: Any) -> str:
    return "UTC_TIMESTAMP(6)"


@compiler.compiles(utcnow, "postgresql")
def _utcnow_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    return "timezone('utc', clock_timestamp())"


def _prepare_sqlite(engine: sa.Engine) -> None:
    if engine.dialect.name != "sqlite":
        return

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {_SQLITE_BUSY_SECONDS * 1000}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    # A "begin" listener would run after the one of oslo.db, which has already sent a deferred BEGIN.
    @sa.event.listens_for(engine, "before_cursor_execute", retval=True)
    def _begin(conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> tuple[str, Any]:
        return ("BEGIN IMMEDIATE" if statement == "BEGIN" else statement), parameters


class DatabaseBusy(db_exception.DBError):
    """The database is locked or overloaded, cannot be opened, or refuses connections. A retry may succeed.

    oslo.db passes these errors on as SQLAlchemy's.
    """


#: Errors after which a retry may succeed. They have no other cause than the state of the database.
_UNAVAILABLE = (
    DatabaseBusy,
    db_exception.DBConnectionError,
    db_exception.DBDeadlock,
    # A file that cannot be opened, too.
    db_exception.DBNonExistentDatabase,
)


def unavailable(error: Exception) -> exception.DatabaseUnavailable | None:
    """Return the error to report in place of *error* if the database is unavailable, else None.

    Its text has nothing of the database's, which may contain addresses and statements.
    """
    if not isinstance(error, _UNAVAILABLE):
        return None
    return exception.DatabaseUnavailable("The service is not available at the moment; try again later.")


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise DatabaseBusy in place of SQLAlchemy's errors about the state of the database.

    :raises DatabaseBusy: the database is locked or overloaded, or cannot be opened
    """
    try:
        yield
    except sa.exc.TimeoutError as error:
        # All connections of this process are in use.
        raise DatabaseBusy(error) from error
    except sa.exc.OperationalError as error:
        # Of SQLite, this is also the class of errors in statements, which have the most general code.
        if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
            raise
        raise DatabaseBusy(error) from error


class Database:
    """Engine and sessions of one process. Create it after a fork; never share it across one.

    :param conf: configuration with the ``[database]`` group of oslo.db
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        db_options.set_defaults(conf)
        self._facade = enginefacade.transaction_context()
        # thread_checkin is for eventlet: it yields the processor whenever a connection returns to the pool.
        self._facade.configure(**{**dict(conf.database), "sqlite_fk": True, "thread_checkin": False})
        self._facade.append_on_engine_create(_prepare_sqlite)
        self._closing = contextlib.ExitStack()

    @property
    def engine(self) -> sa.Engine:
        """The engine, for migrations and for TaskFlow's persistence."""
        return self._facade.writer.get_engine()

    @property
    def sessions(self) -> orm.sessionmaker[orm.Session]:
        """The session factory, for listeners on sessions."""
        return self._facade.writer.get_sessionmaker()

    def on_dispose(self, close: Callable[[], None]) -> None:
        """Register *close* to be called before the connections are closed, last registered first."""
        self._closing.callback(close)

    @contextlib.contextmanager
    def reader(self) -> Iterator[orm.Session]:
        """Run the block in a read-only transaction.

        :raises oslo_db.exception.DBError: DatabaseBusy, or what :func:`unavailable` also knows
        """
        with translated(), self._facade.reader.using(_Scope()) as session:
            yield session

    @contextlib.contextmanager
    def writer(self) -> Iterator[orm.Session]:
        """Run the block in a transaction that commits at its end. The caller retries deadlocks, or uses :meth:`write`."""
        with translated(), self._facade.writer.using(_Scope()) as session:
            yield session

    def write(self, work: Callable[[orm.Session], T]) -> T:
        """Run ``work(session)`` in a write transaction; retry it from the start after a deadlock or a lost connection.

        *work* must have no effect outside the database.
        """

        @oslo_db_api.wrap_db_retry(
            max_retries=_RETRIES, retry_on_deadlock=True, retry_on_disconnect=True, retry_interval=0.1, jitter=True
        )
        def attempt() -> T:
            with self.writer() as session:
                return work(session)

        return attempt()

    def ping(self) -> None:
        """Run a trivial query.

        :raises oslo_db.exception.DBError: the database does not respond
        """
        with self.reader() as session:
            session.execute(sa.select(1))

    def dispose(self) -> None:
        """Close all connections."""
        self._closing.close()
        self._facade.dispose_pool()


def now(session: orm.Session) -> datetime:
    """Return the database's time, timezone-aware UTC."""
    value = session.execute(sa.select(utcnow())).scalar_one()
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.replace(tzinfo=UTC)
