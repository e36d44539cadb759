"""Database cost of the scheduler: it depends on the number of due triggers, not on the number of all triggers."""

import contextlib
import uuid
from datetime import timedelta

import pytest
import sqlalchemy as sa

from karbor_like.db import changes, scheduled_runs
from karbor_like.db.models import ScheduledOperation, ScheduledRun, Trigger
from karbor_like.operationengine.scheduler import Scheduler
from tests.contract.operationengine.test_scheduler import HOURLY, START, TYPES, _conf, _trigger, clock
from tests.fixtures import work

__all__ = ["clock"]

#: Enough rows for a query planner to prefer an index to a full scan.
MANY = 3000
ANALYZE = {"sqlite": "ANALYZE", "mysql": "ANALYZE TABLE {}", "postgresql": "ANALYZE {}"}
EXPLAIN = {"sqlite": "EXPLAIN QUERY PLAN ", "mysql": "EXPLAIN ", "postgresql": "EXPLAIN "}


@contextlib.contextmanager
def _statements(database):
    """Collect the statements that are sent in the block, as pairs of text and parameters."""
    sent = []

    def note(connection, cursor, statement, parameters, context, many):
        sent.append((statement, parameters))

    sa.event.listen(database.engine, "before_cursor_execute", note)
    yield sent
    sa.event.remove(database.engine, "before_cursor_execute", note)


@pytest.fixture
def many(database):
    """Triggers that are due in the future, with one operation each, whose runs have ended."""
    common = {"project_id": "p", "name": "n", "created_at": START}
    triggers, operations, runs = [], [], []
    for number in range(MANY):
        trigger_id, operation_id, later = (
            str(uuid.uuid4()),
            str(uuid.uuid4()),
            START + timedelta(days=1, minutes=number),
        )
        triggers.append({**common, "id": trigger_id, "type": "time", "properties": HOURLY, "next_run_at": later})
        operation = {"user_id": "u", "operation_type": "protect", "plan_id": "x", "operation_definition": {}}
        operations.append({**common, **operation, "id": operation_id, "trigger_id": trigger_id, "enabled": True})
        times = {"due_at": START, "window_ends_at": START, "created_at": START, "ended_at": START}
        run = {
            "id": str(uuid.uuid4()),
            "scheduled_operation_id": operation_id,
            "project_id": "p",
            "attempt": 0,
            "epoch": 0,
        }
        runs.append({**run, **times, "state": "succeeded"})
    with database.writer() as session:
        for model, rows in ((Trigger, triggers), (ScheduledOperation, operations), (ScheduledRun, runs)):
            session.execute(sa.insert(model), rows)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for model in (Trigger, ScheduledOperation, ScheduledRun):
            connection.exec_driver_sql(ANALYZE[connection.dialect.name].format(model.__tablename__)).close()


def _poll(session, now):
    scheduled_runs.due_triggers(session, now, 200)
    scheduled_runs.due_triggers(session, now, 200, ["another"])
    scheduled_runs.has_pending(session, now)
    scheduled_runs.claim(session, "engine", now, 60, 8)


def test_a_poll_uses_indexes_and_scans_no_table(database, many, clock):
    with _statements(database) as sent:
        database.write(lambda session: _poll(session, clock.now()))
    selects = [(text, parameters) for text, parameters in sent if text.startswith("SELECT")]
    assert len(selects) == 4
    with database.engine.connect() as connection:
        kind = connection.dialect.name
        for text, parameters in selects:
            plan = connection.exec_driver_sql(EXPLAIN[kind] + text, parameters).mappings().all()
            said = " ".join(str(value) for row in plan for value in row.values())
            assert "ix_triggers_next_run_at" in said or "ix_scheduled_runs_" in said, said
            assert "Seq Scan" not in said
            assert not said.startswith("SCAN"), said
            if kind == "mysql":
                assert {row["type"] for row in plan} <= {"range", "ref", "index_merge"}, said
                assert all(int(row["rows"]) < MANY / 10 for row in plan), said


def test_an_idle_poll_is_one_statement(database, many, clock):
    scheduler = Scheduler(_conf(), database, clock, TYPES)
    scheduler.fire()
    with _statements(database) as sent:
        assert scheduler.fire() == 0
    assert len([text for text, _ in sent if text.startswith("SELECT")]) <= 1
    assert not [text for text, _ in sent if text.startswith(("UPDATE", "INSERT"))]


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("count", [1, 60])
def test_a_batch_needs_as_many_statements_as_a_single_trigger(database, clock, count, watched):
    """Also if a listener is notified of the changes, with the operations to which the runs belong."""
    notified: list[changes.Change] = []
    if watched:
        changes.watch(database, notified.extend)
    _trigger(database, count=count)
    clock.advance(3601)
    scheduler = Scheduler(_conf(batch=100), database, clock, TYPES)
    with _statements(database) as sent:
        assert scheduler.fire() == count
    assert len([text for text, _ in sent if text.startswith(("SELECT", "UPDATE", "INSERT"))]) == 7 + watched
    assert [change.scheduled is not None for change in notified] == [True] * count * watched


def test_each_of_the_runs_that_an_outage_missed_costs_the_same(database, clock):
    """Also if a listener is notified of the changes, with the log entries of the runs."""
    notified: list[changes.Change] = []
    changes.watch(database, notified.extend)
    scheduler = Scheduler(_conf(), database, clock, TYPES)

    def miss(count):
        notified.clear()
        _trigger(database, count=count)
        clock.advance(3601 + 900)
        cost = work.calls(scheduler.fire)
        assert [change.operation.started_at == change.row.due_at for change in notified] == [True] * count
        with database.writer() as session:
            session.execute(sa.update(Trigger).values(next_run_at=None))
        clock.step(-3601 - 900)
        return cost

    miss(1)
    few, many = miss(60), miss(180)
    assert many < 3.2 * few
