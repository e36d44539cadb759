"""Decisions on what a restore creates, reuses and maps."""

from typing import Any

import pytest

from karbor_like.domain.actions import Action
from karbor_like.plugins.neutron import choices, description, schema
from karbor_like.plugins.neutron.target import Target
from tests.unit.plugins.neutron.answers import (
    OPERATION,
    OTHER,
    PROJECT,
    answers,
    common,
    default_group,
    network,
    port,
    subnet,
)

KEY = f"OS::Neutron::Network#{PROJECT}"
NEW_PROJECT = "00000000000000000000000000000009"
THEIRS = {"project_id": OTHER, "tenant_id": OTHER}
MINE = {"project_id": NEW_PROJECT, "tenant_id": NEW_PROJECT}


def elsewhere(**more: list[Any]) -> dict[str, list[Any]]:
    """Return what an almost empty project of another cloud owns and sees."""
    found: dict[str, list[Any]] = {
        "networks": [network("outside", name="public", project_id=OTHER, **{"router:external": True})],
        "security-groups": [{**default_group(), "id": "there", **MINE}],
    }
    return {name: [*found.get(name, []), *more.get(name, [])] for name in {**found, **more}}


class Chosen:
    """The decisions on a document, by default the small workload in the cloud that it is from."""

    decide = staticmethod(choices.choose)

    def __init__(
        self,
        target: dict[str, list[Any]] | None = None,
        found: dict[str, list[Any]] | None = None,
        *,
        project_id: str = PROJECT,
        mapping: dict[str, str] | None = None,
        restored: tuple[str, ...] = (),
        **parameters: Any,
    ) -> None:
        document = description.describe(PROJECT, answers() if found is None else found, {}).document
        seen = Target(project_id, answers() if target is None else target, restored)
        self.choices = self.decide(schema.checked(document), seen, parameters, mapping or {}, KEY)
        self.lines = {line.resource_key.removeprefix("OS::Neutron::"): line for line in self.choices.lines}

    def action(self, name: str) -> Action:
        return self.lines[name].action

    @property
    def conflicts(self) -> list[str]:
        return [f"{line.resource_key}: {line.reason}" for line in self.choices.conflicts]


class Planned(Chosen):
    """The decisions before anything is created."""

    decide = staticmethod(choices.plan)


def without(collection: str, *ids: str) -> dict[str, list[Any]]:
    found = answers()
    found[collection] = [each for each in found[collection] if each["id"] not in ids]
    return found


PORTS = ("web", "if", "dhcp", "lb")


def test_what_exists_is_reused() -> None:
    target = answers()
    target["ports"][0].update(device_id="", device_owner="")
    chosen = Chosen(target)
    assert {line.action for line in chosen.lines.values()} == {Action.REUSE}
    assert chosen.choices.existing["OS::Neutron::SecurityGroup#default"] == "default"
    assert not chosen.choices.mapped


def test_what_is_missing_is_created() -> None:
    chosen = Chosen(without("security-groups", "two"))
    assert chosen.action("SecurityGroup#two") is Action.CREATE
    assert chosen.action("SecurityGroup#one") is Action.REUSE


def test_what_another_project_owns_or_an_operation_is_creating_is_not_reused() -> None:
    target = answers()
    target["security-groups"][1].update(project_id=OTHER, tenant_id=OTHER)
    target["security-groups"][2].update(description=OPERATION)
    chosen = Chosen(target)
    assert chosen.action("SecurityGroup#one") is Action.CREATE
    assert chosen.action("SecurityGroup#two") is Action.CREATE


def test_a_copy_reuses_nothing_of_its_own() -> None:
    chosen = Chosen(mode="copy")
    created = {name for name, line in chosen.lines.items() if line.action is Action.CREATE}
    assert created == {
        "Net#net",
        "Subnet#sub",
        "Router#router",
        "SecurityGroup#one",
        "SecurityGroup#two",
        "Port#web",
        "FloatingIP#fip",
    }
    assert chosen.action("Net#public") is Action.REUSE
    assert chosen.action("SecurityGroup#default") is Action.REUSE
    assert not chosen.choices.addresses


def test_reuse_creates_nothing() -> None:
    chosen = Chosen(without("security-groups", "two"), mode="reuse")
    assert chosen.conflicts == [
        "OS::Neutron::SecurityGroup#two: it no longer exists, and mode 'reuse' creates nothing: use 'auto'",
        "OS::Neutron::Port#web: the original is in use by server, and mode 'reuse' creates nothing: use 'auto'",
    ]


def test_a_port_in_use_is_replaced() -> None:
    chosen = Chosen()
    assert chosen.action("Port#web") is Action.CREATE
    assert chosen.choices.plain == chosen.choices.held == {"web"}
    assert chosen.choices.remarks == [
        "OS::Neutron::Port#web: the original is in use by server, so the new port has other addresses",
        "OS::Neutron::FloatingIP#fip: it remains with port web, and the new port has none",
    ]
    assert not chosen.choices.associated


def test_a_free_floating_ip_is_associated_with_the_new_port() -> None:
    target = without("ports", "web")
    target["floatingips"][0]["port_id"] = None
    assert Chosen(target).choices.associated == {"fip"}


def test_a_floating_ip_that_another_port_has_is_left_alone() -> None:
    target = without("ports", "web")
    target["ports"].append(port("other", "net"))
    target["floatingips"][0]["port_id"] = "other"
    chosen = Chosen(target)
    assert not chosen.choices.associated
    assert "remains with port other" in chosen.choices.remarks[-1]


@pytest.mark.parametrize("values", [{"description": OPERATION}, {}])
def test_what_this_operation_has_created_does_not_change_the_decision(values: dict[str, Any]) -> None:
    """The host asks again, also after it has removed the marks."""
    target = without("ports", *PORTS)
    target["ports"].append({**port("new", "net", ("sub", "10.0.0.10")), **values})
    target["floatingips"][0]["port_id"] = "new"
    chosen = Chosen(target, restored=() if values else ("new",))
    assert chosen.choices.associated == {"fip"}
    assert not chosen.choices.plain
    assert chosen.choices.remarks == []


def test_addresses_that_another_port_has_are_given_up() -> None:
    target = without("ports", *PORTS)
    target["ports"].append(port("other", "net", ("sub", "10.0.0.10"), mac_address="fa:16:3e:00:00:99"))
    chosen = Chosen(target)
    assert chosen.choices.plain == {"web"}
    assert "port other has 10.0.0.10 now" in chosen.choices.remarks[0]
    target["ports"][-1].update(fixed_ips=[], mac_address="fa:16:3e:00:00:01")
    assert Chosen(target).choices.plain == {"web"}
    assert not Chosen(without("ports", *PORTS)).choices.plain


def trunk(**values: Any) -> dict[str, list[Any]]:
    sub = {"port_id": "child", "segmentation_type": "vlan", "segmentation_id": 101}
    child = port("child", "net", device_owner="trunk:subport", device_id="trunk", mac_address="fa:16:3e:00:00:03")
    parent = port("parent", "net", mac_address="fa:16:3e:00:00:02", **values)
    return answers(
        ports=[parent, child], trunks=[common("trunk", port_id="parent", admin_state_up=True, sub_ports=[sub])]
    )


def test_a_trunk_is_reused_with_its_ports() -> None:
    chosen = Chosen(trunk(), trunk())
    assert [chosen.action(name) for name in ("Trunk#trunk", "Port#parent", "Port#child")] == [Action.REUSE] * 3


def test_a_trunk_of_a_server_is_replaced_with_its_ports() -> None:
    used = trunk(device_id="server", device_owner="compute:nova")
    chosen = Chosen(used, used)
    assert [chosen.action(name) for name in ("Trunk#trunk", "Port#parent", "Port#child")] == [Action.CREATE] * 3
    assert chosen.choices.held == {"web", "parent", "child"}


# in another cloud


def test_an_external_network_is_found_by_its_name() -> None:
    chosen = Chosen(elsewhere(), project_id=NEW_PROJECT)
    assert chosen.conflicts == []
    assert chosen.choices.existing == {
        "OS::Neutron::Net#public": "outside",
        "OS::Neutron::SecurityGroup#default": "there",
    }
    assert chosen.action("Net#public") is Action.MAP
    assert chosen.action("Net#net") is Action.CREATE


@pytest.mark.parametrize(
    ("networks", "reason"),
    [
        ([network("second", name="public", **{"router:external": True})], "2 have its name"),
        ([], "none of its name is visible"),
    ],
)
def test_an_external_network_that_is_not_unique_must_be_mapped(networks: list[Any], reason: str) -> None:
    target = elsewhere()
    target["networks"] = [*target["networks"], *networks] if networks else [network("public-2", shared=True)]
    (conflict,) = Chosen(target, project_id=NEW_PROJECT).conflicts
    assert conflict == (
        f"OS::Neutron::Net#public: it, named 'public', belongs to another project, and {reason}: name the one to use in"
        " network_map, by its id public, or give public_network_id"
    )
    for parameters in (
        {"network_map": {"public": "outside"}},
        {"public_network_id": "outside"},
        {"public_network_id": "outside", "network_map": {"public": "outside"}},
    ):
        if networks:
            assert Chosen(target, project_id=NEW_PROJECT, **parameters).conflicts == []


@pytest.mark.parametrize(
    ("parameters", "conflict"),
    [
        ({"network_map": {"nothing": "x"}}, f"{KEY}: network_map: the checkpoint has no network 'nothing'"),
        (
            {"network_map": {"net": "missing"}},
            "OS::Neutron::Net#net: it is mapped to 'missing', which the project does not see",
        ),
        (
            {"public_network_id": "shared"},
            "OS::Neutron::Net#public: it is mapped to 'shared', which is not an external network",
        ),
        (
            {"public_network_id": "outside", "network_map": {"public": "public"}},
            "OS::Neutron::Net#public: public_network_id maps it to outside, but it is also mapped to public",
        ),
        (
            {"network_map": {"net": "twin"}},
            "OS::Neutron::Net#net: it is mapped to 'twin', the name of 2 objects: use an id",
        ),
    ],
)
def test_mappings_that_are_wrong(parameters: dict[str, Any], conflict: str) -> None:
    more = [network("outside", name="o", **{"router:external": True})]
    more += [network(key, name="twin") for key in ("a", "b")]
    assert Chosen(answers(networks=more), **parameters).conflicts == [conflict]


def test_two_networks_of_one_name_are_mapped_by_their_ids() -> None:
    found = answers(networks=[network("net2", name="net")])
    (conflict,) = Chosen(found, found, network_map={"net2": "shared", "nothing": "x"}).conflicts
    assert conflict.endswith("no network 'nothing'")
    found = answers(networks=[network("a", name="twin"), network("b", name="twin")])
    (conflict,) = Chosen(found, found, network_map={"twin": "shared"}).conflicts
    assert conflict == f"{KEY}: network_map: 2 networks of the checkpoint are named 'twin': use their ids"


def test_two_mappings_of_one_network() -> None:
    chosen = Chosen(mapping={"OS::Neutron::Net#net": "shared"}, network_map={"net": "public"})
    assert chosen.conflicts == ["OS::Neutron::Net#net: network_map maps it to public, but it is also mapped to shared"]


def test_originals_that_cannot_share_one_object() -> None:
    found = answers(ports=[port("second", "net", ("sub", "10.0.0.11"))])
    target = answers(ports=[port("free", "net", ("sub", "10.0.0.12")), port("theirs", "net", **THEIRS)])
    (conflict,) = Chosen(target, found, network_map={"web": "free", "second": "free"}).conflicts
    assert conflict == "OS::Neutron::Port#second: it is mapped to free, and so is OS::Neutron::Port#web"
    (conflict,) = Chosen(target, found, network_map={"second": "theirs"}).conflicts
    assert conflict == "OS::Neutron::Port#second: it is mapped to 'theirs', which belongs to another project"


def test_a_port_of_a_server_stands_for_no_other() -> None:
    used = port("used", "net", device_id="vm", device_owner="compute:nova")
    chosen = Planned(answers(ports=[used]), network_map={"web": "used"})
    assert chosen.conflicts == ["OS::Neutron::Port#web: it is mapped to port used, which server vm has"]
    # When this restore has given it to the server, nothing has changed.
    assert Chosen(answers(ports=[used]), network_map={"web": "used"}).conflicts == []


def test_a_gateway_address_that_another_router_has() -> None:
    target = without("routers", "router")
    target["ports"] = [port("hers", "net", ("sub", "10.0.0.1"), device_id="r2")]
    (conflict,) = Planned(target).conflicts
    assert conflict == (
        "OS::Neutron::Router#router: its interface needs 10.0.0.1 in subnet sub, which port hers has now: delete that port,"
        " or name an existing router to use in network_map, by the id router"
    )
    # Later, the interface of this restore looks like it.
    assert Chosen(target).conflicts == []
    target["ports"] = []
    assert Planned(target).conflicts == []


def test_the_gateway_address_of_a_mapped_subnet() -> None:
    mine = [network("mine", **MINE)], [subnet("four", "mine", "10.1.0.0/24", **MINE)]
    gateway = port("hers", "mine", ("four", "10.1.0.1"), device_id="r2", **MINE)
    target = elsewhere(networks=mine[0], subnets=mine[1], ports=[gateway])
    chosen = Planned(target, project_id=NEW_PROJECT, network_map={"net": "mine"})
    assert ["needs 10.1.0.1 in subnet four" in conflict for conflict in chosen.conflicts] == [True]


def test_a_mapped_network_with_a_smaller_mtu() -> None:
    target = elsewhere(
        networks=[network("mine", mtu=1400, **MINE)], subnets=[subnet("s", "mine", "10.1.0.0/24", **MINE)]
    )
    chosen = Chosen(target, project_id=NEW_PROJECT, network_map={"net": "mine"})
    assert chosen.choices.remarks[-1].startswith(
        "OS::Neutron::Net#net: the MTU of network mine is 1400, and that of the"
    )
    target["networks"][-1]["mtu"] = 9000
    assert not any("MTU" in remark for remark in Chosen(target, project_id=NEW_PROJECT).choices.remarks)


def test_strict_leaves_nothing_out() -> None:
    target = elsewhere(networks=[network("mine", **MINE)])
    how = {"project_id": NEW_PROJECT, "network_map": {"net": "mine", "router": "r"}}
    target["routers"] = [common("r", **MINE)]
    assert Chosen(target, **how).action("Subnet#sub") is Action.SKIP
    assert Chosen(target, strict=True, **how).conflicts == [
        "OS::Neutron::Subnet#sub: its network is mapped, and no single subnet there corresponds to it: name the one to use in"
        " network_map, by its id"
    ]


def test_a_mapped_network_with_its_subnets() -> None:
    target = elsewhere(
        networks=[network("mine", **MINE)],
        subnets=[
            subnet("six", "mine", "10.1.0.0/24", ip_version=6, **MINE),
            subnet("four", "mine", "10.1.0.0/24", **MINE),
        ],
    )
    chosen = Chosen(target, project_id=NEW_PROJECT, network_map={"net": "mine"})
    assert chosen.conflicts == []
    assert chosen.choices.existing["OS::Neutron::Net#net"] == "mine"
    assert chosen.choices.existing["OS::Neutron::Subnet#sub"] == "four"
    assert chosen.choices.controlled == {"net"}
    target["subnets"].append(subnet("other", "mine", "10.2.0.0/24", **MINE))
    (conflict,) = Chosen(target, project_id=NEW_PROJECT, network_map={"net": "mine"}).conflicts
    assert "OS::Neutron::Subnet#sub: router router is connected to it" in conflict
    both = {"net": "mine", "sub": "other"}
    chosen = Chosen(target, project_id=NEW_PROJECT, network_map=both)
    assert chosen.conflicts == []
    assert chosen.choices.existing["OS::Neutron::Subnet#sub"] == "other"


def test_a_mapped_network_of_others_is_not_controlled() -> None:
    target = elsewhere(networks=[network("theirs", project_id=OTHER, shared=True)])
    chosen = Chosen(target, project_id=NEW_PROJECT, network_map={"net": "theirs"})
    assert not chosen.choices.controlled


def test_a_shared_network_is_found_by_its_name() -> None:
    found = answers(ports=[port("p", "shared", ("shared-sub", "10.7.0.5"))])
    there = network("there-net", name="shared", project_id=OTHER, shared=True)
    target = elsewhere(networks=[there], subnets=[subnet("there-sub", "there-net", "10.9.0.0/24", project_id=OTHER)])
    chosen = Chosen(target, found, project_id=NEW_PROJECT)
    assert chosen.conflicts == []
    assert chosen.choices.existing["OS::Neutron::Net#shared"] == "there-net"
    assert chosen.choices.existing["OS::Neutron::Subnet#shared-sub"] == "there-sub"
    target["networks"][-1] = network("own", name="shared", **MINE)
    (conflict,) = Chosen(target, found, project_id=NEW_PROJECT).conflicts
    assert "OS::Neutron::Net#shared" in conflict, "a network of the project of the same name is another one"
    assert "public_network_id" not in conflict


def test_quality_of_service_is_found_by_its_name() -> None:
    found = answers(
        ports=[port("p", "net", qos_policy_id="gold")], **{"qos/policies": [common("gold", project_id=OTHER)]}
    )
    target = elsewhere(**{"qos/policies": [{"id": "there-gold", "name": "gold"}]})
    chosen = Chosen(target, found, project_id=NEW_PROJECT)
    assert chosen.choices.existing["OS::Neutron::QoSPolicy#gold"] == "there-gold"
    (conflict,) = Chosen(elsewhere(), found, project_id=NEW_PROJECT).conflicts
    assert "QoSPolicy#gold: it, named 'gold', belongs to another project" in conflict
    target["qos/policies"][0]["name"] = "silver"
    chosen = Chosen(target, found, project_id=NEW_PROJECT, network_map={"gold": "silver"})
    assert chosen.conflicts == []


def test_without_floating_ips() -> None:
    chosen = Chosen(floating_ips="none")
    assert chosen.action("FloatingIP#fip") is Action.SKIP
    chosen = Chosen(floating_ips="new")
    assert chosen.action("FloatingIP#fip") is Action.CREATE
    assert not chosen.choices.addresses


def test_a_project_without_a_default_group() -> None:
    (conflict,) = Chosen({**elsewhere(), "security-groups": []}, project_id=NEW_PROJECT).conflicts
    assert conflict == "OS::Neutron::SecurityGroup#default: the project has no default security group"
