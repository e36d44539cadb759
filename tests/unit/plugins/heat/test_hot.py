"""Templates for Heat: what they drop, escape and refuse."""

import json
from typing import Any

import pytest

from karbor_like import exception
from karbor_like.domain.template import Reference
from karbor_like.plugins.heat import hot


def described(count: int = 1, **properties: Any) -> dict[str, dict[str, Any]]:
    return {f"net_{n}": {"type": "OS::Neutron::Net", "properties": properties} for n in range(count)}


def test_a_template_has_the_descriptions_without_what_only_direct_creation_can_set() -> None:
    resolved = {
        "net": {"type": "OS::Neutron::Net", "properties": {"name": "a", "direct": {"mtu": 1}}},
        "port": {
            "type": "OS::Neutron::Port",
            "properties": {"network": Reference(get_resource="net"), "fixed_ips": [{"subnet": "id"}]},
            "depends_on": ["net"],
        },
    }
    assert json.loads(hot.document(resolved)) == {
        "heat_template_version": hot.VERSION,
        "resources": {
            "net": {"type": "OS::Neutron::Net", "properties": {"name": "a"}},
            "port": resolved["port"],
        },
    }


@pytest.mark.parametrize("function", [{"get_file": "/etc/passwd"}, {"get_resource": "net_0"}])
def test_values_that_look_like_functions_stay_values(function: dict[str, str]) -> None:
    found = json.loads(hot.document(described(metadata=function, tags=["x"])))
    (net,) = found["resources"].values()
    (name,) = found["parameters"]
    assert net["properties"] == {"metadata": {"get_param": name}, "tags": ["x"]}
    assert found["parameters"][name] == {"type": "json", "default": function}


def test_heat_loses_direct_properties_and_unknown_types() -> None:
    assert hot.obstacle(described(name="a", direct={})) is None
    assert "hostname" in str(hot.obstacle(described(direct={"hostname": "h"})))
    assert "Test::Thing" in str(hot.obstacle({"a": {"type": "Test::Thing", "properties": {}}}))


@pytest.mark.parametrize(
    ("resolved", "numbers"),
    [(described(1001), ("1001", "1000")), (described(name="x" * 524288), ("5244", "524288"))],
    ids=["resources", "bytes"],
)
def test_templates_that_heat_refuses_are_refused(resolved: Any, numbers: tuple[str, str]) -> None:
    with pytest.raises(exception.Conflict) as error:
        hot.document(resolved)
    assert all(number in str(error.value) for number in numbers)


def test_the_largest_templates_are_accepted() -> None:
    hot.document(described(1000))
    free = hot.MAX_BYTES - len(hot.document(described(name="")))
    assert len(hot.document(described(name="x" * free))) == hot.MAX_BYTES
