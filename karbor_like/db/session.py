"""Access to the database: one :class:`Database` per process; each transaction is one ``with`` block or one call.

SQLite is the embedded default. Several threads and processes write to it, so every transaction takes the write lock when it
begins (``BEGIN IMMEDIATE``) and uses a write-ahead log. Otherwise transactions that read and then write fail with "database
is locked".

Single queries have connections of their own (:meth:`Database.lookup`), on which no transaction is begun and rolled back: that
would take as many round trips again as the query. On SQLite, they do not wait for the write lock.
"""

import contextlib
import functools
import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import sqlalchemy as sa
import tenacity
from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_db import options as db_options
from oslo_db.sqlalchemy import enginefacade
from sqlalchemy import orm
from sqlalchemy.ext import compiler

from karbor_like import configfile, exception, logs
from karbor_like.conf import database as options
from karbor_like.db import driver, files, pool, timeouts

LOG = logging.getLogger(__name__)

T = TypeVar("T")

#: What single queries are run on: a session, or the connection of a lookup.
Queryable = orm.Session | sa.Connection

_RETRIES = 8
_TRANSIENT = (db_exception.DBConnectionError, db_exception.DBDeadlock, db_exception.RetryRequest)
#: Seconds after the first attempt within which a further one may begin.
_RETRY_SECONDS = 30
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


def _lock_early(engine: sa.Engine) -> None:
    if engine.dialect.name != "sqlite":
        return

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
    if not isinstance(error, _UNAVAILABLE) and not _is_broken(error):
        return None
    return exception.DatabaseUnavailable("The service is not available at the moment; try again later.")


def _is_broken(error: Exception) -> bool:
    """Return whether *error* is one of a broken connection that oslo.db does not know."""
    if isinstance(error, sa.exc.DBAPIError):
        return error.connection_invalidated
    inner = getattr(error, "inner_exception", None) if type(error) is db_exception.DBError else None
    return isinstance(inner, sa.exc.InterfaceError | sa.exc.InternalError | OSError)


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


def register(conf: cfg.ConfigOpts) -> None:
    """Register the ``[database]`` options of oslo.db and of this project. Idempotent."""
    db_options.set_defaults(conf)
    conf.register_opts(options.OPTS, group=options.GROUP.name)


class Database:
    """Engine and sessions of one process. Create it after a fork; never share it across one.

    :param conf: configuration with the ``[database]`` group of oslo.db
    :param statement_timeout: seconds to wait for the answer to a statement; None: as configured

    Raises ConfigurationError if there is no ``connection``, or if it cannot be used here.
    """

    def __init__(self, conf: cfg.ConfigOpts, statement_timeout: float | None = None) -> None:
        register(conf)
        if not conf.database.connection:
            read = ", ".join(map(str, configfile.paths(conf))) or "none"
            raise exception.ConfigurationError(
                "[database] connection: is not set; expected the URL of the database. Configuration files that were read:"
                f" {read}"
            )
        driver.check(conf.database.connection)
        files.make_private(conf.database.connection)
        own = {option.dest for option in options.OPTS}
        settings = {name: value for name, value in conf.database.items() if name not in own}
        # thread_checkin is for eventlet: it yields the processor whenever a connection returns to the pool. max_retries is
        # for wait(): else the first caller would wait, with all others behind it.
        settings |= {"sqlite_fk": True, "thread_checkin": False, "max_retries": 0}
        limits = timeouts.Timeouts(conf.database.connect_timeout, statement_timeout or conf.database.statement_timeout)
        self._conf = conf
        self._facade = self._open(pool.NAME, settings, limits)
        self._facade.append_on_engine_create(_lock_early)
        self._lookups = self._open(pool.LOOKUPS, settings, limits)
        self._closing = contextlib.ExitStack()

    def _open(self, plugin: str, settings: Mapping[str, Any], limits: timeouts.Timeouts) -> Any:
        facade = enginefacade.transaction_context()
        facade.configure(**settings)
        facade.configure(connection_parameters=pool.parameters(self._conf.database.connection_parameters, plugin))
        facade.append_on_engine_create(_prepare_sqlite)
        facade.append_on_engine_create(lambda engine: timeouts.apply(engine, limits))
        return facade

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

    @functools.cached_property
    def _lookup_engine(self) -> sa.Engine:
        engine: sa.Engine = self._lookups.reader.get_engine()
        return engine

    @contextlib.contextmanager
    def lookup(self) -> Iterator[sa.Connection]:
        """Run a single query in the block, without a session and without a transaction, which cost more than the query.

        :raises oslo_db.exception.DBError: as by :meth:`reader`
        """
        with translated(), self._lookup_engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """Run queries in the block that all see the database at one moment. Other processes write meanwhile.

        :raises oslo_db.exception.DBError: as by :meth:`reader`
        """
        # On SQLite, the other engine takes the write lock. Each server has the isolation level that is needed.
        sqlite = self.engine.dialect.name == "sqlite"
        engine = self._lookup_engine if sqlite else self.engine.execution_options(isolation_level="REPEATABLE READ")
        with translated(), engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def writer(self) -> Iterator[orm.Session]:
        """Run the block in a transaction that commits at its end. The caller retries deadlocks, or uses :meth:`write`."""
        with translated(), self._facade.writer.using(_Scope()) as session:
            yield session

    def write(self, work: Callable[[orm.Session], T]) -> T:
        """Run ``work(session)`` in a write transaction; retry it from the start after a deadlock or a lost connection.

        No attempt begins later than 30 seconds after the call. *work* must have no effect outside the database. It may ask
        for another attempt by RetryRequest, whose inner error is raised if there is none.
        """

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_TRANSIENT),
            wait=tenacity.wait_exponential(multiplier=0.1, max=10) + tenacity.wait_random(0, 0.1),
            stop=tenacity.stop_after_attempt(_RETRIES + 1) | tenacity.stop_after_delay(_RETRY_SECONDS),
            reraise=True,
        )

        def attempt() -> T:
            with self.writer() as session:
                return work(session)

        try:
            return retrying(attempt)
        except db_exception.RetryRequest as error:
            raise error.inner_exc from None

    def wait(self) -> None:
        """Wait until the database answers, for as long as oslo.db's ``max_retries`` and ``retry_interval`` say.

        :raises oslo_db.exception.DBError: the database did not answer
        """
        group = self._conf.database
        forever = group.max_retries < 0
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((db_exception.DBConnectionError, DatabaseBusy)),
            wait=tenacity.wait_fixed(group.retry_interval),
            stop=tenacity.stop_never if forever else tenacity.stop_after_attempt(group.max_retries + 1),
            before_sleep=lambda state: LOG.warning(
                "the database does not answer; the next attempt is in %s seconds",
                group.retry_interval,
                extra={logs.REPEATING: "start"},
            ),
            reraise=True,
        )
        retrying(self.ping)

    def ping(self) -> None:
        """Run a trivial query.

        :raises oslo_db.exception.DBError: the database does not respond
        """
        with self.reader() as session:
            session.execute(sa.select(1))

    def dispose(self) -> None:
        """Close all connections."""
        self._closing.close()
        for facade in (self._facade, self._lookups):
            facade.dispose_pool()


def now(session: Queryable) -> datetime:
    """Return the database's time, timezone-aware UTC."""
    value = session.execute(sa.select(utcnow())).scalar_one()
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.replace(tzinfo=UTC)
