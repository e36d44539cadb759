"""Network interfaces of servers: ports that are given, and ports that Nova creates."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from karbor_like.sandbox import errors, state, web
from karbor_like.sandbox.compute import servers
from karbor_like.sandbox.network import service as network

OWNER = "compute:nova"
ATTACHABLE = ("ACTIVE", "PAUSED", "SHUTOFF")
Request = Mapping[str, Any]


class Interfaces:
    """The interfaces of all servers. A server's record lists its ports in order."""

    def __init__(self, records: servers.Servers, store: state.Store, neutron: network.NetworkService) -> None:
        self._servers = records
        self._store = store
        self._ports = neutron.ports
        self._networks = neutron.networks
        self._groups = neutron.groups

    def checked(self, caller: web.Identity, wanted: Sequence[Request] | str | None) -> list[Request]:
        """Check the networks and ports that a new server asks for. By default, they are the only network there is.

        :raises ApiError: 400 or 403 for one that cannot be used, 409 for a port in use and for several networks
        """
        if wanted == "none":
            return []
        if isinstance(wanted, str) or not wanted:
            network_id = self._only_network(caller)
            if network_id is None and wanted == "auto":
                raise errors.bad_request(f"Unable to automatically allocate a network for project {caller.project_id}")
            return [{"uuid": network_id}] if network_id else []
        seen: set[str] = set()
        for request in wanted:
            port_id = request.get("port")
            if port_id in seen:
                raise errors.bad_request(
                    f"Port ID '{port_id}' was specified twice: you cannot attach a port multiple times."
                )
            if port_id:
                seen.add(port_id)
                if request.get("fixed_ip"):
                    raise errors.bad_request(
                        f"Specified Fixed IP '{request['fixed_ip']}' cannot be used with port '{port_id}': the two cannot "
                        "be specified together."
                    )
                self._usable(caller, port_id)
            elif not request.get("uuid"):
                raise errors.bad_request("Bad network format: missing 'uuid'")
            else:
                self._check_network(caller, request)
        return list(wanted)

    def _only_network(self, caller: web.Identity) -> str | None:
        own = [n for n in self._store.all("network") if n["shared"] or n["project_id"] == caller.project_id]
        if len(own) > 1:
            raise errors.conflict("Multiple possible networks found, use a Network ID to be more specific.")
        return own[0]["id"] if own else None

    def _check_network(self, caller: web.Identity, request: Request) -> None:
        key = request["uuid"]
        try:
            found = self._networks.get(caller, key)
        except errors.ApiError:
            raise errors.bad_request(f"Network {key} could not be found.") from None
        if not self._store_all("subnet", key):
            raise errors.bad_request(f"Network {key} requires a subnet in order to boot instances on.")
        if found["router:external"] and not found["shared"] and not caller.is_admin:
            raise errors.forbidden(f"It is not allowed to create an interface on external network {key}")
        if request.get("fixed_ip") in self._ports.used_addresses(key):
            raise errors.bad_request(f"Fixed IP address {request['fixed_ip']} is already in use.")

    def _store_all(self, kind: str, network_id: str) -> list[state.Document]:
        return [each for each in self._store.all(kind) if each["network_id"] == network_id]

    def _usable(self, caller: web.Identity, port_id: str) -> state.Document:
        """Return a port that no server has.

        :raises ApiError: 400 for one that does not exist or has no address, 409 for one in use
        """
        try:
            port = self._ports.get(caller, port_id)
        except errors.ApiError:
            raise errors.bad_request(f"Port id {port_id} could not be found.") from None
        if port["device_id"]:
            raise errors.conflict(f"Port {port_id} is still in use.")
        if not port["fixed_ips"]:
            raise errors.bad_request(f"Port {port_id} requires a FixedIP in order to be used.")
        return port

    def group_ids(self, caller: web.Identity, names: Iterable[str]) -> list[str]:
        """Return the ids of security groups that are given by name or id; none if that is the default one.

        :raises ApiError: 400 for one that does not exist, 409 for an ambiguous name
        """
        own = [group for group in self._store.all("security_group") if group["project_id"] == caller.project_id]
        ids, wanted = [], list(dict.fromkeys(names))
        for name in [] if wanted == ["default"] else wanted:
            found = [g["id"] for g in own if g["id"] == name] or [g["id"] for g in own if g["name"] == name]
            if not found and name == "default":
                found = [self._groups.default(caller, str(caller.project_id))["id"]]
            if not found:
                raise errors.bad_request(f"Security group {name} not found.")
            if len(found) > 1:
                raise errors.conflict(
                    f"Multiple security groups found matching '{name}'. Use an ID to be more specific."
                )
            ids += found
        return ids

    def allocate(
        self, caller: web.Identity, server: state.Document, wanted: Iterable[Request], group_ids: list[str]
    ) -> list[dict[str, Any]]:
        """Give the ports that a server asks for to it, and return its interfaces.

        :raises ApiError: as Neutron, or as :meth:`checked`
        """
        with self._store.transaction():
            new = [self._connect(caller, server, request, group_ids) for request in wanted]
            interfaces = [*server["interfaces"], *new]
            self._servers.change(server["id"], interfaces=interfaces)
            return new

    def _connect(
        self, caller: web.Identity, server: state.Document, request: Request, group_ids: list[str]
    ) -> dict[str, Any]:
        taken = {"device_id": server["id"], "device_owner": OWNER}
        tag = request.get("tag")
        if port_id := request.get("port"):
            port = self._usable(caller, port_id)
            if port["dns_name"] not in ("", server["hostname"]):
                raise errors.bad_request(
                    f"Port {port_id} not usable for instance {server['id']}. Value {port['dns_name']} assigned to dns_name "
                    f"attribute does not match instance's hostname {server['hostname']}"
                )
            self._ports.put({**port, **taken})
            return {"port_id": port_id, "tag": tag, "made": False}
        values = {"network_id": request["uuid"], "project_id": server["project_id"], **taken}
        if address := request.get("fixed_ip"):
            values["fixed_ips"] = [{"ip_address": address}]
        if group_ids:
            values["security_groups"] = group_ids
        return {"port_id": self._ports.create(caller, values)["id"], "tag": tag, "made": True}

    def attach(self, caller: web.Identity, key: str, values: Mapping[str, Any]) -> state.Document:
        """Attach a port, or a new one on a network, and return it.

        :raises ApiError: 400, 403, 404 and 409 as in Nova
        """
        port_id, network_id = values.get("port_id"), values.get("net_id")
        address = next((fixed["ip_address"] for fixed in values.get("fixed_ips") or ()), None)
        if port_id and network_id:
            raise errors.bad_request("Must not input both network_id and port_id")
        if address and not network_id:
            raise errors.bad_request("Must input network_id when request IP address")
        with self._store.transaction():
            server = self._servers.get(caller, key)
            servers.require_unlocked(caller, server)
            servers.require_state(server, "attach_interface", ATTACHABLE)
            request = {"port": port_id, "uuid": network_id, "fixed_ip": address, "tag": values.get("tag")}
            if port_id or network_id:
                self._must_exist(caller, request)
                wanted = self.checked(caller, [request])
            elif not (wanted := self.checked(caller, None)):
                raise errors.bad_request(
                    f"No specific network was requested and none are available for project '{server['project_id']}'."
                )
            (made,) = self.allocate(caller, server, wanted, [])
            return self.port(server["id"], made["port_id"])

    def _must_exist(self, caller: web.Identity, request: Request) -> None:
        """Refuse an unknown port or network in the way of requests about interfaces."""
        for records, key, text in (
            (self._ports, request["port"], "Port id {} could not be found."),
            (self._networks, request["uuid"], "Network {} could not be found."),
        ):
            try:
                if key:
                    records.get(caller, key)
            except errors.ApiError:
                raise errors.not_found(text.format(key)) from None

    def check_detach(self, caller: web.Identity, server: state.Document, port_id: str) -> None:
        """Check that an interface can be detached.

        :raises ApiError: 404, 409
        """
        servers.require_unlocked(caller, server)
        servers.require_state(server, "detach_interface", ATTACHABLE)
        if port_id not in [each["port_id"] for each in server["interfaces"]]:
            raise errors.not_found(f"Port id {port_id} could not be found.")

    def detach(self, key: str, port_id: str) -> None:
        """Take a port away from a server, and delete it if Nova made it."""
        with self._store.transaction():
            if server := self._servers.find(key):
                held = [each for each in server["interfaces"] if each["port_id"] == port_id]
                self.release(held)
                self._servers.change(key, interfaces=[each for each in server["interfaces"] if each not in held])

    def release(self, interfaces: Iterable[Mapping[str, Any]]) -> None:
        """Delete the ports that Nova made, and free the others."""
        for interface in interfaces:
            port = self._store.get("port", interface["port_id"])
            if port and not (interface["made"] and self._deleted(port)):
                self._ports.put({**port, "device_id": "", "device_owner": ""})

    def _deleted(self, port: state.Document) -> bool:
        """Delete a port, unless Neutron refuses that, for example because a trunk has it."""
        try:
            self._ports.check_delete(port)
        except errors.ApiError:
            return False
        self._ports.discard(port["id"])
        return True

    # what a server shows

    def port(self, key: str, port_id: str) -> state.Document:
        """Return a port of a server.

        :raises ApiError: 404
        """
        port = self._store.get("port", port_id)
        if port is None or port["device_id"] != key:
            raise errors.not_found(f"Instance {key} does not have a port with id {port_id}")
        return self._ports.shown(port)

    def ports(self, server: state.Document) -> list[state.Document]:
        """Return the ports of a server in the order in which they were attached."""
        found = (self._store.get("port", each["port_id"]) for each in server["interfaces"])
        return [self._ports.shown(port) for port in found if port]

    def addresses(self, server: state.Document) -> dict[str, list[dict[str, Any]]]:
        """Return the fixed and floating addresses of a server, by the name of the network."""
        shown: dict[str, list[dict[str, Any]]] = {}
        floating = self._store.all("floatingip")
        for port in self.ports(server):
            network_name = (self._store.get("network", port["network_id"]) or {"name": ""})["name"]
            listed = shown.setdefault(network_name, [])
            for fixed in port["fixed_ips"]:
                listed.append(_address(port, fixed["ip_address"], "fixed"))
                listed += [
                    _address(port, each["floating_ip_address"], "floating")
                    for each in floating
                    if (each["port_id"], each["fixed_ip_address"]) == (port["id"], fixed["ip_address"])
                ]
        return shown

    def group_names(self, server: state.Document) -> list[dict[str, str]]:
        """Return the security groups of all ports of a server; one of several ports is listed several times."""
        groups = (self._store.get("security_group", key) for p in self.ports(server) for key in p["security_groups"])
        return [{"name": group["name"]} for group in groups if group]


def _address(port: state.Document, address: str, kind: str) -> dict[str, Any]:
    version = 6 if ":" in address else 4
    return {
        "addr": address,
        "version": version,
        "OS-EXT-IPS:type": kind,
        "OS-EXT-IPS-MAC:mac_addr": port["mac_address"],
    }
