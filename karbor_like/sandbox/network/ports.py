"""Ports: addresses, security groups, address pairs."""

import re
from collections.abc import Mapping
from typing import Any

from karbor_like.sandbox import state, web
from karbor_like.sandbox.network import addressing, groups, networks, policies, refusal
from karbor_like.sandbox.network.records import BOOLEAN, ID, OBJECTS, TEXTS, UNSET, Attribute, Common, Records

MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")
ROUTER_OWNERS = frozenset({"network:router_interface", "network:router_gateway", "network:floatingip"})
"""Owners of ports that are deleted through their router or floating IP only."""
AUTOMATIC = frozenset({"slaac", "dhcpv6-stateless"})
"""Modes of IPv6 subnets in which addresses follow from MAC addresses."""
OWN_NETWORK_ONLY = ("mac_address", "allowed_address_pairs", "port_security_enabled")
"""Attributes that members may give on their own networks only."""


class Ports(Records):
    """Ports."""

    kind = "port"
    title = "Port"
    path = "ports"
    attributes = {
        "network_id": Attribute(ID, None, put=False),
        "admin_state_up": Attribute(BOOLEAN, True),
        "mac_address": Attribute(ID, UNSET),
        "fixed_ips": Attribute(OBJECTS, UNSET),
        "device_id": Attribute(),
        "device_owner": Attribute(),
        "security_groups": Attribute(TEXTS, UNSET),
        "allowed_address_pairs": Attribute(OBJECTS, []),
        "port_security_enabled": Attribute(BOOLEAN, UNSET),
        "extra_dhcp_opts": Attribute(OBJECTS, []),
        "dns_name": Attribute(),
        "dns_domain": Attribute(),
        "qos_policy_id": Attribute(ID, None),
        "propagate_uplink_status": Attribute(BOOLEAN, True),
        "binding:vnic_type": Attribute(default="normal"),
        "binding:host_id": Attribute(default="", admin=True, hidden=True),
        "binding:profile": Attribute({"type": "object"}, {}, admin=True, hidden=True),
    }

    def __init__(
        self,
        common: Common,
        network_records: networks.Networks,
        subnets: networks.Subnets,
        security_groups: groups.SecurityGroups,
        qos: policies.QosPolicies,
    ) -> None:
        super().__init__(common)
        self._networks = network_records
        self._subnets = subnets
        self._groups = security_groups
        self._qos = qos

    def create(self, caller: web.Identity, values: Mapping[str, Any]) -> state.Document:
        self._check_policy(caller, self._networks.get(caller, str(values.get("network_id"))), values, "create")
        return super().create(caller, values)

    def complete(self, caller: web.Identity, document: state.Document, given: Mapping[str, Any]) -> None:
        network = self._networks.get(caller, str(document["network_id"]))
        document.setdefault("port_security_enabled", network["port_security_enabled"])
        document["mac_address"] = self._mac(document, given)
        document["fixed_ips"] = self._addresses(caller, document, given)
        if given.get("security_groups") is None:
            secured = document["port_security_enabled"] and document["project_id"]
            default = [self._groups.default(caller, document["project_id"])["id"]] if secured else []
            document["security_groups"] = default
        self._check_security(caller, document, given)

    def change(
        self, caller: web.Identity, before: state.Document, document: state.Document, given: Mapping[str, Any]
    ) -> None:
        network = self._networks.get(caller, before["network_id"])
        changed = {name: value for name, value in given.items() if value != before[name]}
        self._check_policy(caller, network, changed, "update")
        if "mac_address" in changed:
            document["mac_address"] = self._mac(document, given)
        if "fixed_ips" in changed:
            if before["device_owner"] in ROUTER_OWNERS and not caller.is_admin:
                raise refusal.conflict("ServicePortInUse", f"Port {before['id']} is used by {before['device_owner']}.")
            document["fixed_ips"] = self._addresses(caller, document, given)
        document["security_groups"] = document["security_groups"] or []
        self._check_security(caller, document, given)

    def _check_policy(
        self, caller: web.Identity, network: state.Document, given: Mapping[str, Any], action: str
    ) -> None:
        if caller.may_see(network["project_id"]):
            return
        for name in OWN_NETWORK_ONLY:
            if given.get(name) not in (None, []):
                raise refusal.forbidden(f"{action}_port", name)
        if any("ip_address" in fixed for fixed in given.get("fixed_ips") or ()):
            raise refusal.forbidden(f"{action}_port", "fixed_ips:ip_address")

    def _mac(self, document: state.Document, given: Mapping[str, Any]) -> str:
        mac = given.get("mac_address")
        if mac is None:
            return "fa:16:3e:" + ":".join(re.findall("..", document["id"][:6]))
        if not MAC.fullmatch(mac.lower()):
            raise refusal.invalid(f"Invalid input for mac_address. Reason: '{mac}' is not a valid MAC address.")
        for other in self.objects("port", network_id=document["network_id"], mac_address=mac.lower()):
            if other["id"] != document["id"]:
                raise refusal.conflict(
                    "MacAddressInUse",
                    f"Unable to complete operation for network {document['network_id']}. The mac address {mac} is in use.",
                )
        return mac.lower()

    def _addresses(
        self, caller: web.Identity, document: state.Document, given: Mapping[str, Any]
    ) -> list[dict[str, str]]:
        """Return the fixed addresses that a port asks for, or one of each version."""
        of_network = self.objects("subnet", network_id=document["network_id"])
        wanted = given.get("fixed_ips")
        if wanted is None:
            first: dict[int, state.Document] = {}
            for subnet in of_network:
                first.setdefault(subnet["ip_version"], subnet)
            wanted = [{"subnet_id": subnet["id"]} for subnet in first.values()]
        used = self.used_addresses(document["network_id"], document["id"])
        chosen: list[dict[str, str]] = []
        for fixed in wanted:
            subnet = self._subnet_of(document, fixed, of_network)
            self._check_mode(document, fixed, subnet)
            if subnet["ipv6_address_mode"] in AUTOMATIC and not fixed.get("ip_address"):
                fixed = {**fixed, "ip_address": addressing.derived(subnet["cidr"], document["mac_address"])}
            address = fixed.get("ip_address") or addressing.first_free(subnet["allocation_pools"], used)
            if address is None:
                raise refusal.conflict(
                    "IpAddressGenerationFailure",
                    f"No more IP addresses available on network {document['network_id']}.",
                )
            if not addressing.contains(subnet["cidr"], address):
                raise refusal.invalid(
                    f"IP address {address} is not a valid IP for the specified subnet.", "InvalidIpForSubnet"
                )
            if address in used:
                raise refusal.conflict(
                    "IpAddressAlreadyAllocated",
                    f"IP address {address} already allocated in subnet {subnet['id']}",
                )
            used.add(address)
            chosen.append({"subnet_id": subnet["id"], "ip_address": address})
        return chosen

    @staticmethod
    def _check_mode(document: state.Document, fixed: Mapping[str, Any], subnet: state.Document) -> None:
        """Refuse an address in a subnet whose addresses follow from MAC addresses, except of routers."""
        automatic = subnet["ipv6_address_mode"] in AUTOMATIC
        if automatic and fixed.get("ip_address") and document["device_owner"] not in ROUTER_OWNERS:
            raise refusal.invalid(
                f"Invalid input for operation: IPv6 address {fixed['ip_address']} cannot be directly assigned to a port on "
                f"subnet {subnet['id']} as the subnet is configured for automatic addresses.",
                "AllocationOnAutoAddressSubnet",
            )

    def _subnet_of(
        self, document: state.Document, fixed: Mapping[str, Any], of_network: list[state.Document]
    ) -> state.Document:
        subnet_id, address = fixed.get("subnet_id"), fixed.get("ip_address")
        if subnet_id is None and address is None:
            raise refusal.invalid("IP allocation requires subnet_id or ip_address.", "InvalidInput")
        for subnet in of_network:
            if subnet_id == subnet["id"] or (subnet_id is None and addressing.contains(subnet["cidr"], str(address))):
                return subnet
        raise refusal.invalid(
            f"Failed to create port on network {document['network_id']}, because fixed_ips included invalid subnet "
            f"{subnet_id or address}.",
            "InvalidInput",
        )

    def used_addresses(self, network_id: str, but: str = "") -> set[str]:
        """Return the addresses of the ports of a network, without those of the port *but*."""
        return {
            fixed["ip_address"]
            for port in self.objects("port", network_id=network_id)
            if port["id"] != but
            for fixed in port["fixed_ips"]
        }

    def _check_security(self, caller: web.Identity, document: state.Document, given: Mapping[str, Any]) -> None:
        for key in given.get("security_groups") or ():
            self._groups.get(caller, key)
        if given.get("qos_policy_id"):
            self._qos.get(caller, str(given["qos_policy_id"]))
        for pair in document["allowed_address_pairs"]:
            if not set(pair) <= {"ip_address", "mac_address"} or "ip_address" not in pair:
                raise refusal.invalid(f"Invalid input for allowed_address_pairs. Reason: {pair!r} is not valid.")
        document["allowed_address_pairs"] = [
            {"mac_address": document["mac_address"], **pair} for pair in document["allowed_address_pairs"]
        ]
        if document["port_security_enabled"]:
            return
        if document["security_groups"]:
            raise refusal.conflict(
                "PortSecurityPortHasSecurityGroup",
                "Port has security group associated. Cannot disable port security or ip address until security group is "
                "removed.",
            )
        if document["allowed_address_pairs"]:
            raise refusal.conflict(
                "AddressPairAndPortSecurityRequired",
                "Port Security must be enabled in order to have allowed address pairs on a port.",
            )

    def check_delete(self, document: state.Document) -> None:
        key = document["id"]
        if document["device_owner"] in ROUTER_OWNERS:
            raise refusal.conflict(
                "ServicePortInUse",
                f"Port {key} cannot be deleted directly via the port API: has device owner {document['device_owner']}.",
            )
        for trunk in self.objects("trunk"):
            if trunk["port_id"] == key:
                raise refusal.conflict("PortInUseAsTrunkParent", f"Port {key} is currently a parent port for trunk.")
            if any(sub["port_id"] == key for sub in trunk["sub_ports"]):
                raise refusal.conflict(
                    "PortInUseAsSubPort", f"Port {key} is currently a subport for trunk {trunk['id']}."
                )
        for forwarding in self.objects("port_forwarding", internal_port_id=key):
            self._store.delete("port_forwarding", forwarding["id"])
        for floating in self.objects("floatingip", port_id=key):
            self._store.change("floatingip", floating["id"], port_id=None, fixed_ip_address=None, router_id=None)

    def discard(self, key: str) -> None:
        """Delete a port of a router or floating IP."""
        self._store.delete("port", key)

    def shown(self, document: state.Document) -> dict[str, Any]:
        status = "ACTIVE" if document["device_id"] else "DOWN"
        shown = {**document, "status": status, "binding:vif_type": "unbound"}
        for trunk in self.objects("trunk", port_id=document["id"]):
            shown["trunk_details"] = {"trunk_id": trunk["id"], "sub_ports": trunk["sub_ports"]}
        return shown
