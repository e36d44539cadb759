"""The template of a restore."""

import pytest

from karbor_like import exception
from karbor_like.domain.template import Template

GROUP_A = "OS::Neutron::SecurityGroup#a"
GROUP_B = "OS::Neutron::SecurityGroup#b"
NETWORK = "OS::Neutron::Net#n"


def test_references_become_resources_of_the_template_or_ids() -> None:
    template = Template()
    template.add("a", "Group", {"peer": Template.reference(GROUP_B)}, restores=GROUP_A)
    template.add("b", "Group", {"rules": [{"remote": Template.reference(GROUP_A), "port": 22}]}, restores=GROUP_B)
    template.add("port", "Port", {"network": Template.reference(NETWORK), "groups": (Template.reference(GROUP_A), "x")})
    assert template.resolve({NETWORK: "net-1", GROUP_A: "unused"}) == {
        "a": {"type": "Group", "properties": {"peer": {"get_resource": "b"}}},
        "b": {"type": "Group", "properties": {"rules": [{"remote": {"get_resource": "a"}, "port": 22}]}},
        "port": {"type": "Port", "properties": {"network": "net-1", "groups": [{"get_resource": "a"}, "x"]}},
    }


def test_all_unknown_references_are_listed() -> None:
    template = Template()
    template.add("port", "Port", {"network": Template.reference(NETWORK), "groups": [Template.reference(GROUP_A)]})
    with pytest.raises(exception.Conflict, match=f"not restored: {NETWORK}, {GROUP_A}; map each"):
        template.resolve({})


def test_nothing_is_described_twice() -> None:
    template = Template()
    template.add("a", "Group", {}, restores=GROUP_A)
    with pytest.raises(exception.Conflict, match="template resource a: it is described twice"):
        template.add("a", "Group", {})
    with pytest.raises(exception.Conflict, match=f"{GROUP_A}: the template restores it as a and as c"):
        template.add("c", "Group", {}, restores=GROUP_A)


def test_empty_template() -> None:
    assert Template().resolve({}) == {}


def test_an_order_without_a_reference() -> None:
    template = Template()
    template.add("route", "Route", {}, after=["interface"])
    template.add("interface", "Interface", {})
    assert template.resolve({})["route"] == {"type": "Route", "properties": {}, "depends_on": ["interface"]}
    assert "depends_on" not in template.resolve({})["interface"]


def test_objects_of_the_target_stand_for_originals() -> None:
    template = Template()
    template.add(
        "a", "Group", {"peer": Template.reference(GROUP_B), "network": Template.reference(NETWORK)}, restores=GROUP_A
    )
    template.use(GROUP_B, "group-of-the-target")
    assert [template.knows(original) for original in (GROUP_A, GROUP_B, NETWORK)] == [True, True, False]
    assert template.originals == {GROUP_A: "a"}
    resolved = template.resolve({NETWORK: "net-1"})
    assert resolved["a"]["properties"] == {"peer": "group-of-the-target", "network": "net-1"}


def test_values_of_tenants_are_no_references() -> None:
    template = Template()
    values = {"metadata": {"ref": GROUP_A}, "tags": [{"get_resource": "a"}]}
    template.add("server", "Server", values)
    assert template.resolve({GROUP_A: "x"})["server"]["properties"] == values
