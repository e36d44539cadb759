"""Ports and trunks."""

import pytest

from tests.unit.sandbox.network.conftest import Caller, Values


@pytest.fixture
def shared(admin: Caller) -> Values:
    """A shared network with the subnet 10.7.0.0/24."""
    made = admin.make("network", shared=True)
    made["subnets"] = [admin.subnet(made["id"], "10.7.0.0/24")["id"]]
    return made


def default_group(caller: Caller) -> str:
    (found,) = caller.all("security_group", name="default")
    return found["id"]


def test_a_port(alice: Caller, network: Values, subnet: Values) -> None:
    six = alice.subnet(network["id"], "2001:db8::/64", ip_version=6)
    made = alice.make("port", network_id=network["id"], name="p")
    assert made["fixed_ips"] == [
        {"subnet_id": subnet["id"], "ip_address": "10.0.0.2"},
        {"subnet_id": six["id"], "ip_address": "2001:db8::2"},
    ]
    assert made["security_groups"] == [default_group(alice)]
    assert made["port_security_enabled"] is True
    assert (made["device_id"], made["device_owner"], made["status"]) == ("", "", "DOWN")
    assert made["mac_address"].startswith("fa:16:3e:")
    assert "binding:host_id" not in made
    used = alice.set("port", made["id"], device_id="x", device_owner="compute:nova")
    assert used["status"] == "ACTIVE"
    assert alice.all("port", device_id="x", device_owner="compute:nova") == [used]
    alice.drop("port", made["id"])
    assert alice.all("port") == []


def test_automatic_addresses(alice: Caller, network: Values) -> None:
    """https://datatracker.ietf.org/doc/html/rfc4291#appendix-A"""
    mode = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    six = alice.subnet(network["id"], "2001:db8::/64", ip_version=6, **mode)["id"]
    made = alice.make("port", network_id=network["id"], mac_address="fa:16:3e:00:00:01")
    assert made["fixed_ips"] == [{"subnet_id": six, "ip_address": "2001:db8::f816:3eff:fe00:1"}]
    asked = {"subnet_id": six, "ip_address": "2001:db8::7"}
    refused = alice.cannot_make("port", network_id=network["id"], fixed_ips=[asked])
    assert refused == (400, "AllocationOnAutoAddressSubnet")


def test_what_owners_of_a_network_may_give(alice: Caller, network: Values, subnet: Values) -> None:
    fixed = [{"subnet_id": subnet["id"], "ip_address": "10.0.0.1"}, {"ip_address": "10.0.0.77"}]
    made = alice.make(
        "port",
        network_id=network["id"],
        mac_address="FA:16:3E:00:00:01",
        fixed_ips=fixed,
        allowed_address_pairs=[{"ip_address": "192.0.2.0/24"}],
        security_groups=[],
    )
    assert made["mac_address"] == "fa:16:3e:00:00:01"
    assert [each["ip_address"] for each in made["fixed_ips"]] == ["10.0.0.1", "10.0.0.77"]
    assert made["allowed_address_pairs"] == [{"ip_address": "192.0.2.0/24", "mac_address": "fa:16:3e:00:00:01"}]
    assert made["security_groups"] == []
    without = alice.make("port", network_id=network["id"], port_security_enabled=False, fixed_ips=[])
    assert (without["security_groups"], without["fixed_ips"]) == ([], [])


def test_what_members_may_not_give_on_shared_networks(alice: Caller, shared: Values, outside: Values) -> None:
    subnet = shared["subnets"][0]
    for values in (
        {"fixed_ips": [{"ip_address": "10.7.0.9"}]},
        {"fixed_ips": [{"subnet_id": subnet, "ip_address": "10.7.0.9"}]},
        {"mac_address": "fa:16:3e:00:00:01"},
        {"allowed_address_pairs": [{"ip_address": "10.7.0.9"}]},
        {"port_security_enabled": False},
    ):
        for network in (shared, outside):
            assert alice.cannot_make("port", network_id=network["id"], **values) == (403, "PolicyNotAuthorized")
    made = alice.make("port", network_id=shared["id"], fixed_ips=[{"subnet_id": subnet}], allowed_address_pairs=[])
    assert made["fixed_ips"] == [{"subnet_id": subnet, "ip_address": "10.7.0.2"}]
    assert alice.cannot_set("port", made["id"], port_security_enabled=False)[0] == 403
    alice.set("port", made["id"], name="x", port_security_enabled=True)


def test_conflicts(alice: Caller, network: Values, subnet: Values) -> None:
    mac, address = "fa:16:3e:00:00:01", "10.0.0.9"
    made = alice.make("port", network_id=network["id"], mac_address=mac, fixed_ips=[{"ip_address": address}])
    on = {"network_id": network["id"]}
    assert alice.cannot_make("port", **on, mac_address=mac) == (409, "MacAddressInUse")
    taken = [{"ip_address": address}]
    assert alice.cannot_make("port", **on, fixed_ips=taken) == (409, "IpAddressAlreadyAllocated")
    other = alice.make("port", **on)
    assert alice.cannot_set("port", other["id"], mac_address=mac)[0] == 409
    assert alice.cannot_set("port", other["id"], fixed_ips=taken)[0] == 409
    alice.set("port", made["id"], fixed_ips=[*taken, {"ip_address": "10.0.0.10"}], mac_address=mac)
    elsewhere = alice.make("network")
    alice.subnet(elsewhere["id"])
    alice.make("port", network_id=elsewhere["id"], mac_address=mac, fixed_ips=taken)


def test_addresses_run_out(alice: Caller, network: Values) -> None:
    alice.subnet(network["id"], "10.0.0.0/30")
    alice.make("port", network_id=network["id"])
    assert alice.cannot_make("port", network_id=network["id"]) == (409, "IpAddressGenerationFailure")


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"network_id": "4c9c0000-0000-4000-8000-000000000000"}, 404),
        ({"fixed_ips": [{"ip_address": "10.9.0.1"}]}, 400),
        ({"fixed_ips": [{"subnet_id": "x"}]}, 400),
        ({"fixed_ips": [{}]}, 400),
        ({"fixed_ips": [{"ip_address": "x"}]}, 400),
        ({"mac_address": "x"}, 400),
        ({"security_groups": ["4c9c0000-0000-4000-8000-000000000000"]}, 404),
        ({"allowed_address_pairs": [{"address": "10.0.0.1"}]}, 400),
        ({"port_security_enabled": False, "allowed_address_pairs": [{"ip_address": "10.0.0.9"}]}, 409),
        ({"tags": []}, 400),
        ({"binding:host_id": "h"}, 403),
    ],
    ids=str,
)
def test_ports_that_are_refused(alice: Caller, network: Values, subnet: Values, values: Values, status: int) -> None:
    assert alice.cannot_make("port", **{"network_id": network["id"], **values})[0] == status


def test_an_address_outside_the_given_subnet(alice: Caller, network: Values, subnet: Values) -> None:
    fixed = [{"subnet_id": subnet["id"], "ip_address": "10.9.0.1"}]
    assert alice.cannot_make("port", network_id=network["id"], fixed_ips=fixed) == (400, "InvalidIpForSubnet")


def test_port_security_and_groups(alice: Caller, network: Values, subnet: Values) -> None:
    open_network = alice.make("network", port_security_enabled=False)
    assert alice.make("port", network_id=open_network["id"])["port_security_enabled"] is False
    made = alice.make("port", network_id=network["id"])
    assert alice.cannot_set("port", made["id"], port_security_enabled=False)[0] == 409
    alice.set("port", made["id"], port_security_enabled=False, security_groups=[])
    assert alice.cannot_set("port", made["id"], security_groups=[default_group(alice)])[0] == 409


def test_ports_of_others(alice: Caller, bob: Caller, network: Values, subnet: Values) -> None:
    made = alice.make("port", network_id=network["id"])
    assert bob.all("port") == []
    assert bob.cannot_make("port", network_id=network["id"])[0] == 404
    assert bob.cannot_drop("port", made["id"])[0] == 404
    assert (
        bob.cannot_make("port", network_id=bob.make("network")["id"], security_groups=[default_group(alice)])[0] == 404
    )


def test_trunks(alice: Caller, bob: Caller, network: Values, subnet: Values) -> None:
    parent, one, two = (alice.make("port", network_id=network["id"])["id"] for _ in range(3))

    def sub(port_id: str, vlan: int) -> Values:
        return {"port_id": port_id, "segmentation_type": "vlan", "segmentation_id": vlan}

    trunk = alice.make("trunk", name="t", port_id=parent, sub_ports=[sub(one, 5)])
    assert trunk["sub_ports"] == [sub(one, 5)]
    assert alice.show("port", one)["device_owner"] == "trunk:subport"
    details = {"trunk_id": trunk["id"], "sub_ports": [sub(one, 5)]}
    assert alice.show("port", parent)["trunk_details"] == details
    path = f"trunks/{trunk['id']}"
    assert alice.cannot_make("trunk", port_id=parent) == (409, "PortInUseAsTrunkParent")
    assert alice.cannot_make("trunk", port_id=one) == (409, "PortInUseAsSubPort")
    assert alice.refused("PUT", f"{path}/add_subports", {"sub_ports": [sub(two, 5)]}) == (409, "DuplicateSubPort")
    assert alice.refused("PUT", f"{path}/add_subports", {"sub_ports": [sub(parent, 6)]})[0] == 409
    assert alice.refused("PUT", f"{path}/add_subports", {"sub_ports": [{"port_id": two}]})[0] == 400
    alice.ok("PUT", f"{path}/add_subports", {"sub_ports": [sub(two, 6)]})
    assert alice.ok("GET", f"{path}/get_subports") == {"sub_ports": [sub(one, 5), sub(two, 6)]}
    assert alice.cannot_drop("port", parent) == (409, "PortInUseAsTrunkParent")
    assert alice.cannot_drop("port", one) == (409, "PortInUseAsSubPort")
    assert bob.cannot_drop("trunk", trunk["id"])[0] == 404
    alice.ok("PUT", f"{path}/remove_subports", {"sub_ports": [{"port_id": two}]})
    assert alice.refused("PUT", f"{path}/remove_subports", {"sub_ports": [{"port_id": two}]})[0] == 404
    alice.drop("port", two)
    alice.drop("trunk", trunk["id"])
    assert alice.show("port", one)["device_owner"] == ""
    other = alice.make("port", network_id=network["id"])["id"]
    assert alice.cannot_make("trunk", port_id=other, sub_ports=[sub(one, 5), sub(one, 6)])[0] == 409
