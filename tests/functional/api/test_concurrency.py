"""Concurrent requests, on every kind of database: limits hold, and no update is half applied."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from karbor_like.db import migration
from karbor_like.db.session import Database
from karbor_like.domain import states
from tests.fixtures import bodies
from tests.fixtures.api import PROJECT_A, configuration

CHECKPOINTS = f"/providers/{bodies.PROVIDER}/checkpoints"


@pytest.fixture
def conf(database_url, tmp_path):
    conf = configuration(tmp_path / "karbor_like.sqlite", database_url)
    database = Database(conf)
    migration.sync(database)
    database.dispose()
    return conf


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Run all calls concurrently. Return their results."""
    answers: list[Any] = [None] * len(calls)
    gate = threading.Barrier(len(calls))

    def run(index: int) -> None:
        gate.wait()
        answers[index] = calls[index]()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return answers


def test_fifty_creates_never_exceed_the_quota(alice, admin):
    admin.put(f"/quotas/{PROJECT_A}", {"quota": {"plans": 10}})
    statuses = together(*[lambda: alice.raw("POST", "/plans", bodies.plan()).status_int] * 50)
    assert sorted(statuses) == [200] * 10 + [413] * 40
    assert len(alice.get("/plans")["plans"]) == 10


def test_the_same_key_from_many_makes_one(alice):
    plan = alice.post("/plans", bodies.plan())["plan"]
    body, headers = bodies.checkpoint(plan["id"]), {"Idempotency-Key": "k"}
    answers = together(*[lambda: alice.raw("POST", CHECKPOINTS, body, headers=headers)] * 8)
    assert {answer.status_int for answer in answers} == {200}
    assert len({answer.json["checkpoint"]["id"] for answer in answers}) == 1
    assert len(alice.get(CHECKPOINTS)["checkpoints"]) == 1


def test_the_same_key_starts_one_restore(alice, protection):
    plan = alice.post("/plans", bodies.plan())["plan"]
    made = alice.post(CHECKPOINTS, bodies.checkpoint(plan["id"]))["checkpoint"]["id"]
    protection.set_status(made, states.AVAILABLE)
    headers = {"Idempotency-Key": "k"}
    answers = together(*[lambda: alice.raw("POST", "/restores", bodies.restore(made), headers=headers)] * 8)
    assert {answer.status_int for answer in answers} == {200}, [answer.text for answer in answers]
    assert len({answer.json["restore"]["id"] for answer in answers}) == 1
    logs = alice.get("/operation_logs")["operation_logs"]
    assert [log["operation_type"] for log in logs].count("restore") == 1


def test_a_plan_is_deleted_once(alice):
    path = f"/plans/{alice.post('/plans', bodies.plan())['plan']['id']}"
    assert sorted(together(*[lambda: alice.raw("DELETE", path).status_int] * 4)) == [200, 404, 404, 404]


def test_a_checkpoint_is_deleted_once(alice, protection):
    plan = alice.post("/plans", bodies.plan())["plan"]
    made = alice.post(CHECKPOINTS, bodies.checkpoint(plan["id"]))["checkpoint"]["id"]
    protection.set_status(made, states.AVAILABLE)
    statuses = together(*[lambda: alice.raw("DELETE", f"{CHECKPOINTS}/{made}").status_int] * 4)
    assert sorted(statuses) == [200, 409, 409, 409]


def test_two_updates_leave_one_of_them(alice):
    path = f"/plans/{alice.post('/plans', bodies.plan())['plan']['id']}"
    changes = [{"plan": {"name": word, "description": word}} for word in ("one", "two", "three")]
    answers = together(*[lambda change=change: alice.raw("PUT", path, change).status_int for change in changes])
    assert answers == [200, 200, 200]
    plan = alice.get(path)["plan"]
    assert plan["name"] == plan["description"]


@pytest.mark.parametrize("_round", range(3))
def test_what_is_deleted_is_used_by_nobody(alice, _round):  # noqa: PT019
    plan = alice.post("/plans", bodies.plan())["plan"]["id"]
    trigger = alice.post("/triggers", bodies.trigger())["trigger_info"]["id"]
    body = bodies.scheduled_operation(trigger, plan)
    statuses = together(
        lambda: alice.raw("DELETE", f"/plans/{plan}").status_int,
        lambda: alice.raw("DELETE", f"/triggers/{trigger}").status_int,
        lambda: alice.raw("POST", "/scheduled_operations", body).status_int,
    )
    assert 500 not in statuses
    if statuses[2] == 200:
        assert statuses[:2] == [409, 424]
        assert alice.get(f"/plans/{plan}")
        assert alice.get(f"/triggers/{trigger}")
    else:
        assert 200 in statuses[:2]
