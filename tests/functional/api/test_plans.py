import pytest
import sqlalchemy as sa

from karbor_like.db import plans
from karbor_like.db.plans import PLANS
from tests.fixtures import bodies
from tests.fixtures.bodies import UNKNOWN_ID, VOLUME_ID
from tests.fixtures.fake_catalogue import IMAGE, OTHER_PROVIDER, PROVIDER, SERVER, VOLUME

KEY = f"{VOLUME}#{VOLUME_ID}"


@pytest.fixture
def plan(alice):
    return alice.post("/plans", bodies.plan())["plan"]


def test_what_was_asked_is_shown(alice, plan):
    assert plan == {
        "id": plan["id"],
        "name": "nightly",
        "description": "every night",
        "resources": [{"id": VOLUME_ID, "type": VOLUME, "name": "data-1", "extra_info": {"availability_zone": "az1"}}],
        "provider_id": PROVIDER,
        "status": "suspended",
        "parameters": {},
        "last_checkpoint_at": None,
        "rpo_violated": False,
    }
    assert alice.get(f"/plans/{plan['id']}")["plan"] == plan
    assert alice.get("/plans") == {"plans": [plan]}


def test_the_last_good_checkpoint_and_the_objective_are_shown(alice, database, protection, plan):
    checkpoints = f"/providers/{PROVIDER}/checkpoints"
    good, bad = (alice.post(checkpoints, bodies.checkpoint(plan["id"]))["checkpoint"] for _ in range(2))
    protection.set_status(good["id"], "available")
    protection.set_status(bad["id"], "error")
    database.write(lambda session: PLANS.update(session, plan["id"], {"rpo_state": plans.VIOLATED}))
    shown = alice.get(f"/plans/{plan['id']}")["plan"]
    assert (shown["last_checkpoint_at"][:10], shown["rpo_violated"]) == (good["created_at"], True)
    assert alice.get("/plans") == {"plans": [shown]}
    assert alice.put(f"/plans/{plan['id']}", {"plan": {"name": "x"}})["plan"] == {**shown, "name": "x"}


def test_any_number_of_plans_is_listed_by_the_same_queries(alice, database):
    statements: list[str] = []
    sa.event.listen(database.engine, "before_cursor_execute", lambda conn, cursor, text, *rest: statements.append(text))
    counts = []
    for _ in range(3):
        alice.post("/plans", bodies.plan())
        statements.clear()
        alice.get("/plans")
        counts.append(len(statements))
    assert counts == [counts[0]] * 3


def test_the_least_that_makes_a_plan(alice):
    asked = {
        "provider_id": PROVIDER,
        "name": "x",
        "resources": [{"id": "1", "type": VOLUME, "name": None, "junk": 1}],
        "parameters": {},
    }
    made = alice.post("/plans", {"plan": asked})["plan"]
    assert made["description"] is None
    assert made["resources"] == [{"id": "1", "type": VOLUME, "name": ""}]


@pytest.mark.parametrize("form", ["{%s}", "urn:uuid:%s"])
def test_a_provider_may_be_named_in_any_form_of_a_uuid(alice, form):
    assert alice.post("/plans", bodies.plan(provider_id=form % PROVIDER.upper()))["plan"]["provider_id"] == PROVIDER


def test_parameters_keep_their_types_and_lose_what_is_unset(alice):
    asked = {
        VOLUME: {"backup_name": None, "backup_mode": "full", "force": False},
        KEY: {"backup_name": "", "force": "True", "retries": "3"},
        SERVER: {},
        IMAGE: {"anything": 1},
    }
    made = alice.post("/plans", bodies.plan(parameters=asked))["plan"]
    assert made["parameters"] == {
        VOLUME: {"backup_mode": "full", "force": False},
        KEY: {"force": True, "retries": 3},
        SERVER: {},
        IMAGE: {"anything": 1},
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": None}, "plan.name"),
        ({"name": ""}, "plan.name"),
        ({"name": "  "}, "plan.name"),
        ({"name": "x" * 256}, "plan.name: is longer than 255"),
        ({"name": 5}, "plan.name: 5 is not of type string"),
        ({"description": "two\nlines"}, "plan.description"),
        ({"description": "x" * 256}, "plan.description"),
        ({"provider_id": "nonsense"}, "plan.provider_id: 'nonsense' is not a uuid"),
        ({"provider_id": UNKNOWN_ID}, f"plan.provider_id: there is no provider {UNKNOWN_ID}"),
        ({"resources": []}, "plan.resources: has fewer than 1 items"),
        ({"resources": None}, "plan.resources"),
        ({"resources": [{"id": "1", "type": "t"}]}, "plan.resources[0]: 'name' is missing"),
        ({"resources": [{"id": "1", "type": "t", "name": "a"}] * 2}, "plan.resources[1]: t 1 is named twice"),
        ({"parameters": None}, "plan.parameters"),
        ({"parameters": {VOLUME: None}}, f"plan.parameters.{VOLUME}"),
        ({"parameters": {VOLUME: {"a": 1.5}}}, f"plan.parameters.{VOLUME}.a"),
        ({"parameters": {VOLUME: {"nope": 1}}}, f"plan.parameters.{VOLUME}.nope: is not an option of {VOLUME}"),
        ({"parameters": {VOLUME: {"backup_mode": "half"}}}, "'half' is not one of ['full', 'incremental']"),
        ({"parameters": {VOLUME: {"force": "perhaps"}}}, f"plan.parameters.{VOLUME}.force: 'perhaps' is not of type"),
        (
            {"parameters": {VOLUME: {"retries": -1}}},
            f"plan.parameters.{VOLUME}.retries: -1 is less than the minimum of 0",
        ),
        ({"parameters": {f"{VOLUME}#x": {}}}, "after # is not an id of OS::Cinder::Volume"),
        ({"parameters": {"OS::No::Such": {}}}, "'OS::No::Such' is not one of OS::Cinder::Volume"),
        ({"status": "started"}, "'status' is not known here"),
    ],
)
def test_what_cannot_be_a_plan_is_refused_with_field_and_rule(alice, changes, said):
    answer = alice.post("/plans", bodies.plan(**changes), status=400)
    assert said in answer["badRequest"]["message"]
    assert alice.get("/plans") == {"plans": []}


@pytest.mark.parametrize("field", ["name", "provider_id", "resources", "parameters"])
def test_a_missing_field_is_named(alice, field):
    body = bodies.plan()
    del body["plan"][field]
    assert f"plan: '{field}' is missing" in alice.post("/plans", body, status=400)["badRequest"]["message"]


@pytest.mark.parametrize("body", [{}, [], None, 5, {"plan": None}, {"plan": {}, "type": "x"}, {"type": {}}])
def test_a_body_that_is_no_plan_at_all(alice, body):
    assert alice.post("/plans", body, status=400)


def test_a_plan_that_is_suspended_can_be_changed(alice, plan):
    resources = [{"id": "2", "type": SERVER, "name": "web"}]
    changed = alice.put(
        f"/plans/{plan['id']}", {"plan": {"name": "weekly", "description": None, "resources": resources}}
    )["plan"]
    assert changed == {**plan, "name": "weekly", "description": None, "resources": resources}
    assert alice.get(f"/plans/{plan['id']}")["plan"] == changed


def test_a_plan_is_started_and_suspended_again(alice, plan):
    path = f"/plans/{plan['id']}"
    assert alice.put(path, {"plan": {"status": "started", "name": "x"}})["plan"]["status"] == "started"
    assert (
        "can only be changed while suspended"
        in alice.put(path, {"plan": {"name": "y"}}, status=400)["badRequest"]["message"]
    )
    assert alice.put(path, {"plan": {"status": "started"}})["plan"]["status"] == "started"
    assert alice.put(path, {"plan": {"status": "suspended"}})["plan"]["status"] == "suspended"
    assert alice.put(path, {"plan": {"status": "suspended", "name": "y"}})["plan"]["name"] == "y"


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"status": "other"},
        {"status": None},
        {"resources": []},
        {"name": None},
        {"name": " "},
        {"parameters": {}},
        {"provider_id": PROVIDER},
        {"id": UNKNOWN_ID},
    ],
)
def test_a_change_that_cannot_be(alice, plan, change):
    alice.put(f"/plans/{plan['id']}", {"plan": change}, status=400)
    assert alice.get(f"/plans/{plan['id']}")["plan"] == plan


def test_a_deleted_plan_is_gone(alice, plan):
    alice.delete(f"/plans/{plan['id']}")
    alice.get(f"/plans/{plan['id']}", status=404)
    alice.delete(f"/plans/{plan['id']}", status=404)


def test_a_plan_that_scheduled_operations_use_stays(alice, plan):
    trigger = alice.post("/triggers", bodies.trigger())["trigger_info"]
    made = alice.post("/scheduled_operations", bodies.scheduled_operation(trigger["id"], plan["id"]))
    answer = alice.delete(f"/plans/{plan['id']}", status=409)
    assert "nightly web" in answer["conflictingRequest"]["message"]
    alice.delete(f"/scheduled_operations/{made['scheduled_operation']['id']}")
    alice.delete(f"/plans/{plan['id']}")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_ids(alice, method):
    body = {"plan": {"name": "x"}} if method == "PUT" else None
    alice.request(method, "/plans/nonsense", body, status=400)
    alice.request(method, f"/plans/{UNKNOWN_ID}", body, status=404)


def test_a_foreign_plan_does_not_exist_but_for_administrators(alice, bob, admin, plan):
    path = f"/plans/{plan['id']}"
    unknown = bob.get(f"/plans/{UNKNOWN_ID}", status=404)["itemNotFound"]["message"]
    for method, body in (("GET", None), ("PUT", {"plan": {"name": "x"}}), ("DELETE", None)):
        answer = bob.request(method, path, body, status=404)
        assert answer["itemNotFound"]["message"] == unknown.replace(UNKNOWN_ID, plan["id"])
    assert bob.get("/plans") == {"plans": []}
    assert admin.get(path)["plan"] == plan
    admin.put(path, {"plan": {"name": "x"}})
    admin.delete(path)


def test_the_quota_of_plans(alice, bob, admin):
    admin.put(f"/quotas/{alice.project}", {"quota": {"plans": 1}})
    made = alice.post("/plans", bodies.plan())["plan"]
    answer = alice.post("/plans", bodies.plan(), status=413)
    assert answer["overLimit"]["retryAfter"] == "0"
    bob.post("/plans", bodies.plan())
    alice.delete(f"/plans/{made['id']}")
    alice.post("/plans", bodies.plan())


def test_filters_of_the_list(alice):
    for name, provider in (("web nightly", PROVIDER), ("db nightly", OTHER_PROVIDER), ("db 100%", PROVIDER)):
        alice.post("/plans", bodies.plan(name=name, provider_id=provider, description=name.upper()))

    def names(query: str) -> set[str]:
        return {one["name"] for one in alice.get(f"/plans?{query}")["plans"]}

    assert names("name=nightly") == {"web nightly", "db nightly"}
    assert names("name=100%25") == {"db 100%"}
    assert names("name=(") == set()
    assert names("description=DB") == {"db nightly", "db 100%"}
    assert names("status=suspended") == {"web nightly", "db nightly", "db 100%"}
    assert names("status=started") == set()
    assert names("unknown=x&project_id=y&name=web") == {"web nightly"}


def test_types_that_the_provider_does_not_protect_are_refused(alice, protection):
    plan = alice.post("/plans", bodies.plan())["plan"]
    share = {"id": "1", "type": "OS::Manila::Share", "name": "x"}
    for answer in (
        alice.post("/plans", bodies.plan(resources=[*plan["resources"], share]), status=400),
        alice.put(f"/plans/{plan['id']}", {"plan": {"resources": [share]}}, status=400),
    ):
        assert answer["badRequest"]["type"] == "operation.unsupported"
        message = answer["badRequest"]["message"]
        assert message.startswith("plan.resources: cannot protect OS::Manila::Share; it can protect OS::Cinder::Volume")
        assert message.endswith("choose another provider")
    assert alice.get("/plans") == {"plans": [plan]}
    protection.providers.clear()
    alice.put(f"/plans/{plan['id']}", {"plan": {"resources": plan["resources"]}}, status=400)
    assert alice.put(f"/plans/{plan['id']}", {"plan": {"name": "renamed"}})["plan"]["name"] == "renamed"


def test_a_provider_that_cannot_be_asked(alice, protection):
    from karbor_like import exception

    protection.broken["check_plan"] = exception.Unavailable("no protection service answered")
    answer = alice.post("/plans", bodies.plan(), status=503)
    assert answer["serviceUnavailable"]["message"] == "no protection service answered"
