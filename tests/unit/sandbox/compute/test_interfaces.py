"""Network interfaces of servers."""

import pytest

from tests.unit.sandbox.compute.conftest import Caller, Values

NOWHERE = "4c9c0000-0000-4000-8000-000000000000"


def test_a_given_port_and_one_that_nova_makes(alice: Caller, net: Values) -> None:
    fixed = [{"ip_address": "10.0.0.9"}]
    port = alice.neutron.make("port", network_id=net["id"], fixed_ips=fixed, mac_address="fa:16:3e:00:00:01")
    group = alice.neutron.make("security_group", name="http")
    server = alice.boot(
        networks=[{"port": port["id"], "tag": "first"}, {"uuid": net["id"], "fixed_ip": "10.0.0.77"}],
        security_groups=[{"name": "http"}],
    )
    assert [(a["addr"], a["version"], a["OS-EXT-IPS:type"]) for a in server["addresses"]["inner"]] == [
        ("10.0.0.9", 4, "fixed"),
        ("10.0.0.77", 4, "fixed"),
    ]
    assert server["addresses"]["inner"][0]["OS-EXT-IPS-MAC:mac_addr"] == "fa:16:3e:00:00:01"
    assert server["security_groups"] == [{"name": "default"}, {"name": "http"}]
    used, made = alice.ok("GET", f"servers/{server['id']}/os-interface")["interfaceAttachments"]
    assert (used["port_id"], used["tag"], made["tag"]) == (port["id"], "first", None)
    assert [ip["ip_address"] for ip in made["fixed_ips"]] == ["10.0.0.77"]
    for key in (port["id"], made["port_id"]):
        shown = alice.neutron.show("port", key)
        assert (shown["device_id"], shown["device_owner"]) == (server["id"], "compute:nova")
    assert alice.neutron.show("port", made["port_id"])["security_groups"] == [group["id"]]

    alice.ok("DELETE", f"servers/{server['id']}")
    (left,) = alice.neutron.all("port")
    assert (left["id"], left["device_id"], left["device_owner"]) == (port["id"], "", "")


def test_floating_addresses_are_shown(alice: Caller, admin: Caller, net: Values) -> None:
    outside = admin.neutron.make("network", name="public", **{"router:external": True})
    admin.neutron.subnet(outside["id"], "203.0.113.0/24")
    router = alice.neutron.make("router", external_gateway_info={"network_id": outside["id"]})
    subnet = alice.neutron.all("subnet", network_id=net["id"])[0]["id"]
    alice.neutron.ok("PUT", f"routers/{router['id']}/add_router_interface", {"subnet_id": subnet})
    server = alice.boot(networks=[{"uuid": net["id"]}])
    (port,) = alice.neutron.all("port", device_id=server["id"])
    floating = alice.neutron.make("floatingip", floating_network_id=outside["id"], port_id=port["id"])
    shown = alice.server(server["id"])["addresses"]["inner"]
    assert [(a["addr"], a["OS-EXT-IPS:type"]) for a in shown] == [
        (port["fixed_ips"][0]["ip_address"], "fixed"),
        (floating["floating_ip_address"], "floating"),
    ]
    alice.ok("DELETE", f"servers/{server['id']}")
    assert alice.neutron.show("floatingip", floating["id"])["port_id"] is None


def test_networks_are_required(alice: Caller) -> None:
    status, message = alice.cannot_boot(networks=None)
    assert (status, "'networks' is a required property" in message) == (400, True)
    assert alice.boot(version="2.36", networks=None)["addresses"] == {}


def test_without_a_network_the_only_one_is_used(alice: Caller, admin: Caller, net: Values) -> None:
    for wanted, version in (("auto", "2.96"), (None, "2.36"), ([], "2.96")):
        assert list(alice.boot(networks=wanted, version=version)["addresses"]) == ["inner"]
    assert alice.boot(networks="none")["addresses"] == {}
    admin.neutron.make("network", shared=True)
    assert alice.cannot_boot(networks="auto")[0] == 409
    assert alice.cannot_boot(networks=None, version="2.36")[0] == 409


def test_requests_that_are_refused(alice: Caller, bob: Caller, admin: Caller, net: Values) -> None:
    used = alice.neutron.make("port", network_id=net["id"], device_id="x")["id"]
    bare = alice.neutron.make("port", network_id=net["id"], fixed_ips=[])["id"]
    free = alice.neutron.make("port", network_id=net["id"])
    empty = alice.neutron.make("network")["id"]
    foreign = bob.neutron.make("network")["id"]
    outside = admin.neutron.make("network", **{"router:external": True})["id"]
    admin.neutron.subnet(outside, "203.0.113.0/24")
    address = free["fixed_ips"][0]["ip_address"]
    for request, status in (
        ({"port": used}, 409),
        ({"port": bare}, 400),
        ({"port": NOWHERE}, 400),
        ({"port": "x"}, 400),
        ({"port": free["id"], "fixed_ip": "10.0.0.99"}, 400),
        ({"uuid": NOWHERE}, 400),
        ({"uuid": foreign}, 400),
        ({"uuid": empty}, 400),
        ({"uuid": outside}, 403),
        ({"uuid": net["id"], "fixed_ip": address}, 400),
        ({"uuid": net["id"], "fixed_ip": "x"}, 400),
        ({"uuid": net["id"], "colour": "red"}, 400),
        ({}, 400),
    ):
        assert alice.cannot_boot(networks=[request])[0] == status, request
    assert alice.cannot_boot(networks=[{"port": free["id"]}] * 2)[0] == 400
    assert alice.cannot_boot(networks="some")[0] == 400
    assert alice.cannot_boot(networks="none", version="2.36")[0] == 400
    assert alice.cannot_boot(networks=[{"uuid": net["id"]}], security_groups=[{"name": "none-such"}])[0] == 400
    for _ in range(2):
        alice.neutron.make("security_group", name="twin")
    assert alice.cannot_boot(networks=[{"uuid": net["id"]}], security_groups=[{"name": "twin"}])[0] == 409
    assert alice.neutron.show("port", free["id"])["device_id"] == ""


def test_what_neutron_refuses_fails_the_server(alice: Caller, net: Values) -> None:
    server = alice.boot(networks=[{"uuid": net["id"]}, {"uuid": net["id"], "fixed_ip": "192.0.2.1"}])
    assert (server["status"], "192.0.2.1" in server["fault"]["message"]) == ("ERROR", True)
    assert alice.neutron.all("port") == []


def test_a_port_that_neutron_does_not_delete_is_freed(alice: Caller, net: Values) -> None:
    server = alice.boot(networks=[{"uuid": net["id"]}])
    (port,) = alice.neutron.all("port")
    alice.neutron.make("trunk", port_id=port["id"])
    alice.ok("DELETE", f"servers/{server['id']}")
    assert alice.servers() == []
    assert alice.neutron.show("port", port["id"])["device_id"] == ""


def test_a_port_with_another_host_name_fails_the_server(alice: Caller, net: Values) -> None:
    port = alice.neutron.make("port", network_id=net["id"], dns_name="db")["id"]
    server = alice.boot(networks=[{"port": port}])
    assert (server["status"], "does not match" in server["fault"]["message"]) == ("ERROR", True)
    assert alice.boot(networks=[{"port": port}], hostname="db")["status"] == "ACTIVE"


@pytest.mark.parametrize(("version", "allowed"), [("2.31", False), ("2.32", True), ("2.37", False), ("2.42", True)])
def test_tags_of_interfaces_by_microversion(alice: Caller, net: Values, version: str, allowed: bool) -> None:
    body = alice.body({"networks": [{"uuid": net["id"], "tag": "t"}]}, version=version)
    assert alice.call("POST", "servers", body, version=version)[0] == (202 if allowed else 400)


def test_interfaces_of_a_running_server(alice: Caller, bob: Caller, net: Values) -> None:
    server = alice.boot()
    path = f"servers/{server['id']}/os-interface"
    port = alice.neutron.make("port", network_id=net["id"])["id"]
    given = alice.ok("POST", path, {"interfaceAttachment": {"port_id": port, "tag": "t"}})["interfaceAttachment"]
    assert (given["port_id"], given["net_id"], given["tag"]) == (port, net["id"], "t")
    values = {"net_id": net["id"], "fixed_ips": [{"ip_address": "10.0.0.50"}]}
    made = alice.ok("POST", path, {"interfaceAttachment": values})["interfaceAttachment"]
    assert [ip["ip_address"] for ip in made["fixed_ips"]] == ["10.0.0.50"]
    assert alice.ok("POST", path, {"interfaceAttachment": {}})["interfaceAttachment"]["net_id"] == net["id"]
    for values, status in (
        ({"port_id": port}, 409),
        ({"port_id": NOWHERE}, 404),
        ({"net_id": NOWHERE}, 404),
        ({"net_id": net["id"], "port_id": port}, 400),
        ({"fixed_ips": [{"ip_address": "10.0.0.51"}]}, 400),
    ):
        assert alice.refused("POST", path, {"interfaceAttachment": values})[0] == status
    assert bob.refused("GET", path)[0] == 404
    alice.ok("DELETE", f"{path}/{port}")
    alice.ok("DELETE", f"{path}/{made['port_id']}")
    assert alice.refused("DELETE", f"{path}/{port}")[0] == 404
    assert alice.refused("GET", f"{path}/{port}")[0] == 404
    assert alice.neutron.show("port", port)["device_id"] == ""
    assert made["port_id"] not in [each["id"] for each in alice.neutron.all("port")]


def test_a_fault_fails_an_interface(alice: Caller, net: Values) -> None:
    server = alice.boot()
    path = f"servers/{server['id']}/os-interface"
    body = {"interfaceAttachment": {"net_id": net["id"]}}
    assert alice.refused("POST", path, body, fault={"kind": "error"})[0] == 500
    made = alice.ok("POST", path, body)["interfaceAttachment"]["port_id"]
    alice.ok("DELETE", f"{path}/{made}", fault={"kind": "error"})
    assert [each["id"] for each in alice.neutron.all("port")] == [made]
