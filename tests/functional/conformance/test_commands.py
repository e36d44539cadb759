"""Every ``openstack data protection`` command of the last released client, as a user types it.

The tests depend on the order in this file: they list resources, create objects, and then delete them.
"""

import json

import pytest

from tests.scenario.tenant import VOLUME

pytestmark = [pytest.mark.once, pytest.mark.turn(0)]
DAILY = "BEGIN:VEVENT\\nRRULE:FREQ=DAILY;BYHOUR=1;BYMINUTE=0\\nEND:VEVENT"
EXTRA = {"reason", "progress", "logical_bytes", "new_bytes", "stored_bytes"}


@pytest.fixture(scope="module")
def alice(clients, target):
    env = target.environment("alice")
    return lambda *command, **kwargs: clients.openstack(*command, env=env, **kwargs)


@pytest.fixture(scope="module")
def admin(clients, target):
    env = target.environment("admin")
    return lambda *command, **kwargs: clients.openstack(*command, env=env, **kwargs)


@pytest.fixture(scope="module")
def plan(alice, target):
    resource = f"{target.volume.id}={VOLUME}=data-1"
    options = f"resource_type={VOLUME},backup_name=copy"
    return alice("plan", "create", "nightly", target.provider, resource, "--parameters", options)


@pytest.fixture(scope="module")
def checkpoint(alice, target, plan):
    created = alice("checkpoint", "create", target.provider, plan["id"], "--extra_info", "why=because")
    target.settle(created["id"])
    return created


@pytest.fixture(scope="module")
def trigger(clients, target):
    # "trigger create" of this client fails before it sends a request, so the library creates the trigger.
    script = f"""
import json
from keystoneauth1 import session
from keystoneauth1.identity import v3
from karborclient import client
auth = v3.Password(**{target.cloud.credentials("alice")!r})
karbor = client.Client("1", session=session.Session(auth=auth), service_type="data-protect")
properties = {{"format": "calendar", "pattern": {DAILY!r}, "window": 900}}
print(json.dumps(karbor.triggers.create("nightly", "time", properties).to_dict()))
"""
    return json.loads(clients.run("python", "-c", script, env={}).stdout)


@pytest.fixture(scope="module")
def operation(alice, target, plan, trigger):
    definition = f"provider_id={target.provider},plan_id={plan['id']}"
    return alice("scheduledoperation", "create", "nightly", "protect", trigger["id"], definition)


def test_protectables(alice, target):
    assert {"Protectable type": VOLUME} in alice("protectable", "list")
    assert alice("protectable", "show", VOLUME)["name"] == VOLUME
    listed = {item["Id"]: item for item in alice("protectable", "instance", "list", VOLUME)}
    expected = {"Id": target.volume.id, "Type": VOLUME, "Name": "data-1", "Dependent resources": "[]"}
    assert expected.items() <= listed[target.volume.id].items()
    shown = alice("protectable", "instance", "show", VOLUME, target.volume.id)
    assert (shown["id"], shown["name"]) == (target.volume.id, "data-1")


def test_providers(alice, target):
    assert target.provider in [item["Id"] for item in alice("provider", "list")]
    assert alice("provider", "show", target.provider)["name"] == target.provider_name
    assert alice("provider", "show", target.provider_name)["id"] == target.provider


def test_plans(alice, target, plan):
    assert plan["status"] == "suspended"
    assert json.loads(plan["parameters"]) == {VOLUME: {"backup_name": "copy"}}
    assert json.loads(plan["resources"]) == [{"id": target.volume.id, "type": VOLUME, "name": "data-1"}]
    (listed,) = alice("plan", "list", "--name", "nightly", "--status", "suspended", "--sort", "name:asc")
    expected = {"Id": plan["id"], "Name": "nightly", "Provider id": target.provider, "Status": "suspended"}
    assert expected.items() <= listed.items()
    assert alice("plan", "show", plan["id"]) == plan
    assert alice("plan", "show", "nightly") == plan


def test_plans_are_updated_and_deleted(alice, target):
    resource = f"{target.volume.id}={VOLUME}=data-1"
    created = alice("plan", "create", "123", target.provider, resource, "--parameters-json", "{}", "--description", "d")
    changed = alice("plan", "update", created["id"], "--name", "weekly", "--status", "started")
    assert (changed["name"], changed["status"], changed["description"]) == ("weekly", "started", "d")
    alice("plan", "delete", created["id"], output=False)
    assert created["id"] not in [item["Id"] for item in alice("plan", "list")]


def test_checkpoints(alice, target, plan, checkpoint):
    assert checkpoint["status"] == "protecting"
    nodes, adjacency = json.loads(checkpoint["resource_graph"])
    assert (nodes["0x0"][:3], adjacency) == ([VOLUME, target.volume.id, "data-1"], [])
    (listed,) = alice("checkpoint", "list", target.provider, "--plan_id", plan["id"], "--limit", "5")
    assert listed == {
        "Id": checkpoint["id"],
        "Project id": checkpoint["project_id"],
        "Status": "available",
        "Protection plan": f"Name: nightly\nId: {plan['id']}",
        "Metadata": "",
        "Created at": checkpoint["created_at"],
    }
    shown = alice("checkpoint", "show", target.provider, checkpoint["id"])
    assert json.loads(shown["extra_info"]) == {"why": "because"}
    assert set(shown) >= EXTRA
    day = checkpoint["created_at"]
    of_the_day = alice("checkpoint", "list", target.provider, "--start_date", day, "--end_date", day)
    assert checkpoint["id"] in [item["Id"] for item in of_the_day]
    assert alice("checkpoint", "list", target.provider, "--start_date", "2020-01-01", "--end_date", "2020-01-02") == []


def test_checkpoints_are_reset_and_deleted(alice, target, plan):
    created = alice("checkpoint", "create", target.provider, plan["id"])
    target.settle(created["id"])
    alice("checkpoint", "reset", "state", target.provider, created["id"], output=False)
    assert alice("checkpoint", "show", target.provider, created["id"])["status"] == "error"
    alice("checkpoint", "reset", "state", target.provider, created["id"], "--available", output=False)
    alice("checkpoint", "delete", target.provider, created["id"], output=False)
    assert alice("checkpoint", "show", target.provider, created["id"])["status"] in ("deleting", "deleted")


def test_restores(alice, target, checkpoint):
    parameters = f"resource_type={VOLUME},restore_name=again"
    created = alice("restore", "create", target.provider, checkpoint["id"], "--parameters", parameters)
    assert created["status"] == "in_progress"
    assert json.loads(created["parameters"]) == {VOLUME: {"restore_name": "again"}}
    listed = {item["Id"]: item for item in alice("restore", "list")}
    assert listed[created["id"]]["Checkpoint id"] == checkpoint["id"]
    assert alice("restore", "show", created["id"])["id"] == created["id"]


def test_verifications(alice, target, checkpoint):
    created = alice("verification", "create", target.provider, checkpoint["id"])
    assert created["status"] == "in_progress"
    assert created["id"] in [item["Id"] for item in alice("verification", "list")]
    assert alice("verification", "show", created["id"])["checkpoint_id"] == checkpoint["id"]


def test_triggers(alice, trigger):
    listed = {item["Id"]: item for item in alice("trigger", "list", "--name", "nightly")}
    assert listed[trigger["id"]]["Type"] == "time"
    assert alice("trigger", "show", trigger["id"])["properties"]["window"] == "900"
    start = trigger["properties"]["start_time"]
    properties = f"format=crontab,pattern=0 1 * * *,start_time={start}"
    changed = alice("trigger", "update", trigger["id"], "--name", "daily", "--properties", properties)
    assert (changed["name"], changed["properties"]["pattern"]) == ("daily", "0 1 * * *")


def test_scheduled_operations(alice, target, plan, trigger, operation):
    assert json.loads(operation["operation_definition"]) == {"provider_id": target.provider, "plan_id": plan["id"]}
    (listed,) = alice("scheduledoperation", "list", "--trigger_id", trigger["id"])
    assert (listed["Id"], listed["Operation Type"]) == (operation["id"], "protect")
    assert alice("scheduledoperation", "show", operation["id"])["enabled"] is True


def test_plans_and_triggers_in_use_cannot_be_deleted(clients, target, plan, trigger, operation):
    env = target.environment("alice")
    for command in (("trigger", "delete", trigger["id"]), ("plan", "delete", plan["id"])):
        done = clients.run("openstack", "data", "protection", *command, env=env)
        assert done.returncode != 0
        assert "used by scheduled operations" in done.stderr


def test_operation_logs(alice, checkpoint):
    listed = {item["Checkpoint id"]: item for item in alice("operationlog", "list", "--sort", "created_at:asc")}
    log = listed[checkpoint["id"]]
    assert alice("operationlog", "show", log["Id"])["checkpoint_id"] == checkpoint["id"]


def test_scheduled_operations_and_triggers_are_deleted(alice, trigger, operation):
    alice("scheduledoperation", "delete", operation["id"], output=False)
    alice("trigger", "delete", trigger["id"], output=False)
    assert trigger["id"] not in [item["Id"] for item in alice("trigger", "list")]


def test_services(admin):
    engine = next(item for item in admin("service", "list") if item["Binary"] == "karbor-operationengine")
    assert (engine["Status"], engine["State"]) == ("enabled", "up")
    disabled = admin("service", "disable", str(engine["Id"]), "--reason", "new disks")
    assert (disabled["status"], disabled["disabled_reason"]) == ("disabled", "new disks")
    assert admin("service", "enable", str(engine["Id"]))["status"] == "enabled"


def test_quotas(alice, admin, target):
    project = target.project_id("alice")
    assert alice("quotas", "show", "--tenant", project)["plans"] == 50
    detail = alice("quotas", "show", "--tenant", project, "--detail")
    assert "in_use" in json.dumps(detail)
    assert alice("quotas", "default", "--tenant", project)["plans"] == 50
    assert admin("quotas", "update", project, "--plans", "60")["plans"] == 60
    assert alice("quotas", "show")["plans"] == 60


def test_quota_classes(admin):
    assert admin("quotaclass", "show", "gold")["plans"] == 50
    assert admin("quotaclass", "update", "gold", "--plans", "70")["plans"] == 70


def test_all_projects(admin, plan, checkpoint, target):
    assert plan["id"] not in [item["Id"] for item in admin("plan", "list")]
    assert plan["id"] in [item["Id"] for item in admin("plan", "list", "--all-projects")]
    project = checkpoint["project_id"]
    assert plan["id"] in [item["Id"] for item in admin("plan", "list", "--project", project)]
    for noun in ("restore", "verification", "trigger", "scheduledoperation", "operationlog"):
        admin(noun, "list", "--all-projects")
    listed = admin("checkpoint", "list", target.provider, "--project_id", project)
    assert checkpoint["id"] in [item["Id"] for item in listed]
    assert checkpoint["id"] in [item["Id"] for item in admin("checkpoint", "list", target.provider, "--all-projects")]
