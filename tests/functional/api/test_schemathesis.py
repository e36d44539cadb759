"""Requests made up from the OpenAPI document, sent to the running application: no fault, nothing undocumented.

Bounded: a few examples for every operation, the same at every run.
"""

import itertools
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from karbor_like.api.controllers import v1
from karbor_like.db import operations, services
from karbor_like.domain import states
from tests.fixtures import bodies
from tests.fixtures.api import PROJECT_A, token
from tests.fixtures.fake_catalogue import PROVIDER, SERVER, VOLUME

CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
HEADERS = {"X-Auth-Token": token("admin")}
ROUTES = [f"{route.method} {route.path}" for route in v1.ROUTES]


@pytest.fixture
def known(alice, protection, database) -> dict[str, Any]:
    """One of everything, so that not every request ends at a path that leads nowhere."""
    protection.resources[VOLUME] = [
        {"id": "v1", "type": VOLUME, "name": "data", "extra_info": None, "dependent_resources": []}
    ]
    plan = alice.post("/plans", bodies.plan(resources=[{"id": "1", "type": SERVER, "name": "x"}]))["plan"]["id"]
    made = alice.post(f"/providers/{PROVIDER}/checkpoints", bodies.checkpoint(plan))["checkpoint"]["id"]
    protection.set_status(made, states.AVAILABLE)
    trigger = alice.post("/triggers", bodies.trigger())["trigger_info"]["id"]
    operation = alice.post("/scheduled_operations", bodies.scheduled_operation(trigger, plan))["scheduled_operation"]
    with database.reader() as session:
        log = operations.latest_of(session, checkpoint_id=made).id
    service = database.write(lambda session: services.beat(session, "karbor-operationengine", "here").id)
    return {
        "plan_id": plan,
        "provider_id": PROVIDER,
        "checkpoint_id": made,
        "protectable_type": VOLUME,
        "resource_id": "v1",
        "restore_id": alice.post("/restores", bodies.restore(made))["restore"]["id"],
        "verification_id": alice.post("/verifications", bodies.verification(made))["verification"]["id"],
        "trigger_id": trigger,
        "scheduled_operation_id": operation["id"],
        "operation_log_id": log,
        "service_id": service,
        "target_project_id": PROJECT_A,
        "class_name": "default",
    }


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("route", ROUTES)
def test_requests_made_up_from_the_document(application, known, route, mode):
    schema = schemathesis.openapi.from_wsgi("/v1/openapi.json", application)
    method, path = route.split()
    turn = itertools.count()

    @settings(
        max_examples=10,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=schema[f"/v1/{{project_id}}{path}"][method].as_strategy(generation_mode=mode))
    def send(case: schemathesis.Case) -> None:
        case.path_parameters["project_id"] = PROJECT_A
        if next(turn) % 3:
            case.path_parameters.update((name, known[name]) for name in case.path_parameters if name in known)
        answer = case.call(headers=HEADERS)
        case.validate_response(answer, checks=CHECKS)

    send()
