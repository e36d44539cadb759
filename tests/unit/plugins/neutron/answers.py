"""Answers of a real Neutron (2025.1) about one project, shortened to what matters, with ids that can be read."""

from typing import Any

PROJECT = "8f3b1d2c4e5f60718293a4b5c6d7e8f9"
OTHER = "00000000000000000000000000000001"
OPERATION = "karbor-like-0c8f7e6d-0000-4000-8000-000000000000-x-network"

Values = dict[str, Any]


def common(key: str, **values: Any) -> Values:
    return {
        "id": key,
        "name": key,
        "description": "",
        "tags": [],
        "project_id": PROJECT,
        "tenant_id": PROJECT,
        "created_at": "2026-11-01T10:00:00Z",
        "updated_at": "2026-11-01T10:00:00Z",
        "revision_number": 2,
        **values,
    }


def network(key: str, **values: Any) -> Values:
    return common(
        key,
        **{
            "status": "ACTIVE",
            "subnets": [],
            "shared": False,
            "router:external": False,
            "availability_zones": ["nova"],
            "availability_zone_hints": [],
            "ipv4_address_scope": None,
            "ipv6_address_scope": None,
            "l2_adjacency": True,
            "admin_state_up": True,
            "mtu": 1450,
            "port_security_enabled": True,
            "dns_domain": "",
            "qos_policy_id": None,
            **values,
        },
    )


def subnet(key: str, network_id: str, cidr: str, **values: Any) -> Values:
    start = cidr.rpartition(".")[0]
    return common(
        key,
        **{
            "network_id": network_id,
            "ip_version": 4,
            "cidr": cidr,
            "gateway_ip": f"{start}.1",
            "allocation_pools": [{"start": f"{start}.2", "end": f"{start}.254"}],
            "dns_nameservers": [],
            "host_routes": [],
            "enable_dhcp": True,
            "ipv6_ra_mode": None,
            "ipv6_address_mode": None,
            "subnetpool_id": None,
            "service_types": [],
            "segment_id": None,
            **values,
        },
    )


def port(key: str, network_id: str, *addresses: tuple[str, str], **values: Any) -> Values:
    return common(
        key,
        **{
            "network_id": network_id,
            "admin_state_up": True,
            "status": "DOWN",
            "mac_address": "fa:16:3e:00:00:01",
            "fixed_ips": [{"subnet_id": subnet_id, "ip_address": address} for subnet_id, address in addresses],
            "device_id": "",
            "device_owner": "",
            "security_groups": ["default"],
            "allowed_address_pairs": [],
            "port_security_enabled": True,
            "dns_name": "",
            "dns_domain": "",
            "dns_assignment": [],
            "qos_policy_id": None,
            "qos_network_policy_id": None,
            "binding:vnic_type": "normal",
            "extra_dhcp_opts": [],
            "propagate_uplink_status": True,
            **values,
        },
    )


def rule(key: str, direction: str, ethertype: str = "IPv4", **values: Any) -> Values:
    return {
        **common(key),
        "direction": direction,
        "ethertype": ethertype,
        "protocol": None,
        "port_range_min": None,
        "port_range_max": None,
        "remote_ip_prefix": None,
        "remote_group_id": None,
        "remote_address_group_id": None,
        "normalized_cidr": None,
        "belongs_to_default_sg": False,
        **values,
    }


def group(key: str, *rules: Values, **values: Any) -> Values:
    named = [{**each, "security_group_id": key} for each in rules]
    return common(key, stateful=True, shared=False, security_group_rules=named, **values)


def default_group() -> Values:
    return group(
        "default",
        rule("d1", "egress"),
        rule("d2", "egress", "IPv6"),
        rule("d3", "ingress", remote_group_id="default"),
        rule("d4", "ingress", "IPv6", remote_group_id="default"),
    )


def answers(**more: list[Values]) -> dict[str, list[Values]]:
    """Return a small workload: a network behind a router, a web server with a floating IP, two groups in a cycle."""
    found = {
        "networks": [
            network("net", description="inner"),
            network("public", project_id=OTHER, **{"router:external": True}),
            network("shared", project_id=OTHER, shared=True),
            network("temporary", name=OPERATION),
        ],
        "subnets": [
            subnet("sub", "net", "10.0.0.0/24", host_routes=[{"destination": "10.9.0.0/16", "nexthop": "10.0.0.9"}]),
            subnet("shared-sub", "shared", "10.7.0.0/24", project_id=OTHER),
        ],
        "subnetpools": [],
        "routers": [
            common(
                "router",
                admin_state_up=True,
                status="ACTIVE",
                external_gateway_info={
                    "network_id": "public",
                    "enable_snat": True,
                    "external_fixed_ips": [{"subnet_id": "public-sub", "ip_address": "203.0.113.7"}],
                },
                routes=[{"destination": "172.16.0.0/16", "nexthop": "10.0.0.99"}],
                flavor_id=None,
                availability_zones=["nova"],
            )
        ],
        "ports": [
            port(
                "web",
                "net",
                ("sub", "10.0.0.10"),
                security_groups=["one"],
                device_id="server",
                device_owner="compute:nova",
            ),
            port("if", "net", ("sub", "10.0.0.1"), device_id="router", device_owner="network:router_interface"),
            port("dhcp", "net", ("sub", "10.0.0.2"), device_id="dhcp", device_owner="network:dhcp"),
            port("lb", "net", ("sub", "10.0.0.3"), device_id="lb", device_owner="Octavia"),
        ],
        "security-groups": [
            default_group(),
            group(
                "one", rule("o1", "egress"), rule("o2", "egress", "IPv6"), rule("o3", "ingress", remote_group_id="two")
            ),
            group(
                "two",
                rule("t1", "ingress", remote_group_id="one", protocol="tcp", port_range_min=80, port_range_max=80),
            ),
        ],
        "floatingips": [
            common(
                "fip",
                name=None,
                floating_network_id="public",
                floating_ip_address="203.0.113.50",
                port_id="web",
                fixed_ip_address="10.0.0.10",
                router_id="router",
                status="ACTIVE",
                qos_policy_id=None,
                port_details={"name": "web"},
            )
        ],
        "trunks": [],
        "qos/policies": [],
    }
    return {name: [*found.get(name, []), *more.get(name, [])] for name in {**found, **more}}
