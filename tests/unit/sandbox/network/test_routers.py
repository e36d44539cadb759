"""Routers, floating IPs and port forwardings."""

import pytest

from tests.unit.sandbox.network.conftest import Caller, Values


@pytest.fixture
def port(alice: Caller, network: Values, router: Values) -> Values:
    """A port behind the router."""
    return alice.make("port", network_id=network["id"])


def test_a_router(alice: Caller, network: Values, subnet: Values, outside: Values, router: Values) -> None:
    info = alice.show("router", router["id"])["external_gateway_info"]
    assert info["network_id"] == outside["id"]
    assert [each["ip_address"] for each in info["external_fixed_ips"]] == ["203.0.113.2"]
    (interface,) = alice.all("port", device_id=router["id"])
    assert interface["device_owner"] == "network:router_interface"
    assert interface["fixed_ips"] == [{"subnet_id": subnet["id"], "ip_address": "10.0.0.1"}]
    assert alice.cannot_drop("port", interface["id"]) == (409, "ServicePortInUse")
    assert alice.cannot_drop("router", router["id"]) == (409, "RouterInUse")
    assert alice.cannot_drop("network", network["id"]) == (409, "NetworkInUse")
    alice.ok("PUT", f"routers/{router['id']}/remove_router_interface", {"subnet_id": subnet["id"]})
    alice.drop("router", router["id"])
    alice.drop("network", network["id"])


def test_ports_of_gateways_belong_to_no_project(alice: Caller, admin: Caller, router: Values) -> None:
    (gateway,) = admin.all("port", device_owner="network:router_gateway")
    assert gateway["project_id"] == ""
    assert alice.refused("GET", f"ports/{gateway['id']}")[0] == 404


def test_what_members_may_not_give(alice: Caller, admin: Caller, network: Values, outside: Values) -> None:
    gateway = {"network_id": outside["id"]}
    for more in ({"enable_snat": True}, {"external_fixed_ips": [{"ip_address": "203.0.113.9"}]}):
        assert alice.cannot_make("router", external_gateway_info={**gateway, **more})[0] == 403
    for values in ({"ha": False}, {"distributed": True}):
        assert alice.cannot_make("router", **values) == (403, "PolicyNotAuthorized")
    assert alice.cannot_make("router", routes=[])[0] == 400
    assert alice.cannot_make("router", external_gateway_info={"network_id": network["id"]})[0] == 400
    made = admin.make("router", external_gateway_info={**gateway, "enable_snat": False}, ha=False)
    assert made["external_gateway_info"]["enable_snat"] is False
    assert "ha" in made
    assert "ha" not in alice.make("router")


def test_interfaces(alice: Caller, bob: Caller, network: Values, subnet: Values, router: Values) -> None:
    add, remove = (f"routers/{router['id']}/{verb}_router_interface" for verb in ("add", "remove"))
    second = alice.subnet(network["id"], "10.1.0.0/24")
    port = alice.make("port", network_id=network["id"], fixed_ips=[{"ip_address": "10.1.0.77"}])
    made = alice.ok("PUT", add, {"port_id": port["id"]})
    assert made["subnet_ids"] == [second["id"]]
    assert alice.show("port", port["id"])["device_id"] == router["id"]
    assert alice.refused("PUT", add, {"port_id": port["id"]}) == (409, "PortInUse")
    assert alice.refused("PUT", add, {"subnet_id": subnet["id"]}) == (400, "BadRequest")
    assert alice.refused("PUT", add, {})[0] == 400
    assert bob.refused("PUT", add, {"subnet_id": subnet["id"]})[0] == 404
    elsewhere = alice.make("network")
    without = alice.subnet(elsewhere["id"], "10.3.0.0/24", gateway_ip=None)
    assert alice.refused("PUT", add, {"subnet_id": without["id"]}) == (400, "BadRequest")
    taken = alice.subnet(alice.make("network")["id"], "10.4.0.0/24")
    alice.make("port", network_id=taken["network_id"], fixed_ips=[{"ip_address": "10.4.0.1"}])
    assert alice.refused("PUT", add, {"subnet_id": taken["id"]}) == (409, "IpAddressAlreadyAllocated")
    alice.ok("PUT", remove, {"port_id": port["id"]})
    assert alice.refused("PUT", remove, {"port_id": port["id"]})[0] == 404


def test_routes_need_an_interface(alice: Caller, subnet: Values, router: Values) -> None:
    routes = [{"destination": "172.16.0.0/16", "nexthop": "10.0.0.99"}]
    away = [{"destination": "172.16.0.0/16", "nexthop": "10.9.0.1"}]
    assert alice.cannot_set("router", router["id"], routes=away) == (400, "InvalidRoutes")
    assert alice.cannot_set("router", router["id"], routes=[{"destination": "x", "nexthop": "10.0.0.9"}])[0] == 400
    assert alice.cannot_set("router", router["id"], routes=[{"nexthop": "10.0.0.9"}])[0] == 400
    assert alice.set("router", router["id"], routes=routes)["routes"] == routes
    remove = f"routers/{router['id']}/remove_router_interface"
    answer = alice.refused("PUT", remove, {"subnet_id": subnet["id"]})
    assert answer == (409, "RouterInterfaceInUseByRoute")
    assert alice.set("router", router["id"], routes=None)["routes"] == []
    alice.ok("PUT", remove, {"subnet_id": subnet["id"]})


def test_gateways_change(alice: Caller, admin: Caller, router: Values, outside: Values) -> None:
    admin.set("router", router["id"], external_gateway_info={"network_id": outside["id"], "enable_snat": False})
    fixed = [{"ip_address": "203.0.113.50"}]
    moved = {"network_id": outside["id"], "external_fixed_ips": fixed}
    info = admin.set("router", router["id"], external_gateway_info=moved)["external_gateway_info"]
    assert [each["ip_address"] for each in info["external_fixed_ips"]] == ["203.0.113.50"]
    assert alice.set("router", router["id"], external_gateway_info=None)["external_gateway_info"] is None
    assert admin.all("port", device_owner="network:router_gateway") == []


def test_a_floating_ip(
    alice: Caller, bob: Caller, subnet: Values, outside: Values, router: Values, port: Values
) -> None:
    made = alice.make("floatingip", floating_network_id=outside["id"], port_id=port["id"], description="d")
    address = port["fixed_ips"][0]["ip_address"]
    assert (made["fixed_ip_address"], made["router_id"], made["status"]) == (address, router["id"], "ACTIVE")
    assert made["floating_ip_address"].startswith("203.0.113.")
    other = alice.make("floatingip", floating_network_id=outside["id"])
    assert other["status"] == "DOWN"
    answer = alice.cannot_set("floatingip", other["id"], port_id=port["id"])
    assert answer == (409, "FloatingIPPortAlreadyAssociated")
    remove = f"routers/{router['id']}/remove_router_interface"
    assert alice.refused("PUT", remove, {"subnet_id": subnet["id"]}) == (409, "RouterInterfaceInUseByFloatingIP")
    answer = alice.cannot_set("router", router["id"], external_gateway_info=None)
    assert answer == (409, "RouterExternalGatewayInUseByFloatingIp")
    assert bob.all("floatingip") == []
    assert bob.cannot_drop("floatingip", made["id"])[0] == 404
    alice.drop("port", port["id"])
    assert alice.show("floatingip", made["id"])["port_id"] is None
    alice.drop("floatingip", made["id"])
    alice.set("router", router["id"], external_gateway_info=None)


def test_only_administrators_choose_the_address(alice: Caller, admin: Caller, outside: Values, port: Values) -> None:
    values = {"floating_network_id": outside["id"], "floating_ip_address": "203.0.113.99"}
    assert alice.cannot_make("floatingip", **values) == (403, "PolicyNotAuthorized")
    made = admin.make("floatingip", **values, project_id=alice.project_id)
    assert made["floating_ip_address"] == "203.0.113.99"
    assert alice.all("floatingip")[0]["id"] == made["id"]
    assert admin.cannot_make("floatingip", **values) == (409, "IpAddressAlreadyAllocated")
    alice.set("floatingip", made["id"], port_id=port["id"])
    assert alice.set("floatingip", made["id"], port_id=None)["fixed_ip_address"] is None


def test_floating_ips_that_are_refused(
    alice: Caller, admin: Caller, network: Values, outside: Values, port: Values
) -> None:
    assert alice.cannot_make("floatingip", floating_network_id=network["id"])[0] == 400
    on = {"floating_network_id": outside["id"]}
    assert alice.cannot_make("floatingip", **on, port_id=port["id"], fixed_ip_address="10.0.0.99")[0] == 400
    assert alice.cannot_make("floatingip", **on, fixed_ip_address="10.0.0.99")[0] == 400
    lonely = alice.make("network")
    alice.subnet(lonely["id"], "10.5.0.0/24")
    unreachable = alice.make("port", network_id=lonely["id"])
    answer = alice.cannot_make("floatingip", **on, port_id=unreachable["id"])
    assert answer == (404, "ExternalGatewayForFloatingIPNotFound")
    empty = admin.make("network", **{"router:external": True})
    assert alice.cannot_make("floatingip", floating_network_id=empty["id"])[0] == 409


def test_port_forwardings(alice: Caller, bob: Caller, outside: Values, port: Values) -> None:
    floating = alice.make("floatingip", floating_network_id=outside["id"])
    path = f"floatingips/{floating['id']}/port_forwardings"
    values = {"internal_port_id": port["id"], "internal_port": 22, "external_port": 2222, "protocol": "tcp"}
    made = alice.ok("POST", path, {"port_forwarding": values})["port_forwarding"]
    assert made["internal_ip_address"] == port["fixed_ips"][0]["ip_address"]
    assert "floatingip_id" not in made
    assert alice.ok("GET", path)["port_forwardings"] == [made]
    assert alice.ok("GET", f"{path}/{made['id']}")["port_forwarding"] == made
    assert alice.refused("POST", path, {"port_forwarding": values})[0] == 400
    for name in values:
        left = {key: value for key, value in values.items() if key != name}
        assert alice.refused("POST", path, {"port_forwarding": left})[0] == 400
    away = {**values, "external_port": 1, "internal_ip_address": "10.0.0.99"}
    assert alice.refused("POST", path, {"port_forwarding": away})[0] == 400
    assert alice.cannot_set("floatingip", floating["id"], port_id=port["id"]) == (409, "FipInUseByPortForwarding")
    assert bob.refused("GET", path)[0] == 404
    other = alice.make("floatingip", floating_network_id=outside["id"], port_id=port["id"])
    elsewhere = f"floatingips/{other['id']}/port_forwardings"
    assert alice.refused("POST", elsewhere, {"port_forwarding": values})[0] == 409
    assert alice.refused("DELETE", f"{elsewhere}/{made['id']}")[0] == 404
    changed = alice.ok("PUT", f"{path}/{made['id']}", {"port_forwarding": {"external_port": 2223}})
    assert changed["port_forwarding"]["external_port"] == 2223
    alice.ok("DELETE", f"{path}/{made['id']}")
    alice.ok("POST", path, {"port_forwarding": values})
    alice.drop("port", port["id"])
    assert alice.ok("GET", path)["port_forwardings"] == []
    alice.drop("floatingip", floating["id"])


def test_extensions(alice: Caller) -> None:
    assert {"trunk", "router"} <= {each["alias"] for each in alice.ok("GET", "extensions")["extensions"]}
