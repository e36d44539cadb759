"""How connections are kept between uses."""

import sqlite3

import pytest
import sqlalchemy as sa

from karbor_like.db import pool
from tests.fixtures.database import open_database


@pytest.fixture
def embedded(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/karbor_like.sqlite")
    yield database
    database.dispose()


@pytest.fixture
def opened(embedded) -> list[object]:
    """The connections that the engine has opened since."""
    opened: list[object] = []
    sa.event.listen(embedded.engine, "connect", lambda connection, record: opened.append(connection))
    embedded.engine.dispose()
    return opened


def _use(database) -> None:
    with database.reader() as session:
        session.execute(sa.select(1))
    with database.lookup() as connection:
        connection.execute(sa.select(1))


def test_a_connection_is_kept(embedded, opened):
    for _ in range(3):
        _use(embedded)
    assert len(opened) == 1


def test_as_many_are_kept_as_were_in_use(embedded, opened):
    for _ in range(2):
        connections = [embedded.engine.connect() for _ in range(pool.KEPT + 1)]
        for connection in connections:
            connection.close()
    # The one beyond the limit was opened twice.
    assert len(opened) == pool.KEPT + 2


def test_a_connection_in_use_is_not_pinged(embedded, opened, monkeypatch):
    monkeypatch.setattr(pool, "IDLE", 3600)
    monkeypatch.setattr(embedded.engine.dialect, "do_ping", lambda connection: pytest.fail("it was pinged"))
    for _ in range(3):
        _use(embedded)


def test_a_connection_that_was_lost_while_it_was_idle_is_replaced(embedded, opened, monkeypatch):
    _use(embedded)
    lost = opened[0]

    def ping(connection: object) -> bool:
        if connection is lost:
            raise sqlite3.OperationalError("the server has gone away")
        return True

    monkeypatch.setattr(pool, "IDLE", 0)
    monkeypatch.setattr(embedded.engine.dialect, "do_ping", ping)
    _use(embedded)
    assert len(opened) == 2


def test_the_parameters_of_the_operator_are_kept():
    assert pool.parameters("") == "plugin=karbor_like"
    assert pool.parameters("charset=utf8mb4") == "charset=utf8mb4&plugin=karbor_like"


def test_a_single_query_does_not_wait_for_a_transaction(embedded):
    with embedded.writer() as session, embedded.lookup() as connection:
        session.execute(sa.text("CREATE TABLE written (id INTEGER)"))
        assert connection.execute(sa.select(1)).scalar_one() == 1


def test_a_single_query_is_the_only_round_trip(database):
    """Without a transaction, there is nothing to begin and to roll back. SQLite has no round trips."""
    with database.lookup() as connection:
        dialect = connection.dialect
        if dialect.name != "sqlite":
            assert dialect.skip_autocommit_rollback
            assert dialect.detect_autocommit_setting(connection.connection.dbapi_connection)


def test_a_single_query_sees_what_was_committed_before(embedded):
    with embedded.writer() as session:
        session.execute(sa.text("CREATE TABLE written (id INTEGER)"))
    for count in range(3):
        with embedded.lookup() as connection:
            assert connection.execute(sa.text("SELECT COUNT(*) FROM written")).scalar_one() == count
        with embedded.writer() as session:
            session.execute(sa.text("INSERT INTO written VALUES (1)"))
