"""Templates for Heat: what they drop, escape and refuse."""

import json
from typing import Any

import pytest

from karbor_like import exception
from karbor_like.domain.template import Reference
from karbor_like.plugins.heat import hot
from karbor_like.plugins.neutron.deployables.types import DEPLOYABLES


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
        "group": {"type": "OS::Neutron::SecurityGroup", "properties": {"description": "web servers"}},
        "rule": {"type": "OS::Neutron::SecurityGroupRule", "properties": {"direction": "egress"}},
    }
    marked = {"value_specs": {"description": {"get_param": hot.MARK}}}
    assert json.loads(hot.document(resolved, DEPLOYABLES)) == {
        "heat_template_version": hot.VERSION,
        "parameters": {hot.MARK: {"type": "string", "default": ""}},
        "resources": {
            "net": {"type": "OS::Neutron::Net", "properties": {"name": "a"} | marked},
            "port": {
                **resolved["port"],
                "properties": {"network": {"get_resource": "net"}, "fixed_ips": [{"subnet": "id"}], **marked},
            },
            "group": {"type": "OS::Neutron::SecurityGroup", "properties": {"description": {"get_param": hot.MARK}}},
            "rule": resolved["rule"],
        },
    }


@pytest.mark.parametrize("function", [{"get_file": "/etc/passwd"}, {"get_resource": "net_0"}])
def test_values_that_look_like_functions_stay_values(function: dict[str, str]) -> None:
    found = json.loads(hot.document(described(metadata=function, tags=["x"]), DEPLOYABLES))
    (net,) = found["resources"].values()
    (name,) = found["parameters"].keys() - {hot.MARK}
    assert net["properties"].items() >= {"metadata": {"get_param": name}, "tags": ["x"]}.items()
    assert found["parameters"][name] == {"type": "json", "default": function}


def test_heat_loses_direct_properties_and_unknown_types() -> None:
    assert hot.obstacle(described(name="a", direct={}), DEPLOYABLES) is None
    assert "hostname" in str(hot.obstacle(described(direct={"hostname": "h"}), DEPLOYABLES))
    assert "Test::Thing" in str(hot.obstacle({"a": {"type": "Test::Thing", "properties": {}}}, DEPLOYABLES))


@pytest.mark.parametrize(
    ("resolved", "numbers"),
    [(described(1001), ("1001", "1000")), (described(name="x" * 524288), ("5245", "524288"))],
    ids=["resources", "bytes"],
)
def test_templates_that_heat_refuses_are_refused(resolved: Any, numbers: tuple[str, str]) -> None:
    with pytest.raises(exception.Conflict) as error:
        hot.document(resolved, DEPLOYABLES)
    assert all(number in str(error.value) for number in numbers)


def test_the_largest_templates_are_accepted() -> None:
    hot.document(described(1000), DEPLOYABLES)
    free = hot.MAX_BYTES - len(hot.document(described(name=""), DEPLOYABLES))
    assert len(hot.document(described(name="x" * free), DEPLOYABLES)) == hot.MAX_BYTES
