"""Operation logs, services, quotas and quota classes."""

import uuid
from urllib.parse import quote

import pytest

from karbor_like.db import services
from tests.fixtures import bodies
from tests.fixtures.api import PROJECT_A, PROJECT_B
from tests.fixtures.bodies import UNKNOWN_ID
from tests.fixtures.fake_catalogue import PROVIDER


def test_operation_logs(alice, bob, admin):
    plan = alice.post("/plans", bodies.plan())["plan"]
    made = alice.post(f"/providers/{PROVIDER}/checkpoints", bodies.checkpoint(plan["id"]))["checkpoint"]
    (log,) = alice.get("/operation_logs")["operation_logs"]
    expected = {
        "operation_type": "protect",
        "checkpoint_id": made["id"],
        "plan_id": plan["id"],
        "provider_id": PROVIDER,
        "restore_id": None,
        "scheduled_operation_id": None,
        "status": "protecting",
        "ended_at": None,
        "error_info": None,
        "extra_info": None,
    }
    assert expected.items() <= log.items()
    assert len(log["started_at"]) == len("2031-05-06T07:08:09.123456")
    assert alice.get(f"/operation_logs/{log['id']}") == {"operation_log": log}
    bob.get(f"/operation_logs/{log['id']}", status=404)
    admin.get(f"/operation_logs/{log['id']}")
    alice.get("/operation_logs/nonsense", status=400)
    alice.get(f"/operation_logs/{UNKNOWN_ID}", status=404)
    for query, count in (
        ("status=protecting", 1),
        ("status=x", 0),
        (f"plan_id={plan['id']}", 1),
        ("restore_id=x", 0),
        ("operation_type=protect", 1),
        ("operation_type=delete", 0),
        (f"provider_id={PROVIDER}", 1),
        (f"provider_id={UNKNOWN_ID}", 0),
        (f"scheduled_operation_id={UNKNOWN_ID}", 0),
    ):
        assert len(alice.get(f"/operation_logs?{query}")["operation_logs"]) == count
    assert bob.get("/operation_logs?all_tenants=1") == {"operation_logs": []}
    assert admin.get("/operation_logs?operation_type=delete") == {"operation_logs": []}


@pytest.fixture
def running(database):
    def beat(session):
        return [services.beat(session, f"karbor-{name}", "node1").id for name in ("operationengine", "protection")]

    return database.write(beat)


def test_services(alice, admin, running, database):
    listed = admin.get("/os-services")["services"]
    assert [(one["binary"], one["state"], one["status"]) for one in listed] == [
        ("karbor-operationengine", "up", "enabled"),
        ("karbor-protection", "up", "enabled"),
    ]
    assert admin.get("/os-services?binary=karbor-protection&host=node1") == {"services": [listed[1]]}
    assert admin.get("/os-services?host=node2") == {"services": []}
    alice.get("/os-services", status=403)


def test_an_engine_is_disabled_and_enabled(admin, running):
    path = f"/os-services/{running[0]}"
    disabled = admin.put(path, {"status": "disabled", "disabled_reason": "new disks"})["service"]
    assert (disabled["status"], disabled["disabled_reason"]) == ("disabled", "new disks")
    enabled = admin.put(path, {"status": "enabled"})["service"]
    assert (enabled["status"], enabled["disabled_reason"]) == ("enabled", None)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"status": "broken"},
        {"status": None},
        {"status": "enabled", "disabled_reason": "x"},
        {"disabled_reason": "x"},
        {"status": "disabled", "disabled_reason": "x" * 256},
        {"status": "disabled", "x": 1},
    ],
)
def test_changes_of_services_that_are_none(admin, running, body):
    admin.put(f"/os-services/{running[0]}", body, status=400)


@pytest.mark.parametrize(
    ("service", "status"), [("99", 404), ("x", 404), ("-1", 404), ("9" * 40, 404), ("%D9%A1", 404)]
)
def test_services_that_are_not_there(admin, running, service, status):
    admin.put(f"/os-services/{service}", {"status": "disabled"}, status=status)


def test_only_engines_are_disabled(alice, admin, running):
    admin.put(f"/os-services/{running[1]}", {"status": "disabled"}, status=400)
    alice.put(f"/os-services/{running[0]}", {"status": "disabled"}, status=403)


DEFAULTS = {
    "plans": 50,
    "checkpoints": -1,
    "triggers": 200,
    "scheduled_operations": 200,
    "restores": 100,
    "verifications": 100,
}


def test_the_quota_limits_schedules(alice, admin):
    plan = alice.post("/plans", bodies.plan())["plan"]["id"]
    first = alice.post("/triggers", bodies.trigger())["trigger_info"]["id"]
    operation = alice.post("/scheduled_operations", bodies.scheduled_operation(first, plan))["scheduled_operation"]
    admin.put(f"/quotas/{PROJECT_A}", {"quota": {"triggers": 1, "scheduled_operations": "1"}})
    answer = alice.post("/triggers", bodies.trigger(), status=413)
    assert "quota for triggers exceeded: limit 1, in use 1" in answer["overLimit"]["message"]
    alice.post("/scheduled_operations", bodies.scheduled_operation(first, plan), status=413)
    detail = alice.get(f"/quotas/{PROJECT_A}/detail")["quota"]
    assert detail["scheduled_operations"] == {"limit": 1, "in_use": 1, "reserved": 0}
    alice.delete(f"/scheduled_operations/{operation['id']}")
    alice.delete(f"/triggers/{first}")
    second = alice.post("/triggers", bodies.trigger())["trigger_info"]["id"]
    alice.post("/scheduled_operations", bodies.scheduled_operation(second, plan))


def test_quotas(alice, bob, admin):
    path = f"/quotas/{PROJECT_A}"
    assert alice.get(path) == {"quota": {**DEFAULTS, "id": PROJECT_A}}
    assert alice.get(f"{path}/defaults") == {"quota": {**DEFAULTS, "id": PROJECT_A}}
    alice.post("/plans", bodies.plan())
    assert alice.get(f"{path}/detail")["quota"]["plans"] == {"limit": 50, "in_use": 1, "reserved": 0}
    assert admin.put(path, {"quota": {"plans": "7", "no_such": 1}}) == {"quota": {**DEFAULTS, "plans": 7}}
    assert alice.get(path)["quota"]["plans"] == 7
    assert alice.get(f"{path}/defaults")["quota"]["plans"] == 50
    assert admin.delete(path) is None
    assert alice.get(f"{path}/detail")["quota"]["plans"] == {"limit": 50, "in_use": 1, "reserved": 0}
    bob.get(path, status=403)
    bob.get(f"{path}/detail", status=403)
    assert bob.get(f"{path}/defaults")
    alice.put(path, {"quota": {"plans": 1}}, status=403)
    alice.delete(path, status=403)
    admin.get("/quotas/nonsense", status=400)
    endless = f"/quotas/{'urn:' * 10}{uuid.UUID(PROJECT_A)}"
    admin.put(endless, {"quota": {"plans": 5}}, status=400)
    admin.get(endless, status=400)


@pytest.mark.parametrize("form", ["{}", "urn:uuid:{}", "{{{}}}"])
@pytest.mark.parametrize("spell", [str, str.upper, lambda text: text.replace("-", "").upper()])
def test_a_limit_applies_to_the_project_however_its_id_is_spelled(alice, admin, form, spell):
    path = f"/quotas/{quote(form.format(spell(str(uuid.UUID(PROJECT_A)))))}"
    admin.put(path, {"quota": {"plans": 7}})
    assert alice.get(f"/quotas/{PROJECT_A}")["quota"]["plans"] == 7
    assert admin.get(path) == admin.get(f"/quotas/{PROJECT_A}")
    assert admin.get(f"{path}/detail") == admin.get(f"/quotas/{PROJECT_A}/detail")
    admin.delete(path)
    assert alice.get(f"/quotas/{PROJECT_A}")["quota"]["plans"] == 50


@pytest.mark.parametrize("value", [None, "", "x", -2, "-2", 1.5, True, [], 2**31, 10**30, "9" * 30, "٣", "1\n"])
@pytest.mark.parametrize("path", ["quotas", "quota_classes"])
def test_limits_that_are_none(admin, path, value):
    member = "quota" if path == "quotas" else "quota_class"
    admin.put(f"/{path}/{PROJECT_B}", {member: {"plans": value}}, status=400)


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[" * 50_000, {"quota": {"plans": "x"}}])
def test_who_may_change_quotas_is_decided_before_the_body_is_read(alice, admin, body):
    alice.put(f"/quotas/{PROJECT_A}", body, status=403)
    admin.put(f"/quotas/{PROJECT_A}", body, status=400)


@pytest.mark.parametrize("body", [{}, {"quota": None}, {"quota": []}, {"quota": {}, "x": 1}])
def test_quotas_that_are_none(admin, body):
    admin.put(f"/quotas/{PROJECT_A}", body, status=400)


def test_the_default_class_applies_to_everybody(alice, admin):
    assert alice.get("/quota_classes/any") == {"quota_class": {**DEFAULTS, "id": "any"}}
    changed = admin.put("/quota_classes/default", {"quota_class": {"plans": 1}})
    assert changed == {"quota_class": {**DEFAULTS, "plans": 1}}
    assert alice.get(f"/quotas/{PROJECT_A}")["quota"]["plans"] == 1
    assert alice.get(f"/quotas/{PROJECT_A}/defaults")["quota"]["plans"] == 1
    alice.post("/plans", bodies.plan())
    alice.post("/plans", bodies.plan(), status=413)
    alice.put("/quota_classes/default", {"quota_class": {"plans": 9}}, status=403)
    admin.get("/quota_classes/" + "x" * 256, status=400)
