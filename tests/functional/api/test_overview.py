"""The totals of a project."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from karbor_like.db import scheduled_runs
from karbor_like.db import session as db_session
from karbor_like.db.models import Checkpoint, Operation
from karbor_like.db.models.base import new_id
from karbor_like.db.operations import DONE, OPERATIONS, RUNNING
from tests.fixtures import bodies
from tests.fixtures.fake_catalogue import PROVIDER
from tests.fixtures.fake_protection import FakeProtection


@pytest.fixture
def overview(alice):
    return lambda: alice.get("/overview")["overview"]


def protect(caller, plan_id=None):
    plan_id = plan_id or caller.post("/plans", bodies.plan())["plan"]["id"]
    return caller.post(f"/providers/{PROVIDER}/checkpoints", bodies.checkpoint(plan_id))["checkpoint"]["id"]


def schedule(caller, name="nightly", timing=None):
    trigger = caller.post("/triggers", bodies.trigger(timing))["trigger_info"]["id"]
    plan = caller.post("/plans", bodies.plan())["plan"]["id"]
    body = bodies.scheduled_operation(trigger, plan, name=name)
    return caller.post("/scheduled_operations", body)["scheduled_operation"]["id"]


def test_a_project_without_anything(overview):
    shown = overview()
    nouns = ("checkpoints", "restores", "verifications", "scheduled_operations")
    assert [shown[noun] for noun in nouns] == [{"total": 0, "by_status": {}}] * 4
    assert shown["plans"] == {"total": 0, "by_status": {}, "rpo_violated": 0}
    assert shown["operations"] == {"queued": 0, "running": 0, "newest": []}
    assert shown["storage"] == {"logical_bytes": 0, "new_bytes": 0, "stored_bytes": 0}
    assert [(one["days"], one["ended"], one["rate"]) for one in shown["success_rates"]] == [
        *([(7, 0, None)] * 5),
        *([(30, 0, None)] * 5),
    ]
    assert len(shown["growth"]) == 31
    assert {one["stored_bytes"] for one in shown["growth"]} == {0}
    assert (shown["next_runs"], shown["last_failures"]) == ([], [])


def test_objects_are_counted_by_status(alice, overview, protection: FakeProtection):
    first, second, third = (protect(alice) for _ in range(3))
    protection.set_status(first, "available")
    protection.set_status(second, "error")
    alice.post("/restores", bodies.restore(first))
    schedule(alice)
    paused = schedule(alice)
    alice.put(f"/scheduled_operations/{paused}", {"scheduled_operation": {"enabled": False}})
    shown = overview()
    assert shown["plans"] == {"total": 5, "by_status": {"suspended": 5}, "rpo_violated": 0}
    assert shown["checkpoints"] == {"total": 3, "by_status": {"available": 1, "error": 1, "protecting": 1}}
    assert shown["restores"] == {"total": 1, "by_status": {"in_progress": 1}}
    assert shown["scheduled_operations"] == {"total": 2, "by_status": {"enabled": 1, "disabled": 1}}
    assert third in {one["checkpoint_id"] for one in shown["operations"]["newest"]}


def test_a_project_sees_nothing_of_another_one(alice, bob, overview, protection):
    empty = overview()
    protection.set_status(protect(bob), "available")
    bob.post("/restores", bodies.restore(protect_available(bob, protection)))
    schedule(bob)
    assert overview() == empty
    assert bob.get("/overview")["overview"]["checkpoints"]["total"] == 2


def protect_available(caller, protection):
    made = protect(caller)
    protection.set_status(made, "available")
    return made


def test_next_runs_are_those_of_all_schedules_in_order_of_time(alice, overview, clock):
    schedule(alice, "hourly", {"format": "crontab", "pattern": "30 * * * *"})
    schedule(alice, "daily", {"format": "crontab", "pattern": "0 2 * * *"})
    clock.advance(60)
    assert [(one["time"][11:16], one["name"]) for one in overview()["next_runs"]] == [
        ("00:30", "hourly"),
        ("01:30", "hourly"),
        ("02:00", "daily"),
        ("02:30", "hourly"),
        ("03:30", "hourly"),
    ]


def test_the_number_of_statements_does_not_depend_on_the_number_of_rows(alice, database, overview, protection):
    statements: list[str] = []
    sa.event.listen(database.engine, "before_cursor_execute", lambda conn, cursor, text, *rest: statements.append(text))
    counts = []
    for number in range(3):
        for _ in range(number * 4):
            protection.set_status(protect(alice), "error")
            schedule(alice)
        statements.clear()
        overview()
        counts.append(len(statements))
    assert counts == [counts[0]] * 3
    assert counts[0] <= 20


@pytest.fixture
def operation(database, alice):
    """A function that inserts an operation that was requested *age* days ago."""

    def insert(age, status="available", kind="protect", **values):
        def write(session):
            row = {"operation_type": kind, "project_id": alice.project, "provider_id": PROVIDER, "flow_id": new_id()}
            row |= {"parameters": {}, "queue_state": DONE, "status": status}
            created = db_session.now(session) - timedelta(days=age)
            return OPERATIONS.insert(session, **{**row, "created_at": created, "ended_at": created, **values}).id

        return database.write(write)

    return insert


def test_success_rates_of_a_week_and_a_month(operation, overview):
    for age, status in ((1, "available"), (6, "error"), (8, "error"), (29, "available"), (31, "error")):
        operation(age, status)
    operation(1, "error", cancel_requested=True)
    operation(1, "protecting", queue_state=RUNNING)
    operation(2, "fail", "restore")
    rates = {(one["days"], one["operation_type"]): one for one in overview()["success_rates"]}
    assert rates[7, "protect"] == {
        "days": 7,
        "operation_type": "protect",
        "ended": 3,
        "succeeded": 1,
        "failed": 1,
        "cancelled": 1,
        "rate": 0.5,
    }
    assert (rates[30, "protect"]["succeeded"], rates[30, "protect"]["failed"]) == (2, 2)
    assert (rates[30, "restore"]["failed"], rates[30, "restore"]["rate"]) == (1, 0)
    assert rates[30, "copy"]["rate"] is None


def test_failures_are_the_newest_ones_without_what_was_cancelled_or_skipped(operation, overview):
    failed = [operation(age, "error", error_info=f"reason {age}") for age in range(7)]
    operation(0, "error", cancel_requested=True)
    operation(0, "error", flow_id=None, error_info="skipped: the run before has not ended")
    operation(0, "error", flow_id=None, error_info="failed: as its checkpoint", checkpoint_id=new_id())
    operation(0, "available")
    missed = operation(0.5, "error", flow_id=None, error_info="missed: late")
    shown = overview()["last_failures"]
    assert [one["id"] for one in shown] == [failed[0], missed, *failed[1:4]]
    assert shown[0]["error_info"] == "reason 0"


def test_runs_are_counted_by_their_ends(alice, database, overview):
    operation_id = schedule(alice)
    ends = (scheduled_runs.SUCCEEDED, scheduled_runs.SUCCEEDED, scheduled_runs.MISSED, scheduled_runs.STARTED)

    def write(session):
        now = db_session.now(session)
        runs = [
            {
                "scheduled_operation_id": operation_id,
                "project_id": alice.project,
                "due_at": now - timedelta(days=age),
                "window_ends_at": now,
                "created_at": now - timedelta(days=age),
                "state": state,
            }
            for age, state in enumerate(ends, 6)
        ]
        scheduled_runs.record(session, runs)

    database.write(write)
    week, month = overview()["scheduled_runs"]
    assert week == {"days": 7, "succeeded": 1, "failed": 0, "missed": 0, "skipped": 0}
    assert month == {"days": 30, "succeeded": 2, "failed": 0, "missed": 1, "skipped": 0}


def test_operations_that_run_are_counted_and_the_newest_shown(operation, overview):
    for number in range(7):
        operation(number, "protecting", queue_state=RUNNING)
    operation(0, "protecting", queue_state="queued")
    shown = overview()["operations"]
    assert (shown["queued"], shown["running"], len(shown["newest"])) == (1, 7, 5)


def test_growth_counts_back_over_what_was_created_and_deleted(alice, database, overview, protection):
    ages = {
        protect_available(alice, protection): (created, deleted)
        for created, deleted in ((40, None), (20, 10), (5, None))
    }

    def write(session):
        now = db_session.now(session)
        for checkpoint_id, (created, deleted) in ages.items():
            row = session.get(Checkpoint, checkpoint_id)
            row.update({"created_at": now - timedelta(days=created), "logical_bytes": 100, "stored_bytes": 10})
            row.update({"new_bytes": 20})
            if deleted is not None:
                row.update({"deleted_at": now - timedelta(days=deleted), "status": "deleted"})
        session.execute(sa.delete(Operation))
        return now

    now = database.write(write)
    shown = overview()
    assert shown["storage"] == {"logical_bytes": 200, "new_bytes": 40, "stored_bytes": 20}
    growth = shown["growth"]
    assert growth[-1] == {"date": str(now.date()), "checkpoints": 2, **shown["storage"]}
    stored = {30 - index: one["stored_bytes"] for index, one in enumerate(growth)}
    assert [stored[age] for age in (30, 21, 20, 11, 10, 6, 5, 0)] == [10, 10, 20, 20, 10, 10, 20, 20]


def test_what_is_read_only_needs_no_more_than_the_role_reader(client):
    assert client("reader").get("/overview")["overview"]["plans"]["total"] == 0
