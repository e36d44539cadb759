"""What Nova 2.96 and Neutron say about a server."""

import copy
from typing import Any

from karbor_like.plugins.nova.description import Answers

PROJECT = "0" * 32
SERVER = "11111111-0000-4000-8000-000000000001"
IMAGE = "22222222-0000-4000-8000-000000000002"
ROOT, DATA = "33333333-0000-4000-8000-000000000003", "33333333-0000-4000-8000-000000000004"
PORT, NET, SUBNET = (f"4444444{n}-0000-4000-8000-000000000005" for n in range(3))
GROUP, FLOATING = (f"5555555{n}-0000-4000-8000-000000000006" for n in range(2))

FLAVOR = {"original_name": "m1.small", "vcpus": 1, "ram": 2048, "disk": 20, "ephemeral": 0, "swap": 0}
KEY_PAIR = {"name": "laptop", "public_key": "ssh-ed25519 AAAA me@home", "fingerprint": "aa:bb", "type": "ssh"}


def server(**members: Any) -> dict[str, Any]:
    return {
        "id": SERVER,
        "name": "web",
        "tenant_id": PROJECT,
        "user_id": "me",
        "status": "ACTIVE",
        "description": "the shop",
        "OS-EXT-SRV-ATTR:hostname": "web-1",
        "locked": False,
        "metadata": {"role": "front", "karbor_like_operation": "an operation"},
        "tags": ["b", "a"],
        "config_drive": "True",
        "OS-DCF:diskConfig": "MANUAL",
        "flavor": {**FLAVOR, "extra_specs": {"hw:cpu": "1"}},
        "image": {"id": IMAGE},
        "pinned_availability_zone": "east",
        "OS-EXT-AZ:availability_zone": "east",
        "key_name": "laptop",
        "os-extended-volumes:volumes_attached": [{"id": DATA, "delete_on_termination": True}],
        **members,
    }


def attachment(volume_id: str = DATA, device: str | None = "/dev/vdb", **members: Any) -> dict[str, Any]:
    return {"volumeId": volume_id, "device": device, "tag": None, "delete_on_termination": False, **members}


NETWORKS: dict[str, list[dict[str, Any]]] = {
    "ports": [
        {
            "id": PORT,
            "project_id": PROJECT,
            "name": "front",
            "network_id": NET,
            "device_id": SERVER,
            "device_owner": "compute:nova",
            "mac_address": "fa:16:3e:00:00:01",
            "fixed_ips": [{"subnet_id": SUBNET, "ip_address": "10.0.0.5"}],
            "security_groups": [GROUP],
            "allowed_address_pairs": [{"ip_address": "10.0.0.9", "mac_address": "fa:16:3e:00:00:01"}],
        }
    ],
    "networks": [{"id": NET, "project_id": PROJECT, "name": "inner", "mtu": 1450}],
    "subnets": [
        {"id": SUBNET, "project_id": PROJECT, "network_id": NET, "cidr": "10.0.0.0/24", "ip_version": 4, "name": ""}
    ],
    "security-groups": [
        {"id": GROUP, "project_id": PROJECT, "name": "web", "security_group_rules": [{"id": "a rule"}]},
    ],
    "floatingips": [
        {
            "id": FLOATING,
            "project_id": PROJECT,
            "floating_network_id": "public",
            "floating_ip_address": "203.0.113.7",
            "port_id": PORT,
            "fixed_ip_address": "10.0.0.5",
        }
    ],
}


def answers(**members: Any) -> Answers:
    """Return the answers about a server that boots from an image and has one volume and one port."""
    defaults: dict[str, Any] = {
        "server": server(),
        "old": {"flavor": {"id": "2"}},
        "volumes": [attachment(tag="data", delete_on_termination=True)],
        "interfaces": [{"port_id": PORT, "tag": "nic"}],
        "image_name": "base",
        "key_pair": KEY_PAIR,
        "group": {"id": "g", "name": "apart", "policy": "anti-affinity", "rules": {}, "members": [SERVER]},
        "networks": copy.deepcopy(NETWORKS),
    }
    return Answers(**{**defaults, **members})
