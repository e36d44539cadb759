"""Schema migrations: upgrade a database, and read its version.

Each revision creates one table or makes one change of a table. MariaDB cannot roll back DDL, so a revision that was
interrupted must be able to run again.
"""

import contextlib
import pathlib
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import command, config
from alembic import script as alembic_script
from alembic.runtime import migration as alembic_migration

from karbor_like import exception
from karbor_like.db.session import Database

#: Differs from Alembic's default, which TaskFlow's persistence uses in the same database.
VERSION_TABLE = "karbor_like_version"

_LOCK_NAME = "karbor_like_migration"
_LOCK_NUMBER = 0x6B61726C
_LOCK_SECONDS = 300


@contextlib.contextmanager
def locked(connection: sa.Connection) -> Iterator[None]:
    """Serialize migrations: some of several concurrent ones would fail. On SQLite the write lock does this (see env.py)."""
    dialect = connection.dialect.name
    if dialect in ("mysql", "mariadb"):
        got = connection.execute(sa.text("SELECT GET_LOCK(:name, :wait)"), {"name": _LOCK_NAME, "wait": _LOCK_SECONDS})
        if got.scalar() != 1:
            raise exception.Timeout(
                f"database: another migration has been running for more than {_LOCK_SECONDS} s; retry when it has ended"
            )
    elif dialect == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_lock(:number)"), {"number": _LOCK_NUMBER})
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
    return alembic_script.ScriptDirectory.from_config(_config()).get_current_head() or ""


def version(database: Database) -> str | None:
    """Return the version of the database's schema, or None if the database is empty."""
    with database.engine.connect() as connection:
        context = alembic_migration.MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return context.get_current_revision()


def sync(database: Database, revision: str = "head") -> None:
    """Upgrade the schema to *revision*. Idempotent; several hosts may run it concurrently."""
    with database.engine.connect() as lock, locked(lock), database.engine.connect() as connection:
        command.upgrade(_config(connection), revision)
        connection.commit()
