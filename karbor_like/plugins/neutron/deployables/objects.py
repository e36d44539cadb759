"""Networks, subnets, pools, routers, ports and trunks."""

from collections.abc import Mapping
from typing import Any

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.plugins.neutron.deployables.base import Found, NeutronObject, with_ids
from karbor_like.plugins.neutron.schema import INTERFACES
from karbor_like.plugins.toolkit import ownership

_DHCP = "network:dhcp"


class Net(NeutronObject):
    """``OS::Neutron::Net``."""

    noun = "network"
    collection = "networks"
    quota = "network"
    renamed = {"qos_policy": "qos_policy_id"}


class Subnet(NeutronObject):
    """``OS::Neutron::Subnet``. Without a gateway, ``gateway_ip`` is the empty text."""

    noun = "subnet"
    collection = "subnets"
    quota = "subnet"
    # Not earlier: Neutron then refuses ports that are not of such a service, and those of the original may be of one later.
    optional = ("service_types",)
    renamed = {"network": "network_id"}

    def attributes(self) -> dict[str, Any]:
        values = super().attributes()
        return {**values, **({"gateway_ip": None} if values.get("gateway_ip") == "" else {})}


class SubnetPool(NeutronObject):
    """``OS::Neutron::SubnetPool``."""

    noun = "subnet pool"
    collection = "subnetpools"
    quota = "subnetpool"
    described_by = ()


class Router(NeutronObject):
    """``OS::Neutron::Router``, with its gateway."""

    noun = "router"
    collection = "routers"
    quota = "router"

    def attributes(self) -> dict[str, Any]:
        values = super().attributes()
        gateway = values.pop("external_gateway_info", None)
        # Neutron refuses the other members to tenants.
        return {**values, "external_gateway_info": {"network_id": gateway["network"]}} if gateway else values

    def delete(self, current: Found) -> None:
        # Its connections, which have no marks, keep it from being deleted.
        if current.values.get("routes"):
            with translated(f"the routes of router {current.id}"):
                self.neutron.update(self.collection, current.id, {"routes": []})
        with translated(f"the ports of router {current.id}"):
            ports = self.neutron.list("ports", device_id=current.id, project_id=self.clients.project_id)
        for port in ports:
            if port.get("device_owner") in INTERFACES:
                with translated(f"disconnecting router {current.id} from port {port['id']}"):
                    self.neutron.call(self.collection, current.id, "remove_router_interface", {"port_id": port["id"]})
        super().delete(current)


class Port(NeutronObject):
    """``OS::Neutron::Port``."""

    noun = "port"
    collection = "ports"
    quota = "port"
    optional = ("dns_domain",)
    renamed = {"network": "network_id", "qos_policy": "qos_policy_id"}

    def attributes(self) -> dict[str, Any]:
        values = super().attributes()
        if "fixed_ips" in values:
            values["fixed_ips"] = with_ids("subnet", values["fixed_ips"], "subnet_id")
        return values

    def create(self, name: str, markers: Mapping[str, str]) -> str:
        try:
            return super().create(name, markers)
        except exception.Conflict:
            if self._release_from_dhcp():
                raise exception.Unavailable(
                    f"creating port {name}: Neutron's DHCP service had its address, and must take another one"
                ) from None
            raise

    def _release_from_dhcp(self) -> bool:
        """Delete ports of Neutron's DHCP service that have an address of this port. Return whether there were any.

        The service takes addresses as soon as a subnet is created. It makes another port, but on a network that is in use its
        guests may notice. So that is done on networks of this operation only.
        """
        wanted = self.attributes()
        addresses = {fixed["ip_address"] for fixed in wanted.get("fixed_ips") or () if "ip_address" in fixed}
        with translated(f"network {wanted['network_id']}"):
            network = self.neutron.show("networks", wanted["network_id"])
        if not addresses or not ownership.operation_of(network.get("description"), {}):
            return False
        holders = [
            port
            for port in self.owned(network_id=wanted["network_id"], device_owner=_DHCP)
            if addresses & {fixed.get("ip_address") for fixed in port.values.get("fixed_ips") or ()}
        ]
        for holder in holders:
            self.delete(holder)
        return bool(holders)


class Trunk(NeutronObject):
    """``OS::Neutron::Trunk``."""

    noun = "trunk"
    collection = "trunks"
    quota = "trunk"
    renamed = {"port": "port_id"}
    described_by = ("description",)

    def attributes(self) -> dict[str, Any]:
        values = super().attributes()
        return {**values, "sub_ports": with_ids("port", values.get("sub_ports"), "port_id")}
