"""How connections are kept between uses: a plugin of SQLAlchemy for engines that oslo.db creates.

oslo.db pings a connection whenever it is taken from the pool, and opens a new one for each transaction on SQLite. Both cost
as much as a query. Here a connection is pinged after it was idle, and those of SQLite are kept too.
"""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import plugins
from sqlalchemy.engine import CreateEnginePlugin

from karbor_like.clock import SystemClock

#: Values of ``plugin`` in the parameters of a connection: for transactions, and for single queries.
NAME: Final = "karbor_like"
LOOKUPS: Final = "karbor_like_lookups"
#: Connections to SQLite that a process keeps. More are opened and closed as needed.
KEPT: Final = 20
#: Seconds after which a connection is pinged before it is used.
IDLE: Final = 1.0
_CLOCK: Final = SystemClock()


class Pooling(CreateEnginePlugin):
    """Changes the arguments of a new engine, and watches its connections."""

    def __init__(self, url: sa.URL, kwargs: dict[str, Any]) -> None:
        super().__init__(url, kwargs)
        kwargs["pool_pre_ping"] = False
        if kwargs.get("poolclass") is sa.NullPool:
            kwargs.update(poolclass=sa.QueuePool, pool_size=KEPT, max_overflow=-1)

    def update_url(self, url: sa.URL) -> sa.URL:
        return url

    def engine_created(self, engine: sa.Engine) -> None:
        sa.event.listen(engine, "checkin", _note_use)
        sa.event.listen(engine, "checkout", _Ping(engine.dialect))


class Lookups(Pooling):
    """Opens connections without transactions: each query is one by itself, and nothing is to be rolled back."""

    def __init__(self, url: sa.URL, kwargs: dict[str, Any]) -> None:
        super().__init__(url, kwargs)
        # oslo.db sends BEGIN to SQLite in any case.
        if url.get_backend_name() != "sqlite":
            kwargs.update(isolation_level="AUTOCOMMIT", pool_reset_on_return=None, skip_autocommit_rollback=True)


def parameters(configured: str, plugin: str = NAME) -> str:
    """Add *plugin* to the operator's parameters of connections, a query string."""
    return f"{configured}&plugin={plugin}".lstrip("&")


def _note_use(connection: Any, record: sa.pool.ConnectionPoolEntry) -> None:
    record.info["used"] = _CLOCK.monotonic()


class _Ping:
    """Replaces a connection that was lost while it was idle, and all others that are idle: the server was restarted."""

    def __init__(self, dialect: sa.Dialect) -> None:
        self._dialect = dialect

    def __call__(self, connection: Any, record: sa.pool.ConnectionPoolEntry, proxy: Any) -> None:
        if _CLOCK.monotonic() - record.info.get("used", _CLOCK.monotonic()) < IDLE:
            return
        try:
            self._dialect.do_ping(connection)
        except self._dialect.loaded_dbapi.Error as error:
            raise sa.exc.InvalidatePoolError from error


plugins.register(NAME, __name__, Pooling.__name__)
plugins.register(LOOKUPS, __name__, Lookups.__name__)
