"""The database in an archive: a consistent copy of all rows, taken while the services run, and its return.

Rows are stored independently of the kind of database, so that an archive can be restored to another one. Each member has up
to PART_BYTES of rows of one table: JSON lines, the first with the names of the columns.
"""

import functools
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import exception as db_exception
from sqlalchemy import orm
from taskflow.persistence.backends.sqlalchemy import tables as taskflow_tables

from karbor_like import exception
from karbor_like.control import errors
from karbor_like.control.archive import Member
from karbor_like.db import migration, services
from karbor_like.db import session as db_session
from karbor_like.db.models import Base
from karbor_like.db.session import Database
from karbor_like.protection.workflow import engine

DIRECTORY: Final = "database"
PART_BYTES: Final = 4 * 1024 * 1024
_ROWS: Final = 500
#: Tables whose rows any new installation has.
_ALWAYS_FILLED: Final = frozenset({"services", "periodic_jobs"})


def tables() -> Sequence[sa.Table]:
    """Return all tables, referenced ones first: those of the services, and TaskFlow's."""
    metadata = sa.MetaData()
    for table in Base.metadata.sorted_tables:
        copy = table.to_metadata(metadata)
        for column in copy.columns:
            if isinstance(column.type, sa.JSON):
                # A missing value stays NULL; by default it would be stored as JSON's null.
                column.type = sa.JSON(none_as_null=True)
    taskflow_tables.fetch(metadata)
    return metadata.sorted_tables


def dump(connection: sa.Connection, progress: Callable[[int], None] = lambda rows: None) -> Iterator[Member]:
    """Yield the members for all rows.

    :param connection: of :meth:`.Database.snapshot`
    :param progress: called with numbers of rows
    """
    existing = set(sa.inspect(connection).get_table_names())
    for table in tables():
        if table.name in existing:
            yield from _parts(table, _rows(connection, table, progress))


def _rows(connection: sa.Connection, table: sa.Table, progress: Callable[[int], None]) -> Iterator[Sequence[Any]]:
    """Yield the rows in the order of the primary key, in many short queries: each is within the time of a statement."""
    keys = list(table.primary_key.columns)
    query = sa.select(table).order_by(*keys).limit(_ROWS)
    page = connection.execute(query).all()
    while page:
        yield from page
        progress(len(page))
        if len(page) < _ROWS:
            return
        last = page[-1]._mapping
        page = connection.execute(query.where(_after(keys, [last[key] for key in keys]))).all()


def _after(keys: Sequence[sa.Column[Any]], last: Sequence[Any]) -> sa.ColumnElement[bool]:
    """Match the rows after *last*. The comparison of tuples would keep MySQL from using the index."""
    steps = [
        sa.and_(
            *(key == value for key, value in zip(keys[:count], last[:count], strict=True)), keys[count] > last[count]
        )
        for count in range(len(keys))
    ]
    return sa.and_(keys[0] >= last[0], sa.or_(*steps))


def _parts(table: sa.Table, rows: Iterator[Sequence[Any]]) -> Iterator[Member]:
    head = json.dumps([column.name for column in table.columns])
    lines, size, number = [head], 0, 0
    for row in rows:
        line = json.dumps([_encoded(value) for value in row], ensure_ascii=False)
        lines.append(line)
        size += len(line)
        if size > PART_BYTES:
            yield _part(table, number, lines)
            lines, size, number = [head], 0, number + 1
    if len(lines) > 1 or not number:
        yield _part(table, number, lines)


def _part(table: sa.Table, number: int, lines: Sequence[str]) -> Member:
    return Member(f"{DIRECTORY}/{table.name}/{number:06}", "\n".join(lines).encode())


def _encoded(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _decoder(column: sa.Column[Any]) -> Callable[[Any], Any]:
    kind = column.type.impl if isinstance(column.type, sa.types.TypeDecorator) else column.type
    if isinstance(kind, sa.DateTime):
        return lambda value: None if value is None else datetime.fromisoformat(value)
    return lambda value: value


def rows_of(member: Member) -> tuple[sa.TableClause, list[dict[str, Any]]]:
    """Decode a member of :func:`dump`.

    :returns: the table with the columns that the member has, and the rows
    :raises BadArchive: it is not valid
    """
    table = _known().get(member.name.split("/")[1])
    if table is None or not member.name.startswith(f"{DIRECTORY}/"):
        raise errors.BadArchive(f"the archive: {member.name} is of a table that this release does not know")
    try:
        names, *rows = map(json.loads, member.data.decode().split("\n"))
        columns = [table.c[name] for name in names]
        decoders = [_decoder(column) for column in columns]
        decoded = [
            {name: decode(value) for name, decode, value in zip(names, decoders, row, strict=True)} for row in rows
        ]
    except (KeyError, RecursionError, TypeError, ValueError):
        raise errors.BadArchive(f"the archive: {member.name} does not contain rows of table {table.name}") from None
    # Without the other columns, which an older schema may lack: they would get defaults.
    return sa.table(table.name, *(sa.column(column.name, column.type) for column in columns)), decoded


@functools.cache
def _known() -> Mapping[str, sa.Table]:
    return {table.name: table for table in tables()}


def check_replaceable(database: Database, down_time: float, *, force: bool) -> None:
    """Check that the rows of the database may be replaced.

    :param down_time: seconds after which a service that sent no heartbeat has ended
    :param force: whether the database may have rows
    :raises Conflict: it has rows, or services use it
    """
    current = migration.version(database) == migration.head()
    with database.reader() as session:
        existing = set(sa.inspect(session.connection()).get_table_names())
        if current:
            running = [
                f"{row.binary} on {row.host}"
                for row in services.list_all(session)
                if row.reports and services.is_up(session, row, down_time)
            ]
            if running:
                raise exception.Conflict(
                    f"the database is in use by {', '.join(running)}; stop all services, and wait {down_time:g} seconds"
                    " after those that were killed"
                )
        filled = [
            table.name
            for table in tables()
            if table.name in existing - _ALWAYS_FILLED
            and session.execute(sa.select(sa.literal(1)).select_from(sa.table(table.name)).limit(1)).first()
        ]
    if filled and not force:
        raise exception.Conflict(
            f"the database is not empty: {', '.join(filled)} have rows; restore to an empty database, or replace all rows"
            " with --force"
        )


def prepare(conf: cfg.ConfigOpts, database: Database, schema: str) -> None:
    """Give the database the schema with the version *schema*. All rows are lost if it has another one."""
    if migration.version(database) not in (schema, None):
        metadata = sa.MetaData()
        with database.engine.begin() as connection:
            # TaskFlow's tables have a version of their own.
            names = {*Base.metadata.tables, migration.VERSION_TABLE}
            metadata.reflect(connection, only=lambda name, _: name in names)
            metadata.drop_all(connection)
    migration.sync(database, schema)
    engine.persistence(conf, database).upgrade()


def load(
    database: Database,
    members: Iterator[Member],
    finish: Callable[[orm.Session], None],
    progress: Callable[[int], None] = lambda rows: None,
) -> int:
    """Replace all rows by those of *members*, in one transaction.

    :param members: of :func:`dump`
    :param finish: called in the transaction with its session, when all rows are stored
    :param progress: called with numbers of rows
    :returns: number of rows
    :raises BadArchive: a row is not valid
    """
    total = 0
    with database.writer() as session:
        connection = session.connection()
        existing = set(sa.inspect(connection).get_table_names())
        for table in reversed(tables()):
            if table.name in existing:
                connection.execute(sa.delete(sa.table(table.name)))
        for member in members:
            table, rows = rows_of(member)
            for start in range(0, len(rows), _ROWS):
                _insert(connection, table, rows[start : start + _ROWS])
                progress(len(rows[start : start + _ROWS]))
            total += len(rows)
        _continue_sequences(connection, existing)
        finish(session)
    return total


def _insert(connection: sa.Connection, table: sa.TableClause, rows: Sequence[Mapping[str, Any]]) -> None:
    try:
        connection.execute(sa.insert(table), rows)
    except (sa.exc.StatementError, db_exception.DBError) as error:
        # SQLAlchemy itself raises the former for values of a wrong type; its subclasses are errors of the database.
        refused = isinstance(error, db_exception.DBError) and db_session.unavailable(error) is None
        if refused or type(error) is sa.exc.StatementError:
            raise errors.BadArchive(f"the archive: rows of table {table.name} are not valid") from None
        raise


def _continue_sequences(connection: sa.Connection, existing: Collection[str]) -> None:
    """Let PostgreSQL number new rows after the loaded ones. The other databases do so by themselves."""
    if connection.dialect.name != "postgresql":
        return
    for table in tables():
        column = table.autoincrement_column
        if column is not None and table.name in existing:
            name = sa.func.pg_get_serial_sequence(table.name, column.name)
            highest = sa.select(sa.func.coalesce(sa.func.max(column), 0) + 1).scalar_subquery()
            connection.execute(sa.select(sa.func.setval(name, highest, False)))
