"""Errors about the state of the database, and errors in statements."""

import pytest
import sqlalchemy as sa
from oslo_db import exception as db_exception

from karbor_like.db import session as db_session
from karbor_like.db.session import DatabaseBusy
from tests.fixtures.database import open_database


@pytest.fixture
def embedded(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/karbor_like.sqlite")
    yield database
    database.dispose()


def test_a_locked_database_is_busy(embedded, monkeypatch):
    monkeypatch.setattr(db_session, "_SQLITE_BUSY_SECONDS", 0)
    with embedded.writer() as session:
        session.execute(sa.select(1))
        for begin in (embedded.reader, embedded.writer):
            with pytest.raises(DatabaseBusy, match="database is locked"), begin() as other:
                other.execute(sa.select(1))


def test_a_process_without_a_free_connection_is_busy(embedded):
    with pytest.raises(DatabaseBusy), embedded.reader():
        raise sa.exc.TimeoutError("QueuePool limit of size 5 overflow 50 reached")


def test_an_error_in_a_statement_is_not_about_the_database(embedded):
    with pytest.raises(sa.exc.OperationalError, match="syntax error") as caught, embedded.reader() as session:
        session.execute(sa.text("SELECT FROM nothing"))
    assert db_session.unavailable(caught.value) is None
    assert db_session.unavailable(db_exception.DBError("any other")) is None


def test_what_is_reported_has_no_text_of_the_database():
    for error in (DatabaseBusy("secret"), db_exception.DBConnectionError("secret"), db_exception.DBDeadlock("secret")):
        assert "secret" not in str(db_session.unavailable(error))
