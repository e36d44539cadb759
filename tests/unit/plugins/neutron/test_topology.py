from typing import Any

import pytest

from karbor_like import exception
from karbor_like.domain.template import Template
from karbor_like.plugins.neutron import description, rules, schema, topology
from karbor_like.plugins.neutron.choices import Choices
from tests.unit.plugins.neutron.answers import OTHER, PROJECT, answers, common, group, port, rule, subnet

#: What the topology does not create: the external network, and the default group that the target has.
IDS = {
    "OS::Neutron::Net#public": "new-public",
    "OS::Neutron::Net#shared": "new-shared",
    "OS::Neutron::Subnet#shared-sub": "new-shared-sub",
    "OS::Neutron::SecurityGroup#default": "new-default",
    "OS::Neutron::QoSPolicy#gold": "new-gold",
}
ANYWHERE = {"direction": "egress", "ethertype": "IPv4"}


class Restored:
    """A topology with resolved references."""

    def __init__(
        self, found: dict[str, list[Any]], *present: str, forwardings: Any = None, choices: Choices | None = None
    ) -> None:
        document = description.describe(PROJECT, found, forwardings or {}).document
        template = Template()
        choices = choices or Choices()
        choices.existing = {**dict.fromkeys(present, "existing"), **IDS, **choices.existing}
        self.remarks = topology.contribute(schema.checked(document), template, choices)
        self.resources = template.resolve(choices.existing)
        self.closed = rules.closed_groups(document)

    def properties(self, name: str) -> dict[str, Any]:
        return self.resources[name]["properties"]

    def rules(self, group_id: str) -> list[str]:
        """Return the names of the rules that are resources of their own."""
        owners = {"get_resource": f"securitygroup_{group_id}"}, IDS.get(f"OS::Neutron::SecurityGroup#{group_id}")
        kind = "OS::Neutron::SecurityGroupRule"
        found = {name: each for name, each in self.resources.items() if each["type"] == kind}
        return [name for name, each in found.items() if each["properties"]["security_group"] in owners]


def made(name: str) -> dict[str, str]:
    return {"get_resource": name}


def with_groups(*groups: Any) -> Restored:
    return Restored(answers(**{"security-groups": [*groups]}))


def test_a_small_workload() -> None:
    restored = Restored(answers())
    assert sorted(restored.resources) == [
        "floatingip_fip",
        "interface_router_0",
        "net_net",
        "port_web",
        "router_router",
        "routes_router",
        "rule_o3",
        "rule_t1",
        "securitygroup_one",
        "securitygroup_two",
        "subnet_sub",
    ]
    assert restored.properties("net_net") == {
        "name": "net",
        "admin_state_up": True,
        "value_specs": {"mtu": 1450, "description": "inner"},
    }
    assert restored.properties("subnet_sub")["network"] == made("net_net")
    assert restored.properties("subnet_sub")["gateway_ip"] == "10.0.0.1"
    assert restored.properties("router_router")["external_gateway_info"] == {"network": "new-public"}
    assert restored.properties("interface_router_0") == {"router": made("router_router"), "subnet": made("subnet_sub")}


def test_a_port_keeps_its_addresses() -> None:
    web = Restored(answers()).properties("port_web")
    assert web["network"] == made("net_net")
    assert web["fixed_ips"] == [{"subnet": made("subnet_sub"), "ip_address": "10.0.0.10"}]
    assert web["mac_address"] == "fa:16:3e:00:00:01"
    assert web["security_groups"] == [made("securitygroup_one")]
    assert "device_id" not in web


def test_routes_and_floating_ips_wait_for_interfaces() -> None:
    """Neither refers to an interface, and Neutron refuses both before."""
    resources = Restored(answers()).resources
    assert resources["routes_router"]["depends_on"] == ["interface_router_0"]
    assert resources["floatingip_fip"]["depends_on"] == ["interface_router_0"]
    assert "depends_on" not in resources["port_web"]


def test_the_address_of_a_floating_ip_is_asked_for() -> None:
    restored = Restored(answers())
    assert restored.properties("floatingip_fip") == {
        "floating_network": "new-public",
        "port_id": made("port_web"),
        "fixed_ip_address": "10.0.0.10",
        "direct": {"floating_ip_address": "203.0.113.50"},
    }
    assert restored.remarks == []


def test_another_address_of_a_floating_ip() -> None:
    restored = Restored(answers(), choices=Choices(addresses=False))
    assert "direct" not in restored.properties("floatingip_fip")
    assert restored.remarks == [
        "OS::Neutron::FloatingIP#fip: its address was 203.0.113.50, and the restored one has another"
    ]


def test_a_floating_ip_without_a_port() -> None:
    found = answers()
    found["floatingips"][0].update(port_id=None, fixed_ip_address=None)
    restored = Restored(found)
    assert "port_id" not in restored.properties("floatingip_fip")
    assert "depends_on" not in restored.resources["floatingip_fip"]


def test_groups_that_refer_to_each_other_do_not_depend_on_each_other() -> None:
    restored = Restored(answers())
    for name in ("one", "two"):
        assert "get_resource" not in str(restored.properties(f"securitygroup_{name}"))
    assert restored.properties("rule_o3") == {
        "security_group": made("securitygroup_one"),
        "direction": "ingress",
        "ethertype": "IPv4",
        "remote_group": made("securitygroup_two"),
    }
    assert restored.properties("rule_t1")["remote_group"] == made("securitygroup_one")


def test_a_group_may_refer_to_itself() -> None:
    restored = with_groups(group("three", rule("self", "ingress", remote_group_id="three")))
    assert restored.properties("rule_self")["remote_group"] == made("securitygroup_three")


def test_a_group_that_lets_everything_out_needs_no_rules_for_it() -> None:
    restored = Restored(answers())
    assert restored.properties("securitygroup_one") == {"name": "one"}
    assert restored.rules("one") == ["rule_o3"]


def test_restricted_egress() -> None:
    """One outgoing rule in the group replaces the two that let everything out."""
    restored = with_groups(
        group(
            "three",
            rule("described", "egress", remote_ip_prefix="192.0.2.0/24", description="why"),
            rule("dns", "egress", protocol="udp", port_range_min=53, port_range_max=53),
            rule("peers", "egress", remote_group_id="three"),
        )
    )
    assert restored.properties("securitygroup_three")["rules"] == [
        {**ANYWHERE, "protocol": "udp", "port_range_min": 53, "port_range_max": 53}
    ]
    assert restored.rules("three") == ["rule_described", "rule_peers"]
    assert restored.properties("rule_described")["description"] == "why"
    assert "three" not in restored.closed


def test_egress_of_one_version_only() -> None:
    restored = with_groups(group("three", rule("four", "egress"), rule("in", "ingress", "IPv6")))
    assert restored.properties("securitygroup_three")["rules"] == [ANYWHERE]
    assert restored.rules("three") == ["rule_in"]


def test_more_egress_than_everything() -> None:
    everything = rule("a", "egress"), rule("b", "egress", "IPv6")
    restored = with_groups(group("three", *everything, rule("c", "egress", protocol="tcp")))
    assert "rules" not in restored.properties("securitygroup_three")
    assert restored.rules("three") == ["rule_c"]


def test_groups_that_let_nothing_out_are_named() -> None:
    restored = with_groups(
        group("none"),
        group("inward", rule("a", "ingress")),
        group("to-groups", rule("b", "egress", remote_group_id="one")),
        group("some", rule("c", "egress", protocol="tcp")),
    )
    assert restored.closed == ["two", "none", "inward", "to-groups"]
    for name in restored.closed:
        assert "rules" not in restored.properties(f"securitygroup_{name}")
        assert restored.properties(f"securitygroup_{name}")["direct"] == {"closed": True}
    assert restored.rules("to-groups") == ["rule_b"]


def test_rules_without_a_prefix() -> None:
    restored = with_groups(group("three", rule("all", "ingress", "IPv6"), rule("icmp", "ingress", protocol="icmp")))
    assert restored.properties("rule_all") == {
        "security_group": made("securitygroup_three"),
        "direction": "ingress",
        "ethertype": "IPv6",
    }
    assert restored.properties("rule_icmp")["protocol"] == "icmp"


def test_the_default_group_is_that_of_the_target() -> None:
    found = answers(ports=[port("plain", "net", ("sub", "10.0.0.20"))])
    found["security-groups"][0]["security_group_rules"].append(rule("ssh", "ingress", protocol="tcp"))
    restored = Restored(found)
    assert restored.properties("port_plain")["security_groups"] == ["new-default"]
    assert restored.rules("default") == ["rule_ssh"]
    assert "securitygroup_default" not in restored.resources
    assert restored.remarks == []


def test_a_default_group_with_fewer_rules() -> None:
    found = answers()
    del found["security-groups"][0]["security_group_rules"][0]
    assert Restored(found).remarks[0] == (
        "the default security group lacked 1 of the rules that the target's has: compare them"
    )


def test_a_port_on_a_shared_network_gets_another_address() -> None:
    pairs = [{"ip_address": "10.7.0.9", "mac_address": "fa:16:3e:00:00:02"}]
    found = answers(ports=[port("p", "shared", ("shared-sub", "10.7.0.5"), allowed_address_pairs=pairs)])
    restored = Restored(found)
    assert restored.properties("port_p") == {
        "name": "p",
        "network": "new-shared",
        "fixed_ips": [{"subnet": "new-shared-sub"}],
        "admin_state_up": True,
        "security_groups": ["new-default"],
    }
    assert "not the project's, so MAC address and addresses 10.7.0.5 are not kept" in restored.remarks[0]


def test_ports_without_addresses_groups_and_security() -> None:
    found = answers(
        ports=[
            port("bare", "net", security_groups=[]),
            port("open", "net", security_groups=[], port_security_enabled=False, qos_policy_id="gold"),
        ],
        **{"qos/policies": [common("gold", project_id=OTHER)]},
    )
    restored = Restored(found)
    assert restored.properties("port_bare")["security_groups"] == []
    assert restored.properties("port_bare")["fixed_ips"] == []
    assert "security_groups" not in restored.properties("port_open")
    assert restored.properties("port_open")["qos_policy"] == "new-gold"


def test_security_that_is_the_default_is_not_mentioned() -> None:
    """A cloud without the extension refuses to hear of it."""
    found = answers(ports=[port("secured", "net", port_security_enabled=True)])
    assert "port_security_enabled" not in Restored(found).properties("port_secured")
    found["networks"][0]["port_security_enabled"] = False
    restored = Restored(found)
    assert restored.properties("net_net")["port_security_enabled"] is False
    assert restored.properties("port_secured")["port_security_enabled"] is True


def test_addresses_that_follow_from_mac_addresses_are_not_asked_for() -> None:
    found = answers()
    found["subnets"].append(subnet("six", "net", "2001:db8::/64", ip_version=6, ipv6_address_mode="slaac"))
    found["ports"][0]["fixed_ips"].append({"subnet_id": "six", "ip_address": "2001:db8::f816:3eff:fe00:1"})
    assert Restored(found).properties("port_web")["fixed_ips"] == [
        {"subnet": made("subnet_sub"), "ip_address": "10.0.0.10"},
        {"subnet": made("subnet_six")},
    ]


def test_a_subnet_of_a_pool_keeps_its_cidr() -> None:
    pool = common("pool", prefixes=["10.8.0.0/16"], default_prefixlen=24, min_prefixlen=8, max_prefixlen=32)
    found = answers(
        subnetpools=[pool], subnets=[subnet("s2", "net", "10.8.0.0/24", subnetpool_id="pool", gateway_ip=None)]
    )
    restored = Restored(found)
    assert restored.properties("subnet_s2")["cidr"] == "10.8.0.0/24"
    assert restored.properties("subnet_s2")["value_specs"] == {"subnetpool_id": made("subnetpool_pool")}
    assert restored.properties("subnet_s2")["gateway_ip"] == ""
    assert restored.properties("subnetpool_pool")["prefixes"] == ["10.8.0.0/16"]


def test_an_interface_at_another_address_than_the_gateway_has_a_port() -> None:
    found = answers()
    found["ports"][1]["fixed_ips"][0]["ip_address"] = "10.0.0.254"
    restored = Restored(found)
    assert restored.properties("interface_router_0")["port"] == made("interface_router_0_port")
    assert restored.properties("interface_router_0_port")["fixed_ips"] == [
        {"subnet": made("subnet_sub"), "ip_address": "10.0.0.254"}
    ]


def automatic_interfaces(*addresses: str) -> Restored:
    """Restore a router whose only port has addresses in IPv6 subnets with automatic addresses."""
    found, fixed = answers(), []
    for number, address in enumerate(addresses):
        gateway = f"2001:db8:{number}::1"
        found["subnets"].append(
            subnet(
                f"six{number}",
                "net",
                f"2001:db8:{number}::/64",
                ip_version=6,
                ipv6_address_mode="slaac",
                gateway_ip=gateway,
            )
        )
        fixed.append({"subnet_id": f"six{number}", "ip_address": address})
    found["ports"][1]["fixed_ips"] = fixed
    return Restored(found)


def test_a_router_gets_its_gateways_in_automatic_subnets_without_a_port() -> None:
    """Neutron refuses ports with these addresses. It adds each further subnet of a network to the same port."""
    restored = automatic_interfaces("2001:db8:0::1", "2001:db8:1::1")
    assert "interface_router_0_port" not in restored.resources
    for number, name in enumerate(("interface_router_0", "interface_router_0_1")):
        wanted = {"router": made("router_router"), "subnet": made(f"subnet_six{number}")}
        assert restored.properties(name) == wanted
    assert restored.resources["interface_router_0_1"]["depends_on"] == ["interface_router_0"]
    assert restored.remarks == []


def test_a_router_in_an_automatic_subnet_of_another_gets_another_address() -> None:
    restored = automatic_interfaces("2001:db8::f816:3eff:fe00:2")
    assert restored.properties("interface_router_0")["port"] == made("interface_router_0_port")
    assert restored.properties("interface_router_0_port")["fixed_ips"] == [{"subnet": made("subnet_six0")}]
    assert restored.remarks == [
        "OS::Neutron::Router#router: it has another address in network net, where addresses follow from MAC addresses"
    ]


def test_an_interface_in_a_network_of_others_gets_another_address() -> None:
    found = answers()
    found["ports"].append(
        port("if2", "shared", ("shared-sub", "10.7.0.9"), device_id="router", device_owner="network:router_interface")
    )
    restored = Restored(found)
    assert restored.properties("interface_router_1")["port"] == made("interface_router_1_port")
    assert restored.properties("interface_router_1_port") == {
        "network": "new-shared",
        "fixed_ips": [{"subnet": "new-shared-sub"}],
        "security_groups": [],
    }
    assert restored.remarks == [
        "OS::Neutron::Router#router: it has another address in network shared, which is not the project's"
    ]


def test_a_router_without_source_nat() -> None:
    found = answers()
    found["routers"][0]["external_gateway_info"]["enable_snat"] = False
    assert "only administrators can switch off its source NAT" in Restored(found).remarks[0]


def test_trunks_and_port_forwardings() -> None:
    sub = {"port_id": "child", "segmentation_type": "vlan", "segmentation_id": 101}
    trunk = common("trunk", port_id="parent", admin_state_up=True, sub_ports=[sub], description="d", tags=["t"])
    found = answers(ports=[port("parent", "net"), port("child", "net", device_owner="trunk:subport")], trunks=[trunk])
    found["floatingips"][0].update(port_id=None, fixed_ip_address=None)
    forwarding = {"id": "pf", "internal_port_id": "parent", "internal_ip_address": "10.0.0.7", "protocol": "tcp"}
    forwarding |= {"internal_port": 22, "external_port": 2222}
    restored = Restored(found, forwardings={"fip": [forwarding]})
    assert restored.properties("trunk_trunk") == {
        "name": "trunk",
        "description": "d",
        "port": made("port_parent"),
        "sub_ports": [{"port": made("port_child"), "segmentation_type": "vlan", "segmentation_id": 101}],
        "admin_state_up": True,
        "direct": {"tags": ["t"]},
    }
    assert restored.properties("forwarding_pf") == {
        "floating_ip": made("floatingip_fip"),
        "internal_port": made("port_parent"),
        "internal_ip_address": "10.0.0.7",
        "internal_port_number": 22,
        "external_port": 2222,
        "protocol": "tcp",
    }


EVERYTHING = tuple(
    f"OS::Neutron::{each}"
    for each in ("Net#net", "Subnet#sub", "Port#web", "Router#router", "SecurityGroup#one", "SecurityGroup#two")
)


def test_what_exists_is_left_as_it_is() -> None:
    assert Restored(answers(), *EVERYTHING, "OS::Neutron::FloatingIP#fip").resources == {}


def test_what_exists_is_connected_to_what_is_created() -> None:
    """Rules, interfaces and routes vanished together with what they refer to."""
    missing = ("OS::Neutron::Subnet#sub", "OS::Neutron::SecurityGroup#two")
    restored = Restored(answers(), *(each for each in EVERYTHING if each not in missing))
    assert sorted(restored.resources) == [
        "floatingip_fip",
        "interface_router_0",
        "routes_router",
        "rule_o3",
        "rule_t1",
        "securitygroup_two",
        "subnet_sub",
    ]
    assert restored.properties("subnet_sub")["network"] == "existing"
    assert restored.properties("interface_router_0") == {"router": "existing", "subnet": made("subnet_sub")}
    assert restored.properties("rule_o3")["security_group"] == "existing"
    assert restored.properties("rule_o3")["remote_group"] == made("securitygroup_two")


def test_routes_to_what_exists_are_left_as_they_are() -> None:
    found = answers(subnets=[subnet("other", "net", "10.1.0.0/24")])
    interface = port("if2", "net", ("other", "10.1.0.1"), device_id="router", device_owner="network:router_interface")
    found["ports"].append(interface)
    found["routers"][0]["routes"].append({"destination": "172.17.0.0/16", "nexthop": "10.1.0.99"})
    restored = Restored(found, *EVERYTHING)
    assert restored.properties("routes_router")["routes"] == [{"destination": "172.17.0.0/16", "nexthop": "10.1.0.99"}]
    assert restored.resources["routes_router"]["depends_on"] == ["interface_router_1"]


def test_an_existing_floating_ip_is_associated_with_a_port_that_is_created() -> None:
    existing = {key: "existing" for key in (*EVERYTHING, "OS::Neutron::FloatingIP#fip") if "Port#" not in key}
    restored = Restored(answers(), choices=Choices(existing=existing, associated={"fip"}))
    assert sorted(restored.resources) == ["association_fip", "port_web"]
    assert restored.properties("association_fip")["floatingip_id"] == "existing"
    assert "association_fip" not in Restored(answers(), choices=Choices(existing=existing)).resources


def test_what_is_skipped_is_not_created() -> None:
    restored = Restored(answers(), choices=Choices(skipped={"OS::Neutron::FloatingIP#fip"}))
    assert "floatingip_fip" not in restored.resources


def test_a_copy_has_other_mac_addresses() -> None:
    found = answers()
    pairs = [{"ip_address": f"10.0.0.{n}", "mac_address": f"fa:16:3e:00:00:0{n}"} for n in (1, 2)]
    found["ports"][0]["allowed_address_pairs"] = pairs
    web = Restored(found, choices=Choices(copy=True)).properties("port_web")
    assert "mac_address" not in web
    assert web["fixed_ips"] == [{"subnet": made("subnet_sub"), "ip_address": "10.0.0.10"}]
    assert web["allowed_address_pairs"] == [{"ip_address": "10.0.0.1"}, pairs[1]]


def test_a_port_with_other_addresses() -> None:
    restored = Restored(answers(), choices=Choices(plain={"web"}))
    assert restored.properties("port_web")["fixed_ips"] == [{"subnet": made("subnet_sub")}]
    assert "mac_address" not in restored.properties("port_web")
    assert "fixed_ip_address" not in restored.properties("floatingip_fip")


def test_a_copy_does_not_change_the_default_group() -> None:
    found = answers()
    found["security-groups"][0]["security_group_rules"].append(rule("ssh", "ingress", remote_group_id="one"))
    same = {"OS::Neutron::SecurityGroup#default": "default"}
    assert "rule_ssh" not in Restored(found, choices=Choices(existing=same, copy=True)).resources
    assert "rule_ssh" in Restored(found, choices=Choices(existing=same)).resources


def test_a_port_on_a_mapped_network() -> None:
    mapped = {"OS::Neutron::Net#net": "other", "OS::Neutron::Subnet#sub": "other-sub"}
    choices = Choices(existing={**mapped}, mapped={*mapped}, controlled={"net"})
    found = answers()
    found["ports"][0].update(port_security_enabled=False, security_groups=[])
    web = Restored(found, choices=choices).properties("port_web")
    assert (web["network"], web["fixed_ips"]) == ("other", [{"subnet": "other-sub"}])
    assert web["port_security_enabled"] is False
    assert "mac_address" not in web
    without = Choices(existing={"OS::Neutron::Net#net": "other"}, mapped={"OS::Neutron::Net#net"})
    without.skipped = {"OS::Neutron::Subnet#sub"}
    assert "fixed_ips" not in Restored(answers(), choices=without).properties("port_web")


def test_what_is_neither_present_nor_created_is_a_conflict() -> None:
    document = description.describe(PROJECT, answers(), {}).document
    template = Template()
    topology.contribute(document, template, Choices())
    with pytest.raises(exception.Conflict, match="OS::Neutron::Net#public"):
        template.resolve({})


def test_names_with_a_prefix() -> None:
    restored = Restored(answers(), choices=Choices(prefix="test-"))
    named = {each["properties"].get("name") for each in restored.resources.values()} - {None}
    assert named == {f"test-{each}" for each in ("net", "sub", "router", "one", "two", "web")}
