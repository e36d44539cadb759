"""Every route: the status that each kind of caller gets, and the answer while the database is unavailable."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
import webtest

from karbor_like.api.controllers import v1
from karbor_like.db import operations, services
from karbor_like.db import session as db_session
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
    deps,
    empty_database,
    engine,
    protection,
)
from tests.fixtures.fake_catalogue import PROVIDER, SERVER, VOLUME

_CHECKPOINTS = "/providers/{provider_id}/checkpoints"
_INSTANCES = "/protectables/{protectable_type}/instances"

#: "foreign" is a member of another project who requests objects of this project; "service" has only that role.
CALLERS = ("anonymous", "reader", "member", "admin", "foreign", "service")
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
    # The cloud checks the owner of the resource by the caller's token.
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
    # Conflict: a scheduled operation uses the trigger.
    "DELETE /triggers/{trigger_id}": (401, 403, 424, 424, 404, 403),
    "GET /scheduled_operations": (401, 200, 200, 200, 200, 403),
    "POST /scheduled_operations": (401, 403, 200, 200, 404, 403),
    "GET /scheduled_operations/{scheduled_operation_id}": (401, 200, 200, 200, 404, 403),
    # Only the user in whose name the operation acts can enable it.
    "PUT /scheduled_operations/{scheduled_operation_id}": (401, 403, 200, 403, 404, 403),
    "DELETE /scheduled_operations/{scheduled_operation_id}": (401, 403, 200, 200, 404, 403),
    "POST /scheduled_operations/{scheduled_operation_id}/action": (401, 403, 200, 200, 404, 403),
    "GET /scheduled_operations/{scheduled_operation_id}/retention": (401, 200, 200, 200, 404, 403),
    "GET /operation_logs": (401, 200, 200, 200, 200, 403),
    "GET /operation_logs/{operation_log_id}": (401, 200, 200, 200, 404, 403),
    # Each caller sees the own project.
    "GET /overview": (401, 200, 200, 200, 200, 403),
    "GET /health": (401, 403, 403, 200, 403, 200),
    "GET /os-services": (401, 403, 403, 200, 403, 200),
    "PUT /os-services/{service_id}": (401, 403, 403, 200, 403, 403),
    # 403 instead of 404: the existence of a project's quotas is not secret.
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
    """A function that creates an object of every kind in project A and returns the ids by their names in paths."""
    return lambda: _create_objects(alice, protection, database)


def _create_objects(alice, protection, database):  # noqa: F811
    protection.resources[VOLUME] = [
        {"id": "v1", "type": VOLUME, "name": "data", "extra_info": None, "dependent_resources": []}
    ]
    plan = alice.post("/plans", bodies.plan(resources=[{"id": "1", "type": SERVER, "name": "x"}]))["plan"]["id"]
    spare = alice.post("/plans", bodies.plan())["plan"]["id"]
    checkpoint, used = (
        alice.post(f"/providers/{PROVIDER}/checkpoints", bodies.checkpoint(plan))["checkpoint"]["id"] for _ in range(2)
    )
    for created in (checkpoint, used):
        protection.set_status(created, states.AVAILABLE)
    trigger = alice.post("/triggers", bodies.trigger())["trigger_info"]["id"]
    operation = alice.post("/scheduled_operations", bodies.scheduled_operation(trigger, plan))["scheduled_operation"]
    ids = {
        "plan_id": spare,
        "protected_plan_id": plan,
        "provider_id": PROVIDER,
        "checkpoint_id": checkpoint,
        "protectable_type": VOLUME,
        "resource_id": "v1",
        "restore_id": alice.post("/restores", bodies.restore(used))["restore"]["id"],
        "verification_id": alice.post("/verifications", bodies.verification(used))["verification"]["id"],
        "trigger_id": trigger,
        "scheduled_operation_id": operation["id"],
        "target_project_id": PROJECT_A,
        "class_name": "default",
    }
    with database.reader() as session:
        ids["operation_log_id"] = operations.latest_of(session, checkpoint_id=checkpoint).id
    ids["service_id"] = database.write(lambda session: services.beat(session, "karbor-operationengine", "here").id)
    return ids


def _body(route: str, ids: dict[str, Any]) -> Any:
    noun = route.split("/")[1].split("/")[0]
    if route.startswith("POST"):
        if route.endswith("/action"):
            return {"run": {}} if noun == "scheduled_operations" else {"copy": {"plan_id": ids["protected_plan_id"]}}
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
def test_each_kind_of_caller_gets_the_expected_status(client, make, route):  # noqa: F811
    method, path = route.split()
    ids = make()
    for name, status in sorted(zip(CALLERS, EXPECTED[route], strict=True), key=lambda expected: -expected[1]):
        role = {"anonymous": None, "foreign": "member"}.get(name, name)
        caller = client(role, PROJECT_B if name == "foreign" else PROJECT_A)
        caller.request(method, path.format(**ids), _body(route, ids), status=status)
        if status == 200 and method != "GET":
            ids = make()


#: Answered without the database of the API.
_ELSEWHERE = {route for route in ROUTES if route.startswith(("GET /providers", "GET /protectables"))} - {
    f"GET {_CHECKPOINTS}",
    f"GET {_CHECKPOINTS}/{{checkpoint_id}}",
}


#: The status of what a single query answers. On SQLite, it waits for no other process.
_QUERIES = {
    "GET /plans/{plan_id}": 200,
    "GET /triggers/{trigger_id}": 200,
    "GET /scheduled_operations/{scheduled_operation_id}": 200,
    "GET /operation_logs/{operation_log_id}": 200,
    # Refused after the query: it is not the user's own.
    "PUT /scheduled_operations/{scheduled_operation_id}": 403,
}


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Let another process write to the database, and never end."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.close()


@contextlib.contextmanager
def _away(path: str) -> Iterator[None]:
    """Put a directory in the place of the database."""
    os.rename(path, f"{path}.away")
    os.mkdir(path)
    yield
    os.rmdir(path)
    os.rename(f"{path}.away", path)


@pytest.mark.parametrize("trouble", [_locked, _away])
def test_an_unavailable_database_is_503(application, client, make, database, trouble, monkeypatch):  # noqa: F811
    monkeypatch.setattr(db_session, "_SQLITE_BUSY_SECONDS", 0)
    monkeypatch.setattr(db_session, "_RETRIES", 0)
    ids = make()
    database.engine.dispose()
    answers = {}
    with trouble(database.engine.url.database):
        for route in ROUTES:
            method, path = route.split()
            caller = client("admin")
            answers[route] = caller.raw(method, path.format(**ids), _body(route, ids))
        health = webtest.TestApp(application).get("/healthcheck", expect_errors=True)
    for route, answer in answers.items():
        if route in _ELSEWHERE:
            assert answer.status_int == 200, route
            continue
        if trouble is _locked and route in _QUERIES:
            assert answer.status_int == _QUERIES[route], route
            continue
        assert answer.status_int == 503, f"{route}: {answer.text}"
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.json["serviceUnavailable"]["type"] == "database.unavailable", route
        assert "sqlite" not in answer.text, route
    assert health.status_int == 503
    assert "database: does not answer" in health.text
    assert "sqlite" not in health.text
    assert int(health.headers["Retry-After"]) > 0
