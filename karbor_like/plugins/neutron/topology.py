"""The resources of a restored network topology, in the shape of a Heat template. Pure functions."""

import ipaddress
from collections.abc import Sequence

from karbor_like.domain.template import Template
from karbor_like.plugins.neutron import rules
from karbor_like.plugins.neutron.choices import Choices
from karbor_like.plugins.neutron.contribution import Contribution, Values, picked, ref
from karbor_like.plugins.neutron.schema import (
    FLOATING_IP,
    GROUP,
    NET,
    POOL,
    PORT,
    QOS,
    ROUTER,
    SUBNET,
    TRUNK,
    Document,
    is_automatic,
    key,
)


def contribute(document: Document, template: Template, choices: Choices) -> list[str]:
    """Add the resources of a description to a template.

    :param document: as :func:`karbor_like.plugins.neutron.schema.checked` returned it
    :param choices: what exists in the target, and how the rest is created. The template must resolve what exists

    Returns remarks on what the resources cannot restore.
    """
    return _Topology(document, template, choices).add()


class _Topology(Contribution):
    def add(self) -> list[str]:
        for network in self.created(NET, "networks"):
            self._network(network)
        for pool in self.created(POOL, "subnet_pools"):
            self._pool(pool)
        for subnet in self.created(SUBNET, "subnets"):
            self._subnet(subnet)
        for group in self.document["security_groups"]:
            self._group(group)
        for port in self.created(PORT, "ports"):
            self._port(port)
        for router in self.document["routers"]:
            self._router(router)
        for trunk in self.created(TRUNK, "trunks"):
            self._trunk(trunk)
        for floating in self.document["floating_ips"]:
            self._floating_ip(floating)
        return self.remarks

    def _network(self, network: Values) -> None:
        self.put(
            NET,
            network,
            {
                "admin_state_up": network["admin_state_up"],
                # Clouds may lack the extension. Those that have it secure ports by default.
                "port_security_enabled": None if network["port_security_enabled"] else False,
                "dns_domain": network["dns_domain"] or None,
                "qos_policy": ref(QOS, network["qos_policy_id"]),
            },
            specs={"mtu": network["mtu"]},
        )

    def _pool(self, pool: Values) -> None:
        lengths = ("prefixes", "default_prefixlen", "min_prefixlen", "max_prefixlen", "default_quota")
        self.put(POOL, pool, picked(pool, *lengths))

    def _subnet(self, subnet: Values) -> None:
        names = ("cidr", "ip_version", "enable_dhcp", "allocation_pools", "dns_nameservers", "host_routes")
        pool = subnet["subnetpool_id"]
        # A pool of others gives each network once, and an original that is copied has this one.
        pooled = self.is_created(POOL, pool) or (self.is_there(POOL, pool) and not self.choices.copy)
        if pool and not pooled:
            self.remarks.append(f"{key(SUBNET, subnet['id'])}: it is not of a subnet pool any more")
        self.put(
            SUBNET,
            subnet,
            {
                "network": ref(NET, subnet["network_id"]),
                **picked(subnet, *names, "ipv6_ra_mode", "ipv6_address_mode"),
                "gateway_ip": subnet["gateway_ip"] or "",
            },
            # Heat refuses a pool together with a CIDR, but hands over further values unseen.
            specs={"subnetpool_id": ref(POOL, pool) if pooled else None},
            service_types=subnet.get("service_types"),
        )

    def _group(self, group: Values) -> None:
        resource_key, inline = key(GROUP, group["id"]), None
        wanted = [rule for rule in group["rules"] if not rules.is_builtin(rule, group)]
        if self.is_created(GROUP, group["id"]) and not rules.is_default(group):
            inline = None if rules.is_open(group) else rules.first_egress(group)
            properties = {"rules": [rules.properties(inline)] if inline else None}
            stateful = None if group["stateful"] else False
            self.put(GROUP, group, properties, stateful=stateful, closed=rules.is_closed(group) or None)
        elif rules.is_default(group) and self.choices.existing.get(resource_key) != group["id"]:
            if missing := 4 - sum(rules.is_builtin(rule, group) for rule in group["rules"]):
                self.remarks.append(
                    f"the default security group lacked {missing} of the rules that the target's has: compare them"
                )
        else:
            # Rules that referred to another group vanished together with that.
            lost = [rule for rule in wanted if self.is_created(GROUP, rule["remote_group_id"])]
            wanted = [] if self.choices.copy else lost
        for rule in wanted:
            if rule is not inline:
                self._rule(group, rule)

    def _rule(self, group: Values, rule: Values) -> None:
        properties = {
            "security_group": ref(GROUP, group["id"]),
            **rules.properties(rule),
            "remote_group": ref(GROUP, rule["remote_group_id"]),
            "description": rule["description"] or None,
        }
        given = {name: value for name, value in properties.items() if value is not None}
        self.template.add(f"rule_{rule['id']}", "OS::Neutron::SecurityGroupRule", given)

    def _port(self, port: Values) -> None:
        network, keeps = key(NET, port["network_id"]), self.keeps_addresses(port)
        is_ours = network in self.own and (network not in self.choices.mapped)
        is_ours = is_ours or port["network_id"] in self.choices.controlled
        addresses = [
            {"subnet": ref(SUBNET, fixed["subnet_id"])}
            | (picked(fixed, "ip_address") if keeps and not is_automatic(self.subnets.get(fixed["subnet_id"])) else {})
            for fixed in port["fixed_ips"]
            if self.is_there(SUBNET, fixed["subnet_id"])
        ]
        properties = {
            "network": ref(NET, port["network_id"]),
            # Without the property, Neutron chooses the subnets.
            "fixed_ips": addresses if addresses or not port["fixed_ips"] else None,
            "admin_state_up": port["admin_state_up"],
            "binding:vnic_type": None if port["vnic_type"] == "normal" else port["vnic_type"],
            "dns_name": port["dns_name"] or None,
            "qos_policy": ref(QOS, port["qos_policy_id"]),
        }
        if keeps and not self.choices.copy:
            properties["mac_address"] = port["mac_address"]
        if is_ours:
            secured = port["port_security_enabled"]
            properties["port_security_enabled"] = (
                None if secured == self._secures_ports(port["network_id"]) else secured
            )
            properties["allowed_address_pairs"] = _pairs(port, keeps_mac="mac_address" in properties) or None
        elif port["id"] not in self.choices.plain:
            self.remarks.append(
                f"{key(PORT, port['id'])}: network {port['network_id']} is not the project's, so MAC address and addresses "
                f"{', '.join(fixed['ip_address'] for fixed in port['fixed_ips']) or '-'} are not kept"
            )
        # Without the property, Neutron adds the default group.
        if port["port_security_enabled"] or not is_ours:
            properties["security_groups"] = [ref(GROUP, group) for group in port["security_groups"]]
        self.put(
            PORT,
            port,
            properties,
            specs={"extra_dhcp_opts": port["extra_dhcp_opts"]},
            dns_domain=port.get("dns_domain"),
        )

    def _secures_ports(self, network_id: str) -> bool:
        """Return whether ports of a network are secured if they do not say otherwise."""
        network = self.networks.get(network_id)
        return network is None or key(NET, network_id) in self.choices.mapped or network["port_security_enabled"]

    def _router(self, router: Values) -> None:
        created = self.is_created(ROUTER, router["id"])
        if created:
            network = ref(NET, router["gateway_network_id"])
            gateway = {"network": network} if network else None
            self.put(ROUTER, router, {**picked(router, "admin_state_up"), "external_gateway_info": gateway})
            if router["gateway_snat"] is False:
                self.remarks.append(f"{key(ROUTER, router['id'])}: only administrators can switch off its source NAT")
        names = [
            name
            for number, interface in enumerate(router["interfaces"])
            if all(self.is_there(SUBNET, fixed["subnet_id"]) for fixed in interface["fixed_ips"])
            and (created or self._new_subnets(interface))
            for name in self._interface(router, f"interface_{router['id']}_{number}", interface)
        ]
        routes = [route for route in router["routes"] if created or self._leads_to_new(router, route)]
        if routes:
            properties = {"router": ref(ROUTER, router["id"]), "routes": routes}
            self.template.add(f"routes_{router['id']}", "OS::Neutron::ExtraRouteSet", properties, after=names)
        self.interfaces += names

    def _new_subnets(self, interface: Values) -> list[str]:
        found = [fixed["subnet_id"] for fixed in interface["fixed_ips"]]
        return [subnet for subnet in found if self.is_created(SUBNET, subnet)]

    def _leads_to_new(self, router: Values, route: Values) -> bool:
        """Return whether a route needs a subnet that is created: it vanished together with its interface."""
        new = [subnet for interface in router["interfaces"] for subnet in self._new_subnets(interface)]
        return any(_contains(self.subnets[subnet]["cidr"], route["nexthop"]) for subnet in new)

    def _interface(self, router: Values, name: str, interface: Values) -> list[str]:
        """Connect a router. Return the names of the connections, all of which begin with *name*."""
        fixed = interface["fixed_ips"]
        own = {"router": ref(ROUTER, router["id"])}
        # In a network of others, tenants cannot choose addresses, and the gateway is another router.
        foreign = any(each["subnet_id"] not in self.subnets for each in fixed)
        automatic = [each["subnet_id"] for each in fixed if is_automatic(self.subnets.get(each["subnet_id"]))]
        if (len(fixed) == 1 or automatic) and not foreign and fixed and all(map(self._is_gateway, fixed)):
            names = [name, *(f"{name}_{number}" for number in range(1, len(fixed)))]
            # One after another: Neutron adds the IPv6 subnets of a network to the port of the first one.
            for each, one, earlier in zip(fixed, names, [[], *([before] for before in names)], strict=False):
                properties = {**own, "subnet": ref(SUBNET, each["subnet_id"])}
                self.template.add(one, "OS::Neutron::RouterInterface", properties, after=earlier)
            return names
        # Any other address than the gateway's needs a port, which is not a router's until it is connected.
        mapped = any(key(SUBNET, each["subnet_id"]) in self.choices.mapped for each in fixed)
        kept = () if foreign or mapped else ("ip_address",)
        addresses = [
            {"subnet": ref(SUBNET, each["subnet_id"])}
            | (picked(each, *kept) if each["subnet_id"] not in automatic else {})
            for each in fixed
        ]
        if foreign or automatic:
            why = "which is not the project's" if foreign else "where addresses follow from MAC addresses"
            self.remarks.append(
                f"{key(ROUTER, router['id'])}: it has another address in network {interface['network_id']}, {why}"
            )
        port = {"network": ref(NET, interface["network_id"]), "fixed_ips": addresses, "security_groups": []}
        original = key(PORT, interface["port_id"])
        self.template.add(f"{name}_port", PORT, port, restores=original)
        self.template.add(name, "OS::Neutron::RouterInterface", {**own, "port": Template.reference(original)})
        return [name]

    def _is_gateway(self, fixed: Values) -> bool:
        return bool(self.subnets[fixed["subnet_id"]]["gateway_ip"] == fixed["ip_address"])

    def _trunk(self, trunk: Values) -> None:
        subports = [
            {**picked(sub, "segmentation_type", "segmentation_id"), "port": ref(PORT, sub["port_id"])}
            for sub in trunk["sub_ports"]
        ]
        port = ref(PORT, trunk["port_id"])
        self.put(TRUNK, trunk, {"port": port, "sub_ports": subports, "admin_state_up": trunk["admin_state_up"]})

    def _floating_ip(self, floating: Values) -> None:
        created = self.is_created(FLOATING_IP, floating["id"])
        association: Values = {}
        if self.is_there(PORT, floating["port_id"]):
            inner = self._inner_address("fixed_ip_address", floating["port_id"], floating["fixed_ip_address"])
            association = {"port_id": ref(PORT, floating["port_id"]), **inner}
        # Neutron refuses an association before the router connects both networks.
        after = self.interfaces if association else []
        if created:
            self._new_floating_ip(floating, association, after)
        elif association and floating["id"] in self.choices.associated:
            properties = {"floatingip_id": ref(FLOATING_IP, floating["id"]), **association}
            name = f"association_{floating['id']}"
            self.template.add(name, "OS::Neutron::FloatingIPAssociation", properties, after=after)
        for forwarding in floating["port_forwardings"]:
            # Those of an existing floating IP vanished together with their ports.
            port = forwarding["internal_port_id"]
            if created or (self.is_created(PORT, port) and port not in self.choices.held):
                self._forwarding(floating, forwarding)

    def _new_floating_ip(self, floating: Values, association: Values, after: Sequence[str]) -> None:
        resource_key, address = key(FLOATING_IP, floating["id"]), floating["floating_ip_address"]
        self.put(
            FLOATING_IP,
            floating,
            {"floating_network": ref(NET, floating["floating_network_id"]), **association},
            specs={"qos_policy_id": ref(QOS, floating["qos_policy_id"])},
            after=after,
            floating_ip_address=address if self.choices.addresses else None,
        )
        if not self.choices.addresses:
            self.remarks.append(f"{resource_key}: its address was {address}, and the restored one has another")
        if floating["port_id"] and not association:
            self.remarks.append(f"{resource_key}: its port is not restored, so it has none")

    def _forwarding(self, floating: Values, forwarding: Values) -> None:
        port = forwarding["internal_port_id"]
        if not (self.is_there(PORT, port) and self.is_there(FLOATING_IP, floating["id"])):
            return
        properties = {
            "floating_ip": ref(FLOATING_IP, floating["id"]),
            "internal_port": ref(PORT, port),
            "internal_port_number": forwarding["internal_port"],
            **self._inner_address("internal_ip_address", port, forwarding["internal_ip_address"]),
            **picked(forwarding, "external_port", "protocol"),
            **({"direct": {"description": forwarding["description"]}} if forwarding["description"] else {}),
        }
        self.template.add(
            f"forwarding_{forwarding['id']}",
            "OS::Neutron::FloatingIPPortForward",
            properties,
            after=self.interfaces,
        )

    def _inner_address(self, name: str, port_id: str, address: str | None) -> dict[str, str]:
        """Return the address of a port as a property, if the port has it in the target."""
        port = self.ports.get(port_id)
        kept = port is None or not self.is_created(PORT, port_id) or self.keeps_addresses(port)
        return {name: address} if address and kept and key(PORT, port_id) not in self.choices.mapped else {}


def _pairs(port: Values, *, keeps_mac: bool) -> Sequence[Values]:
    """Return the allowed address pairs. Those of the port's own MAC address follow it."""
    return [
        pair if keeps_mac or pair["mac_address"] != port["mac_address"] else {"ip_address": pair["ip_address"]}
        for pair in port["allowed_address_pairs"]
    ]


def _contains(cidr: str, address: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return False
