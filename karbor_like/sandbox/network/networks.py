"""Networks, subnets and subnet pools."""

from collections.abc import Mapping
from typing import Any

from karbor_like.sandbox import state, web
from karbor_like.sandbox.network import addressing, refusal
from karbor_like.sandbox.network.records import BOOLEAN, ID, OBJECTS, TEXTS, UNSET, Attribute, Records

NUMBER = {"type": ["integer", "null"], "minimum": 0, "maximum": 4294967295}
AUTOMATIC = frozenset({"network:dhcp", "network:router_centralized_snat", "network:floatingip_agent_gateway"})
"""Owners of ports that Neutron deletes together with their network."""


class Networks(Records):
    """Networks. Shared and external ones are visible to all projects."""

    kind = "network"
    title = "Network"
    path = "networks"
    attributes = {
        "admin_state_up": Attribute(BOOLEAN, True),
        "shared": Attribute(BOOLEAN, False, admin=True),
        "router:external": Attribute(BOOLEAN, False, admin=True),
        "mtu": Attribute({"type": "integer", "minimum": 68, "maximum": 65535}, 1500),
        "port_security_enabled": Attribute(BOOLEAN, True),
        "dns_domain": Attribute(),
        "qos_policy_id": Attribute({"type": "null"}, None),
        "availability_zone_hints": Attribute(TEXTS, [], put=False),
        "provider:network_type": Attribute(ID, "vxlan", admin=True, hidden=True),
        "provider:physical_network": Attribute(ID, None, admin=True, hidden=True),
        "provider:segmentation_id": Attribute(NUMBER, None, admin=True, hidden=True),
    }

    def is_visible(self, caller: web.Identity, document: state.Document) -> bool:
        return caller.may_see(document["project_id"]) or document["shared"] or document["router:external"]

    def change(
        self, caller: web.Identity, before: state.Document, document: state.Document, given: Mapping[str, Any]
    ) -> None:
        closes = before["router:external"] and not document["router:external"]
        if closes and self.objects("port", network_id=before["id"], device_owner="network:router_gateway"):
            raise refusal.conflict("ExternalNetworkInUse", f"External network {before['id']} cannot be updated.")

    def check_delete(self, document: state.Document) -> None:
        ports = self.objects("port", network_id=document["id"])
        if any(port["device_owner"] not in AUTOMATIC for port in ports):
            raise refusal.conflict(
                "NetworkInUse",
                f"Unable to complete operation on network {document['id']}. There are one or more ports still in use on "
                "the network.",
            )
        for port in ports:
            self._store.delete("port", port["id"])
        for subnet in self.objects("subnet", network_id=document["id"]):
            self._store.delete("subnet", subnet["id"])

    def shown(self, document: state.Document) -> dict[str, Any]:
        subnets = [subnet["id"] for subnet in self.objects("subnet", network_id=document["id"])]
        return {**document, "subnets": subnets, "status": "ACTIVE", "availability_zones": []}


class Subnets(Records):
    """Subnets. Those of shared networks are visible to all projects, those of external networks are not."""

    kind = "subnet"
    title = "Subnet"
    path = "subnets"
    attributes = {
        "network_id": Attribute(ID, None, put=False),
        "ip_version": Attribute({"enum": [4, 6]}, 4, put=False),
        "cidr": Attribute(ID, None, put=False),
        "gateway_ip": Attribute(ID, UNSET),
        "allocation_pools": Attribute(OBJECTS, UNSET),
        "dns_nameservers": Attribute(TEXTS, []),
        "host_routes": Attribute(OBJECTS, []),
        "enable_dhcp": Attribute(BOOLEAN, True),
        "ipv6_ra_mode": Attribute(ID, None, put=False),
        "ipv6_address_mode": Attribute(ID, None, put=False),
        "subnetpool_id": Attribute(ID, None, put=False),
        "prefixlen": Attribute(NUMBER, UNSET, put=False),
        "service_types": Attribute(TEXTS, [], admin=True),
        "segment_id": Attribute({"type": "null"}, None, admin=True),
    }

    def __init__(self, common: Any, networks: Networks, pools: "SubnetPools") -> None:
        super().__init__(common)
        self._networks = networks
        self._pools = pools

    def is_visible(self, caller: web.Identity, document: state.Document) -> bool:
        network = self._store.get("network", document["network_id"])
        return caller.may_see(document["project_id"]) or bool(network and network["shared"])

    def complete(self, caller: web.Identity, document: state.Document, given: Mapping[str, Any]) -> None:
        network = self._networks.get(caller, str(document["network_id"]))
        if not caller.may_see(network["project_id"]):
            raise refusal.forbidden("create_subnet")
        others = self.objects("subnet", network_id=network["id"])
        pool_id, length = document["subnetpool_id"], document.pop("prefixlen", None)
        if any(other["subnetpool_id"] != pool_id and other["ip_version"] == document["ip_version"] for other in others):
            raise refusal.invalid(
                "Subnets hosted on the same network must be allocated from the same subnet pool.",
                "NetworkSubnetPoolAffinityError",
            )
        if pool_id:
            self._pools.allocate(caller, document, length)
        elif document["cidr"] is None:
            raise refusal.invalid("a subnetpool must be specified in the absence of a cidr")
        cidr = addressing.parse_network(document["cidr"])
        if cidr.version != document["ip_version"]:
            raise refusal.invalid(f"Invalid input: cidr '{cidr}' does not match the ip_version.", "InvalidInput")
        for other in others:
            one = addressing.parse_network(other["cidr"])
            if one.version == cidr.version and one.overlaps(cidr):
                raise refusal.invalid(
                    f"Invalid input for operation: Requested subnet with cidr: {cidr} for network: {network['id']} "
                    "overlaps with another subnet.",
                    "InvalidInput",
                )
        document.setdefault("gateway_ip", str(addressing.first_host(cidr)))
        self._check_gateway(document)
        if not given.get("allocation_pools"):
            document["allocation_pools"] = addressing.default_pools(cidr, document["gateway_ip"])
        addressing.check_pools(cidr, document["allocation_pools"], document["gateway_ip"])

    def _check_gateway(self, document: state.Document) -> None:
        gateway, cidr = document["gateway_ip"], addressing.parse_network(document["cidr"])
        if gateway is None:
            return
        address = addressing.parse_address(gateway)
        reserved = {cidr[0], cidr[-1]} if cidr.version == 4 and cidr.num_addresses > 2 else set()
        if address.version != cidr.version or address in reserved:
            raise refusal.invalid("Invalid input for operation: Gateway is not valid on subnet.", "InvalidInput")

    def change(
        self, caller: web.Identity, before: state.Document, document: state.Document, given: Mapping[str, Any]
    ) -> None:
        if "gateway_ip" in given and given["gateway_ip"] != before["gateway_ip"]:
            self._check_gateway(document)
            if self.objects("router_interface", subnet_id=before["id"]):
                raise refusal.conflict(
                    "GatewayIpInUse", f"Current gateway ip {before['gateway_ip']} already in use by a port."
                )
        cidr = addressing.parse_network(document["cidr"])
        addressing.check_pools(cidr, document["allocation_pools"], document["gateway_ip"])

    def check_delete(self, document: state.Document) -> None:
        users = [
            port
            for port in self.objects("port", network_id=document["network_id"])
            if any(fixed["subnet_id"] == document["id"] for fixed in port["fixed_ips"])
        ]
        if any(port["device_owner"] not in AUTOMATIC for port in users):
            raise refusal.conflict(
                "SubnetInUse",
                f"Unable to complete operation on subnet {document['id']}: One or more ports have an IP allocation from "
                "this subnet.",
            )


class SubnetPools(Records):
    """Subnet pools."""

    kind = "subnetpool"
    title = "Subnet pool"
    path = "subnetpools"
    attributes = {
        "prefixes": Attribute({"type": "array", "minItems": 1, "items": {"type": "string"}}, UNSET),
        "default_prefixlen": Attribute(NUMBER, UNSET),
        "min_prefixlen": Attribute(NUMBER, UNSET),
        "max_prefixlen": Attribute(NUMBER, UNSET),
        "default_quota": Attribute(NUMBER, None),
        "shared": Attribute(BOOLEAN, False, put=False, admin=True),
        "is_default": Attribute(BOOLEAN, False, admin=True),
        "address_scope_id": Attribute({"type": "null"}, None),
    }

    def is_visible(self, caller: web.Identity, document: state.Document) -> bool:
        return caller.may_see(document["project_id"]) or document["shared"]

    def complete(self, caller: web.Identity, document: state.Document, given: Mapping[str, Any]) -> None:
        if "prefixes" not in given:
            raise refusal.invalid("Failed to parse request. Required attribute 'prefixes' not specified")
        networks = [addressing.parse_network(each) for each in document["prefixes"]]
        version = networks[0].version
        if any(each.version != version for each in networks):
            raise refusal.invalid("Cannot mix IPv4 and IPv6 prefixes in a subnet pool.", "PrefixVersionMismatch")
        longest = networks[0].max_prefixlen
        document |= {"prefixes": [str(each) for each in networks], "ip_version": version}
        document.setdefault("min_prefixlen", 8 if version == 4 else 64)
        document.setdefault("max_prefixlen", longest)
        document.setdefault("default_prefixlen", document["min_prefixlen"])
        if not document["min_prefixlen"] <= document["default_prefixlen"] <= document["max_prefixlen"] <= longest:
            raise refusal.invalid(
                "Illegal prefix bounds: the prefix lengths are not in order.", "IllegalSubnetPoolPrefix"
            )

    def change(
        self, caller: web.Identity, before: state.Document, document: state.Document, given: Mapping[str, Any]
    ) -> None:
        if not set(before["prefixes"]) <= set(document["prefixes"]):
            raise refusal.invalid("Illegal update to prefixes: they can only grow.", "IllegalSubnetPoolPrefixUpdate")

    def check_delete(self, document: state.Document) -> None:
        if self.objects("subnet", subnetpool_id=document["id"]):
            raise refusal.invalid(
                "Unable to delete subnet pool: Subnet pool has existing allocations.", "SubnetPoolDeleteError"
            )

    def allocate(self, caller: web.Identity, subnet: state.Document, length: int | None) -> None:
        """Give a new subnet the CIDR that it asks for, or one of *length* bits.

        :raises ApiError: 404 for an unknown pool, 400 for another version or length, 409 if there is no room
        """
        pool = self.get(caller, subnet["subnetpool_id"])
        if pool["ip_version"] != subnet["ip_version"]:
            raise refusal.invalid("Cannot mix IPv4 and IPv6 in a subnet pool.", "PrefixVersionMismatch")
        used = [each["cidr"] for each in self.objects("subnet", subnetpool_id=pool["id"])]
        if subnet["cidr"] is None:
            length = pool["default_prefixlen"] if length is None else length
            if not pool["min_prefixlen"] <= length <= pool["max_prefixlen"]:
                raise refusal.invalid(f"Unable to allocate subnet with prefix length {length}.", "PrefixLenNotAllowed")
            subnet["cidr"] = addressing.first_free_network(pool["prefixes"], length, used)
        else:
            wanted = addressing.parse_network(subnet["cidr"])
            prefixes: list[Any] = [addressing.parse_network(each) for each in pool["prefixes"]]
            inside = [prefix for prefix in prefixes if prefix.version == wanted.version and wanted.subnet_of(prefix)]
            if not inside or addressing.first_free_network([str(wanted)], wanted.prefixlen, used) is None:
                subnet["cidr"] = None
        if subnet["cidr"] is None:
            raise refusal.conflict(
                "SubnetAllocationError",
                f"Failed to allocate subnet: Cannot allocate requested subnet from the prefixes of {pool['id']}.",
            )
