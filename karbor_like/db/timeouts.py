"""Time limits of connections to a database server.

Without them, a server that falls silent (a lost host, a failover behind a proxy) blocks its callers for as long as the
kernel keeps the connection, which may be forever.
"""

import select
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from karbor_like.clock import SystemClock

_CLOCK: Final = SystemClock()
_POLL_EVENTS: Final = {1: select.POLLIN, 2: select.POLLOUT}  # POLL_READ and POLL_WRITE of psycopg2


@dataclass(frozen=True)
class Timeouts:
    """Limits of one connection.

    :param connect: seconds for a new connection
    :param statement: seconds for the answer to a statement
    """

    connect: float
    statement: float


def apply(engine: sa.Engine, timeouts: Timeouts) -> None:
    """Limit the connections that *engine* opens from now on. Parameters in its URL take precedence.

    A connection that exceeds a limit is closed, and the caller gets the same errors as if the server had closed it. SQLite
    is not affected: it opens a file.
    """
    arguments = _ARGUMENTS.get(engine.dialect.driver)
    if arguments is None:
        return
    defaults = arguments(timeouts)

    @sa.event.listens_for(engine, "do_connect")
    def _limit(dialect: Any, record: Any, args: Any, parameters: dict[str, Any]) -> None:
        for name, value in defaults.items():
            parameters.setdefault(name, value)


def _mysql(timeouts: Timeouts) -> Mapping[str, Any]:
    return {
        "connect_timeout": timeouts.connect,
        "read_timeout": timeouts.statement,
        "write_timeout": timeouts.statement,
    }


def _mysqlclient(timeouts: Timeouts) -> Mapping[str, Any]:
    # The library takes whole seconds.
    return {name: max(1, round(value)) for name, value in _mysql(timeouts).items()}


def _psycopg2(timeouts: Timeouts) -> Mapping[str, Any]:
    import psycopg2.extensions

    # libpq has no limit for reads. Its limits for TCP do not apply while a proxy or a stopped server keeps the connection
    # alive. So psycopg2 waits by calling this function, for all connections of the process.
    psycopg2.extensions.set_wait_callback(_wait)
    limited = {"timeouts": timeouts}
    return {"connection_factory": type("Connection", (psycopg2.extensions.connection,), limited)}


def _wait(connection: Any) -> None:
    """Wait until *connection* has finished its current action (``psycopg2.extensions.set_wait_callback``).

    :raises psycopg2.OperationalError: it did not finish in time; psycopg2 closes the connection
    """
    import psycopg2
    from psycopg2 import extensions

    timeouts: Timeouts | None = getattr(connection, "timeouts", None)
    is_new = connection.status == extensions.STATUS_SETUP
    seconds = None if timeouts is None else timeouts.connect if is_new else timeouts.statement
    deadline = None if seconds is None else _CLOCK.monotonic() + seconds
    while (state := connection.poll()) != extensions.POLL_OK:
        poller = select.poll()
        poller.register(connection.fileno(), _POLL_EVENTS[state])
        left = None if deadline is None else max(0.0, deadline - _CLOCK.monotonic()) * 1000
        if not poller.poll(left):
            raise psycopg2.OperationalError(f"could not receive data from server: no answer in {seconds:g} seconds")


_ARGUMENTS: Final[Mapping[str, Callable[[Timeouts], Mapping[str, Any]]]] = {
    "pymysql": _mysql,
    "mysqldb": _mysqlclient,
    "psycopg2": _psycopg2,
}
