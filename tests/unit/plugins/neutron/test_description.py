import copy
from typing import Any

import pytest

from karbor_like import exception
from karbor_like.plugins.neutron import description, schema
from tests.unit.plugins.neutron.answers import (
    OPERATION,
    OTHER,
    PROJECT,
    answers,
    common,
    group,
    network,
    port,
    rule,
    subnet,
)


def describe(found: dict[str, list[Any]] | None = None, **forwardings: Any) -> description.Description:
    return description.describe(PROJECT, found or answers(), forwardings)


def ids(document: dict[str, Any], member: str) -> list[str]:
    return [each["id"] for each in document[member]]


def test_what_a_project_owns() -> None:
    document = describe().document
    assert (document["version"], document["project_id"]) == (1, PROJECT)
    assert ids(document, "networks") == ["net"]
    assert ids(document, "subnets") == ["sub"]
    assert ids(document, "routers") == ["router"]
    assert ids(document, "security_groups") == ["default", "one", "two"]
    assert ids(document, "floating_ips") == ["fip"]
    (net,) = document["networks"]
    assert (net["name"], net["description"], net["mtu"]) == ("net", "inner", 1450)
    assert "status" not in net


def test_ports_of_servers_are_described_and_those_of_services_are_not() -> None:
    described = describe()
    assert ids(described.document, "ports") == ["web"]
    assert described.document["ports"][0]["device_owner"] == "compute:nova"
    assert described.remarks == ["port lb is not in the checkpoint, because it belongs to 'Octavia'"]


def test_routers_have_gateway_interfaces_and_routes() -> None:
    (router,) = describe().document["routers"]
    assert router["gateway_network_id"] == "public"
    assert router["gateway_snat"] is True
    assert router["gateway_addresses"] == ["203.0.113.7"]
    assert router["routes"] == [{"destination": "172.16.0.0/16", "nexthop": "10.0.0.99"}]
    fixed = [{"subnet_id": "sub", "ip_address": "10.0.0.1"}]
    assert router["interfaces"] == [{"port_id": "if", "network_id": "net", "fixed_ips": fixed}]


def test_foreign_things_are_named() -> None:
    more = [port("on-shared", "shared", ("shared-sub", "10.7.0.5"), qos_policy_id="gold")]
    document = describe(answers(ports=more, **{"qos/policies": [common("gold", project_id=OTHER)]})).document
    assert document["foreign"] == [
        {"type": "OS::Neutron::Net", "id": "public", "name": "public"},
        {"type": "OS::Neutron::Net", "id": "shared", "name": "shared"},
        {"type": "OS::Neutron::Subnet", "id": "shared-sub", "name": "shared-sub"},
        {"type": "OS::Neutron::QoSPolicy", "id": "gold", "name": "gold"},
    ]


def test_foreign_things_that_the_project_does_not_see_have_no_name() -> None:
    more = [group("three", rule("x", "ingress", remote_group_id="unseen"))]
    document = describe(answers(**{"security-groups": more})).document
    assert {"type": "OS::Neutron::SecurityGroup", "id": "unseen", "name": None} in document["foreign"]


def test_what_operations_create_is_left_out() -> None:
    more = [network("n2", description=OPERATION)]
    assert ids(describe(answers(networks=more)).document, "networks") == ["net"]


def test_subnets_of_an_administrator_on_the_network_of_the_project() -> None:
    more = [subnet("admins", "net", "10.1.0.0/24", project_id=OTHER)]
    assert ids(describe(answers(subnets=more)).document, "subnets") == ["sub", "admins"]


def test_pools_trunks_and_port_forwardings() -> None:
    pool = common(
        "pool",
        prefixes=["10.8.0.0/16"],
        default_prefixlen="24",
        min_prefixlen="8",
        max_prefixlen="32",
        default_quota=None,
        ip_version=4,
        shared=False,
        is_default=False,
        address_scope_id=None,
    )
    sub = {"port_id": "child", "segmentation_type": "vlan", "segmentation_id": 101}
    found = answers(
        networks=[network("n2")],
        subnets=[subnet("s2", "n2", "10.8.0.0/24", subnetpool_id="pool")],
        subnetpools=[pool],
        ports=[port("parent", "n2"), port("child", "n2", device_owner="trunk:subport", device_id="trunk")],
        trunks=[common("trunk", port_id="parent", admin_state_up=True, status="ACTIVE", sub_ports=[sub])],
    )
    forwarding = {
        "id": "pf",
        "internal_port_id": "parent",
        "internal_ip_address": "10.8.0.7",
        "internal_port": 22,
        "external_port": 2222,
        "internal_port_range": "22:22",
        "external_port_range": "2222:2222",
        "protocol": "tcp",
        "description": "",
    }
    document = describe(found, fip=[forwarding]).document
    assert document["subnet_pools"][0]["default_prefixlen"] == 24
    assert document["subnets"][1]["subnetpool_id"] == "pool"
    assert document["trunks"][0]["sub_ports"] == [sub]
    assert ids(document, "ports") == ["web", "parent", "child"]
    (forwarded,) = document["floating_ips"][0]["port_forwardings"]
    assert (forwarded["internal_port"], forwarded["external_port"]) == (22, 2222)


def test_rules() -> None:
    more = [
        group(
            "three",
            rule("any", "ingress"),
            rule("number", "ingress", protocol=47),
            rule("addresses", "ingress", remote_address_group_id="ag"),
        )
    ]
    described = describe(answers(**{"security-groups": [{**more[0], "stateful": False}]}))
    three = described.document["security_groups"][3]
    assert [(each["id"], each["protocol"]) for each in three["rules"]] == [("any", None), ("number", "47")]
    assert three["stateful"] is False
    assert described.remarks[1] == (
        "rule addresses of security group three is not in the checkpoint, because it refers to an address group"
    )


def test_a_cloud_with_fewer_extensions() -> None:
    found = answers()
    for each in (found["networks"][0], found["ports"][0], found["subnets"][0], found["security-groups"][1]):
        for name in (
            "tags",
            "description",
            "port_security_enabled",
            "dns_name",
            "dns_domain",
            "qos_policy_id",
            "stateful",
        ):
            each.pop(name, None)
    document = describe(found).document
    assert document["networks"][0]["port_security_enabled"] is True
    assert document["ports"][0]["tags"] == []


def test_a_document_has_the_oldest_version_that_has_its_members() -> None:
    found = answers()
    assert describe(found).document["version"] == 1
    found["ports"][0]["dns_domain"] = "example.org."
    document = describe(found).document
    assert document["version"] == 2
    assert schema.checked(document)["ports"][0]["dns_domain"] == "example.org."


def test_members_that_a_later_cloud_adds_are_ignored() -> None:
    found = answers()
    found["routers"][0]["routes"][0]["bfd"] = True
    found["ports"][0]["fixed_ips"][0]["x"] = 1
    found["subnets"][0]["host_routes"][0]["x"] = 1
    describe(found)


@pytest.mark.parametrize(
    ("collection", "values"),
    [
        ("networks", {"admin_state_up": "maybe"}),
        ("networks", {"name": "x" * 2000}),
        ("networks", {"tags": [1, "a"]}),
        ("subnets", {"cidr": None}),
        ("subnets", {"allocation_pools": ["x"]}),
        ("subnets", {"ip_version": 5}),
        ("routers", {"external_gateway_info": "x"}),
        ("routers", {"routes": [{}]}),
        ("ports", {"network_id": None}),
        ("ports", {"network_id": {}}),
        ("ports", {"fixed_ips": [{"subnet_id": [], "ip_address": "x"}]}),
        ("ports", {"security_groups": 7}),
        ("security-groups", {"security_group_rules": [{"id": "x"}]}),
        ("floatingips", {"floating_network_id": None}),
    ],
    ids=str,
)
def test_answers_of_another_shape(collection: str, values: dict[str, Any]) -> None:
    found = answers()
    found[collection][0].update(values)
    with pytest.raises(exception.Unavailable, match="answers cannot be understood"):
        describe(found)


def test_too_many_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    document = describe().document
    rules = sum(len(each["rules"]) for each in document["security_groups"])
    rules += sum(len(each["interfaces"]) for each in document["routers"])
    total = sum(len(value) for value in document.values() if isinstance(value, list)) + rules
    monkeypatch.setattr(description, "MAX_OBJECTS", total)
    describe()
    monkeypatch.setattr(description, "MAX_OBJECTS", total - 1)
    with pytest.raises(exception.ResourceNotProtectable, match=f"they have {total} objects, more than {total - 1}"):
        describe()


def test_a_project_without_networks() -> None:
    document = describe({name: [] for name in schema.TYPES}).document
    assert all(document[member] == [] for member in (*schema.MEMBERS, "foreign"))
    assert schema.checked(document) == document


def test_a_stored_document_is_checked() -> None:
    document = describe().document
    assert schema.checked(copy.deepcopy(document)) == document


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(version=3), "has version 3; this release reads version 2: upgrade it"),
        (lambda d: d.update(version=0), "damaged: version"),
        (lambda d: d.pop("ports"), "'ports' is a required property"),
        (lambda d: d.update(more=[]), "'more' was unexpected"),
        (lambda d: d["networks"][0].update(shared=True), "networks.0: .*'shared' was unexpected"),
        (lambda d: d["networks"].append(d["networks"][0]), "OS::Neutron::Net#net is described twice"),
        (lambda d: d["subnets"][0].update(network_id="nowhere"), "refers to OS::Neutron::Net#nowhere"),
        (lambda d: d["foreign"].clear(), "refers to OS::Neutron::Net#public"),
        (lambda d: d["security_groups"][1]["rules"][2].update(remote_group_id="x"), "SecurityGroup#x"),
        (lambda d: d["ports"].extend(d["ports"] * 10_000), "ports: it breaks the rule 'maxItems'"),
    ],
)
def test_a_damaged_document(change: Any, words: str) -> None:
    document = describe().document
    change(document)
    with pytest.raises(exception.ResourceFailed, match=words):
        schema.checked(document)


@pytest.mark.parametrize("document", [None, [], "x", {}, {"version": "9"}])
def test_no_document(document: Any) -> None:
    with pytest.raises(exception.ResourceFailed, match="damaged"):
        schema.checked(document)
