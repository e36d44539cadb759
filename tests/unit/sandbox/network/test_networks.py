"""Networks, subnets and subnet pools."""

from typing import Any

import pytest

from tests.unit.sandbox.network.conftest import Caller, Values

ID = "4c9c0000-0000-4000-8000-000000000000"


def test_a_network(alice: Caller) -> None:
    made = alice.make("network", name="n", description="d", mtu=1400)
    assert (made["name"], made["description"], made["mtu"]) == ("n", "d", 1400)
    assert (made["shared"], made["router:external"], made["subnets"], made["tags"]) == (False, False, [], [])
    assert made["tenant_id"] == made["project_id"] == alice.project_id
    assert "provider:network_type" not in made
    assert alice.set("network", made["id"], name="m")["revision_number"] == 1
    assert alice.show("network", made["id"])["name"] == "m"
    alice.drop("network", made["id"])
    assert alice.refused("GET", f"networks/{made['id']}") == (404, "NetworkNotFound")


def test_projects_do_not_see_each_other(alice: Caller, bob: Caller, admin: Caller, network: Values) -> None:
    assert bob.all("network") == []
    assert bob.refused("GET", f"networks/{network['id']}")[0] == 404
    assert bob.cannot_set("network", network["id"], name="x")[0] == 404
    assert bob.cannot_drop("network", network["id"])[0] == 404
    assert [each["id"] for each in admin.all("network")] == [network["id"]]
    assert admin.show("network", network["id"])["provider:network_type"] == "vxlan"
    assert bob.refused("POST", "networks", {"network": {"project_id": alice.project_id}})[0] == 403
    assert admin.make("network", tenant_id=alice.project_id)["project_id"] == alice.project_id


@pytest.mark.parametrize(
    "values", [{"shared": True}, {"router:external": True}, {"provider:segmentation_id": 7}], ids=str
)
def test_members_do_not_give(alice: Caller, network: Values, values: Values) -> None:
    assert alice.cannot_make("network", **values) == (403, "PolicyNotAuthorized")
    assert alice.cannot_set("network", network["id"], **values) == (403, "PolicyNotAuthorized")


def test_defaults_may_be_given(alice: Caller) -> None:
    alice.make("network", shared=False, **{"router:external": False})


@pytest.mark.parametrize(
    "values", [{"tags": ["a"]}, {"id": ID}, {"status": "ACTIVE"}, {"mtu": "x"}, {"name": 3}], ids=str
)
def test_invalid_attributes(alice: Caller, values: Values) -> None:
    assert alice.cannot_make("network", **values)[0] == 400


def test_shared_and_external_networks(alice: Caller, bob: Caller, admin: Caller, outside: Values) -> None:
    """Other tenants see both, and change neither. They see the subnets of the shared one only."""
    shared = admin.make("network", shared=True)
    subnet = admin.subnet(shared["id"])
    assert {each["id"] for each in alice.all("network")} == {shared["id"], outside["id"]}
    assert [each["id"] for each in alice.all("subnet")] == [subnet["id"]]
    assert alice.all("network", project_id=alice.project_id) == []
    assert alice.cannot_set("network", shared["id"], name="x") == (403, "PolicyNotAuthorized")
    assert alice.cannot_drop("network", outside["id"])[0] == 403
    assert alice.cannot_make("subnet", network_id=shared["id"], cidr="10.9.0.0/24", ip_version=4)[0] == 403


def test_tags_have_their_own_call(alice: Caller, bob: Caller, network: Values) -> None:
    path = f"networks/{network['id']}/tags"
    assert alice.ok("PUT", path, {"tags": ["b", "a", "b"]}) == {"tags": ["a", "b"]}
    alice.ok("PUT", f"{path}/c")
    assert alice.ok("GET", path) == {"tags": ["a", "b", "c"]}
    assert [each["id"] for each in alice.all("network", tags="a,c")] == [network["id"]]
    assert alice.all("network", tags="a,d") == []
    assert alice.refused("PUT", path, {"tags": "a"})[0] == 400
    assert bob.refused("PUT", path, {"tags": []})[0] == 404
    alice.ok("DELETE", path)
    assert alice.show("network", network["id"])["tags"] == []


def test_lists_have_pages_filters_and_fields(alice: Caller) -> None:
    ids = sorted(alice.make("network", name=f"n{number}", description="mine")["id"] for number in range(5))
    first = alice.ok("GET", "networks", limit=2)
    assert [each["id"] for each in first["networks"]] == ids[:2]
    assert [link["rel"] for link in first["networks_links"]] == ["next"]
    last = alice.ok("GET", "networks", limit=2, marker=ids[3])
    assert [each["id"] for each in last["networks"]] == ids[4:]
    assert "networks_links" not in last
    assert len(alice.all("network", description="mine")) == 5
    assert len(alice.all("network", name=["n1", "n2"])) == 2
    assert alice.all("network", name="n1", fields=["name"]) == [{"name": "n1"}]
    assert [each["name"] for each in alice.all("network", sort_key="name", sort_dir="desc")][0] == "n4"
    for query in ({"nmae": "n1"}, {"limit": "x"}):
        assert alice.refused("GET", "networks", **query)[0] == 400
    assert alice.refused("GET", "networks", marker="x")[0] == 404


def test_several_in_one_request(alice: Caller) -> None:
    made = alice.ok("POST", "networks", {"networks": [{"name": "a"}, {"name": "b"}]})["networks"]
    assert [each["name"] for each in made] == ["a", "b"]
    assert alice.refused("POST", "networks", {"networks": [{"name": "c"}, {"x": 1}]})[0] == 400
    assert len(alice.all("network")) == 2


@pytest.mark.parametrize("body", [{}, [], {"network": []}])
def test_bodies_of_another_shape(alice: Caller, body: Any) -> None:
    assert alice.refused("POST", "networks", body)[0] == 400


def test_quotas(alice: Caller, admin: Caller) -> None:
    path = f"quotas/{alice.project_id}"
    assert alice.ok("GET", path)["quota"]["security_group"] == 10
    assert alice.refused("PUT", path, {"quota": {"network": 5}}) == (403, "PolicyNotAuthorized")
    assert alice.refused("DELETE", path)[0] == 403
    assert alice.refused("GET", f"quotas/{admin.project_id}")[0] == 403
    for quota in ({"network": -2}, {"clouds": 1}):
        assert admin.refused("PUT", path, {"quota": quota})[0] == 400
    admin.ok("PUT", path, {"quota": {"network": 1}})
    made = alice.make("network")
    assert alice.cannot_make("network") == (409, "OverQuota")
    assert alice.ok("GET", f"{path}/details.json")["quota"]["network"] == {"limit": 1, "used": 1, "reserved": 0}
    alice.drop("network", made["id"])
    alice.make("network")
    admin.ok("DELETE", path)
    alice.make("network")


def test_a_network_in_use_stays(alice: Caller, network: Values, subnet: Values) -> None:
    port = alice.make("port", network_id=network["id"])
    assert alice.cannot_drop("network", network["id"]) == (409, "NetworkInUse")
    assert alice.cannot_drop("subnet", subnet["id"]) == (409, "SubnetInUse")
    alice.drop("port", port["id"])
    alice.make("port", network_id=network["id"], device_owner="network:dhcp")
    alice.drop("network", network["id"])
    assert alice.all("subnet") == alice.all("port") == []


def test_a_subnet(alice: Caller, network: Values) -> None:
    made = alice.subnet(network["id"])
    assert made["gateway_ip"] == "10.0.0.1"
    assert made["allocation_pools"] == [{"start": "10.0.0.2", "end": "10.0.0.254"}]
    assert alice.show("network", network["id"])["subnets"] == [made["id"]]
    six = alice.subnet(network["id"], "2001:db8::/64", ip_version=6, gateway_ip=None)
    assert six["gateway_ip"] is None
    assert six["allocation_pools"] == [{"start": "2001:db8::1", "end": "2001:db8::ffff:ffff:ffff:ffff"}]
    own = alice.subnet(network["id"], "10.1.0.0/24", allocation_pools=[{"start": "10.1.0.50", "end": "10.1.0.60"}])
    assert own["allocation_pools"] == [{"start": "10.1.0.50", "end": "10.1.0.60"}]
    middle = alice.subnet(network["id"], "10.2.0.0/29", gateway_ip="10.2.0.3")
    assert middle["allocation_pools"] == [
        {"start": "10.2.0.1", "end": "10.2.0.2"},
        {"start": "10.2.0.4", "end": "10.2.0.6"},
    ]
    changed = alice.set("subnet", made["id"], dns_nameservers=["192.0.2.1"], enable_dhcp=False)
    assert (changed["dns_nameservers"], changed["enable_dhcp"]) == (["192.0.2.1"], False)
    assert alice.cannot_set("subnet", made["id"], cidr="10.3.0.0/24")[0] == 400


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"cidr": "10.0.0.1/24"}, 400),
        ({"cidr": "x"}, 400),
        ({}, 400),
        ({"cidr": "2001:db8::/64"}, 400),
        ({"cidr": "10.0.0.128/25"}, 400),
        ({"cidr": "10.1.0.0/24", "gateway_ip": "10.1.0.0"}, 400),
        ({"cidr": "10.1.0.0/24", "gateway_ip": "10.1.0.255"}, 400),
        ({"cidr": "10.1.0.0/24", "gateway_ip": "x"}, 400),
        ({"cidr": "10.1.0.0/24", "allocation_pools": [{"start": "10.2.0.1", "end": "10.2.0.2"}]}, 400),
        ({"cidr": "10.1.0.0/24", "allocation_pools": [{"start": "10.1.0.9", "end": "10.1.0.2"}]}, 400),
        ({"cidr": "10.1.0.0/24", "allocation_pools": [{"start": "10.1.0.9"}]}, 400),
        ({"cidr": "10.1.0.0/24", "allocation_pools": [{"start": "10.1.0.1", "end": "10.1.0.2"}]}, 409),
        (
            {
                "cidr": "10.1.0.0/24",
                "allocation_pools": [
                    {"start": "10.1.0.2", "end": "10.1.0.20"},
                    {"start": "10.1.0.20", "end": "10.1.0.30"},
                ],
            },
            409,
        ),
        ({"cidr": "10.1.0.0/24", "ip_version": 5}, 400),
    ],
    ids=str,
)
def test_subnets_that_are_refused(alice: Caller, network: Values, subnet: Values, values: Values, status: int) -> None:
    assert alice.cannot_make("subnet", network_id=network["id"], **{"ip_version": 4, **values})[0] == status
    assert len(alice.all("subnet")) == 1


def test_subnets_of_a_pool(alice: Caller, bob: Caller, network: Values) -> None:
    pool = alice.make("subnetpool", name="p", prefixes=["10.8.0.0/22"], default_prefixlen=24, max_prefixlen=26)
    assert (pool["ip_version"], pool["min_prefixlen"], pool["max_prefixlen"]) == (4, 8, 26)
    made = alice.make("subnet", network_id=network["id"], ip_version=4, subnetpool_id=pool["id"])
    assert (made["cidr"], made["subnetpool_id"]) == ("10.8.0.0/24", pool["id"])

    def in_pool(**values: Any) -> Values:
        return {"network_id": alice.make("network")["id"], "ip_version": 4, "subnetpool_id": pool["id"], **values}

    assert alice.make("subnet", **in_pool(cidr="10.8.2.0/24"))["cidr"] == "10.8.2.0/24"
    assert alice.make("subnet", **in_pool(prefixlen=26))["cidr"] == "10.8.1.0/26"
    assert alice.cannot_make("subnet", **in_pool(cidr="10.8.2.0/25")) == (409, "SubnetAllocationError")
    assert alice.cannot_make("subnet", **in_pool(cidr="10.9.0.0/24")) == (409, "SubnetAllocationError")
    assert alice.cannot_make("subnet", **in_pool(prefixlen=23)) == (409, "SubnetAllocationError")
    assert alice.cannot_make("subnet", **in_pool(prefixlen=27)) == (400, "PrefixLenNotAllowed")
    assert alice.cannot_make("subnet", **in_pool(ip_version=6)) == (400, "PrefixVersionMismatch")
    beside = {"network_id": network["id"], "ip_version": 4, "cidr": "10.1.0.0/24"}
    assert alice.cannot_make("subnet", **beside) == (400, "NetworkSubnetPoolAffinityError")
    assert alice.cannot_drop("subnetpool", pool["id"])[0] == 400
    assert bob.all("subnetpool") == []
    assert bob.cannot_make("subnet", **{**in_pool(), "network_id": bob.make("network")["id"]})[0] == 404
    assert alice.cannot_set("subnetpool", pool["id"], prefixes=["10.9.0.0/24"])[0] == 400
    assert alice.cannot_make("subnetpool", prefixes=["10.9.0.0/24"], shared=True)[0] == 403
    assert alice.cannot_make("subnetpool", prefixes=["10.9.0.0/24", "2001:db8::/64"])[0] == 400
    assert alice.cannot_make("subnetpool", prefixes=["10.9.0.0/24"], default_prefixlen=33)[0] == 400
    assert alice.cannot_make("subnetpool")[0] == 400
    for each in alice.all("subnet"):
        alice.drop("subnet", each["id"])
    alice.drop("subnetpool", pool["id"])


def test_a_gateway_in_use_stays(alice: Caller, subnet: Values, router: Values) -> None:
    assert alice.cannot_set("subnet", subnet["id"], gateway_ip="10.0.0.9") == (409, "GatewayIpInUse")


def test_an_external_network_in_use_stays_external(admin: Caller, outside: Values, router: Values) -> None:
    change = {"router:external": False}
    assert admin.cannot_set("network", outside["id"], **change) == (409, "ExternalNetworkInUse")
