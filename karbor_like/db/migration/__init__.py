"""Schema migrations: upgrade a database, and read its version.

Each revision creates one table, makes one change of a table, or adds indexes. MariaDB cannot roll back DDL, so a revision
that was interrupted must be able to run again. Services of the release before run on while a database is upgraded, and read
and write it afterwards: a revision removes and renames nothing that they use, and a new column has a default or is nullable.
"""

import contextlib
import functools
import pathlib
from collections.abc import Iterator, Sequence
from enum import StrEnum

import sqlalchemy as sa
import tenacity
from alembic import command, config
from alembic import script as alembic_script
from alembic.runtime import migration as alembic_migration
from oslo_config import cfg

from karbor_like import exception
from karbor_like.db import session as db_session
from karbor_like.db.session import Database

#: Differs from Alembic's default, which TaskFlow's persistence uses in the same database.
VERSION_TABLE = "karbor_like_version"

_LOCK_NAME = "karbor_like_migration"
_LOCK_NUMBER = 0x6B61726C
_LOCK_SECONDS = 300
_LOCK_POLL_SECONDS = 0.25


def _give_up(state: tenacity.RetryCallState) -> None:
    raise exception.Timeout(
        f"database: another migration has been running for more than {_LOCK_SECONDS} s; retry when it has ended"
    )


@contextlib.contextmanager
def locked(connection: sa.Connection) -> Iterator[None]:
    """Serialize migrations: some of several concurrent ones would fail. On SQLite the write lock does this (see env.py)."""
    dialect = connection.dialect.name
    # Polled, so that no statement takes longer than statements may.
    attempt = {
        "mysql": sa.text("SELECT GET_LOCK(:name, 0)").bindparams(name=_LOCK_NAME),
        "mariadb": sa.text("SELECT GET_LOCK(:name, 0)").bindparams(name=_LOCK_NAME),
        "postgresql": sa.text("SELECT pg_try_advisory_lock(:number)").bindparams(number=_LOCK_NUMBER),
    }.get(dialect)
    if attempt is not None:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda got: not got),
            wait=tenacity.wait_fixed(_LOCK_POLL_SECONDS),
            stop=tenacity.stop_after_delay(_LOCK_SECONDS),
            retry_error_callback=_give_up,
        )
        retrying(lambda: connection.execute(attempt).scalar())
    try:
        yield
    finally:
        if dialect in ("mysql", "mariadb"):
            connection.execute(sa.text("SELECT RELEASE_LOCK(:name)"), {"name": _LOCK_NAME})
        elif dialect == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_unlock(:number)"), {"number": _LOCK_NUMBER})


def _config(connection: sa.Connection | None = None) -> config.Config:
    result = config.Config()
    result.set_main_option("script_location", str(pathlib.Path(__file__).parent).replace("%", "%%"))
    result.attributes["connection"] = connection
    return result


def head() -> str:
    """Return the newest version that this code knows."""
    return _versions()[0]


def version(database: Database) -> str | None:
    """Return the version of the database's schema, or None if the database is empty.

    :raises oslo_db.exception.DBError: the database does not answer
    """
    with db_session.translated(), database.engine.connect() as connection:
        context = alembic_migration.MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return context.get_current_revision()


class Schema(StrEnum):
    """How the schema of a database compares to the one that this code needs."""

    MATCHES = "matches"
    EMPTY = "empty"
    OLDER = "older"
    NEWER = "newer"


def compare(current: str | None) -> Schema:
    """Compare a version of the schema to :func:`head`.

    :param current: as of :func:`version`
    """
    if current is None:
        return Schema.EMPTY
    known = _versions()
    if current == known[0]:
        return Schema.MATCHES
    return Schema.OLDER if current in known else Schema.NEWER


@functools.cache
def _versions() -> Sequence[str]:
    """Return the versions that this code knows, newest first."""
    return [script.revision for script in alembic_script.ScriptDirectory.from_config(_config()).walk_revisions()]


def check(database: Database) -> None:
    """Check that the database has the schema of this code.

    :raises ConfigurationError: it has another one
    :raises oslo_db.exception.DBError: it does not answer
    """
    current = version(database)
    found = compare(current)
    if found is Schema.MATCHES:
        return
    if found is Schema.NEWER:
        raise exception.ConfigurationError(
            f"database: schema version {current}, this code needs {head()}: a newer release has upgraded it; install that"
            " release on this host, too"
        )
    raise exception.ConfigurationError(
        f"database: schema version {current or 'none'}, this code needs {head()}; run 'karbor-like-manage db sync'"
    )


def check_running(database: Database) -> None:
    """Check that the database has the schema of this code or a newer one: a running process continues while others upgrade.

    :raises ConfigurationError: it has an older one, or none
    :raises oslo_db.exception.DBError: it does not answer
    """
    if compare(version(database)) is not Schema.NEWER:
        check(database)


def check_of(conf: cfg.ConfigOpts) -> None:
    """Do the same for the database of *conf*, over a connection of its own. For processes that fork afterwards."""
    database = Database(conf)
    try:
        check(database)
    finally:
        database.dispose()


def sync(database: Database, revision: str = "head") -> None:
    """Upgrade the schema to *revision*. Idempotent; several hosts may run it concurrently.

    :raises ConfigurationError: a newer release has upgraded the database
    """
    if compare(version(database)) is Schema.NEWER:
        check(database)
    with database.engine.connect() as lock, locked(lock), database.engine.connect() as connection:
        command.upgrade(_config(connection), revision)
        connection.commit()
