"""The types of resources that Heat knows here, and how each is created and deleted with the requests of its service."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from karbor_like.sandbox import errors
from karbor_like.sandbox.orchestration.cloud import Cloud

Values = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A type of resources.

    :param properties: names that a template may give
    :param create: sends the request from evaluated properties, and returns the id
    :param delete: sends the request for an id
    :param ready: returns whether a resource that was created is ready; it raises JobFailed if it failed
    :param gone: returns whether a resource that is deleted no longer exists
    """

    properties: frozenset[str]
    create: Callable[[Cloud, Values], str]
    delete: Callable[[Cloud, str], None]
    ready: Callable[[Cloud, str], bool] = field(default=lambda cloud, key: True)
    gone: Callable[[Cloud, str], bool] = field(default=lambda cloud, key: True)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _renamed(given: Any, names: Mapping[str, str]) -> Any:
    """Return values with names of Heat replaced by those of Neutron, at every depth."""
    if isinstance(given, list):
        return [_renamed(item, names) for item in given]
    if isinstance(given, dict):
        return {names.get(name, name): _renamed(value, names) for name, value in given.items()}
    return given


_NEUTRON = {
    "network": "network_id",
    "subnet": "subnet_id",
    "port": "port_id",
    "qos_policy": "qos_policy_id",
    "subnetpool": "subnetpool_id",
    "floating_network": "floating_network_id",
    "security_group": "security_group_id",
    "remote_group": "remote_group_id",
    "internal_port": "internal_port_id",
    "internal_port_number": "internal_port",
}


def _neutron(path: str, member: str, names: str, *, own: Mapping[str, str] | None = None) -> Kind:
    """Return a kind of Neutron's.

    :param names: of the properties
    :param own: names of Heat that differ from Neutron's
    """

    def create(cloud: Cloud, given: Values) -> str:
        values = {name: value for name, value in given.items() if name not in ("value_specs", "tags")}
        values = {**_renamed(values, own or _NEUTRON), **(given.get("value_specs") or {})}
        if values.get("gateway_ip") == "":
            values["gateway_ip"] = None
        key: str = cloud.call("POST", f"/network/v2.0/{path}", {member: values})[member]["id"]
        if given.get("tags"):
            cloud.call("PUT", f"/network/v2.0/{path}/{key}/tags", {"tags": given["tags"]})
        return key

    return Kind(_names(names), create, lambda cloud, key: cloud.call("DELETE", f"/network/v2.0/{path}/{key}"))


def _create_group(cloud: Cloud, given: Values) -> str:
    values = {name: value for name, value in given.items() if name != "rules"}
    group = cloud.call("POST", "/network/v2.0/security-groups", {"security_group": values})["security_group"]
    rules = given.get("rules") or []
    if any(rule.get("direction") == "egress" for rule in rules):
        for rule in group["security_group_rules"]:
            cloud.call("DELETE", f"/network/v2.0/security-group-rules/{rule['id']}")
    for rule in rules:
        body = {"security_group_id": group["id"], **_renamed(rule, _NEUTRON)}
        cloud.call("POST", "/network/v2.0/security-group-rules", {"security_group_rule": body})
    return str(group["id"])


def _create_interface(cloud: Cloud, given: Values) -> str:
    ((name, value),) = _renamed({key: given[key] for key in ("subnet", "port") if key in given}, _NEUTRON).items()
    cloud.call("PUT", f"/network/v2.0/routers/{given['router']}/add_router_interface", {name: value})
    return f"{given['router']}:{name}={value}"


def _delete_interface(cloud: Cloud, key: str) -> None:
    router, _, target = key.partition(":")
    name, _, value = target.partition("=")
    cloud.call("PUT", f"/network/v2.0/routers/{router}/remove_router_interface", {name: value})


def _create_routes(cloud: Cloud, given: Values) -> str:
    _set_routes(cloud, given["router"], given["routes"])
    return str(given["router"])


def _set_routes(cloud: Cloud, router: str, routes: list[Values]) -> None:
    cloud.call("PUT", f"/network/v2.0/routers/{router}", {"router": {"routes": routes}})


def _create_forwarding(cloud: Cloud, given: Values) -> str:
    values = {name: value for name, value in given.items() if name != "floating_ip"}
    path = f"/network/v2.0/floatingips/{given['floating_ip']}/port_forwardings"
    made = cloud.call("POST", path, {"port_forwarding": _renamed(values, _NEUTRON)})["port_forwarding"]
    return f"{given['floating_ip']}/port_forwardings/{made['id']}"


_SERVERS = "/compute/v2.1/servers"


def _create_server(cloud: Cloud, given: Values) -> str:
    same = ("name", "metadata", "config_drive", "availability_zone", "key_name", "tags")
    values: Values = {name: given[name] for name in same if given.get(name) is not None}
    if given.get("user_data"):
        values["user_data"] = base64.b64encode(given["user_data"].encode()).decode()
    flavors = cloud.call("GET", "/compute/v2.1/flavors")["flavors"]
    values["flavorRef"] = next((each["id"] for each in flavors if each["name"] == given["flavor"]), given["flavor"])
    if given.get("image"):
        values["imageRef"] = given["image"]
    values["networks"] = [
        {{"network": "uuid"}.get(name, name): value for name, value in each.items()} for each in given["networks"]
    ]
    if given.get("block_device_mapping_v2"):
        # The client that Heat uses lists the image among the disks.
        root = [{**_ROOT, "uuid": values["imageRef"]}] if values.get("imageRef") else []
        values["block_device_mapping_v2"] = [*root, *map(_mapped, given["block_device_mapping_v2"])]
    if given.get("security_groups"):
        values["security_groups"] = [{"name": name} for name in given["security_groups"]]
    if given.get("diskConfig"):
        values["OS-DCF:diskConfig"] = given["diskConfig"]
    hints = {"os:scheduler_hints": given["scheduler_hints"]} if given.get("scheduler_hints") else {}
    return str(cloud.call("POST", _SERVERS, {"server": values, **hints})["server"]["id"])


_ROOT = {"source_type": "image", "destination_type": "local", "boot_index": 0, "delete_on_termination": True}


def _mapped(disk: Values) -> Values:
    sources = {"volume_id": "volume", "snapshot_id": "snapshot", "image": "image"}
    values = {name: value for name, value in disk.items() if name not in sources}
    for name, source in sources.items():
        if disk.get(name):
            values |= {"uuid": disk[name], "source_type": source, "destination_type": "volume"}
    return values


def _is_active(cloud: Cloud, key: str) -> bool:
    server = cloud.call("GET", f"{_SERVERS}/{key}")["server"]
    if server["status"] == "ERROR":
        raise errors.JobFailed(
            f'ResourceInError: Went to status ERROR due to "Message: {server.get("fault", {}).get("message")}, Code: 500"'
        )
    return bool(server["status"] == "ACTIVE")


def _is_gone(cloud: Cloud, key: str) -> bool:
    try:
        cloud.call("GET", f"{_SERVERS}/{key}")
    except errors.ApiError as error:
        if error.status == 404:
            return True
        raise
    return False


def _create_server_group(cloud: Cloud, given: Values) -> str:
    values = {"name": given["name"], "policies": given["policies"]}
    return str(cloud.call("POST", "/compute/v2.1/os-server-groups", {"server_group": values})["server_group"]["id"])


def _create_key(cloud: Cloud, given: Values) -> str:
    values = {name: given[name] for name in ("name", "public_key", "type") if given.get(name)}
    return str(cloud.call("POST", "/compute/v2.1/os-keypairs", {"keypair": values})["keypair"]["name"])


KINDS: Mapping[str, Kind] = {
    "OS::Neutron::Net": _neutron(
        "networks", "network", "name admin_state_up port_security_enabled dns_domain qos_policy shared tags value_specs"
    ),
    "OS::Neutron::SubnetPool": _neutron(
        "subnetpools",
        "subnetpool",
        "name prefixes default_prefixlen min_prefixlen max_prefixlen default_quota shared address_scope tags",
    ),
    "OS::Neutron::Subnet": _neutron(
        "subnets",
        "subnet",
        "name network cidr ip_version enable_dhcp allocation_pools dns_nameservers host_routes gateway_ip ipv6_ra_mode"
        " ipv6_address_mode subnetpool prefixlen tags value_specs",
    ),
    "OS::Neutron::Router": _neutron(
        "routers", "router", "name admin_state_up external_gateway_info ha distributed tags value_specs"
    ),
    "OS::Neutron::RouterInterface": Kind(_names("router subnet port"), _create_interface, _delete_interface),
    "OS::Neutron::ExtraRouteSet": Kind(
        _names("router routes"), _create_routes, lambda cloud, key: _set_routes(cloud, key, [])
    ),
    "OS::Neutron::Port": _neutron(
        "ports",
        "port",
        "name network fixed_ips admin_state_up binding:vnic_type mac_address allowed_address_pairs port_security_enabled"
        " security_groups dns_name qos_policy device_id device_owner no_fixed_ips tags value_specs",
    ),
    "OS::Neutron::SecurityGroup": Kind(
        _names("name description rules"),
        _create_group,
        lambda cloud, key: cloud.call("DELETE", f"/network/v2.0/security-groups/{key}"),
    ),
    "OS::Neutron::SecurityGroupRule": _neutron(
        "security-group-rules",
        "security_group_rule",
        "security_group direction ethertype protocol port_range_min port_range_max remote_ip_prefix remote_group description",
    ),
    "OS::Neutron::FloatingIP": _neutron(
        "floatingips",
        "floatingip",
        "floating_network port_id fixed_ip_address floating_ip_address floating_subnet dns_name dns_domain value_specs",
    ),
    "OS::Neutron::FloatingIPPortForward": Kind(
        _names("floating_ip internal_port internal_ip_address internal_port_number external_port protocol"),
        _create_forwarding,
        lambda cloud, key: cloud.call("DELETE", f"/network/v2.0/floatingips/{key}"),
    ),
    "OS::Neutron::Trunk": _neutron("trunks", "trunk", "name port sub_ports admin_state_up description"),
    "OS::Nova::Server": Kind(
        _names(
            "name image flavor networks block_device_mapping_v2 metadata user_data user_data_format config_drive tags"
            " availability_zone key_name scheduler_hints security_groups diskConfig"
        ),
        _create_server,
        lambda cloud, key: cloud.call("DELETE", f"{_SERVERS}/{key}"),
        _is_active,
        _is_gone,
    ),
    "OS::Nova::ServerGroup": Kind(
        _names("name policies rules"),
        _create_server_group,
        lambda cloud, key: cloud.call("DELETE", f"/compute/v2.1/os-server-groups/{key}"),
    ),
    "OS::Nova::KeyPair": Kind(
        _names("name public_key type save_private_key"),
        _create_key,
        lambda cloud, key: cloud.call("DELETE", f"/compute/v2.1/os-keypairs/{key}"),
    ),
}
