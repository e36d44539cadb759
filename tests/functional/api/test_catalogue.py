"""Providers and protectables: what there is to choose from."""

from urllib import parse

import pytest

from karbor_like import exception
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
