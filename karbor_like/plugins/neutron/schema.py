"""What a description of a network topology contains: its JSON schema, and the references in it. Pure functions."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from karbor_like import exception
from karbor_like.plugins.toolkit import schemas

#: The newest version. It has :data:`ADDED`; a document with none of these is of version 1, which earlier releases read.
VERSION: Final = 2
#: Objects in a document, at most. It then has less than 16 MiB, the limit of the bank.
MAX_OBJECTS: Final = 10_000

NET: Final = "OS::Neutron::Net"
SUBNET: Final = "OS::Neutron::Subnet"
POOL: Final = "OS::Neutron::SubnetPool"
ROUTER: Final = "OS::Neutron::Router"
PORT: Final = "OS::Neutron::Port"
GROUP: Final = "OS::Neutron::SecurityGroup"
FLOATING_IP: Final = "OS::Neutron::FloatingIP"
TRUNK: Final = "OS::Neutron::Trunk"
QOS: Final = "OS::Neutron::QoSPolicy"

#: Collection in Neutron -> type of its objects.
TYPES: Final[Mapping[str, str]] = {
    "networks": NET,
    "subnets": SUBNET,
    "subnetpools": POOL,
    "routers": ROUTER,
    "ports": PORT,
    "security-groups": GROUP,
    "floatingips": FLOATING_IP,
    "trunks": TRUNK,
    "qos/policies": QOS,
}

INTERFACES: Final = frozenset({"network:router_interface", "network:ha_router_replicated_interface"}) | {
    "network:router_interface_distributed"
}
SUBPORT: Final = "trunk:subport"

#: Modes in which an IPv6 subnet gives out addresses by itself.
_AUTOMATIC: Final = frozenset({"slaac", "dhcpv6-stateless"})

Values = Mapping[str, Any]
Document = dict[str, Any]

_ID: Final = {"type": "string", "minLength": 1, "maxLength": 255}
_NUMBER: Final = {"type": ["integer", "null"], "minimum": 0, "maximum": 4294967295}


_COMMON: Final = {"id": _ID, "name": schemas.TEXT, "description": schemas.TEXT, "tags": schemas.array(schemas.TEXT)}
_FIXED_IPS: Final = schemas.array(schemas.record(subnet_id=_ID, ip_address=schemas.TEXT))
_RULE: Final = schemas.record(
    id=_ID,
    description=schemas.TEXT,
    direction={"enum": ["ingress", "egress"]},
    ethertype={"enum": ["IPv4", "IPv6"]},
    protocol=schemas.TEXT_OR_NULL,
    port_range_min=_NUMBER,
    port_range_max=_NUMBER,
    remote_ip_prefix=schemas.TEXT_OR_NULL,
    remote_group_id=schemas.TEXT_OR_NULL,
)
MEMBER_SCHEMAS: Final[Mapping[str, Values]] = {
    "networks": schemas.record(
        **_COMMON,
        admin_state_up=schemas.FLAG,
        mtu=_NUMBER,
        port_security_enabled=schemas.FLAG,
        dns_domain=schemas.TEXT,
        qos_policy_id=schemas.TEXT_OR_NULL,
    ),
    "subnets": schemas.record(
        **_COMMON,
        network_id=_ID,
        ip_version={"enum": [4, 6]},
        cidr=schemas.TEXT,
        gateway_ip=schemas.TEXT_OR_NULL,
        allocation_pools=schemas.array(schemas.record(start=schemas.TEXT, end=schemas.TEXT)),
        dns_nameservers=schemas.array(schemas.TEXT),
        host_routes=schemas.array(schemas.record(destination=schemas.TEXT, nexthop=schemas.TEXT)),
        enable_dhcp=schemas.FLAG,
        ipv6_ra_mode=schemas.TEXT_OR_NULL,
        ipv6_address_mode=schemas.TEXT_OR_NULL,
        subnetpool_id=schemas.TEXT_OR_NULL,
    ),
    "subnet_pools": schemas.record(
        **_COMMON,
        prefixes=schemas.array(schemas.TEXT),
        default_prefixlen=_NUMBER,
        min_prefixlen=_NUMBER,
        max_prefixlen=_NUMBER,
        default_quota=_NUMBER,
    ),
    "routers": schemas.record(
        **_COMMON,
        admin_state_up=schemas.FLAG,
        gateway_network_id=schemas.TEXT_OR_NULL,
        gateway_snat={"type": ["boolean", "null"]},
        gateway_addresses=schemas.array(schemas.TEXT),
        routes=schemas.array(schemas.record(destination=schemas.TEXT, nexthop=schemas.TEXT)),
        interfaces=schemas.array(schemas.record(port_id=_ID, network_id=_ID, fixed_ips=_FIXED_IPS)),
    ),
    "ports": schemas.record(
        **_COMMON,
        network_id=_ID,
        admin_state_up=schemas.FLAG,
        mac_address=schemas.TEXT,
        fixed_ips=_FIXED_IPS,
        device_id=schemas.TEXT,
        device_owner=schemas.TEXT,
        security_groups=schemas.array(_ID),
        allowed_address_pairs=schemas.array(schemas.record(ip_address=schemas.TEXT, mac_address=schemas.TEXT)),
        port_security_enabled=schemas.FLAG,
        dns_name=schemas.TEXT,
        qos_policy_id=schemas.TEXT_OR_NULL,
        vnic_type=schemas.TEXT,
        extra_dhcp_opts=schemas.array(
            schemas.record(opt_name=schemas.TEXT, opt_value=schemas.TEXT_OR_NULL, ip_version={"enum": [4, 6]})
        ),
    ),
    "security_groups": schemas.record(**_COMMON, stateful=schemas.FLAG, rules=schemas.array(_RULE, MAX_OBJECTS)),
    "floating_ips": schemas.record(
        id=_ID,
        description=schemas.TEXT,
        tags=schemas.array(schemas.TEXT),
        floating_network_id=_ID,
        floating_ip_address=schemas.TEXT,
        port_id=schemas.TEXT_OR_NULL,
        fixed_ip_address=schemas.TEXT_OR_NULL,
        qos_policy_id=schemas.TEXT_OR_NULL,
        port_forwardings=schemas.array(
            schemas.record(
                id=_ID,
                description=schemas.TEXT,
                internal_port_id=_ID,
                internal_ip_address=schemas.TEXT,
                internal_port=_NUMBER,
                external_port=_NUMBER,
                protocol=schemas.TEXT,
            ),
            MAX_OBJECTS,
        ),
    ),
    "trunks": schemas.record(
        **_COMMON,
        port_id=_ID,
        admin_state_up=schemas.FLAG,
        sub_ports=schemas.array(
            schemas.record(port_id=_ID, segmentation_type=schemas.TEXT, segmentation_id=_NUMBER), 4096
        ),
    ),
    "foreign": schemas.record(type=schemas.TEXT, id=_ID, name=schemas.TEXT_OR_NULL),
}
#: What version 2 added to the objects of a member. An object without a value does not have it.
ADDED: Final[Mapping[str, Mapping[str, Values]]] = {
    "subnets": {"service_types": schemas.array(schemas.TEXT)},
    "ports": {"dns_domain": schemas.TEXT},
}
SCHEMA: Final[Values] = schemas.record(
    version={"enum": [1, VERSION]},
    project_id=_ID,
    **{
        name: schemas.array(schemas.extended(items, ADDED.get(name, {})), MAX_OBJECTS)
        for name, items in MEMBER_SCHEMAS.items()
    },
)

#: Member of the document -> type of its objects.
MEMBERS: Final[Mapping[str, str]] = {
    "networks": NET,
    "subnets": SUBNET,
    "subnet_pools": POOL,
    "routers": ROUTER,
    "ports": PORT,
    "security_groups": GROUP,
    "floating_ips": FLOATING_IP,
    "trunks": TRUNK,
}


def checked(document: Any) -> Document:
    """Return a document from a bank.

    Raises ResourceFailed if it is not one that :func:`describe` makes, or if it has a newer version.
    """
    found = document.get("version") if isinstance(document, Mapping) else None
    if isinstance(found, int) and found > VERSION:
        raise exception.ResourceFailed(
            f"the description of the networks has version {found}; this release reads version {VERSION}: upgrade it"
        )
    wrong = errors(document)
    if not wrong and count(document) > MAX_OBJECTS:
        wrong = f"it describes more than {MAX_OBJECTS} objects"
    if wrong:
        raise exception.CheckpointDamaged(f"the stored description of the networks is damaged: {wrong}")
    return dict(document)


def version(document: Values) -> int:
    """Return the oldest version that has everything that a document has."""
    added = (each.keys() & names.keys() for member, names in ADDED.items() for each in document[member])
    return VERSION if any(added) else 1


def key(resource_type: str, resource_id: str) -> str:
    """Return ``Type#id``."""
    return f"{resource_type}#{resource_id}"


def is_automatic(subnet: Values | None) -> bool:
    """Return whether Neutron derives addresses in a subnet from MAC addresses, and refuses that ports ask for them.

    :param subnet: of a description; None: it is not described
    """
    return subnet is not None and subnet["ipv6_address_mode"] in _AUTOMATIC


def references(document: Values) -> Iterable[tuple[str, str]]:
    """Yield type and id of everything that the objects of a document refer to."""
    for network in document["networks"]:
        yield QOS, network["qos_policy_id"]
    for subnet in document["subnets"]:
        yield NET, subnet["network_id"]
        yield POOL, subnet["subnetpool_id"]
    for router in document["routers"]:
        yield NET, router["gateway_network_id"]
        for interface in router["interfaces"]:
            yield from _addresses(interface)
    for port in document["ports"]:
        yield from _addresses(port)
        yield QOS, port["qos_policy_id"]
        yield from ((GROUP, group) for group in port["security_groups"])
    for group in document["security_groups"]:
        yield from ((GROUP, rule["remote_group_id"]) for rule in group["rules"])
    for floating in document["floating_ips"]:
        yield NET, floating["floating_network_id"]
        yield PORT, floating["port_id"]
        yield QOS, floating["qos_policy_id"]
        yield from ((PORT, forwarding["internal_port_id"]) for forwarding in floating["port_forwardings"])
    for trunk in document["trunks"]:
        yield PORT, trunk["port_id"]
        yield from ((PORT, sub["port_id"]) for sub in trunk["sub_ports"])


def _addresses(holder: Values) -> Iterable[tuple[str, str]]:
    yield NET, holder["network_id"]
    yield from ((SUBNET, fixed["subnet_id"]) for fixed in holder["fixed_ips"])


def contained(document: Values) -> set[str]:
    """Return ``Type#id`` of the objects of a document."""
    return {key(kind, each["id"]) for member, kind in MEMBERS.items() for each in document[member]}


def errors(document: Any) -> str:
    """Return the first thing that is wrong with a document, or an empty text."""
    if wrong := schemas.error(document, SCHEMA):
        return wrong
    found: set[str] = set()
    for kind, each in _described(document):
        if key(kind, each) in found:
            return f"{key(kind, each)} is described twice"
        found.add(key(kind, each))
    found.update(key(each["type"], each["id"]) for each in document["foreign"])
    for kind, each in references(document):
        if each and key(kind, each) not in found:
            return f"it refers to {key(kind, each)} and does not describe it"
    return ""


def count(document: Values) -> int:
    """Return the number of objects that a document describes, with rules and port forwardings."""
    return sum(1 for _ in _described(document)) + len(document["foreign"])


def _described(document: Values) -> Iterator[tuple[str, str]]:
    for member, kind in MEMBERS.items():
        yield from ((kind, each["id"]) for each in document[member])
    for group in document["security_groups"]:
        yield from (("rule", rule["id"]) for rule in group["rules"])
    for floating in document["floating_ips"]:
        yield from (("port forwarding", forwarding["id"]) for forwarding in floating["port_forwardings"])
    for router in document["routers"]:
        yield from (("router interface", interface["port_id"]) for interface in router["interfaces"])
