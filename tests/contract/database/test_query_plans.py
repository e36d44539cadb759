"""Queries that run periodically or for each page find their rows by an index, in its order."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like.db import operations, overview, plans, scheduled_runs
from karbor_like.db.models import Base, ScheduledOperation, Trigger
from karbor_like.db.operations import OPERATIONS
from karbor_like.db.plans import PLANS
from karbor_like.db.repository import Repository
from karbor_like.db.restores import RESTORES
from karbor_like.db.scheduled_operations import SCHEDULED_OPERATIONS
from karbor_like.db.session import Database
from karbor_like.db.triggers import TRIGGERS
from karbor_like.db.verifications import VERIFICATIONS
from tests.fixtures.database import migrate, open_database

_NOW = datetime(2031, 1, 1, tzinfo=UTC)
_LISTS: Sequence[Repository[Any]] = (OPERATIONS, PLANS, RESTORES, SCHEDULED_OPERATIONS, TRIGGERS, VERIFICATIONS)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    handle = open_database(f"sqlite:///{tmp_path}/karbor_like.sqlite")
    migrate(handle)
    yield handle
    handle.dispose()


def explain(database: Database, query: Callable[[orm.Session], Any]) -> list[str]:
    """Return how SQLite executes the selects of *query*."""
    sent: list[tuple[str, Any]] = []

    def note(conn: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        if statement.startswith("SELECT") and " FROM " in statement.replace("\n", " "):
            sent.append((statement, parameters))

    sa.event.listen(database.engine, "before_cursor_execute", note)
    with database.writer() as session:
        query(session)
    sa.event.remove(database.engine, "before_cursor_execute", note)
    with database.engine.connect() as connection:
        return [
            row.detail
            for statement, parameters in sent
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]


def insert(database: Database, model: type[Base]) -> str:
    """Insert a row of any values. Returns its id."""
    fillers = {sa.JSON: {}, sa.DateTime: _NOW, sa.Integer: 0, sa.BigInteger: 0, sa.Boolean: False}

    def filler(column: sa.Column[Any]) -> Any:
        kind = column.type
        return fillers.get(type(getattr(kind, "impl", kind)), "x")

    attributes = sa.inspect(model).column_attrs
    wanted = {each.key: each.columns[0] for each in attributes if not each.columns[0].nullable}
    values = {key: filler(column) for key, column in wanted.items()}
    if model is ScheduledOperation:
        insert(database, Trigger)
    with database.writer() as session:
        session.add(model(**values))
    return str(values["id"])


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("repository", _LISTS, ids=lambda each: each.noun)
def test_pages_of_all_projects(database: Database, repository: Repository[Any], direction: str) -> None:
    marker = insert(database, repository.model)
    sort = [("created_at", direction)]
    index = f"ix_{repository.model.__tablename__}_created"

    first = explain(database, lambda session: repository.list(session, sort=sort, limit=10))
    assert len(first) == 1
    assert f"USING INDEX {index}" in first[0]

    rest = explain(database, lambda session: repository.list(session, sort=sort, limit=10, marker=marker))
    assert len(rest) == 2, rest
    assert f"SEARCH {repository.model.__tablename__} USING INDEX {index} (created_at" in rest[1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (lambda session: scheduled_runs.forget(session, _NOW), "ix_scheduled_runs_ended (ended_at<?)"),
        (plans.violated, "SEARCH plans USING INDEX ix_plans_rpo (rpo_state=?)"),
        (plans.count_violated, "SEARCH plans USING COVERING INDEX ix_plans_rpo (rpo_state=?)"),
        (lambda session: overview.violated_plans(session, "p"), "ix_plans_rpo (rpo_state=? AND project_id=?)"),
    ],
    ids=["forget", "violated", "count_violated", "violated_plans"],
)
def test_other_queries(database: Database, query: Callable[[orm.Session], Any], expected: str) -> None:
    (found,) = explain(database, query)
    assert expected in found


def test_the_next_number_in_a_journal(database: Database) -> None:
    insert(database, OPERATIONS.model)
    found = explain(database, lambda session: operations.intend(session, "x", "Type#1", "thing", name="n", keep=False))
    assert found[-1] == "SEARCH journal_entries USING COVERING INDEX ix_journal_entries_seq (operation_id=?)"


def test_the_journal_of_a_resource(database: Database) -> None:
    (found,) = explain(database, lambda session: operations.journal(session, "x", "Type#1"))
    assert "(operation_id=? AND resource_key=?)" in found
