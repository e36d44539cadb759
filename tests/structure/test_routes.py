"""Who gets what, route by route: one table, against which every route is walked as everybody."""

from typing import Any

import pytest

from karbor_like.api.controllers import v1
from karbor_like.db import operations, services
from karbor_like.domain import states
from tests.fixtures import bodies
from tests.fixtures.api import (  # noqa: F401 - fixtures
    PROJECT_A,
    PROJECT_B,
    admin,
    alice,
    application,
    client,
    clock,
    conf,
    database,
    empty_database,
    engine,
    protection,
)
from tests.fixtures.fake_protection import PROVIDER, SERVER, VOLUME

_CHECKPOINTS = "/providers/{provider_id}/checkpoints"
_INSTANCES = "/protectables/{protectable_type}/instances"

#: The stranger is a member of another project, who asks for this project's objects; "service" has that role alone.
WHO = ("nobody", "reader", "member", "admin", "stranger", "service")
EXPECTED = {
    "GET /plans": (401, 200, 200, 200, 200, 403),
    "POST /plans": (401, 403, 200, 200, 200, 403),
    "GET /plans/{plan_id}": (401, 200, 200, 200, 404, 403),
    "PUT /plans/{plan_id}": (401, 403, 200, 200, 404, 403),
    "DELETE /plans/{plan_id}": (401, 403, 200, 200, 404, 403),
    "GET /providers": (401, 200, 200, 200, 200, 403),
    "GET /providers/{provider_id}": (401, 200, 200, 200, 200, 403),
    f"GET {_CHECKPOINTS}": (401, 200, 200, 200, 200, 403),
    f"POST {_CHECKPOINTS}": (401, 403, 200, 200, 404, 403),
    f"POST {_CHECKPOINTS}/action": (401, 403, 200, 200, 404, 403),
    f"GET {_CHECKPOINTS}/{{checkpoint_id}}": (401, 200, 200, 200, 404, 403),
    f"PUT {_CHECKPOINTS}/{{checkpoint_id}}": (401, 403, 200, 200, 404, 403),
    f"DELETE {_CHECKPOINTS}/{{checkpoint_id}}": (401, 403, 200, 200, 404, 403),
    "GET /protectables": (401, 200, 200, 200, 200, 403),
    "GET /protectables/{protectable_type}": (401, 200, 200, 200, 200, 403),
    f"GET {_INSTANCES}": (401, 200, 200, 200, 200, 403),
    # Whose resource it is, the cloud decides by the caller's token.
    f"GET {_INSTANCES}/{{resource_id}}": (401, 200, 200, 200, 200, 403),
    "GET /restores": (401, 200, 200, 200, 200, 403),
    "POST /restores": (401, 403, 200, 200, 404, 403),
    "GET /restores/{restore_id}": (401, 200, 200, 200, 404, 403),
    "DELETE /restores/{restore_id}": (401, 403, 200, 200, 404, 403),
    "GET /verifications": (401, 200, 200, 200, 200, 403),
    "POST /verifications": (401, 403, 200, 200, 404, 403),
    "GET /verifications/{verification_id}": (401, 200, 200, 200, 404, 403),
    "DELETE /verifications/{verification_id}": (401, 403, 200, 200, 404, 403),
    "GET /triggers": (401, 200, 200, 200, 200, 403),
    "POST /triggers": (401, 403, 200, 200, 200, 403),
    "GET /triggers/{trigger_id}": (401, 200, 200, 200, 404, 403),
    "PUT /triggers/{trigger_id}": (401, 403, 200, 200, 404, 403),
    # A scheduled operation uses it.
    "DELETE /triggers/{trigger_id}": (401, 403, 424, 424, 404, 403),
    "GET /scheduled_operations": (401, 200, 200, 200, 200, 403),
    "POST /scheduled_operations": (401, 403, 200, 200, 404, 403),
    "GET /scheduled_operations/{scheduled_operation_id}": (401, 200, 200, 200, 404, 403),
    # Only the user in whose name it acts may enable it.
    "PUT /scheduled_operations/{scheduled_operation_id}": (401, 403, 200, 403, 404, 403),
    "DELETE /scheduled_operations/{scheduled_operation_id}": (401, 403, 200, 200, 404, 403),
    "GET /scheduled_operations/{scheduled_operation_id}/retention": (401, 200, 200, 200, 404, 403),
    "GET /operation_logs": (401, 200, 200, 200, 200, 403),
    "GET /operation_logs/{operation_log_id}": (401, 200, 200, 200, 404, 403),
    "GET /os-services": (401, 403, 403, 200, 403, 200),
    "PUT /os-services/{service_id}": (401, 403, 403, 200, 403, 403),
    # The limits of a project are no secret object: who may not see them is told so.
    "GET /quotas/{target_project_id}": (401, 200, 200, 200, 403, 403),
    "PUT /quotas/{target_project_id}": (401, 403, 403, 200, 403, 403),
    "DELETE /quotas/{target_project_id}": (401, 403, 403, 200, 403, 403),
    "GET /quotas/{target_project_id}/detail": (401, 200, 200, 200, 403, 403),
    "GET /quotas/{target_project_id}/defaults": (401, 200, 200, 200, 200, 403),
    "GET /quota_classes/{class_name}": (401, 200, 200, 200, 200, 403),
    "PUT /quota_classes/{class_name}": (401, 403, 403, 200, 403, 403),
}
ROUTES = [f"{route.method} {route.path}" for route in v1.ROUTES]


def test_every_route_is_in_the_table():
    assert sorted(EXPECTED) == sorted(ROUTES)


@pytest.fixture
def make(alice, protection, database):  # noqa: F811
    """Makes one of everything that project A can have; gives the ids by the names of the variables in paths."""
    return lambda: _everything(alice, protection, database)


def _everything(alice, protection, database):  # noqa: F811
    protection.resources[VOLUME] = [
        {"id": "v1", "type": VOLUME, "name": "data", "extra_info": None, "dependent_resources": []}
    ]
    plan = alice.post("/plans", bodies.plan(resources=[{"id": "1", "type": SERVER, "name": "x"}]))["plan"]["id"]
    spare = alice.post("/plans", bodies.plan())["plan"]["id"]
    made = alice.post(f"/providers/{PROVIDER}/checkpoints", bodies.checkpoint(plan))["checkpoint"]["id"]
    protection.set_status(made, states.AVAILABLE)
    trigger = alice.post("/triggers", bodies.trigger())["trigger_info"]["id"]
    operation = alice.post("/scheduled_operations", bodies.scheduled_operation(trigger, plan))["scheduled_operation"]
    found = {
        "plan_id": spare,
        "protected_plan_id": plan,
        "provider_id": PROVIDER,
        "checkpoint_id": made,
        "protectable_type": VOLUME,
        "resource_id": "v1",
        "restore_id": alice.post("/restores", bodies.restore(made))["restore"]["id"],
        "verification_id": alice.post("/verifications", bodies.verification(made))["verification"]["id"],
        "trigger_id": trigger,
        "scheduled_operation_id": operation["id"],
        "target_project_id": PROJECT_A,
        "class_name": "default",
    }
    with database.reader() as session:
        found["operation_log_id"] = operations.latest_of(session, checkpoint_id=made).id
    found["service_id"] = database.write(lambda session: services.beat(session, "karbor-operationengine", "here").id)
    return found


def _body(route: str, ids: dict[str, Any]) -> Any:
    noun = route.split("/")[1].split("/")[0]
    if route.startswith("POST"):
        if route.endswith("/action"):
            return {"copy": {"plan_id": ids["protected_plan_id"]}}
        return {
            "plans": bodies.plan(),
            "providers": bodies.checkpoint(ids["plan_id"]),
            "restores": bodies.restore(ids["checkpoint_id"]),
            "verifications": bodies.verification(ids["checkpoint_id"]),
            "triggers": bodies.trigger(),
            "scheduled_operations": bodies.scheduled_operation(ids["trigger_id"], ids["plan_id"]),
        }[noun]
    if route.startswith("PUT"):
        return {
            "plans": {"plan": {"name": "x"}},
            "providers": {"os-resetState": {"state": "error"}},
            "triggers": {"trigger_info": {"name": "x"}},
            "scheduled_operations": {"scheduled_operation": {"enabled": True}},
            "os-services": {"status": "disabled"},
            "quotas": {"quota": {"plans": 5}},
            "quota_classes": {"quota_class": {"plans": 5}},
        }[noun]
    return None


@pytest.mark.parametrize("route", ROUTES)
def test_who_gets_what(client, make, route):  # noqa: F811
    method, path = route.split()
    ids = make()
    for who, status in sorted(zip(WHO, EXPECTED[route], strict=True), key=lambda one: -one[1]):
        role = {"nobody": None, "stranger": "member"}.get(who, who)
        caller = client(role, PROJECT_B if who == "stranger" else PROJECT_A)
        caller.request(method, path.format(**ids), _body(route, ids), status=status)
        if status == 200 and method != "GET":
            ids = make()
