"""The form in which Nova shows servers."""

from typing import Any

from karbor_like.sandbox import state, web
from karbor_like.sandbox.compute import api, disks, flavors, interfaces, servergroups, servers
from karbor_like.sandbox.volume.volumes import ZONE

POWER = {"ACTIVE": 1, "PAUSED": 3, "SHUTOFF": 4, "SUSPENDED": 7}


class Views:
    """Shows servers in all microversions."""

    def __init__(self, interface_store: interfaces.Interfaces, groups: servergroups.ServerGroups) -> None:
        self._interfaces = interface_store
        self._groups = groups

    def server(self, call: web.Call, server: state.Document, *, listed: bool = False) -> dict[str, Any]:
        """Return a server as a response to a call shows it; lists leave its groups out."""
        version = api.version(call)
        body: dict[str, Any] = {
            "id": server["id"],
            "name": server["name"],
            "status": server["status"],
            "tenant_id": server["project_id"],
            "user_id": server["user_id"],
            "metadata": server["metadata"],
            "hostId": "sandbox",
            "image": {"id": server["image_id"], "links": []} if server["image_id"] else "",
            "flavor": flavors.embedded(server["flavor_id"], version),
            "addresses": self._interfaces.addresses(server),
            **server["access"],
            "key_name": server["key_name"],
            "config_drive": "True" if server["config_drive"] else "",
            "progress": 0,
            "links": [],
            "created": server["created_at"],
            "updated": server["updated_at"],
            "OS-DCF:diskConfig": server["disk_config"],
            "OS-EXT-AZ:availability_zone": ZONE,
            "OS-EXT-STS:vm_state": servers.VM_STATES[server["status"]],
            "OS-EXT-STS:task_state": server["task_state"],
            "OS-EXT-STS:power_state": POWER.get(server["status"], 0),
            "OS-SRV-USG:launched_at": server["launched_at"],
            "OS-SRV-USG:terminated_at": None,
            "os-extended-volumes:volumes_attached": [
                api.growing(version, {"id": held["volume_id"]}, {(2, 3): _ending(held)}) for held in server["volumes"]
            ],
        }
        if names := self._interfaces.group_names(server):
            body["security_groups"] = names
        if server["fault"] and server["status"] == "ERROR":
            body["fault"] = {"code": 500, "message": server["fault"], "created": server["updated_at"]}
        if call.identity.is_admin:
            body |= _for_administrators(server, version)
        added: dict[api.Version, dict[str, Any]] = {
            (2, 9): {"locked": bool(server["locked_by"])},
            (2, 19): {"description": server["description"]},
            (2, 26): {"tags": server["tags"]},
            (2, 63): {"trusted_image_certificates": None},
            (2, 71): {} if listed else {"server_groups": self._groups.of_server(server["id"])},
            (2, 73): {"locked_reason": server["locked_reason"]},
            (2, 90): {"OS-EXT-SRV-ATTR:hostname": server["hostname"]},
            (2, 96): {"pinned_availability_zone": server["availability_zone"]},
        }
        return api.growing(version, body, added)


def _for_administrators(server: state.Document, version: api.Version) -> dict[str, Any]:
    attributes = {"host": "sandbox", "hypervisor_hostname": "sandbox", "instance_name": f"instance-{server['id'][:8]}"}
    more = {
        "hostname": server["hostname"],
        "root_device_name": disks.root_name(server),
        "user_data": server["user_data"],
        "launch_index": 0,
        "reservation_id": f"r-{server['id'][:8]}",
        "kernel_id": "",
        "ramdisk_id": "",
    }
    found = api.growing(version, attributes, {(2, 3): more})
    return {f"OS-EXT-SRV-ATTR:{name}": value for name, value in found.items()}


def attachment(server_id: str, held: dict[str, Any], version: api.Version) -> dict[str, Any]:
    """Return an attached volume."""
    volume_id = held["volume_id"]
    body = {"volumeId": volume_id, "serverId": server_id, "device": held["device"]}
    if version < (2, 89):
        body["id"] = volume_id
    ids = {name: held[name] for name in ("attachment_id", "bdm_uuid")}
    return api.growing(version, body, {(2, 70): {"tag": held["tag"]}, (2, 79): _ending(held), (2, 89): ids})


def interface(server: state.Document, port: state.Document, version: api.Version) -> dict[str, Any]:
    """Return a port of a server."""
    tag = next((each["tag"] for each in server["interfaces"] if each["port_id"] == port["id"]), None)
    body = {"net_id": port["network_id"], "port_id": port["id"], "mac_addr": port["mac_address"]}
    body |= {"port_state": port["status"], "fixed_ips": port["fixed_ips"]}
    return api.growing(version, body, {(2, 70): {"tag": tag}})


def _ending(held: dict[str, Any]) -> dict[str, Any]:
    return {"delete_on_termination": held["delete_on_termination"]}
