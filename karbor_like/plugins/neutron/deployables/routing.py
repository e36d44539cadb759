"""The connections of routers: interfaces and routes. They are parts of a router, and need no marks."""

from collections.abc import Mapping, Sequence
from typing import Any

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.plugins.neutron.deployables.base import Connection, Found
from karbor_like.plugins.neutron.schema import INTERFACES


class RouterInterface(Connection):
    """``OS::Neutron::RouterInterface``: by ``port``, or by ``subnet`` at its gateway's address. The id is that of the port.

    Neutron allows a router one interface in a subnet, and so it is found by both.
    """

    noun = "router interface"
    collection = "ports"

    def needs(self) -> Mapping[str, int]:
        # Neutron makes the port of a subnet's gateway.
        return {} if "port" in self.properties() else {"port": 1}

    def get(self, cloud_id: str) -> Found:
        found = super().get(cloud_id)
        if found.values.get("device_owner") not in INTERFACES:
            raise exception.ResourceNotFound(f"port {cloud_id} is not connected to a router")
        return found

    def search(self) -> Sequence[str]:
        wanted = self.properties()
        return [
            port.id
            for port in self.owned(device_id=wanted["router"])
            if port.values.get("device_owner") in INTERFACES and _is_at(port, wanted)
        ]

    def create(self, name: str, markers: Mapping[str, str]) -> str:
        wanted = self.properties()
        kind = "port" if "port" in wanted else "subnet"
        with translated(f"connecting router {wanted['router']} to {kind} {wanted[kind]}"):
            made = self.neutron.call("routers", wanted["router"], "add_router_interface", {f"{kind}_id": wanted[kind]})
        if not isinstance(made.get("port_id"), str):
            raise exception.Unavailable("Neutron's response cannot be understood: the router interface has no port")
        return made["port_id"]

    def delete(self, current: Found) -> None:
        router_id = str(current.values.get("device_id"))
        with translated(f"disconnecting router {router_id} from port {current.id}"):
            self.neutron.call("routers", router_id, "remove_router_interface", {"port_id": current.id})


def _is_at(port: Found, wanted: Mapping[str, Any]) -> bool:
    subnets = {fixed.get("subnet_id") for fixed in port.values.get("fixed_ips") or ()}
    return port.id == wanted["port"] if "port" in wanted else wanted["subnet"] in subnets


class ExtraRouteSet(Connection):
    """``OS::Neutron::ExtraRouteSet``: routes that a router has in addition to others. The id is that of the router."""

    noun = "routes of router"
    collection = "routers"

    def get(self, cloud_id: str) -> Found:
        found = super().get(cloud_id)
        if not any(route in _routes(found) for route in self._wanted()):
            raise exception.ResourceNotFound(f"router {cloud_id} has no such routes")
        return found

    def search(self) -> Sequence[str]:
        router = super().get(self.properties()["router"])
        return [router.id] if all(route in _routes(router) for route in self._wanted()) else []

    def create(self, name: str, markers: Mapping[str, str]) -> str:
        router = super().get(self.properties()["router"])
        missing = [route for route in self._wanted() if route not in _routes(router)]
        self._set(router, [*_routes(router), *missing])
        return router.id

    def delete(self, current: Found) -> None:
        self._set(current, [route for route in _routes(current) if route not in self._wanted()])

    def _wanted(self) -> list[dict[str, Any]]:
        return [dict(route) for route in self.properties()["routes"]]

    def _set(self, router: Found, routes: list[dict[str, Any]]) -> None:
        with translated(f"the routes of router {router.id}"):
            self.neutron.update("routers", router.id, {"routes": routes})


def _routes(router: Found) -> list[dict[str, Any]]:
    return [
        {"destination": route.get("destination"), "nexthop": route.get("nexthop")}
        for route in router.values.get("routes") or ()
    ]
