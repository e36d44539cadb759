"""What the API counts, and the route that shows it."""

import webtest

from karbor_like.api.app import build
from karbor_like.metrics import families
from tests.fixtures import bodies
from tests.fixtures.api import check_tokens


def count(method: str, route: str, status: int) -> float:
    labels = {"method": method, "route": route, "status": str(status)}
    return families.REGISTRY.get_sample_value("karbor_like_api_requests_total", labels) or 0


def test_requests_are_counted_by_the_names_of_their_variables(alice, client, application):
    seen = {
        ("GET", "/plans/{plan_id}", 200): 2,
        ("GET", "/plans/{plan_id}", 404): 1,
        ("POST", "/plans", 200): 2,
        ("GET", "none", 404): 2,
        ("GET", "none", 401): 1,
        ("GET", "healthcheck", 503): 0,
    }
    before = {key: count(*key) for key in seen}
    for _ in range(2):
        plan = alice.post("/plans", bodies.plan())["plan"]["id"]
        alice.get(f"/plans/{plan}")
    alice.get("/plans/00000000-0000-4000-8000-000000000000", status=404)
    alice.get("/nothing", status=404)
    alice.get("/nothing/else", status=404)
    client(None).get("/plans", status=401)
    assert {key: count(*key) - before[key] for key in seen} == seen


def test_the_route_is_off_by_default(application):
    assert webtest.TestApp(application).get("/metrics", expect_errors=True).status_int == 300


def test_the_route_needs_no_token(deps, conf):
    conf.set_override("api_route", True, group="metrics")
    answer = webtest.TestApp(build(deps, check_tokens)).get("/metrics")
    assert answer.content_type == "text/plain"
    assert "\nkarbor_like_up 1.0\n" in answer.text
