"""Nova v2.1: assembly of its parts, versions, and the form of errors."""

from collections.abc import Sequence
from typing import Any

import webob

from karbor_like import clock as clocks
from karbor_like.sandbox import errors, jobs, state, web
from karbor_like.sandbox.compute import (
    actions,
    api,
    attachmentroutes,
    building,
    disks,
    flavors,
    imaging,
    interfaces,
    keypairs,
    quotas,
    servergroups,
    serverroutes,
    servers,
    views,
)
from karbor_like.sandbox.image import images as images_module
from karbor_like.sandbox.network import service as network
from karbor_like.sandbox.volume import snapshots as snapshots_module
from karbor_like.sandbox.volume import volumes as volumes_module

FAULT_NAMES = {400: "badRequest", 401: "unauthorized", 403: "forbidden", 404: "itemNotFound", 409: "conflictingRequest"}


class ComputeService(web.Service):
    """Nova."""

    name = "compute"
    prefix = "compute"

    def __init__(
        self,
        store: state.Store,
        clock: clocks.Clock,
        work: jobs.Jobs,
        images: images_module.Images,
        volumes: volumes_module.Volumes,
        snapshots: snapshots_module.Snapshots,
        neutron: network.NetworkService,
    ) -> None:
        records = servers.Servers(store, clock)
        disk_store = disks.Disks(records, store, volumes, snapshots)
        interface_store = interfaces.Interfaces(records, store, neutron)
        pairs = keypairs.KeyPairs(records, store)
        groups = servergroups.ServerGroups(records, store)
        limits = quotas.Quotas(store)
        self._building = building.Building(
            records, store, work, images, disk_store, interface_store, pairs, groups, limits
        )
        self._parts = (
            serverroutes.ServerRoutes(
                records,
                store,
                self._building,
                actions.Actions(records, store, work, disk_store),
                imaging.Imaging(records, store, work, images, volumes, snapshots),
                views.Views(interface_store, groups),
            ),
            attachmentroutes.AttachmentRoutes(records, work, disk_store, interface_store),
            pairs,
            groups,
            limits,
        )
        super().__init__()

    def routes(self) -> Sequence[web.Route]:
        return [
            web.Route("GET", "/", self.versions, public=True),
            web.Route("GET", "/v2.1", self.version, public=True),
            web.Route("GET", "/v2.1/os-availability-zone", self.zones),
            *(route for part in self._parts for route in part.routes()),
            *flavors.routes(),
        ]

    def finish(self, call: web.Call, response: webob.Response) -> None:
        try:
            version = api.version(call)
        except errors.ApiError:
            return
        response.headers["OpenStack-API-Version"] = f"compute {version[0]}.{version[1]}"
        response.headers["X-OpenStack-Nova-API-Version"] = f"{version[0]}.{version[1]}"

    def render(self, error: errors.ApiError) -> webob.Response:
        name = FAULT_NAMES.get(error.status, "computeFault")
        return web.answer(error.status, {name: {"code": error.status, "message": error.message}})

    def recover(self) -> None:
        self._building.recover()

    def _version(self, call: web.Call) -> dict[str, Any]:
        link = {"rel": "self", "href": f"{call.base_url}/compute/v2.1/"}
        body = {"id": "v2.1", "status": "CURRENT", "version": api.HIGHEST, "min_version": api.LOWEST, "links": [link]}
        return {**body, "updated": "2013-07-23T11:33:21Z"}

    def versions(self, call: web.Call) -> webob.Response:
        return web.answer(body={"versions": [self._version(call)]})

    def version(self, call: web.Call) -> webob.Response:
        return web.answer(body={"version": self._version(call)})

    def zones(self, call: web.Call) -> webob.Response:
        zone = {"zoneName": volumes_module.ZONE, "zoneState": {"available": True}, "hosts": None}
        return web.answer(body={"availabilityZoneInfo": [zone]})
