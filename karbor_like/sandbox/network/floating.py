"""Floating IPs, and ports that they forward."""

from collections.abc import Mapping
from typing import Any

from karbor_like.sandbox import state, web
from karbor_like.sandbox.network import networks, ports, refusal, routers
from karbor_like.sandbox.network.records import ID, UNSET, Attribute, Common, Records

OWNER = "network:floatingip"
PORT = {"type": "integer", "minimum": 1, "maximum": 65535}


class FloatingIPs(Records):
    """Floating IPs. The address of each is held by a port of the project ''."""

    kind = "floatingip"
    title = "Floating IP"
    path = "floatingips"
    attributes = {
        "floating_network_id": Attribute(ID, None, put=False),
        "floating_ip_address": Attribute(ID, None, put=False, admin=True),
        "subnet_id": Attribute(ID, UNSET, put=False),
        "port_id": Attribute(ID, None),
        "fixed_ip_address": Attribute(ID, None),
        "dns_name": Attribute(put=False),
        "dns_domain": Attribute(put=False),
        "qos_policy_id": Attribute({"type": "null"}, None),
    }

    def __init__(
        self,
        common: Common,
        network_records: networks.Networks,
        port_records: ports.Ports,
        router_records: routers.Routers,
    ) -> None:
        super().__init__(common)
        self._networks = network_records
        self._ports = port_records
        self._routers = router_records

    def complete(self, caller: web.Identity, document: state.Document, given: Mapping[str, Any]) -> None:
        network = self._networks.get(caller, str(document["floating_network_id"]))
        if not network["router:external"]:
            raise refusal.invalid(f"Bad floatingip request: Network {network['id']} is not a valid external network.")
        subnet_id, address = document.pop("subnet_id", None), document["floating_ip_address"]
        fixed = {"subnet_id": subnet_id} if subnet_id else {}
        fixed |= {"ip_address": address} if address else {}
        values: dict[str, Any] = {"network_id": network["id"], "device_owner": OWNER, "device_id": document["id"]}
        values |= {"fixed_ips": [fixed]} if fixed else {}
        # Only administrators choose the address, and subnets of external networks belong to others.
        port = self._ports.insert(caller, "", {**values, "port_security_enabled": False})
        if not port["fixed_ips"]:
            raise refusal.conflict(
                "IpAddressGenerationFailure", f"No more IP addresses available on network {network['id']}."
            )
        document["floating_ip_address"] = port["fixed_ips"][0]["ip_address"]
        self._associate(caller, document)

    def change(
        self, caller: web.Identity, before: state.Document, document: state.Document, given: Mapping[str, Any]
    ) -> None:
        if "port_id" in given:
            document["fixed_ip_address"] = given.get("fixed_ip_address")
            self._associate(caller, document)

    def _associate(self, caller: web.Identity, document: state.Document) -> None:
        document["router_id"] = None
        if not document["port_id"]:
            if document["fixed_ip_address"]:
                raise refusal.invalid("Bad floatingip request: fixed_ip_address cannot be specified without a port_id.")
            return
        port = self._ports.get(caller, document["port_id"])
        fixed = [f for f in port["fixed_ips"] if document["fixed_ip_address"] in (None, f["ip_address"])]
        if not fixed:
            raise refusal.invalid(f"Bad floatingip request: Port {port['id']} does not have that fixed IP address.")
        address, subnet_id = fixed[0]["ip_address"], fixed[0]["subnet_id"]
        for other in self.objects(self.kind, port_id=port["id"], fixed_ip_address=address):
            if other["id"] != document["id"] and other["floating_network_id"] == document["floating_network_id"]:
                raise refusal.conflict(
                    "FloatingIPPortAlreadyAssociated",
                    f"Cannot associate floating IP {document['floating_ip_address']} with port {port['id']} using fixed IP "
                    f"{address}, as that fixed IP already has a floating IP.",
                )
        if self.objects("port_forwarding", floatingip_id=document["id"]):
            raise refusal.conflict(
                "FipInUseByPortForwarding", f"Floating IP {document['id']} in use by Port Forwarding."
            )
        router_id = self._routers.gateway_of(subnet_id, document["floating_network_id"])
        if router_id is None:
            raise refusal.Refusal(
                404,
                "ExternalGatewayForFloatingIPNotFound",
                f"External network {document['floating_network_id']} is not reachable from subnet {subnet_id}. Therefore, "
                f"cannot associate Port {port['id']} with a Floating IP.",
            )
        document |= {"fixed_ip_address": address, "router_id": router_id}

    def check_delete(self, document: state.Document) -> None:
        for forwarding in self.objects("port_forwarding", floatingip_id=document["id"]):
            self._store.delete("port_forwarding", forwarding["id"])
        for port in self.objects("port", device_id=document["id"], device_owner=OWNER):
            self._ports.discard(port["id"])

    def shown(self, document: state.Document) -> dict[str, Any]:
        return {**document, "status": "ACTIVE" if document["port_id"] else "DOWN"}


class PortForwardings(Records):
    """Ports of a floating IP that lead to ports of an address inside."""

    kind = "port_forwarding"
    title = "Port Forwarding"
    path = "floatingips/{parent}/port_forwardings"
    attributes = {
        "floatingip_id": Attribute(ID, None, put=False),
        "internal_port_id": Attribute(ID, None),
        "internal_ip_address": Attribute(ID, UNSET),
        "internal_port": Attribute(PORT, UNSET),
        "external_port": Attribute(PORT, UNSET),
        "protocol": Attribute({"type": "string"}, UNSET),
    }

    def __init__(
        self, common: Common, floating_ips: FloatingIPs, port_records: ports.Ports, router_records: routers.Routers
    ) -> None:
        super().__init__(common)
        self._floating = floating_ips
        self._ports = port_records
        self._routers = router_records

    def complete(self, caller: web.Identity, document: state.Document, given: Mapping[str, Any]) -> None:
        document.pop("name")
        for name in ("internal_port_id", "internal_port", "external_port", "protocol"):
            if document.get(name) is None:
                raise refusal.invalid(f"Failed to parse request. Required attribute '{name}' not specified")
        self._check_port_forwarding(caller, document)

    def change(
        self, caller: web.Identity, before: state.Document, document: state.Document, given: Mapping[str, Any]
    ) -> None:
        self._check_port_forwarding(caller, document)

    def _check_port_forwarding(self, caller: web.Identity, document: state.Document) -> None:
        floating = self._floating.own(caller, document["floatingip_id"], "update")
        if floating["port_id"]:
            raise refusal.conflict("FloatingIPInUse", f"Floating IP {floating['id']} is associated with a port.")
        port = self._ports.get(caller, document["internal_port_id"])
        wanted = document.get("internal_ip_address")
        fixed = [f for f in port["fixed_ips"] if wanted in (None, f["ip_address"])]
        if not fixed:
            raise refusal.invalid(f"Bad port_forwarding request: Port {port['id']} does not have that address.")
        router_id = self._routers.gateway_of(fixed[0]["subnet_id"], floating["floating_network_id"])
        if router_id is None:
            raise refusal.invalid("Bad port_forwarding request: the port is not reachable from the external network.")
        document["internal_ip_address"] = fixed[0]["ip_address"]
        same = ("floatingip_id", "external_port", "protocol")
        for other in self.objects(self.kind, **{name: document[name] for name in same}):
            if other["id"] != document["id"]:
                raise refusal.invalid("Bad port_forwarding request: A duplicate port forwarding entry already exists.")
        self._store.change("floatingip", floating["id"], router_id=router_id)

    def shown(self, document: state.Document) -> dict[str, Any]:
        return {name: value for name, value in document.items() if name not in ("floatingip_id", "tags")}
