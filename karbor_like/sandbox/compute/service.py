"""Nova v2.1: routes of servers, their volumes and flavors, and the form of responses."""

from collections.abc import Sequence
from typing import Any

import webob

from karbor_like.sandbox import errors, listing, microversion, state, web
from karbor_like.sandbox.compute import servers as servers_module

LOWEST, HIGHEST = "2.1", "2.96"
FAULT_NAMES = {400: "badRequest", 401: "unauthorized", 403: "forbidden", 404: "itemNotFound", 409: "conflictingRequest"}
POWER = {"ACTIVE": 1, "SHUTOFF": 4}
VM_STATES = {
    "ACTIVE": "active",
    "BUILD": "building",
    "SHUTOFF": "stopped",
    "SHELVED_OFFLOADED": "shelved_offloaded",
}


class ComputeService(web.Service):
    """Nova."""

    name = "compute"
    prefix = "compute"

    def __init__(self, servers: servers_module.Servers) -> None:
        self._servers = servers
        super().__init__()

    def routes(self) -> Sequence[web.Route]:
        attachments = "/v2.1/servers/{key}/os-volume_attachments"
        return (
            web.Route("GET", "/", self.versions, public=True),
            web.Route("GET", "/v2.1", self.version, public=True),
            web.Route("POST", "/v2.1/servers", self.create),
            web.Route("GET", "/v2.1/servers", self.index),
            web.Route("GET", "/v2.1/servers/detail", self.detail),
            web.Route("GET", "/v2.1/servers/{key}", self.show),
            web.Route("DELETE", "/v2.1/servers/{key}", self.delete),
            web.Route("POST", "/v2.1/servers/{key}/action", self.action),
            web.Route("GET", attachments, self.list_attachments),
            web.Route("POST", attachments, self.attach),
            web.Route("GET", attachments + "/{volume_id}", self.show_attachment),
            web.Route("DELETE", attachments + "/{volume_id}", self.detach),
            web.Route("GET", "/v2.1/flavors", self.list_flavors),
            web.Route("GET", "/v2.1/flavors/detail", self.detail_flavors),
            web.Route("GET", "/v2.1/flavors/{key}", self.show_flavor),
        )

    def finish(self, call: web.Call, response: webob.Response) -> None:
        try:
            version = self._wanted(call)
        except errors.ApiError:
            return
        response.headers["OpenStack-API-Version"] = f"compute {version[0]}.{version[1]}"
        response.headers["X-OpenStack-Nova-API-Version"] = f"{version[0]}.{version[1]}"

    def render(self, error: errors.ApiError) -> webob.Response:
        name = FAULT_NAMES.get(error.status, "computeFault")
        return web.answer(error.status, {name: {"code": error.status, "message": error.message}})

    def recover(self) -> None:
        self._servers.recover()

    def _version(self, call: web.Call) -> dict[str, Any]:
        link = {"rel": "self", "href": f"{call.base_url}/compute/v2.1/"}
        body = {"id": "v2.1", "status": "CURRENT", "version": HIGHEST, "min_version": LOWEST, "links": [link]}
        return {**body, "updated": "2013-07-23T11:33:21Z"}

    def versions(self, call: web.Call) -> webob.Response:
        return web.answer(body={"versions": [self._version(call)]})

    def version(self, call: web.Call) -> webob.Response:
        return web.answer(body={"version": self._version(call)})

    def create(self, call: web.Call) -> webob.Response:
        server = self._servers.create(call.identity, call.member("server"), call.strikes)
        return web.answer(202, {"server": {"id": server["id"], "links": [], "adminPass": "none"}})

    def index(self, call: web.Call) -> webob.Response:
        servers, _ = listing.page(call, listing.select(call, self._servers.all()))
        return web.answer(body={"servers": [{"id": s["id"], "name": s["name"], "links": []} for s in servers]})

    def detail(self, call: web.Call) -> webob.Response:
        servers, _ = listing.page(call, listing.select(call, self._servers.all()))
        return web.answer(body={"servers": [self._shown(call, server) for server in servers]})

    def show(self, call: web.Call, key: str) -> webob.Response:
        return web.answer(body={"server": self._shown(call, self._servers.get(call.identity, key))})

    def delete(self, call: web.Call, key: str) -> webob.Response:
        self._servers.delete(call.identity, key, call.strikes)
        return web.answer(204)

    def action(self, call: web.Call, key: str) -> webob.Response:
        server = self._servers.get(call.identity, key)
        statuses = {"os-stop": "SHUTOFF", "os-start": "ACTIVE"}
        body = call.json()
        name = next(iter(body), "") if isinstance(body, dict) else ""
        if name == "shelve":
            self._servers.shelve(server)
            return web.answer(202)
        if name not in statuses:
            raise errors.bad_request(f"There is no such action: {name}")
        self._servers.set_status(key, statuses[name])
        return web.answer(202)

    # volumes of a server

    def list_attachments(self, call: web.Call, key: str) -> webob.Response:
        server = self._servers.get(call.identity, key)
        version = self._wanted(call)
        return web.answer(body={"volumeAttachments": [_attachment(key, held, version) for held in server["volumes"]]})

    def show_attachment(self, call: web.Call, key: str, volume_id: str) -> webob.Response:
        server = self._servers.get(call.identity, key)
        for held in server["volumes"]:
            if held["volume_id"] == volume_id:
                return web.answer(body={"volumeAttachment": _attachment(key, held, self._wanted(call))})
        raise errors.not_found(f"Volume {volume_id} is not attached to server {key}.")

    def attach(self, call: web.Call, key: str) -> webob.Response:
        values = call.member("volumeAttachment")
        held = self._servers.attach(call.identity, key, str(values.get("volumeId")), values.get("device"))
        return web.answer(body={"volumeAttachment": _attachment(key, held, self._wanted(call))})

    def detach(self, call: web.Call, key: str, volume_id: str) -> webob.Response:
        self._servers.detach(call.identity, key, volume_id)
        return web.answer(202)

    # flavors

    def list_flavors(self, call: web.Call) -> webob.Response:
        flavors = servers_module.FLAVORS.items()
        return web.answer(body={"flavors": [{"id": key, "name": f["name"], "links": []} for key, f in flavors]})

    def detail_flavors(self, call: web.Call) -> webob.Response:
        version = self._wanted(call)
        return web.answer(body={"flavors": [_flavor(key, version) for key in servers_module.FLAVORS]})

    def show_flavor(self, call: web.Call, key: str) -> webob.Response:
        if key not in servers_module.FLAVORS:
            raise errors.not_found(f"Flavor {key} could not be found.")
        return web.answer(body={"flavor": _flavor(key, self._wanted(call))})

    def _wanted(self, call: web.Call) -> tuple[int, int]:
        return microversion.wanted(call, "compute", LOWEST, HIGHEST)

    def _shown(self, call: web.Call, server: state.Document) -> dict[str, Any]:
        version = self._wanted(call)
        flavor = servers_module.FLAVORS[server["flavor_id"]]
        embedded = {"original_name": flavor["name"], "ram": flavor["ram"], "vcpus": flavor["vcpus"]}
        embedded |= {"disk": flavor["disk"], "ephemeral": 0, "swap": 0, "extra_specs": {}}
        body = {
            "id": server["id"],
            "name": server["name"],
            "status": server["status"],
            "tenant_id": server["project_id"],
            "user_id": server["user_id"],
            "metadata": server["metadata"],
            "hostId": "sandbox",
            "image": {"id": server["image_id"], "links": []} if server["image_id"] else "",
            "flavor": embedded if version >= (2, 47) else {"id": server["flavor_id"], "links": []},
            "addresses": {},
            "accessIPv4": "",
            "accessIPv6": "",
            "key_name": server["key_name"],
            "config_drive": "",
            "progress": 0,
            "links": [],
            "created": server["created_at"],
            "updated": server["updated_at"],
            "OS-DCF:diskConfig": "MANUAL",
            "OS-EXT-AZ:availability_zone": server["availability_zone"],
            "OS-EXT-STS:vm_state": VM_STATES.get(server["status"], "error"),
            "OS-EXT-STS:task_state": server["task_state"],
            "OS-EXT-STS:power_state": POWER.get(server["status"], 0),
            "os-extended-volumes:volumes_attached": [
                _since(version, {"id": held["volume_id"]}, {(2, 3): _ending(held)}) for held in server["volumes"]
            ],
        }
        if server["fault"]:
            body["fault"] = {"code": 500, "message": server["fault"], "created": server["updated_at"]}
        return body


def _attachment(server_id: str, held: dict[str, Any], version: tuple[int, int]) -> dict[str, Any]:
    volume_id = held["volume_id"]
    body = {"volumeId": volume_id, "serverId": server_id, "device": held["device"]}
    if version < (2, 89):
        body["id"] = volume_id
    return _since(
        version,
        body,
        {(2, 70): {"tag": None}, (2, 79): _ending(held), (2, 89): {"attachment_id": volume_id, "bdm_uuid": volume_id}},
    )


def _ending(held: dict[str, Any]) -> dict[str, Any]:
    return {"delete_on_termination": held["delete_on_termination"]}


def _flavor(key: str, version: tuple[int, int]) -> dict[str, Any]:
    flavor = {"id": key, **servers_module.FLAVORS[key], "rxtx_factor": 1.0, "links": []}
    flavor |= {"swap": 0 if version >= (2, 75) else "", "OS-FLV-EXT-DATA:ephemeral": 0}
    flavor |= {"OS-FLV-DISABLED:disabled": False, "os-flavor-access:is_public": True}
    return _since(version, flavor, {(2, 55): {"description": None}, (2, 61): {"extra_specs": {}}})


def _since(
    version: tuple[int, int], body: dict[str, Any], added: dict[tuple[int, int], dict[str, Any]]
) -> dict[str, Any]:
    """Return *body* with the attributes that Nova added in a microversion up to *version*."""
    return {**body, **{name: value for first in added if first <= version for name, value in added[first].items()}}
