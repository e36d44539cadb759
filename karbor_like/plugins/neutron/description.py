"""The description of a project's network topology: one JSON document, made of Neutron's answers. Pure functions.

The document names resources by their ids at the time of the description. What it refers to and does not contain, such as
shared and external networks, is listed as ``foreign`` with its name.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from karbor_like import exception
from karbor_like.plugins.neutron.schema import (
    ADDED,
    INTERFACES,
    MAX_OBJECTS,
    SCHEMA,
    SUBPORT,
    TYPES,
    Document,
    Values,
    contained,
    count,
    errors,
    key,
    references,
    version,
)
from karbor_like.plugins.toolkit import ownership, schemas

Answers = Mapping[str, Sequence[Values]]


@dataclass(frozen=True)
class Description:
    """A document, and sentences on what it does not contain."""

    document: Document
    remarks: Sequence[str]


def describe(project_id: str, answers: Answers, port_forwardings: Mapping[str, Sequence[Values]]) -> Description:
    """Describe what a project owns.

    :param answers: the objects that the project sees, by the collections in :data:`TYPES`; those of other projects serve for
        the names of what the project refers to
    :param port_forwardings: by the id of their floating IP

    Raises ResourceNotProtectable if there are too many objects, Unavailable if an answer is not what the API describes.
    """

    remarks: list[str] = []
    try:
        document = _document(project_id, answers, port_forwardings, remarks)
        wrong = schemas.error(document, SCHEMA)
        if not wrong:
            document["foreign"] = _foreign(document, answers)
            wrong = errors(document)
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # of another shape than the API describes
        wrong = repr(error)[:300]
    if wrong:
        raise exception.Unavailable(
            f"the networks of project {project_id}: Neutron's answers cannot be understood: {wrong}"
        )
    total = count(document)
    if total > MAX_OBJECTS:
        raise exception.ResourceNotProtectable(
            f"the networks of project {project_id} cannot be protected: they have {total} objects, more than {MAX_OBJECTS}"
        )
    return Description(document, remarks)


def _document(
    project_id: str, answers: Answers, port_forwardings: Mapping[str, Sequence[Values]], remarks: list[str]
) -> Document:
    def own(collection: str) -> list[Values]:
        return [each for each in answers.get(collection, ()) if is_own(each, project_id)]

    networks = own("networks")
    ids = {network["id"] for network in networks}
    document: Document = {
        "project_id": project_id,
        "networks": [_network(network) for network in networks],
        # An administrator may have added subnets to the project's network.
        "subnets": [_subnet(each) for each in answers.get("subnets", ()) if each.get("network_id") in ids],
        "subnet_pools": [_pool(pool) for pool in own("subnetpools")],
        "routers": [_router(router, answers.get("ports", ())) for router in own("routers")],
        "ports": [_port(port) for port in _ports(own("ports"), remarks)],
        "security_groups": [_group(group, remarks) for group in own("security-groups")],
        "floating_ips": [_floating_ip(each, port_forwardings.get(each["id"], ())) for each in own("floatingips")],
        "trunks": [_trunk(trunk) for trunk in own("trunks")],
        "foreign": [],
    }
    return {"version": version(document), **document}


def _foreign(document: Values, answers: Answers) -> list[dict[str, Any]]:
    names = {
        key(kind, str(each.get("id"))): each.get("name")
        for collection, kind in TYPES.items()
        for each in answers.get(collection, ())
    }
    known = contained(document)
    wanted = dict.fromkeys((kind, each) for kind, each in references(document) if each and key(kind, each) not in known)
    return [{"type": kind, "id": each, "name": names.get(key(kind, each))} for kind, each in wanted]


def is_own(each: Values, project_id: str) -> bool:
    """Return whether an object belongs to the project, and not to a running operation of this service."""
    if (each.get("project_id") or each.get("tenant_id")) != project_id:
        return False
    return not any(ownership.operation_of(each.get(text), {}) for text in ("name", "description"))


def _common(each: Values) -> dict[str, Any]:
    return {
        "id": each.get("id"),
        "name": each.get("name") or "",
        "description": each.get("description") or "",
        "tags": sorted(each.get("tags") or ()),
    }


def _taken(each: Values, *names: str, **defaults: Any) -> dict[str, Any]:
    """Return some attributes. Those that the cloud may lack have a default."""
    absent = {name: default for name, default in defaults.items() if each.get(name) is None}
    return {name: each.get(name) for name in (*names, *defaults)} | absent


def _added(member: str, each: Values) -> dict[str, Any]:
    """Return the attributes that not every description has, if they have values."""
    return {name: each[name] for name in ADDED[member] if each.get(name)}


def _each(items: Any, *names: str, **defaults: Any) -> list[dict[str, Any]]:
    return [_taken(item, *names, **defaults) for item in items or ()]


def _network(network: Values) -> dict[str, Any]:
    return _common(network) | _taken(
        network, "mtu", "qos_policy_id", admin_state_up=True, port_security_enabled=True, dns_domain=""
    )


def _subnet(subnet: Values) -> dict[str, Any]:
    names = ("network_id", "ip_version", "cidr", "gateway_ip", "ipv6_ra_mode", "ipv6_address_mode", "subnetpool_id")
    return _common(subnet) | {
        **_taken(subnet, *names, dns_nameservers=[], enable_dhcp=True),
        "allocation_pools": _each(subnet.get("allocation_pools"), "start", "end"),
        "host_routes": _each(subnet.get("host_routes"), "destination", "nexthop"),
        **_added("subnets", subnet),
    }


def _pool(pool: Values) -> dict[str, Any]:
    names = ("prefixes", "default_prefixlen", "min_prefixlen", "max_prefixlen", "default_quota")
    # Old clouds answer lengths as texts.
    return _common(pool) | {name: _number(value) for name, value in _taken(pool, *names).items()}


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _router(router: Values, ports: Iterable[Values]) -> dict[str, Any]:
    gateway = router.get("external_gateway_info") or {}
    interfaces = [
        {"port_id": port.get("id"), "network_id": port.get("network_id"), "fixed_ips": _fixed_ips(port)}
        for port in ports
        if port.get("device_id") == router.get("id") and port.get("device_owner") in INTERFACES
    ]
    return _common(router) | {
        **_taken(router, admin_state_up=True),
        "routes": _each(router.get("routes"), "destination", "nexthop"),
        "gateway_network_id": gateway.get("network_id"),
        "gateway_snat": gateway.get("enable_snat"),
        "gateway_addresses": [fixed.get("ip_address") for fixed in gateway.get("external_fixed_ips") or ()],
        "interfaces": interfaces,
    }


def _fixed_ips(port: Values) -> list[dict[str, Any]]:
    return _each(port.get("fixed_ips"), "subnet_id", "ip_address")


def _ports(ports: Iterable[Values], remarks: list[str]) -> list[Values]:
    """Return the ports that are the tenant's, those of servers included. Add remarks on those of other services.

    Neutron makes ports of ``network:...`` by itself, together with networks, routers and floating IPs.
    """
    found = []
    for port in ports:
        owner = str(port.get("device_owner") or "")
        if not owner or owner == SUBPORT or owner.startswith("compute:"):
            found.append(port)
        elif not owner.startswith("network:"):
            remarks.append(f"port {port.get('id')} is not in the checkpoint, because it belongs to {owner!r}")
    return found


def _port(port: Values) -> dict[str, Any]:
    return _common(port) | {
        **_taken(port, "network_id", "mac_address", "qos_policy_id", admin_state_up=True, port_security_enabled=True),
        **_taken(port, device_id="", device_owner="", dns_name="", security_groups=[]),
        "fixed_ips": _fixed_ips(port),
        "allowed_address_pairs": _each(port.get("allowed_address_pairs"), "ip_address", "mac_address"),
        "vnic_type": port.get("binding:vnic_type") or "normal",
        "extra_dhcp_opts": _each(port.get("extra_dhcp_opts"), "opt_name", "opt_value", ip_version=4),
        **_added("ports", port),
    }


def _group(group: Values, remarks: list[str]) -> dict[str, Any]:
    rules = []
    for rule in group.get("security_group_rules") or ():
        if rule.get("remote_address_group_id"):
            remarks.append(
                f"rule {rule.get('id')} of security group {group.get('id')} is not in the checkpoint, because it refers to an"
                " address group"
            )
        else:
            rules.append(_rule(rule))
    return _common(group) | {"stateful": group.get("stateful") is not False, "rules": rules}


def _rule(rule: Values) -> dict[str, Any]:
    names = ("id", "direction", "ethertype", "port_range_min", "port_range_max", "remote_ip_prefix", "remote_group_id")
    protocol = rule.get("protocol")
    return _taken(rule, *names, description="") | {"protocol": None if protocol is None else str(protocol)}


def _floating_ip(floating: Values, forwardings: Iterable[Values]) -> dict[str, Any]:
    names = ("floating_network_id", "floating_ip_address", "port_id", "fixed_ip_address", "qos_policy_id")
    forwarded = ("id", "internal_port_id", "internal_ip_address", "internal_port", "external_port", "protocol")
    common = _common(floating)
    del common["name"]
    return common | {
        **_taken(floating, *names),
        "port_forwardings": _each(forwardings, *forwarded, description=""),
    }


def _trunk(trunk: Values) -> dict[str, Any]:
    subports = _each(trunk.get("sub_ports"), "port_id", "segmentation_type", "segmentation_id")
    return _common(trunk) | {**_taken(trunk, "port_id", admin_state_up=True), "sub_ports": subports}
