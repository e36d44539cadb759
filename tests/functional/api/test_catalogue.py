"""Providers and protectables: what there is to choose from."""

from urllib import parse

import pytest
import sqlalchemy as sa

from karbor_like import exception
from karbor_like.db.checkpoints import CHECKPOINTS
from karbor_like.domain.graph import Graph
from karbor_like.domain.resource import Resource
from tests.fixtures import bodies
from tests.fixtures.api import PROJECT_A
from tests.fixtures.bodies import UNKNOWN_ID
from tests.fixtures.fake_catalogue import IMAGE, OTHER_PROVIDER, PROVIDER, SERVER, VOLUME


def test_providers(alice):
    listed = alice.get("/providers")["providers"]
    assert [one["id"] for one in listed] == [PROVIDER, OTHER_PROVIDER]
    assert alice.get(f"/providers/{PROVIDER}") == {"provider": listed[0]}
    alice.get(f"/providers/{UNKNOWN_ID}", status=404)
    alice.get("/providers/nonsense", status=400)


def test_providers_without_schemas_show_empty_ones(alice, protection):
    protection.providers[PROVIDER]["extended_info_schema"] = {}
    shown = alice.get(f"/providers/{PROVIDER}")["provider"]["extended_info_schema"]
    assert shown == {"options_schema": {}, "restore_schema": {}, "saved_info_schema": {}, "verify_schema": {}}


def test_the_list_of_providers_is_filtered_and_paged(alice):
    def ids(query: str) -> list[str]:
        return [one["id"] for one in alice.get(f"/providers?{query}")["providers"]]

    assert ids("name=Infra") == [PROVIDER]
    assert ids("name=Inf") == []
    assert ids("description=Noop+storage") == [OTHER_PROVIDER]
    assert ids(f"marker={PROVIDER}") == [OTHER_PROVIDER]
    assert ids("marker=unknown") == [PROVIDER, OTHER_PROVIDER]
    assert ids("sort_key=name&sort_dir=asc&limit=21") == [PROVIDER, OTHER_PROVIDER]
    page = alice.get("/providers?limit=1")
    assert page["providers_links"][0]["href"].endswith(f"/v1/{PROJECT_A}/providers?limit=1&marker={PROVIDER}")


def test_types(alice):
    assert alice.get("/protectables") == {"protectable_type": [VOLUME, SERVER, IMAGE]}
    shown = {"protectable_type": {"name": SERVER, "dependent_types": [VOLUME]}}
    assert alice.get(f"/protectables/{SERVER}") == shown
    assert alice.get(f"/protectables/{parse.quote(SERVER, safe='')}") == shown
    alice.get("/protectables/OS::No::Such", status=400)


@pytest.fixture
def volumes(protection):
    protection.resources[VOLUME] = [
        {"id": f"v{n}", "type": VOLUME, "name": f"data-{n}", "extra_info": None, "dependent_resources": []}
        for n in range(3)
    ]
    protection.resources[SERVER] = [
        {
            "id": "s1",
            "type": SERVER,
            "name": "web-1",
            "extra_info": None,
            "dependent_resources": [{"id": "v1", "type": VOLUME, "name": "data-1", "extra_info": {"az": "az1"}}],
        }
    ]
    return protection.resources[VOLUME]


def test_instances(alice, protection, volumes):
    assert alice.get(f"/protectables/{VOLUME}/instances")["instances"] == volumes
    shown = alice.get(f"/protectables/{SERVER}/instances/s1")["instance"]
    assert shown == protection.resources[SERVER][0]
    alice.get(f"/protectables/{SERVER}/instances/s2", status=404)
    alice.get("/protectables/OS::No::Such/instances", status=400)
    alice.get("/protectables/OS::No::Such/instances/s1", status=400)


def test_an_instance_that_cannot_be_protected_now(alice, protection, volumes):
    protection.broken["show_instance"] = exception.Conflict("volume v1 is in 'error'")
    answer = alice.get(f"/protectables/{VOLUME}/instances/v1", status=400)
    assert answer["badRequest"]["message"] == "volume v1 is in 'error'"


def test_pages_of_instances(alice, volumes):
    page = alice.get(f"/protectables/{VOLUME}/instances?limit=2")
    assert [one["id"] for one in page["instances"]] == ["v0", "v1"]
    href = page["instances_links"][0]["href"]
    assert f"/v1/{PROJECT_A}/protectables/{VOLUME}/instances?limit=2&marker=v1" in href
    rest = alice.get(f"/protectables/{VOLUME}/instances?limit=2&marker=v1")
    assert [one["id"] for one in rest["instances"]] == ["v2"]
    assert "instances_links" not in rest


@pytest.mark.parametrize("text", ["{'name': 'ns:pod1'}", '{"name": "ns:pod1"}'])
def test_parameters_of_plugins(alice, protection, volumes, text):
    query = parse.urlencode({"parameters": text, "type": VOLUME})
    alice.get(f"/protectables/{VOLUME}/instances?{query}")
    assert protection.calls[-1][1]["parameters"] == {"name": "ns:pod1"}
    alice.get(f"/protectables/{VOLUME}/instances/v1?{query}")


@pytest.mark.parametrize(
    "text", ["[1]", "nonsense", "{1: 2", "{'a': {1, 2}}", "{'a': 1e999}", "(" * 9000, "{'a': b'x'}"]
)
def test_parameters_that_are_no_dictionary(alice, volumes, text):
    query = parse.urlencode({"parameters": text})
    alice.get(f"/protectables/{VOLUME}/instances?{query}", status=400)
    alice.get(f"/protectables/{VOLUME}/instances/v1?{query}", status=400)


@pytest.fixture
def graph_of(alice, protection, database):
    """A function that makes an available checkpoint of a new plan, or of a given one, with some resources."""

    def make(*resources, plan_id=None, caller=alice, status="available"):
        plan_id = plan_id or caller.post("/plans", bodies.plan())["plan"]["id"]
        checkpoint = caller.post(f"/providers/{PROVIDER}/checkpoints", bodies.checkpoint(plan_id))["checkpoint"]["id"]
        protection.set_status(checkpoint, status)
        nodes = tuple(Resource(kind, resource_id, "n") for kind, resource_id in resources)
        edges = {nodes[-1]: nodes[:-1]} if len(nodes) > 1 else {}
        values = {"resource_graph": Graph(nodes, edges).to_text()}
        database.write(lambda session: CHECKPOINTS.update(session, checkpoint, values))
        return plan_id, checkpoint

    return make


def _shown(caller, resource_type, query):
    answer = caller.get(f"/protectables/{resource_type}/instances?{query}")
    return [one["id"] for one in answer["instances"]], answer["counts"]


def test_protected_are_the_resources_of_a_last_checkpoint_and_what_is_below_them(alice, bob, volumes, graph_of):
    plan, checkpoint = graph_of((VOLUME, "v1"), (SERVER, "s1"))
    graph_of((VOLUME, "v2"), caller=bob)
    graph_of((VOLUME, "v2"), status="error")
    graph_of((IMAGE, "v0"))
    counts = {"protected": 1, "unprotected": 2}
    assert _shown(alice, VOLUME, "protected=true") == (["v1"], counts)
    assert _shown(alice, VOLUME, "protected=False") == (["v0", "v2"], counts)
    assert _shown(alice, VOLUME, "protected=all") == (["v0", "v1", "v2"], counts)
    assert _shown(alice, SERVER, "protected=false") == ([], {"protected": 1, "unprotected": 0})
    found = {one["id"]: one for one in alice.get(f"/protectables/{VOLUME}/instances?protected=all")["instances"]}
    assert (found["v0"]["protected"], found["v0"]["last_checkpoint"]) == (False, None)
    assert found["v1"]["protected"]
    last = found["v1"]["last_checkpoint"]
    assert (last["id"], last["plan_id"], last["provider_id"]) == (checkpoint, plan, PROVIDER)
    assert {"protected", "last_checkpoint"}.isdisjoint(alice.get(f"/protectables/{VOLUME}/instances")["instances"][0])


def test_what_only_an_older_checkpoint_of_the_plan_contains_is_not_protected(alice, volumes, graph_of):
    plan, _ = graph_of((VOLUME, "v1"))
    _, newer = graph_of((VOLUME, "v2"), plan_id=plan)
    graph_of((VOLUME, "v1"), plan_id=plan, status="error")
    assert _shown(alice, VOLUME, "protected=true")[0] == ["v2"]
    _, newest = graph_of((VOLUME, "v2"))
    (one,) = alice.get(f"/protectables/{VOLUME}/instances?protected=true")["instances"]
    assert one["last_checkpoint"]["id"] == newest != newer


def test_pages_of_unprotected_instances(alice, volumes, graph_of):
    graph_of((VOLUME, "v1"))
    path = f"/protectables/{VOLUME}/instances?protected=false"
    page = alice.get(f"{path}&limit=1")
    assert [one["id"] for one in page["instances"]] == ["v0"]
    assert page["counts"] == {"protected": 1, "unprotected": 2}
    assert "protected=false&limit=1&marker=v0" in page["instances_links"][0]["href"]
    assert [one["id"] for one in alice.get(f"{path}&limit=2&marker=v0")["instances"]] == ["v2"]
    assert [one["id"] for one in alice.get(f"{path}&marker=v1")["instances"]] == ["v2"]
    alice.get(f"{path}&marker=v9", status=404)


def test_what_protected_does_not_mean(alice, volumes):
    answer = alice.get(f"/protectables/{VOLUME}/instances?protected=perhaps", status=400)
    assert "use true, false or all" in answer["badRequest"]["message"]


def test_unprotected_instances_cost_one_call_and_the_same_queries(alice, protection, database, volumes, graph_of):
    statements: list[str] = []
    sa.event.listen(database.engine, "before_cursor_execute", lambda conn, cursor, text, *rest: statements.append(text))
    counts = []
    for _ in range(3):
        graph_of((VOLUME, "v1"))
        statements.clear()
        protection.calls.clear()
        alice.get(f"/protectables/{VOLUME}/instances?protected=false")
        assert [name for name, _ in protection.calls] == ["list_instances"]
        counts.append(len(statements))
    assert counts == [counts[0]] * 3
