"""The document agrees with the table of routes."""

from karbor_like.api import openapi
from karbor_like.api.controllers import v1


def test_every_route_has_its_body_and_answer():
    paths = openapi.document()["paths"]
    for route in v1.ROUTES:
        operation = paths[f"/v1/{{project_id}}{route.path}"][route.method.lower()]
        action = route.action
        assert ("requestBody" in operation) == (action.body is not None)
        assert ("content" in operation["responses"]["200"]) == (action.response is not None)
        names = [parameter["name"] for parameter in operation["parameters"]]
        places = [(parameter["name"], parameter["in"]) for parameter in operation["parameters"]]
        assert len(places) == len(set(places))
        assert ("Idempotency-Key" in names) == action.starts_operation
        assert {"400", "401", "403", "404", "500", "503"} <= set(operation["responses"])


def test_routes_that_start_an_operation_accept_a_key():
    starting = {route.path for route in v1.ROUTES if route.action.starts_operation}
    checkpoints = "/providers/{provider_id}/checkpoints"
    run = "/scheduled_operations/{scheduled_operation_id}/action"
    assert starting == {checkpoints, f"{checkpoints}/action", run, "/restores", "/verifications"}


def test_every_error_shows_its_type():
    error = openapi.document()["components"]["schemas"]["Error"]["additionalProperties"]
    assert "type" in error["required"]
    for operations in openapi.document()["paths"].values():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if status != "200":
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/Error"}
