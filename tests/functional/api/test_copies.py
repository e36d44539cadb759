"""Copies of checkpoints, as clients ask for them."""

import json

import pytest

from karbor_like import exception
from karbor_like.domain import states
from tests.fixtures import bodies
from tests.fixtures.api import PROJECT_A, is_cancelled
from tests.fixtures.bodies import UNKNOWN_ID
from tests.fixtures.fake_catalogue import OTHER_PROVIDER, PROVIDER, VOLUME

PATH = f"/providers/{PROVIDER}/checkpoints"
ACTION = f"{PATH}/action"
THERE = f"/providers/{OTHER_PROVIDER}/checkpoints"


@pytest.fixture
def plan(alice):
    return alice.post("/plans", bodies.plan())["plan"]


@pytest.fixture
def checkpoint(alice, plan, protection):
    made = alice.post(PATH, bodies.checkpoint(plan["id"]))["checkpoint"]
    protection.set_status(made["id"], states.AVAILABLE)
    return made


def _body(plan, **changes):
    return {"copy": {"plan_id": plan["id"], **changes}}


def test_what_old_clients_send(alice, plan, checkpoint, protection):
    copy = alice.post(ACTION, _body(plan, parameters={VOLUME: {"backup_name": "x", "retries": None}}))["copy"]
    (pair,) = copy.pop("checkpoint_id")
    assert pair["checkpoint_protect_id"] == checkpoint["id"]
    assert copy == {
        "project_id": PROJECT_A,
        "provider_id": PROVIDER,
        "target_provider_id": OTHER_PROVIDER,
        "plan_id": plan["id"],
        "parameters": {VOLUME: {"backup_name": "x"}},
    }
    shown = alice.get(f"{THERE}/{pair['checkpoint_copy_id']}")["checkpoint"]
    assert (shown["status"], shown["protection_plan"]["provider_id"]) == ("wait_copying", OTHER_PROVIDER)
    extra_info = json.loads(shown["extra_info"])
    assert (extra_info["created_by"], extra_info["source_checkpoint_id"]) == ("copy", checkpoint["id"])
    assert shown["progress"]["resources"][f"{VOLUME}#1"]["bytes_total"] == 1024
    assert [one["id"] for one in alice.get(THERE)["checkpoints"]] == [shown["id"]]
    assert [one["id"] for one in alice.get(PATH)["checkpoints"]] == [checkpoint["id"]]
    (log,) = alice.get(f"/operation_logs?checkpoint_id={shown['id']}")["operation_logs"]
    assert (log["operation_type"], log["status"]) == ("copy", "wait_copying")
    assert (log["source_checkpoint_id"], log["plan_id"]) == (checkpoint["id"], plan["id"])


def test_which_and_where_to(alice, plan, checkpoint, protection):
    urn = f"urn:uuid:{checkpoint['id']}"
    body = _body(plan, target_provider_id=OTHER_PROVIDER.replace("-", ""), checkpoint_ids=[urn])
    copy = alice.post(ACTION, body)["copy"]
    assert [pair["checkpoint_protect_id"] for pair in copy["checkpoint_id"]] == [checkpoint["id"]]
    (call,) = [arguments for method, arguments in protection.calls if method == "copy"]
    assert call == {"checkpoint_ids": [checkpoint["id"]], "parameters": {}}


def test_nothing_to_copy_is_no_error(alice, plan):
    alice.post(PATH, bodies.checkpoint(plan["id"]))
    assert alice.post(ACTION, _body(plan))["copy"]["checkpoint_id"] == []


def test_the_same_key_has_the_same_answer(alice, plan, checkpoint):
    headers = {"Idempotency-Key": "copy-1"}
    first = alice.post(ACTION, _body(plan), headers=headers)
    assert alice.post(ACTION, _body(plan), headers=headers) == first
    alice.post(ACTION, _body(plan, parameters={VOLUME: {}}), headers=headers, status=409)
    assert alice.post(ACTION, _body(plan))["copy"]["checkpoint_id"] != first["copy"]["checkpoint_id"]


def test_deleting_a_copy_that_is_being_made_cancels_it(alice, plan, checkpoint, database):
    (pair,) = alice.post(ACTION, _body(plan))["copy"]["checkpoint_id"]
    assert alice.delete(f"{THERE}/{pair['checkpoint_copy_id']}") == {}
    assert is_cancelled(database, pair["checkpoint_copy_id"])


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (exception.Unsupported("provider x cannot copy resources of type y"), 501),
        (exception.OverQuota("no room"), 413),
        (exception.Conflict("checkpoint x is 'error'; only an available one can be copied"), 409),
        (exception.InvalidInput("provider x names no other provider to copy to"), 400),
        (exception.Unavailable("no protection service answered"), 503),
    ],
)
def test_what_the_protection_service_refuses(alice, plan, checkpoint, protection, error, status):
    protection.broken["copy"] = error
    answer = alice.post(ACTION, _body(plan), status=status)
    assert next(iter(answer.values()))["message"] == error.message


def test_what_is_refused(alice, bob, plan, checkpoint):
    alice.post(ACTION, {"copy": {"plan_id": UNKNOWN_ID}}, status=404)
    bob.post(ACTION, _body(plan), status=404)
    alice.post(f"{THERE}/action", _body(plan), status=400)
    alice.post("/providers/nonsense/checkpoints/action", _body(plan), status=400)
    alice.post(ACTION, _body(plan, target_provider_id=PROVIDER), status=400)
    alice.post(ACTION, _body(plan, target_provider_id=UNKNOWN_ID), status=404)
    alice.post(ACTION, _body(plan, checkpoint_ids=[UNKNOWN_ID]), status=404)
    for body in ({}, {"copy": {}}, {"copy": {"plan_id": "x"}}):
        alice.post(ACTION, body, status=400)
    for changes in (
        {"x": 1},
        {"target_provider_id": "x"},
        {"target_provider_id": None},
        {"checkpoint_ids": []},
        {"checkpoint_ids": ["x"]},
        {"checkpoint_ids": checkpoint["id"]},
        {"parameters": {"OS::Nothing": {}}},
    ):
        alice.post(ACTION, _body(plan, **changes), status=400)


def test_a_plan_without_a_checkpoint(alice, plan):
    alice.post(ACTION, _body(plan), status=400)
