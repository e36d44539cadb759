"""The interfaces of a restored server: existing ports, ports that other resources restore, or ports of its own."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final

from karbor_like.domain import resource
from karbor_like.domain.template import Template
from karbor_like.plugins.neutron import schema as network
from karbor_like.plugins.neutron.deployables.base import DIRECT
from karbor_like.plugins.neutron.protectable import DEFAULT_GROUP
from karbor_like.plugins.nova import decisions
from karbor_like.plugins.nova.target import Target
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import names
from karbor_like.plugins.toolkit.details import shorten

#: Beginning of the names of descriptions that a server contributes because no plugin of their types did.
PREFIX: Final = "server_"

Values = Mapping[str, Any]


class Interfaces:
    """The interfaces of one server.

    :param server: its description
    :param ports: the description of its ports
    """

    def __init__(self, context: HookContext, target: Target, server: Values, ports: Values) -> None:
        self._context = context
        self._target = target
        self._server = server
        self._ports = {port["id"]: port for port in ports["ports"]}
        self._own = {each["id"] for each in ports["networks"]}
        self._subnets = {each["id"]: each for each in ports["subnets"]}
        self._default = {each["id"] for each in ports["security_groups"] if each["name"] == DEFAULT_GROUP}
        self._floating = ports["floating_ips"]
        self._trunks = ports["trunks"]

    def decide(self) -> None:
        """Choose the original ports that no server has. For the main hook of a restore."""
        if self._only_network:
            return
        for port_id, name in self._decisions.items():
            port = self._target.port(port_id)
            if port is not None and not self._target.is_held(port):
                decisions.decide(self._context, name, port_id)

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Yield ``Type#id`` and a reason for everything that the ports need and the target does not have."""
        mapping = self._context.mapping
        if self._only_network:
            if not self._target.existing(network.NET, [self._only_network]):
                yield self._context.resource.key, f"network {self._only_network} does not exist"
            return
        if self.are_restored:
            return
        needed: dict[str, set[str]] = {network.NET: set(), network.GROUP: set()}
        for port_id, port in self._ports.items():
            if network.key(network.PORT, port_id) not in mapping and self._target.port(port_id) is None:
                needed[network.NET].add(port["network_id"])
                needed[network.GROUP].update(set(port["security_groups"]) - self._default)
        for kind, ids in needed.items():
            mapped = {mapping[network.key(kind, each)] for each in ids if network.key(kind, each) in mapping}
            for missing in sorted(mapped - self._target.existing(kind, mapped)):
                yield self._context.resource.key, f"network_map: {missing} does not exist"
            unmapped = {each for each in ids if network.key(kind, each) not in mapping}
            for missing in sorted(unmapped - self._target.existing(kind, unmapped)):
                yield (
                    network.key(kind, missing),
                    f"a port of server {self._server['id']} needs it, and it neither exists in this cloud nor is it"
                    f" restored: map it with 'network_map', or restore the {resource.NETWORK} of the checkpoint as well, if"
                    " it has one (name it in 'resources')",
                )
        yield from self._taken_addresses()

    @property
    def are_restored(self) -> bool:
        """Whether the plugin for networks restores the ports."""
        return any(each.type == resource.NETWORK for each in self._context.dependencies)

    def _taken_addresses(self) -> Iterator[tuple[str, str]]:
        """Yield a conflict for each port whose addresses must be kept, and are in use."""
        for port_id, port in self._ports.items():
            original = network.key(network.PORT, port_id)
            if original in self._context.mapping or self._target.port(port_id) is not None:
                continue
            if self._new_addresses_because(port, Template()) is None and (taken := self._taken(port)):
                yield original, f"{taken} is in use: choose other addresses with 'fixed_ips': 'keep-or-new' or 'new'"

    def _taken(self, port: Values) -> str | None:
        """Return the address or the MAC address of a port that another port has, or None."""
        wanted = [*(fixed["ip_address"] for fixed in port["fixed_ips"]), port["mac_address"]]
        return self._target.taken_address(port["network_id"], wanted)

    def contribute(self, template: Template) -> tuple[list[dict[str, Any]], list[str]]:
        """Add the ports that nothing else restores. Return Heat's property ``networks`` and remarks."""
        if self._only_network:
            return [{"network": self._only_network}], []
        found, remarks = [], []
        tags = {each["port_id"]: each["tag"] for each in self._server["interfaces"]}
        # The guest finds them in this order.
        for port_id in [*filter(self._ports.__contains__, tags), *(each for each in self._ports if each not in tags)]:
            original = network.key(network.PORT, port_id)
            # Another process may have contributed it before.
            if original not in self._context.mapping and not template.knows(original):
                used = self._decided(port_id)
                if used is not None:
                    template.use(original, used)
                else:
                    remarks += self._add(template, self._ports[port_id])
            tag = {"tag": tags[port_id]} if tags.get(port_id) else {}
            found.append({"port": Template.reference(original), **tag})
        return found or [{"allocate_network": "none"}], remarks

    def lost_remarks(self, template: Template) -> list[str]:
        """Return remarks if floating IPs or trunks are not restored. A port that is used again still has them."""

        def lost(kind: str, each: Values) -> bool:
            return self._decided(each["port_id"]) is None and not template.knows(network.key(kind, each["id"]))

        remarks = []
        if floating := [f["floating_ip_address"] for f in self._floating if lost(network.FLOATING_IP, f)]:
            remarks.append(
                f"the server has none of its floating IPs {shorten(floating)}: associate them with its ports"
            )
        if trunks := [trunk["id"] for trunk in self._trunks if lost(network.TRUNK, trunk)]:
            remarks.append(
                f"the server has none of its trunks {shorten(trunks)}: create them with its ports, or restore the"
                f" {resource.NETWORK} of the project as well"
            )
        return remarks

    @cached_property
    def _decisions(self) -> Mapping[str, str]:
        """The names of the decisions on ports, by the ids of the ports."""
        return {port_id: f"port-{number}" for number, port_id in enumerate(self._ports)}

    def _decided(self, port_id: str) -> str | None:
        """Return the id of the port that is used instead of one of the server, or None."""
        name = self._decisions.get(port_id)
        return decisions.decided(self._context, name) if name else None

    @property
    def _only_network(self) -> str | None:
        """The network of the only interface, if the request names one."""
        return self._context.parameters.get("restore_net_id")

    def _add(self, template: Template, port: Values) -> list[str]:
        original = network.key(network.PORT, port["id"])
        reason = self._new_addresses_because(port, template)
        properties: dict[str, Any] = {
            "name": names.prefixed(self._context.parameters, port["name"]),
            "network": self._reference(template, network.NET, port["network_id"]),
            "admin_state_up": port["admin_state_up"],
            "binding:vnic_type": port["vnic_type"],
            "value_specs": {name: port[name] for name in ("description", "extra_dhcp_opts") if port[name]},
        }
        policy, lost = port["qos_policy_id"], list[str]()
        if policy and self._is_available(template, policy):
            properties["qos_policy"] = self._reference(template, network.QOS, policy)
        elif policy:
            lost = [f"{original}: its QoS policy {policy} does not exist in this cloud, so it has none"]
        if port["dns_name"]:
            properties["dns_name"] = port["dns_name"]
        if port.get("dns_domain"):
            properties[DIRECT] = {"dns_domain": port["dns_domain"]}
        if port["tags"]:
            properties["tags"] = port["tags"]
        if reason is None:
            properties["fixed_ips"] = [
                {"subnet": self._reference(template, network.SUBNET, fixed["subnet_id"])}
                # With the same MAC address, the port gets the same automatic address.
                | ({} if self._is_automatic(fixed) else {"ip_address": fixed["ip_address"]})
                for fixed in port["fixed_ips"]
            ]
            properties["mac_address"] = port["mac_address"]
        if self._is_own_network(port):
            properties["allowed_address_pairs"] = port["allowed_address_pairs"]
            properties["port_security_enabled"] = port["port_security_enabled"]
        # Without the property, Neutron adds the default group.
        if port["port_security_enabled"] or not self._is_own_network(port):
            groups = [self._group(template, group) for group in port["security_groups"]]
            properties["security_groups"] = groups
        template.add(f"{PREFIX}port_{port['id']}", network.PORT, properties, restores=original)
        addresses = ", ".join(fixed["ip_address"] for fixed in port["fixed_ips"]) or "no address"
        if reason:
            lost.append(f"{original}: its addresses {addresses} and {port['mac_address']} are not kept: {reason}")
        return lost

    def _is_available(self, template: Template, policy: str) -> bool:
        """Return whether the tenant can use a QoS policy of the checkpoint, or another one that stands for it."""
        return self._is_known(template, network.QOS, policy) or bool(self._target.existing(network.QOS, [policy]))

    def _is_automatic(self, fixed: Values) -> bool:
        return network.is_automatic(self._subnets.get(fixed["subnet_id"]))

    def _new_addresses_because(self, port: Values, template: Template) -> str | None:
        """Return why the port gets new addresses, or None if it keeps those of the original."""
        how = self._context.parameters.get("fixed_ips", "keep")
        if how == "new":
            return "the request says so"
        if not self._is_own_network(port):
            return f"network {port['network_id']} is not the project's"
        if network.key(network.NET, port["network_id"]) in self._context.mapping:
            return f"network {port['network_id']} is mapped to another one"
        subnets = {fixed["subnet_id"] for fixed in port["fixed_ips"]}
        unknown = {each for each in subnets if not self._is_known(template, network.SUBNET, each)}
        if unknown - self._target.existing(network.SUBNET, unknown):
            return "their subnets do not exist"
        present = self._target.port(port["id"])
        if present is not None and self._target.is_held(present):
            return "the original port is in use"
        if how == "keep-or-new" and (taken := self._taken(port)):
            return f"{taken} is in use"
        return None

    def _is_own_network(self, port: Values) -> bool:
        return port["network_id"] in self._own

    def _is_known(self, template: Template, kind: str, resource_id: str) -> bool:
        original = network.key(kind, resource_id)
        return template.knows(original) or original in self._context.mapping or original in self._context.restored

    def _group(self, template: Template, group_id: str) -> dict[str, str]:
        original = network.key(network.GROUP, group_id)
        if group_id in self._default and not self._is_known(template, network.GROUP, group_id):
            default = self._target.default_group()
            if default is not None:
                template.use(original, default)
        return self._reference(template, network.GROUP, group_id)

    def _reference(self, template: Template, kind: str, resource_id: str) -> dict[str, str]:
        """Return a reference. It means the original if nothing else restores that."""
        original = network.key(kind, resource_id)
        if not self._is_known(template, kind, resource_id) and self._target.existing(kind, [resource_id]):
            template.use(original, resource_id)
        return Template.reference(original)
