"""Routers: the gateway to an external network, interfaces and routes."""

from collections.abc import Mapping
from typing import Any

from karbor_like.sandbox import state, web
from karbor_like.sandbox.network import addressing, networks, ports, refusal
from karbor_like.sandbox.network.records import BOOLEAN, OBJECTS, TEXTS, UNSET, Attribute, Common, Records

INTERFACE, GATEWAY = "network:router_interface", "network:router_gateway"


class Routers(Records):
    """Routers. Their interfaces and gateways are ports."""

    kind = "router"
    title = "Router"
    path = "routers"
    attributes = {
        "admin_state_up": Attribute(BOOLEAN, True),
        "external_gateway_info": Attribute({"type": ["object", "null"]}, None),
        "routes": Attribute(OBJECTS, [], post=False),
        "ha": Attribute(BOOLEAN, UNSET, admin=True, hidden=True),
        "distributed": Attribute(BOOLEAN, UNSET, admin=True, hidden=True),
        "availability_zone_hints": Attribute(TEXTS, [], put=False),
    }

    def __init__(
        self,
        common: Common,
        network_records: networks.Networks,
        subnets: networks.Subnets,
        port_records: ports.Ports,
    ) -> None:
        super().__init__(common)
        self._networks = network_records
        self._subnets = subnets
        self._ports = port_records

    def complete(self, caller: web.Identity, document: state.Document, given: Mapping[str, Any]) -> None:
        document.setdefault("ha", False)
        document.setdefault("distributed", False)
        self._set_gateway(caller, document, given.get("external_gateway_info"), "create")

    def change(
        self, caller: web.Identity, before: state.Document, document: state.Document, given: Mapping[str, Any]
    ) -> None:
        if "external_gateway_info" in given:
            self._remove_gateway(document, given["external_gateway_info"])
            self._set_gateway(caller, document, given["external_gateway_info"], "update")
        if "routes" in given:
            self._check_routes(document)

    def _remove_gateway(self, document: state.Document, info: Mapping[str, Any] | None) -> None:
        """Remove the gateway unless the new one is on the same network."""
        for port in self.objects("port", device_id=document["id"], device_owner=GATEWAY):
            if info and info.get("network_id") == port["network_id"]:
                continue
            if self.objects("floatingip", router_id=document["id"]):
                raise refusal.conflict(
                    "RouterExternalGatewayInUseByFloatingIp",
                    f"Gateway cannot be updated for router {document['id']}, since a gateway to external network "
                    f"{port['network_id']} is required by one or more floating IPs.",
                )
            self._ports.discard(port["id"])

    def _set_gateway(
        self, caller: web.Identity, document: state.Document, info: Mapping[str, Any] | None, action: str
    ) -> None:
        document["external_gateway_info"] = None
        if not info:
            return
        for name in ("enable_snat", "external_fixed_ips"):
            if name in info and not caller.is_admin:
                raise refusal.forbidden(f"{action}_router", f"external_gateway_info:{name}")
        network = self._networks.get(caller, str(info.get("network_id")))
        if not network["router:external"]:
            raise refusal.invalid(
                f"Bad router request: Network {network['id']} is not an external network.", "BadRequest"
            )
        existing = self.objects("port", device_id=document["id"], device_owner=GATEWAY)
        wanted = info.get("external_fixed_ips")
        values: dict[str, Any] = {"network_id": network["id"], "device_id": document["id"], "device_owner": GATEWAY}
        if wanted is not None:
            values["fixed_ips"] = wanted
        if wanted is not None and existing:
            self._ports.discard(existing.pop()["id"])
        port = existing[0] if existing else self._ports.insert(caller, "", {**values, "port_security_enabled": False})
        document["external_gateway_info"] = {
            "network_id": network["id"],
            "enable_snat": info.get("enable_snat", True),
            "external_fixed_ips": port["fixed_ips"],
        }

    def _check_routes(self, document: state.Document) -> None:
        document["routes"] = document["routes"] or []
        connected = self._connected(document["id"])
        for route in document["routes"]:
            if set(route) != {"destination", "nexthop"}:
                raise refusal.invalid(f"Invalid input for routes. Reason: {route!r} is not valid.")
            addressing.parse_network(route["destination"])
            if not any(addressing.contains(cidr, route["nexthop"]) for cidr in connected):
                raise refusal.invalid(
                    f"Invalid format for routes: {document['routes']}, the nexthop is not connected with router",
                    "InvalidRoutes",
                )

    def _connected(self, router_id: str, without: str = "") -> list[str]:
        """Return the networks that a router has a port in, without the port *without*."""
        subnets = {
            fixed["subnet_id"]
            for port in self.objects("port", device_id=router_id)
            if port["id"] != without
            for fixed in port["fixed_ips"]
        }
        return [each["cidr"] for each in self.objects("subnet") if each["id"] in subnets]

    def check_delete(self, document: state.Document) -> None:
        if self.objects("port", device_id=document["id"], device_owner=INTERFACE):
            raise refusal.conflict("RouterInUse", f"Router {document['id']} still has ports")
        self._remove_gateway(document, None)

    # interfaces

    def add_interface(self, caller: web.Identity, key: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Connect a router to a subnet, at its gateway's address or by a port.

        :raises ApiError: 400 for a subnet without a gateway or one that overlaps; 409 if the address or port is in use
        """
        router = self.own(caller, key, "update")
        if ("subnet_id" in values) == ("port_id" in values):
            raise refusal.invalid("Either subnet_id or port_id must be specified", "BadRequest")
        if "port_id" in values:
            port = self._ports.get(caller, str(values["port_id"]))
            if port["device_id"] or len(port["fixed_ips"]) == 0:
                raise refusal.conflict(
                    "PortInUse",
                    f"Unable to complete operation on port {port['id']} for network {port['network_id']}. Port already has "
                    "an attached device.",
                )
            subnet = self._subnets.get(caller, port["fixed_ips"][0]["subnet_id"])
            self._check_overlap(router, subnet)
            port |= {"device_id": key, "device_owner": INTERFACE, "security_groups": []}
            self._ports.put(port)
        else:
            subnet = self._subnets.get(caller, str(values["subnet_id"]))
            if not subnet["gateway_ip"]:
                raise refusal.invalid(
                    "Bad router request: Subnet for router interface must have a gateway IP.", "BadRequest"
                )
            self._check_overlap(router, subnet)
            fixed = [{"subnet_id": subnet["id"], "ip_address": subnet["gateway_ip"]}]
            made = {"network_id": subnet["network_id"], "fixed_ips": fixed, "security_groups": []}
            made |= {"device_id": key, "device_owner": INTERFACE}
            port = self._ports.insert(caller, router["project_id"], made)
        self._store.put("router_interface", port["id"], {"subnet_id": subnet["id"], "router_id": key})
        return _interface(router, port, subnet["id"])

    def _check_overlap(self, router: state.Document, subnet: state.Document) -> None:
        cidr = addressing.parse_network(subnet["cidr"])
        for other in map(addressing.parse_network, self._connected(router["id"])):
            if other.version == cidr.version and other.overlaps(cidr):
                raise refusal.invalid(
                    f"Bad router request: Cidr {cidr} of subnet {subnet['id']} overlaps with cidr {other}.",
                    "BadRequest",
                )

    def remove_interface(self, caller: web.Identity, key: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Disconnect a router from a subnet, and delete the port.

        :raises ApiError: 404 if it is not connected; 409 if a route or a floating IP needs the interface
        """
        router = self.own(caller, key, "update")
        for port in self.objects("port", device_id=key, device_owner=INTERFACE):
            subnets = [fixed["subnet_id"] for fixed in port["fixed_ips"]]
            if port["id"] == values.get("port_id") or values.get("subnet_id") in subnets:
                self._check_unused(router, port)
                self._ports.discard(port["id"])
                self._store.delete("router_interface", port["id"])
                return _interface(router, port, subnets[0])
        raise refusal.missing("Router interface", str(values.get("port_id") or values.get("subnet_id")))

    def _check_unused(self, router: state.Document, port: state.Document) -> None:
        left = self._connected(router["id"], port["id"])
        if any(not any(addressing.contains(cidr, r["nexthop"]) for cidr in left) for r in router["routes"]):
            raise refusal.conflict(
                "RouterInterfaceInUseByRoute",
                f"Router interface for subnet on router {router['id']} cannot be deleted, as it is required by one or more "
                "routes.",
            )
        users = self.objects("floatingip", router_id=router["id"])
        if any(self._is_on(floating, port) for floating in users):
            raise refusal.conflict(
                "RouterInterfaceInUseByFloatingIP",
                f"Router interface for subnet on router {router['id']} cannot be deleted, as it is required by one or more "
                "floating IPs.",
            )

    def _is_on(self, floating: state.Document, port: state.Document) -> bool:
        target = self._store.get("port", floating["port_id"] or "")
        subnets = {fixed["subnet_id"] for fixed in port["fixed_ips"]}
        return target is not None and any(
            fixed["subnet_id"] in subnets and fixed["ip_address"] == floating["fixed_ip_address"]
            for fixed in target["fixed_ips"]
        )

    def gateway_of(self, subnet_id: str, external_network_id: str) -> str | None:
        """Return the router between a subnet and an external network, or None."""
        for interface in self.objects("router_interface", subnet_id=subnet_id):
            router = self._store.get("router", interface["router_id"])
            info = router and router["external_gateway_info"]
            if info and info["network_id"] == external_network_id:
                return interface["router_id"]
        return None

    def shown(self, document: state.Document) -> dict[str, Any]:
        return {**document, "status": "ACTIVE", "availability_zones": []}


def _interface(router: state.Document, port: state.Document, subnet_id: str) -> dict[str, Any]:
    return {
        "id": router["id"],
        "tenant_id": router["project_id"],
        "port_id": port["id"],
        "network_id": port["network_id"],
        "subnet_id": subnet_id,
        "subnet_ids": [subnet_id],
    }
