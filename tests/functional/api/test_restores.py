"""Restores and verifications: the same requests for two nouns, and what only restores have."""

import hashlib
import json

import pytest
import sqlalchemy as sa

from karbor_like import exception, secret
from karbor_like.db import operations
from karbor_like.db.models import IdempotencyKey
from karbor_like.domain import states
from tests.fixtures import bodies
from tests.fixtures.api import PROJECT_A
from tests.fixtures.bodies import UNKNOWN_ID
from tests.fixtures.fake_catalogue import IMAGE, OTHER_PROVIDER, PROVIDER, SERVER, VOLUME

BODIES = {"restore": bodies.restore, "verification": bodies.verification}


@pytest.fixture(params=sorted(BODIES))
def noun(request):
    return request.param


@pytest.fixture
def checkpoint(alice, protection):
    plan = alice.post("/plans", bodies.plan())["plan"]
    made = alice.post(f"/providers/{PROVIDER}/checkpoints", bodies.checkpoint(plan["id"]))["checkpoint"]
    protection.set_status(made["id"], states.AVAILABLE)
    return made["id"]


def test_it_is_shown_in_progress(alice, noun, checkpoint):
    made = alice.post(f"/{noun}s", BODIES[noun](checkpoint))[noun]
    # A restore lists what it has made.
    listed = [f"{VOLUME}#1"] if noun == "verification" else []
    expected = {
        "project_id": PROJECT_A,
        "provider_id": PROVIDER,
        "checkpoint_id": checkpoint,
        "parameters": {},
        "status": "in_progress",
        "resources_status": dict.fromkeys(listed, "in_progress"),
        "resources_reason": dict.fromkeys(listed, ""),
        "reason": None,
    }
    assert {name: made[name] for name in expected} == expected
    assert made["progress"]["bytes_total"] == 1024
    assert alice.get(f"/{noun}s/{made['id']}") == {noun: made}
    assert alice.get(f"/{noun}s") == {f"{noun}s": [made]}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"provider_id": None}, 400),
        ({"provider_id": "x"}, 400),
        ({"provider_id": UNKNOWN_ID}, 404),
        ({"provider_id": OTHER_PROVIDER}, 404),
        ({"checkpoint_id": 5}, 400),
        ({"checkpoint_id": UNKNOWN_ID}, 404),
        ({"parameters": None}, 400),
        ({"parameters": []}, 400),
        ({"parameters": {"OS::No::Such": {}}}, 400),
        ({"parameters": {VOLUME: {"nope": 1}}}, 400),
        ({"parameters": {f"{VOLUME}#x": {}}}, 400),
        ({"parameters": {IMAGE: {"name": "x"}}}, 400),
        ({"junk": 1}, 400),
    ],
)
def test_what_cannot_be_asked_leaves_nothing(alice, noun, checkpoint, change, status):
    alice.post(f"/{noun}s", BODIES[noun](checkpoint, **change), status=status)
    assert alice.get(f"/{noun}s") == {f"{noun}s": []}


def test_a_foreign_checkpoint_leaves_nothing(bob, noun, checkpoint):
    bob.post(f"/{noun}s", BODIES[noun](checkpoint), status=404)
    assert bob.get(f"/{noun}s") == {f"{noun}s": []}


@pytest.mark.parametrize("status", ["protecting", "error", "deleting", "deleted", "error-deleting"])
def test_a_checkpoint_that_is_not_available(alice, noun, protection, checkpoint, status):
    protection.set_status(checkpoint, status)
    answer = alice.post(f"/{noun}s", BODIES[noun](checkpoint), status=400)
    assert f"is {status!r}, not 'available'" in answer["badRequest"]["message"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (exception.InvalidInput("the cloud is not allowed"), 400),
        (exception.NotAuthorized("the cloud refuses the account"), 403),
        (exception.Conflict("it is being deleted"), 409),
        (exception.Unsupported("the provider cannot verify OS::X"), 501),
    ],
)
def test_what_the_protection_service_refuses_leaves_nothing(alice, noun, protection, checkpoint, error, status):
    protection.broken["restore"] = protection.broken["verify"] = error
    (content,) = alice.post(f"/{noun}s", BODIES[noun](checkpoint), status=status).values()
    assert content["message"] == error.message
    assert alice.get(f"/{noun}s") == {f"{noun}s": []}


def test_one_call_to_the_protection_service_per_request(alice, noun, protection, checkpoint):
    before = len(protection.calls)
    alice.post(f"/{noun}s", BODIES[noun](checkpoint))
    assert len(protection.calls) == before + 1


def test_without_a_protection_service_nothing_is_left_and_a_repeat_starts_it(alice, noun, protection, checkpoint):
    headers = {"Idempotency-Key": "again"}
    protection.broken["restore"] = protection.broken["verify"] = exception.Unavailable("no service answers")
    alice.post(f"/{noun}s", BODIES[noun](checkpoint), headers=headers, status=503)
    assert alice.get(f"/{noun}s") == {f"{noun}s": []}
    protection.broken.clear()
    assert alice.post(f"/{noun}s", BODIES[noun](checkpoint), headers=headers)[noun]["status"] == "in_progress"


def test_the_same_key_starts_it_once(alice, noun, protection, checkpoint):
    headers = {"Idempotency-Key": "k"}
    first = alice.post(f"/{noun}s", BODIES[noun](checkpoint), headers=headers)
    protection.set_status(checkpoint, states.ERROR)
    assert alice.post(f"/{noun}s", BODIES[noun](checkpoint), headers=headers)[noun]["id"] == first[noun]["id"]
    assert len(alice.get(f"/{noun}s")[f"{noun}s"]) == 1
    alice.post(f"/{noun}s", BODIES[noun](checkpoint, parameters={VOLUME: {}}), headers=headers, status=409)


def test_a_key_remembers_no_password(alice, conf, database, checkpoint):
    """The fingerprint in the database does not allow guessing a password, and is still recognized after a key rotation."""
    auth = {"type": "password", "username": "u", "password": "hunter2"}
    body = bodies.restore(checkpoint, restore_auth=auth)
    headers = {"Idempotency-Key": "k"}
    first = alice.post("/restores", body, headers=headers)
    with database.reader() as session:
        kept = session.execute(sa.select(IdempotencyKey.fingerprint)).scalar_one()
    guess = json.dumps(["POST", f"/v1/{PROJECT_A}/restores", body], sort_keys=True)
    guesses = [guess, guess.replace(f"/v1/{PROJECT_A}", "")]
    assert kept not in [hashlib.sha256(one.encode()).hexdigest() for one in guesses]
    assert len(kept) == 64

    conf.set_override("keys", [secret.new_key(), *conf.secret["keys"]], group="secret")
    assert alice.post("/restores", body, headers=headers)["restore"]["id"] == first["restore"]["id"]
    auth["password"] = "hunter3"
    alice.post("/restores", body, headers=headers, status=409)


def test_it_is_cancelled_once_while_it_is_in_progress(alice, bob, noun, protection, checkpoint):
    made = alice.post(f"/{noun}s", BODIES[noun](checkpoint))[noun]
    path = f"/{noun}s/{made['id']}"
    bob.delete(path, status=404)
    assert alice.delete(path) is None
    assert [name for name, _ in protection.calls][-1] == "cancel"
    protection.set_status(checkpoint, states.AVAILABLE)
    alice.delete(path, status=409)


def test_ids(alice, bob, admin, noun, checkpoint):
    path = f"/{noun}s/{alice.post(f'/{noun}s', BODIES[noun](checkpoint))[noun]['id']}"
    bob.get(path, status=404)
    admin.get(path)
    for method in ("GET", "DELETE"):
        alice.request(method, f"/{noun}s/nonsense", status=400)
        alice.request(method, f"/{noun}s/{UNKNOWN_ID}", status=404)
    alice.put(path, {}, status=404)


def test_filters(client, alice, bob, noun, checkpoint):
    alice.post(f"/{noun}s", BODIES[noun](checkpoint))

    def count(who, query):
        return len(who.get(f"/{noun}s?{query}")[f"{noun}s"])

    other = client("admin", "c" * 32)
    assert count(alice, "status=in_progress") == 1
    assert count(alice, "status=success") == 0
    assert count(alice, f"checkpoint_id={UNKNOWN_ID}&unknown=1") == 1
    assert count(alice, "all_tenants=perhaps") == 1
    assert count(bob, f"all_tenants=1&project_id={PROJECT_A}") == 0
    assert count(other, "") == 0
    assert count(other, "all_tenants=false") == 0
    assert count(other, "all_tenants=True") == 1
    assert count(other, f"all_tenants=1&project_id={PROJECT_A}") == 1
    assert count(other, f"all_tenants=1&project_id={'b' * 32}") == 0
    assert count(other, f"all_tenants=1&checkpoint_id={checkpoint}&provider_id={PROVIDER}&nonsense=1") == 1
    other.get(f"/{noun}s?all_tenants=perhaps", status=400)


def test_what_dashboards_send(alice, protection, checkpoint):
    auth = {"type": "password", "username": None, "password": None}
    parameters = {VOLUME: {"restore_name": None}, SERVER: {"restore_name": ""}, IMAGE: {}}
    made = alice.post("/restores", bodies.restore(checkpoint, restore_auth=auth, parameters=parameters))["restore"]
    assert made["parameters"] == {VOLUME: {}, SERVER: {}, IMAGE: {}}
    assert protection.calls[-1][1]["restore_auth"] == {"type": "password"}


def test_a_password_is_handed_on_and_never_shown(alice, protection, checkpoint):
    auth = {"type": "password", "username": "u", "password": "hunter2"}
    target = "http://keystone.example.net/v3"
    body = bodies.restore(checkpoint, restore_target=target, restore_auth=auth)
    response = alice.raw("POST", "/restores", body)
    assert response.json["restore"]["restore_target"] == target
    assert "hunter2" not in response.text
    assert protection.calls[-1][1]["restore_auth"] == auth


@pytest.mark.parametrize("auth", [["hunter2"], "hunter2", {"password": ["hunter2"]}, {"password": {"hunter2": 1}}, 5])
def test_an_error_does_not_repeat_a_password(alice, checkpoint, auth):
    response = alice.raw("POST", "/restores", bodies.restore(checkpoint, restore_auth=auth))
    assert response.status_int == 400
    assert "restore.restore_auth" in response.text
    assert "hunter2" not in response.text


@pytest.mark.parametrize("target", [5, "x" * 256, {}])
def test_a_target_that_is_none(alice, checkpoint, target):
    alice.post("/restores", bodies.restore(checkpoint, restore_target=target), status=400)


@pytest.mark.parametrize("target", ["http://[", "http://[::1/v3", "http://keystone:99999/v3", "http://k\u2100/v3"])
def test_a_target_that_is_no_url_leaves_nothing(alice, checkpoint, target):
    auth = {"type": "password", "username": "u", "password": "hunter2"}
    body = bodies.restore(checkpoint, restore_target=target, restore_auth=auth)
    answer = alice.post("/restores", body, status=400)
    assert answer["badRequest"]["message"].startswith("restore.restore_target: ")
    assert alice.get("/restores") == {"restores": []}


def test_verifications_take_no_target(alice, checkpoint):
    alice.post("/verifications", bodies.verification(checkpoint, restore_target=None), status=400)
    body = bodies.verification(checkpoint)
    del body["verification"]["parameters"]
    assert alice.post("/verifications", body)["verification"]["parameters"] == {}
    made = alice.post("/verifications", bodies.verification(checkpoint, parameters={VOLUME: {"level": "full"}}))
    assert made["verification"]["parameters"] == {VOLUME: {"level": "full"}}


def test_parts_of_a_restore_and_dry_runs(alice, protection, checkpoint):
    asked = {"resources": [f"{VOLUME}#1"], "with_children": False, "dry_run": True}
    alice.post("/restores", bodies.restore(checkpoint, **asked), status=400)  # it is not in the checkpoint
    assert alice.get("/restores") == {"restores": []}
    made = alice.post("/restores", bodies.restore(checkpoint, dry_run=True))["restore"]
    assert (made["dry_run"], made["plan"]) == (True, None)
    made = alice.post("/restores", bodies.restore(checkpoint, with_plan=True))["restore"]
    assert (made["dry_run"], made["plan"], made["restored_plan_id"]) == (False, None, None)


@pytest.mark.parametrize(
    "change",
    [
        {"resources": []},
        {"resources": ["x#1", "x#1"]},
        {"resources": ["x"]},
        {"resources": "x#1"},
        {"resources": ["x#1"] * 3000},
        {"dry_run": "perhaps"},
        {"with_children": None},
        {"with_plan": "perhaps"},
    ],
)
def test_parts_that_cannot_be_asked_for(alice, checkpoint, change):
    alice.post("/restores", bodies.restore(checkpoint, **change), status=400)
    assert alice.get("/restores") == {"restores": []}


def test_the_result_of_each_original_is_shown(alice, noun, database, checkpoint):
    made = alice.post(f"/{noun}s", BODIES[noun](checkpoint))[noun]
    (shown,) = made["progress"]["resources"].values()
    assert shown["result"] is None

    def change(session):
        (operation,) = operations.unfinished_of(session, checkpoint_id=checkpoint)
        operations.set_resource(session, operation.id, f"{VOLUME}#1", result_key=f"{VOLUME}#new")

    database.write(change)
    (shown,) = alice.get(f"/{noun}s/{made['id']}")[noun]["progress"]["resources"].values()
    assert shown["result"] == f"{VOLUME}#new"
