"""Security groups and rules."""

from typing import Any

import pytest

from tests.unit.sandbox.network.conftest import Caller, Values

ID = "4c9c0000-0000-4000-8000-000000000000"


def rules(group: Values, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(rule[name] for name in names) for rule in group["security_group_rules"]]


def test_the_default_group(alice: Caller, bob: Caller) -> None:
    (default,) = alice.all("security_group")
    assert (default["name"], default["project_id"]) == ("default", alice.project_id)
    assert rules(default, "direction", "ethertype", "remote_group_id") == [
        ("egress", "IPv4", None),
        ("ingress", "IPv4", default["id"]),
        ("egress", "IPv6", None),
        ("ingress", "IPv6", default["id"]),
    ]
    assert alice.cannot_make("security_group", name="default") == (409, "SecurityGroupDefaultAlreadyExists")
    assert alice.cannot_drop("security_group", default["id"]) == (409, "SecurityGroupCannotRemoveDefault")
    assert alice.cannot_set("security_group", default["id"], name="x") == (409, "SecurityGroupCannotUpdateDefault")
    assert alice.set("security_group", default["id"], description="ours")["description"] == "ours"
    assert [each["project_id"] for each in bob.all("security_group")] == [bob.project_id]
    assert bob.refused("GET", f"security-groups/{default['id']}")[0] == 404


def test_a_new_group_lets_everything_out(alice: Caller) -> None:
    made = alice.make("security_group", name="web")
    assert rules(made, "direction", "ethertype", "protocol") == [("egress", "IPv4", None), ("egress", "IPv6", None)]
    for rule in made["security_group_rules"]:
        alice.drop("security_group_rule", rule["id"])
    assert alice.show("security_group", made["id"])["security_group_rules"] == []
    assert alice.cannot_set("security_group", made["id"], name="default")[0] == 409


def test_groups_may_refer_to_each_other(alice: Caller) -> None:
    one, two = (alice.make("security_group", name=name)["id"] for name in ("one", "two"))
    for group, remote in ((one, two), (two, one), (one, one)):
        alice.make("security_group_rule", security_group_id=group, direction="ingress", remote_group_id=remote)
    alice.drop("security_group", one)
    left = alice.show("security_group", two)["security_group_rules"]
    assert {rule["direction"] for rule in left} == {"egress"}


def test_rules(alice: Caller, bob: Caller) -> None:
    group = alice.make("security_group", name="web")["id"]

    def refused(**values: Any) -> tuple[int, str]:
        return alice.cannot_make(
            "security_group_rule", **{"security_group_id": group, "direction": "ingress", **values}
        )

    made = alice.make(
        "security_group_rule",
        security_group_id=group,
        direction="ingress",
        protocol="TCP",
        port_range_min=80,
        port_range_max=81,
        remote_ip_prefix="192.0.2.0/24",
    )
    assert (made["protocol"], made["ethertype"], made["remote_group_id"]) == ("tcp", "IPv4", None)
    assert "name" not in made
    assert alice.show("security_group_rule", made["id"])["id"] == made["id"]
    same = {"protocol": "tcp", "port_range_min": 80, "port_range_max": 81, "remote_ip_prefix": "192.0.2.0/24"}
    assert refused(**same) == (409, "SecurityGroupRuleExists")
    assert refused(protocol="tcp", port_range_min=2, port_range_max=1)[0] == 400
    assert refused(protocol="tcp", port_range_min=2)[0] == 400
    assert refused(port_range_min=1, port_range_max=2)[0] == 400
    assert refused(remote_ip_prefix="2001:db8::/64")[0] == 400
    assert refused(remote_ip_prefix="x")[0] == 400
    assert refused(remote_ip_prefix="192.0.2.0/24", remote_group_id=group)[0] == 400
    assert refused(remote_group_id=ID)[0] == 404
    assert refused(security_group_id=ID)[0] == 404
    assert refused(direction="both")[0] == 400
    assert alice.cannot_make("security_group_rule", security_group_id=group)[0] == 400
    assert alice.cannot_set("security_group_rule", made["id"], protocol="udp")[0] == 400
    assert bob.cannot_make("security_group_rule", security_group_id=group, direction="ingress")[0] == 404
    alice.make("security_group_rule", security_group_id=group, direction="ingress", protocol="icmp", port_range_min=8)
    host = {"direction": "ingress", "security_group_id": group, "remote_ip_prefix": "192.0.2.7"}
    assert alice.make("security_group_rule", **host)["remote_ip_prefix"] == "192.0.2.7/32"


def test_a_group_in_use_stays(alice: Caller, network: Values) -> None:
    group = alice.make("security_group", name="web")["id"]
    port = alice.make("port", network_id=network["id"], security_groups=[group])
    assert alice.cannot_drop("security_group", group) == (409, "SecurityGroupInUse")
    alice.drop("port", port["id"])
    alice.drop("security_group", group)


@pytest.mark.parametrize("kind", ["security_group", "security_group_rule"])
def test_quotas(alice: Caller, admin: Caller, kind: str) -> None:
    used = len(alice.all(kind))
    admin.ok("PUT", f"quotas/{alice.project_id}", {"quota": {kind: used}})
    group = alice.all("security_group")[0]["id"]
    values = {"name": "x"} if kind == "security_group" else {"security_group_id": group, "direction": "ingress"}
    assert alice.cannot_make(kind, **values) == (409, "OverQuota")
