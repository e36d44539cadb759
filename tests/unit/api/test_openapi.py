"""The document says what the table of routes says."""

from karbor_like.api import openapi
from karbor_like.api.controllers import v1


def test_every_route_is_there_with_its_body_and_answer():
    paths = openapi.document()["paths"]
    for route in v1.ROUTES:
        operation = paths[f"/v1/{{project_id}}{route.path}"][route.method.lower()]
        action = route.action
        assert ("requestBody" in operation) == (action.body is not None)
        assert ("content" in operation["responses"]["200"]) == (action.response is not None)
        names = [one["name"] for one in operation["parameters"]]
        places = [(one["name"], one["in"]) for one in operation["parameters"]]
        assert len(places) == len(set(places))
        assert ("Idempotency-Key" in names) == action.starts_operation
        assert {"400", "401", "403", "404", "500", "503"} <= set(operation["responses"])


def test_what_starts_an_operation_takes_a_key():
    starting = {route.path for route in v1.ROUTES if route.action.starts_operation}
    checkpoints = "/providers/{provider_id}/checkpoints"
    assert starting == {checkpoints, f"{checkpoints}/action", "/restores", "/verifications"}
