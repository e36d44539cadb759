"""Routes of what is attached to servers: volumes and network interfaces."""

from typing import Any

import webob

from karbor_like.sandbox import errors, faults, jobs, web
from karbor_like.sandbox.compute import api, disks, interfaces, servers, views

FIXED_IPS = {
    "type": "array",
    "minItems": 1,
    "maxItems": 1,
    "items": {"type": "object", "properties": {"ip_address": api.IP_ADDRESS}, "required": ["ip_address"]},
}


class AttachmentRoutes:
    """Volumes and interfaces of servers."""

    def __init__(
        self,
        records: servers.Servers,
        work: jobs.Jobs,
        disk_store: disks.Disks,
        interface_store: interfaces.Interfaces,
    ) -> None:
        self._servers = records
        self._jobs = work
        self._disks = disk_store
        self._interfaces = interface_store

    def routes(self) -> list[web.Route]:
        volumes, ports = "/v2.1/servers/{key}/os-volume_attachments", "/v2.1/servers/{key}/os-interface"
        return [
            web.Route("GET", volumes, self.list_volumes),
            web.Route("POST", volumes, self.attach_volume),
            web.Route("GET", volumes + "/{volume_id}", self.show_volume),
            web.Route("PUT", volumes + "/{volume_id}", self.update_volume),
            web.Route("DELETE", volumes + "/{volume_id}", self.detach_volume),
            web.Route("GET", ports, self.list_interfaces),
            web.Route("POST", ports, self.attach_interface),
            web.Route("GET", ports + "/{port_id}", self.show_interface),
            web.Route("DELETE", ports + "/{port_id}", self.detach_interface),
        ]

    def list_volumes(self, call: web.Call, key: str) -> webob.Response:
        server, version = self._servers.get(call.identity, key), api.version(call)
        return web.answer(body={"volumeAttachments": [views.attachment(key, h, version) for h in server["volumes"]]})

    def show_volume(self, call: web.Call, key: str, volume_id: str) -> webob.Response:
        held = disks.one(self._servers.get(call.identity, key), volume_id)
        return web.answer(body={"volumeAttachment": views.attachment(key, held, api.version(call))})

    def attach_volume(self, call: web.Call, key: str) -> webob.Response:
        version = api.version(call)
        known = {"volumeId": {"type": "string"}, "device": {"type": ["string", "null"]}}
        ending = {"delete_on_termination": api.BOOLEAN}
        known = api.growing(version, known, {(2, 49): {"tag": api.TAG}, (2, 79): ending})
        values = api.checked(call, "volumeAttachment", known, "volumeId")
        held = self._disks.attach(call.identity, key, values["volumeId"], values)
        # Nova answers this request as before 2.89.
        return web.answer(body={"volumeAttachment": views.attachment(key, held, min(version, (2, 88)))})

    def update_volume(self, call: web.Call, key: str, volume_id: str) -> webob.Response:
        """Change whether a volume is deleted with its server."""
        api.since(call, 85)
        known: dict[str, Any] = {name: {} for name in ("volumeId", "id", "serverId", "device", "tag")}
        values = api.checked(call, "volumeAttachment", {**known, "delete_on_termination": api.BOOLEAN}, "volumeId")
        if values["volumeId"] != volume_id:
            api.require_admin(call, "os_compute_api:os-volumes-attachments:swap")
            raise errors.conflict(f"volume {volume_id} is not migrating; this API should only be called by Cinder")
        if "delete_on_termination" in values:
            ending = api.is_true(values["delete_on_termination"])
            self._disks.set_ending(call.identity, key, volume_id, ending)
        return web.answer(202)

    def detach_volume(self, call: web.Call, key: str, volume_id: str) -> webob.Response:
        self._disks.detach(call.identity, key, volume_id)
        return web.answer(202)

    def list_interfaces(self, call: web.Call, key: str) -> webob.Response:
        server, version = self._servers.get(call.identity, key), api.version(call)
        ports = [views.interface(server, port, version) for port in self._interfaces.ports(server)]
        return web.answer(body={"interfaceAttachments": ports})

    def show_interface(self, call: web.Call, key: str, port_id: str) -> webob.Response:
        server = self._servers.get(call.identity, key)
        shown = views.interface(server, self._interfaces.port(key, port_id), api.version(call))
        return web.answer(body={"interfaceAttachment": shown})

    def attach_interface(self, call: web.Call, key: str) -> webob.Response:
        known = {"net_id": api.UUID, "port_id": api.UUID, "fixed_ips": FIXED_IPS}
        known = api.growing(api.version(call), known, {(2, 49): {"tag": api.TAG}})
        values = api.checked(call, "interfaceAttachment", known)
        if fault := call.strikes.find(faults.ERROR):
            raise errors.ApiError(500, f"Failed to attach network adapter device to {key}: {fault.reason}")
        port = self._interfaces.attach(call.identity, key, values)
        return self.show_interface(call, key, port["id"])

    def detach_interface(self, call: web.Call, key: str, port_id: str) -> webob.Response:
        self._interfaces.check_detach(call.identity, self._servers.get(call.identity, key), port_id)
        self._jobs.start(lambda: self._interfaces.detach(key, port_id), lambda reason: None, call.strikes)
        return web.answer(202)
