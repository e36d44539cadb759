import json

import pytest

from karbor_like import exception
from karbor_like.domain import states
from tests.fixtures import bodies
from tests.fixtures.api import PROJECT_A, PROJECT_B, is_cancelled
from tests.fixtures.bodies import UNKNOWN_ID
from tests.fixtures.fake_catalogue import OTHER_PROVIDER, PROVIDER, VOLUME

PATH = f"/providers/{PROVIDER}/checkpoints"


@pytest.fixture
def plan(alice):
    return alice.post("/plans", bodies.plan())["plan"]


@pytest.fixture
def checkpoint(alice, plan):
    return alice.post(PATH, bodies.checkpoint(plan["id"]))["checkpoint"]


def test_a_new_checkpoint_shows_all_that_clients_decode(alice, plan, checkpoint):
    assert checkpoint["status"] == "protecting"
    assert checkpoint["project_id"] == PROJECT_A
    assert checkpoint["protection_plan"]["id"] == plan["id"]
    assert checkpoint["protection_plan"]["provider_id"] == PROVIDER
    assert json.loads(checkpoint["resource_graph"]) == [{}, []]
    assert json.loads(checkpoint["extra_info"]) == {"created_by": "manual"}
    assert len(checkpoint["created_at"]) == len("2031-05-06")
    assert checkpoint["progress"]["bytes_done"] == 512
    assert checkpoint["progress"]["bytes_total"] == 1024
    assert checkpoint["progress"]["resources"][f"{VOLUME}#1"]["step"] == "upload"
    assert alice.get(f"{PATH}/{checkpoint['id']}")["checkpoint"] == checkpoint
    assert alice.get(PATH) == {"checkpoints": [checkpoint]}


def test_a_checkpoint_whose_operation_waits_shows_its_position(alice, bob, plan, checkpoint):
    other = bob.post("/plans", bodies.plan())["plan"]
    theirs = bob.post(PATH, bodies.checkpoint(other["id"]))["checkpoint"]
    last = alice.post(PATH, bodies.checkpoint(plan["id"]))["checkpoint"]
    assert checkpoint["progress"]["queue"] == {"position": 1, "length": 1}
    assert theirs["progress"]["queue"] == {"position": 2, "length": 2}
    assert last["progress"]["queue"] == {"position": 3, "length": 3}
    shown = {row["id"]: row["progress"]["queue"]["position"] for row in alice.get(PATH)["checkpoints"]}
    assert shown == {checkpoint["id"]: 1, last["id"]: 3}


@pytest.mark.parametrize("spelling", ["extra-info", "extra_info"])
def test_extra_info_is_kept_in_both_spellings(alice, plan, spelling):
    body = {"checkpoint": {"plan_id": plan["id"], spelling: {"created_by": "operation-engine", "gone": None}}}
    made = alice.post(PATH, body)["checkpoint"]
    assert json.loads(made["extra_info"]) == {"created_by": "operation-engine"}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"plan_id": None}, 400),
        ({"plan_id": 5}, 400),
        ({"plan_id": ""}, 400),
        ({"plan_id": "nonsense"}, 400),
        ({"plan_id": UNKNOWN_ID}, 404),
        ({"extra-info": []}, 400),
        ({"extra-info": {"a": []}}, 400),
        ({"extra-info": {"a/b": "c"}}, 400),
        ({"extra-info": {"": "c"}}, 400),
        ({"junk": 1}, 400),
    ],
)
def test_what_cannot_be_asked(alice, plan, change, status):
    alice.post(PATH, bodies.checkpoint(plan["id"], **change) if change else {}, status=status)
    assert alice.get(PATH) == {"checkpoints": []}


@pytest.mark.parametrize("provider", [OTHER_PROVIDER, UNKNOWN_ID, "nonsense"])
def test_a_plan_is_protected_at_its_own_provider_only(alice, plan, provider):
    alice.post(f"/providers/{provider}/checkpoints", bodies.checkpoint(plan["id"]), status=400)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (exception.UnknownResourceType("no plugin for OS::X"), 400),
        (exception.ResourceNotFound("volume 1 could not be found"), 400),
        (exception.Conflict("volume 1 is in 'error'"), 400),
        (exception.ProviderNotFound("provider is not loaded"), 400),
        (exception.Unsupported("the provider cannot protect OS::X"), 400),
        (exception.Unavailable("the bank cannot be reached"), 503),
        (exception.OverQuota("the quota is used up"), 413),
        (RuntimeError("a bug with a secret in it"), 500),
    ],
)
def test_why_a_plan_cannot_be_protected(alice, plan, protection, error, status):
    protection.broken["protect"] = error
    (content,) = alice.post(PATH, bodies.checkpoint(plan["id"]), status=status).values()
    if status == 500:
        assert "secret" not in content["message"]
    elif status == 400:
        assert content["message"] == f"create failed: {error}"
    else:
        assert content["message"] == str(error)


def test_a_foreign_plan_cannot_be_protected_but_by_administrators(bob, admin, plan):
    bob.post(PATH, bodies.checkpoint(plan["id"]), status=404)
    assert admin.post(PATH, bodies.checkpoint(plan["id"]))["checkpoint"]["project_id"] == PROJECT_A


def test_a_foreign_checkpoint_does_not_exist_but_for_administrators(client, bob, plan, checkpoint):
    path = f"{PATH}/{checkpoint['id']}"
    other_admin = client("admin", PROJECT_B)
    reset = {"os-resetState": {"state": "error"}}
    for method, body in (("GET", None), ("PUT", reset), ("DELETE", None)):
        bob.request(method, path, body, status=404)
    assert bob.get(PATH) == {"checkpoints": []}
    assert bob.get(f"{PATH}?all_tenants=1&project_id={PROJECT_A}") == {"checkpoints": []}
    assert other_admin.get(PATH) == {"checkpoints": []}
    assert len(other_admin.get(f"{PATH}?all_tenants=True")["checkpoints"]) == 1
    assert other_admin.get(f"{PATH}?all_tenants=1&project_id={PROJECT_B}") == {"checkpoints": []}
    assert other_admin.get(path)["checkpoint"]["id"] == checkpoint["id"]


def test_an_available_checkpoint_is_deleted_and_stays_visible(alice, protection, checkpoint):
    path = f"{PATH}/{checkpoint['id']}"
    protection.set_status(checkpoint["id"], states.AVAILABLE)
    assert alice.delete(path) == {}
    assert alice.get(path)["checkpoint"]["status"] == "deleting"
    alice.delete(path, status=409)
    protection.set_status(checkpoint["id"], states.DELETED)
    assert alice.get(path)["checkpoint"]["status"] == "deleted"


def test_a_failed_deletion_can_be_tried_again(alice, protection, checkpoint):
    protection.set_status(checkpoint["id"], states.ERROR_DELETING)
    assert alice.delete(f"{PATH}/{checkpoint['id']}") == {}


def test_deleting_what_is_being_made_cancels_it(alice, database, checkpoint):
    assert alice.delete(f"{PATH}/{checkpoint['id']}") == {}
    assert is_cancelled(database, checkpoint["id"])
    assert alice.get(f"{PATH}/{checkpoint['id']}")["checkpoint"]["status"] == "protecting"


@pytest.mark.parametrize("state", ["available", "error"])
@pytest.mark.parametrize("now", sorted(states.RESETTABLE))
def test_the_state_is_reset(alice, protection, checkpoint, now, state):
    path = f"{PATH}/{checkpoint['id']}"
    protection.set_status(checkpoint["id"], states.AVAILABLE)
    protection.set_status(checkpoint["id"], now)
    assert alice.put(path, {"os-resetState": {"state": state}}) == {}
    assert alice.get(path)["checkpoint"]["status"] == state


@pytest.mark.parametrize("now", ["protecting", "deleting", "deleted"])
def test_a_state_that_cannot_be_reset(alice, protection, checkpoint, now):
    protection.set_status(checkpoint["id"], now)
    alice.put(f"{PATH}/{checkpoint['id']}", {"os-resetState": {"state": "error"}}, status=400)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"os-resetState": None},
        {"os-resetState": {}},
        {"os-resetState": {"state": "deleted"}},
        {"os-resetState": {"state": None}},
        {"os-resetState": {"state": "error", "x": 1}},
        {"os-resetState": {"state": "error"}, "x": 1},
    ],
)
def test_a_reset_that_cannot_be(alice, checkpoint, body):
    alice.put(f"{PATH}/{checkpoint['id']}", body, status=400)


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/providers/nonsense/checkpoints/{id}", 400),
        (f"{PATH}/nonsense", 400),
        (f"{PATH}/{UNKNOWN_ID}", 404),
        (f"/providers/{OTHER_PROVIDER}/checkpoints/{{id}}", 404),
    ],
)
def test_ids(alice, checkpoint, method, path, status):
    body = {"os-resetState": {"state": "error"}} if method == "PUT" else None
    alice.request(method, path.format(id=checkpoint["id"]), body, status=status)


@pytest.mark.parametrize("provider", [UNKNOWN_ID, "nonsense"])
def test_the_list_of_an_unknown_provider(alice, provider):
    alice.get(f"/providers/{provider}/checkpoints", status=404)


def test_filters_of_the_list(alice, plan, protection, checkpoint):
    other = alice.post("/plans", bodies.plan(name="other"))["plan"]
    second = alice.post(PATH, bodies.checkpoint(other["id"]))["checkpoint"]
    protection.set_status(second["id"], states.AVAILABLE)
    today = checkpoint["created_at"]

    def ids(query: str) -> set[str]:
        return {one["id"] for one in alice.get(f"{PATH}?{query}")["checkpoints"]}

    both = {checkpoint["id"], second["id"]}
    assert ids(f"plan_id={plan['id']}") == {checkpoint["id"]}
    assert ids("status=available") == {second["id"]}
    assert ids(f"start_date={today}") == both
    assert ids(f"start_date={today}&end_date={today}") == both
    assert ids("start_date=2031-01-01") == set() if today < "2031" else both
    assert ids("start_date=1999-01-01&end_date=1999-12-31") == set()
    assert ids("start_date=0001-01-01&end_date=9999-12-31") == both
    assert ids("end_date=1999-12-31") == both


@pytest.mark.parametrize(
    "query",
    [
        "start_date=yesterday",
        "start_date=2031-02-30",
        "start_date=20310101",
        "start_date=2031-01-01%0A",
        "start_date=2031-01-01&end_date=x",
        "start_date=2031-01-01&start_date=2031-01-02",
    ],
)
def test_days_that_are_none(alice, query):
    alice.get(f"{PATH}?{query}", status=400)


def test_pages(alice, plan):
    made = {alice.post(PATH, bodies.checkpoint(plan["id"]))["checkpoint"]["id"] for _ in range(3)}
    seen, marker = [], ""
    while page := alice.get(f"{PATH}?limit=2&sort_key=id&sort_dir=asc{marker}"):
        seen += [one["id"] for one in page["checkpoints"]]
        if "checkpoints_links" not in page:
            break
        href = page["checkpoints_links"][0]["href"]
        assert f"/v1/{PROJECT_A}{PATH}?" in href
        marker = f"&marker={href.rpartition('marker=')[2]}"
    assert seen == sorted(made)
    alice.get(f"{PATH}?marker={UNKNOWN_ID}", status=404)
    alice.get(f"{PATH}?marker=nonsense", status=404)


def test_the_same_key_makes_one_checkpoint(alice, bob, plan, protection):
    headers = {"Idempotency-Key": "run-1"}
    first = alice.post(PATH, bodies.checkpoint(plan["id"]), headers=headers)
    assert alice.post(PATH, bodies.checkpoint(plan["id"]), headers=headers) == first
    assert len(alice.get(PATH)["checkpoints"]) == 1
    answer = alice.post(PATH, bodies.checkpoint(plan["id"], **{"extra-info": {"a": 1}}), headers=headers, status=409)
    assert "run-1" in answer["conflictingRequest"]["message"]
    alice.delete(f"/plans/{plan['id']}")
    assert alice.post(PATH, bodies.checkpoint(plan["id"]), headers=headers) == first
    # The key is the project's: another's says nothing of this one's.
    bob.post(PATH, bodies.checkpoint(plan["id"]), headers=headers, status=404)


def test_a_key_that_led_to_nothing_can_be_used_again(alice, plan, protection):
    headers = {"Idempotency-Key": "run-1"}
    protection.broken["protect"] = exception.Unavailable("away")
    alice.post(PATH, bodies.checkpoint(plan["id"]), headers=headers, status=503)
    del protection.broken["protect"]
    alice.post(PATH, bodies.checkpoint(plan["id"]), headers=headers)


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\xe9"])
def test_a_key_that_is_none(alice, plan, key):
    alice.post(PATH, bodies.checkpoint(plan["id"]), headers={"Idempotency-Key": key}, status=400)


def test_the_quota_of_checkpoints(alice, admin, plan):
    admin.put(f"/quotas/{PROJECT_A}", {"quota": {"checkpoints": 1}})
    alice.post(PATH, bodies.checkpoint(plan["id"]))
    alice.post(PATH, bodies.checkpoint(plan["id"]), status=413)
    alice.get(f"/quotas/{PROJECT_A}/detail")
