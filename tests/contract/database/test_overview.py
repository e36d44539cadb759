"""The totals of a project, computed by each database."""

from datetime import timedelta

import pytest

from karbor_like.db import overview
from karbor_like.db import session as db_session
from karbor_like.db.checkpoints import CHECKPOINTS
from karbor_like.db.models import ScheduledRun
from karbor_like.db.models.base import new_id
from karbor_like.db.operations import DONE, OPERATIONS, RUNNING
from karbor_like.db.plans import PLANS
from karbor_like.db.scheduled_operations import SCHEDULED_OPERATIONS
from karbor_like.db.triggers import TRIGGERS
from karbor_like.domain.operation import OperationType

PROVIDER = "1" * 36


@pytest.fixture
def now(database):
    with database.reader() as session:
        return db_session.now(session)


def _insert(database, repository, created_at, **values):
    row = {"project_id": "p", "created_at": created_at, **values}
    return database.write(lambda session: repository.insert(session, id=new_id(), **row)).id


def test_objects_and_schedules(database, now):
    plan = {"name": "n", "provider_id": PROVIDER, "resources": [], "parameters": {}}
    _insert(database, PLANS, now, **plan, rpo_state="violated", status="started")
    _insert(database, PLANS, now, **plan)
    _insert(database, PLANS, now, **{**plan, "project_id": "other"})
    for number, enabled in enumerate((True, True, False)):
        trigger = {"name": "t", "type": "time", "properties": {}, "next_run_at": now + timedelta(hours=9 - number)}
        trigger_id = _insert(database, TRIGGERS, now, **trigger)
        row = {"user_id": "u", "name": f"s{number}", "operation_type": "protect", "enabled": enabled, "plan_id": "x"}
        _insert(database, SCHEDULED_OPERATIONS, now, **row, trigger_id=trigger_id, operation_definition={})
    with database.reader() as session:
        found = overview.by_status(session, "p")
        assert overview.violated_plans(session, "p") == 1
        assert [row.name for row in overview.next_schedules(session, "p", 5)] == ["s1", "s0"]
    assert found["plans"] == {"started": 1, "suspended": 1}
    assert found["scheduled_operations"] == {"enabled": 2, "disabled": 1}
    assert found["restores"] == found["verifications"] == {}


def test_sizes_and_their_growth(database, now):
    row = {"provider_id": PROVIDER, "plan_id": "x", "plan": {}, "resource_graph": "[]", "extra_info": {}}
    sizes = {"logical_bytes": 2**40, "new_bytes": 20, "stored_bytes": 10}
    for created, deleted in ((40, None), (20, 10), (5, None), (0, None)):
        at = now - timedelta(days=created)
        gone = (
            {"deleted_at": now - timedelta(days=deleted), "status": "deleted"} if deleted else {"status": "available"}
        )
        _insert(database, CHECKPOINTS, at, **row, **sizes, **gone)
    _insert(database, CHECKPOINTS, now, **row, status="error")
    with database.reader() as session:
        current = overview.checkpoints(session, "p")
        growth = overview.growth(session, "p", current, now.date(), 30)
    assert {each.status: (each.number, int(each.logical_bytes)) for each in current} == {
        "available": (3, 3 * 2**40),
        "error": (1, 0),
    }
    assert [point.day for point in growth] == [now.date() - timedelta(days=30 - number) for number in range(31)]
    stored = {30 - number: (point.checkpoints, point.stored_bytes) for number, point in enumerate(growth)}
    assert [stored[age] for age in (30, 21, 20, 11, 10, 5, 1, 0)] == [
        *[(1, 10)] * 2,
        *[(2, 20)] * 2,
        (1, 10),
        *[(2, 20)] * 2,
        (4, 30),
    ]


def test_operations_and_runs(database, now):
    def operation(age, status, kind=OperationType.PROTECT, **values):
        row = {"operation_type": kind.value, "provider_id": PROVIDER, "parameters": {}, "flow_id": new_id()}
        row |= {"queue_state": DONE, "status": status}
        return _insert(database, OPERATIONS, now - timedelta(days=age), **{**row, **values})

    operation(1, "available")
    late = operation(8, "error")
    operation(31, "error")
    operation(2, "error", cancel_requested=True)
    last = operation(3, "fail", OperationType.RESTORE)
    running = operation(0, "protecting", queue_state=RUNNING)

    def record(session):
        for number, state in enumerate(("succeeded", "missed", "started")):
            at = now - timedelta(days=10 * number)
            run = {"scheduled_operation_id": "s", "due_at": at, "window_ends_at": at, "created_at": at}
            session.add(ScheduledRun(project_id="p", state=state, **run))

    database.write(record)
    with database.reader() as session:
        rates = {(one.days, one.operation_type): one for one in overview.rates(session, "p", now, (7, 30))}
        assert overview.runs(session, "p", now, (7, 30)) == [
            {"days": 7, "succeeded": 1, "failed": 0, "missed": 0, "skipped": 0},
            {"days": 30, "succeeded": 1, "failed": 0, "missed": 1, "skipped": 0},
        ]
        assert overview.unfinished(session, "p") == {"running": 1}
        assert [row.id for row in overview.newest_unfinished(session, "p", 5)] == [running]
        assert [row.id for row in overview.last_failures(session, "p", now - timedelta(days=30), 5)] == [last, late]
        assert [row.id for row in overview.last_failures(session, "p", now - timedelta(days=30), 1)] == [last]
    assert rates[7, OperationType.PROTECT] == overview.Rate(7, OperationType.PROTECT, 1, 0, 1)
    assert rates[30, OperationType.PROTECT] == overview.Rate(30, OperationType.PROTECT, 1, 1, 1)
    assert rates[30, OperationType.PROTECT].rate == 0.5
    assert rates[7, OperationType.RESTORE].rate == 0
    assert rates[7, OperationType.COPY].rate is None
