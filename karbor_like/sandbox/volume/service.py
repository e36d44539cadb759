"""Cinder v3: routes, with and without the project in the URL, and the actions of a volume."""

import re
from collections.abc import Sequence
from typing import Any, Protocol

import webob

from karbor_like.sandbox import errors, listing, web
from karbor_like.sandbox.volume import api, messages, records
from karbor_like.sandbox.volume import snapshots as snapshots_module
from karbor_like.sandbox.volume import volumes as volumes_module

PROJECT = re.compile(r"/v3/([0-9a-f]{32})(?=/|$)")
FAULT_NAMES = {400: "badRequest", 401: "unauthorized", 403: "forbidden", 404: "itemNotFound", 405: "badMethod"}
FAULT_NAMES |= {406: "notAcceptable", 409: "conflictingRequest", 413: "overLimit", 415: "badMediaType"}


class Part(Protocol):
    """Routes of one kind of object."""

    def routes(self) -> list[web.Route]: ...

    def recover(self) -> None: ...


class VolumeService(web.Service):
    """Cinder."""

    name = "volume"
    prefix = "volume"

    def __init__(
        self,
        volumes: volumes_module.Volumes,
        snapshots: snapshots_module.Snapshots,
        messages_store: messages.Messages,
        parts: Sequence[Part],
    ) -> None:
        self._volumes = volumes
        self._snapshots = snapshots
        self._messages = messages_store
        self._parts = parts
        super().__init__()

    def routes(self) -> Sequence[web.Route]:
        table = [
            web.Route("GET", "/", self.versions, public=True),
            web.Route("GET", "/v3", self.versions, public=True),
            web.Route("POST", "/v3/volumes", self.create_volume),
            web.Route("DELETE", "/v3/volumes/{key}", self.delete_volume),
            web.Route("POST", "/v3/volumes/{key}/action", self.volume_action),
            web.Route("POST", "/v3/snapshots", self.create_snapshot),
            web.Route("DELETE", "/v3/snapshots/{key}", self.delete_snapshot),
            web.Route("POST", "/v3/snapshots/{key}/action", self.snapshot_action),
            web.Route("GET", "/v3/types", self.list_types),
            web.Route("GET", "/v3/types/{key}", self.show_type),
            web.Route("GET", "/v3/os-services", self.list_services),
            web.Route("GET", "/v3/os-availability-zone", self.list_zones),
            web.Route("GET", "/v3/messages", self.list_messages),
            web.Route("GET", "/v3/messages/{key}", self.show_message),
            web.Route("DELETE", "/v3/messages/{key}", self.delete_message),
        ]
        shown: tuple[tuple[str, records.Records, api.Shown], ...] = (
            ("volume", self._volumes, volumes_module.shown),
            ("snapshot", self._snapshots, lambda call, snapshot: snapshots_module.shown(snapshot)),
        )
        for part in shown:
            table += [*api.readers(*part), *api.writers(*part)]
        return [*table, *(route for part in self._parts for route in part.routes())]

    def find(self, method: str, path: str) -> tuple[web.Route, dict[str, str]]:
        return super().find(method, PROJECT.sub("/v3", path, count=1))

    def project_of(self, path: str, arguments: dict[str, str]) -> str | None:
        match = PROJECT.match(path)
        return match[1] if match else None

    def finish(self, call: web.Call, response: webob.Response) -> None:
        try:
            version = api.version(call)
        except errors.ApiError:
            return
        response.headers["OpenStack-API-Version"] = f"volume {version[0]}.{version[1]}"
        response.headers["Vary"] = "OpenStack-API-Version"

    def render(self, error: errors.ApiError) -> webob.Response:
        name = FAULT_NAMES.get(error.status, "computeFault")
        body = {"code": error.status, "message": error.message}
        if seconds := error.headers.get("Retry-After"):
            body["retryAfter"] = seconds
        return web.answer(error.status, {name: body})

    def recover(self) -> None:
        self._volumes.recover()
        self._snapshots.recover()
        for part in self._parts:
            part.recover()

    def versions(self, call: web.Call) -> webob.Response:
        version = {
            "id": "v3.0",
            "status": "CURRENT",
            "version": api.HIGHEST,
            "min_version": api.LOWEST,
            "updated": "2025-01-01T00:00:00Z",
            "links": [{"rel": "self", "href": f"{call.base_url}/volume/v3/"}],
            "media-types": [{"base": "application/json", "type": "application/vnd.openstack.volume+json;version=3"}],
        }
        return web.answer(300 if call.path == "/" else 200, {"versions": [version]})

    # volumes

    def create_volume(self, call: web.Call) -> webob.Response:
        api.version(call)
        volume = self._volumes.create(call.identity, call.member("volume"), call.strikes)
        return web.answer(202, {"volume": volumes_module.shown(call, volume)})

    def delete_volume(self, call: web.Call, key: str) -> webob.Response:
        cascade = call.query.get("cascade", "").lower() == "true"
        force = call.query.get("force", "").lower() == "true" and call.identity.is_admin
        self._volumes.delete(call.identity, key, call.strikes, cascade=cascade, force=force)
        return web.answer(202)

    def volume_action(self, call: web.Call, key: str) -> webob.Response:
        action, values = api.action(call)
        self._volumes.get(call.identity, key)
        match action:
            case "os-volume_upload_image":
                volume, image = self._volumes.upload(call.identity, key, values, call.strikes)
                return web.answer(202, {action: _uploading(volume, image)})
            case "revert":
                api.since(call, 40)
                self._volumes.revert(call.identity, key, values.get("snapshot_id"), call.strikes)
                return web.answer(202)
            case "os-extend":
                self._volumes.extend(call.identity, key, values.get("new_size"))
                return web.answer(202)
            case "os-reset_status":
                api.require_admin(call, action)
                self._volumes.reset(key, values.get("status") or "available")
                return web.answer(202)
            case "os-force_delete":
                api.require_admin(call, action)
                self._volumes.delete(call.identity, key, call.strikes, force=True)
                return web.answer(202)
            case "os-set_bootable":
                self._volumes.set(key, bootable=values.get("bootable") in (True, "true", "True", "1"))
                return web.answer(200)
            case "os-set_image_metadata":
                volume = self._volumes.get(call.identity, key)
                metadata = {**(volume["image_metadata"] or {}), **records.checked_metadata(values.get("metadata"))}
                self._volumes.set(key, image_metadata=metadata)
                return web.answer(body={"metadata": metadata})
            case "os-unset_image_metadata":
                volume = self._volumes.get(call.identity, key)
                metadata = volume["image_metadata"] or {}
                if values.get("key") not in metadata:
                    raise errors.not_found(f"Metadata key {values.get('key')} does not exist.")
                self._volumes.set(key, image_metadata={k: v for k, v in metadata.items() if k != values["key"]})
                return web.answer(200)
            case "os-update_readonly_flag":
                volume = self._volumes.get(call.identity, key)
                if volume["status"] != "available":
                    raise errors.bad_request(
                        f"Invalid volume: status of {key} must be available, is {volume['status']}."
                    )
                self._volumes.set(key, readonly=values.get("readonly") in (True, "true", "True"))
                return web.answer(202)
        raise api.unknown(action)

    # snapshots

    def create_snapshot(self, call: web.Call) -> webob.Response:
        version = api.version(call)
        values = call.member("snapshot")
        force = values.get("force")
        if version >= (3, 66):
            if force not in (None, True, "true", "True"):
                raise errors.bad_request("Since microversion 3.66 the 'force' option may only be true.")
            force = True
        volume = self._volumes.get(call.identity, str(values.get("volume_id")))
        snapshot = self._snapshots.create(
            call.identity,
            volume,
            {**values, "force": force in (True, "true", "True")},
            call.strikes,
            self._volumes.path(volume["id"]),
        )
        return web.answer(202, {"snapshot": snapshots_module.shown(snapshot)})

    def delete_snapshot(self, call: web.Call, key: str) -> webob.Response:
        self._snapshots.delete(call.identity, key, call.strikes)
        return web.answer(202)

    def snapshot_action(self, call: web.Call, key: str) -> webob.Response:
        action, values = api.action(call)
        self._snapshots.get(call.identity, key)
        api.require_admin(call, action)
        match action:
            case "os-reset_status":
                self._snapshots.reset(key, values.get("status") or "available")
            case "os-force_delete":
                self._snapshots.delete(call.identity, key, call.strikes, force=True)
            case _:
                raise api.unknown(action)
        return web.answer(202)

    # other collections

    def list_types(self, call: web.Call) -> webob.Response:
        return web.answer(body={"volume_types": [_type(name) for name in volumes_module.TYPES]})

    def show_type(self, call: web.Call, key: str) -> webob.Response:
        name = volumes_module.TYPES[0] if key == "default" else key
        if name not in volumes_module.TYPES:
            raise errors.not_found(f"Volume type {key} could not be found.")
        return web.answer(body={"volume_type": _type(name)})

    def list_services(self, call: web.Call) -> webob.Response:
        api.require_admin(call, "volume_extension:services:index")
        common = {"host": "sandbox", "zone": volumes_module.ZONE, "status": "enabled", "state": "up"}
        services = [
            {"binary": binary, **common, "updated_at": self._volumes.now(), "disabled_reason": None}
            for binary in ("cinder-scheduler", "cinder-volume", "cinder-backup")
        ]
        return web.answer(body={"services": services})

    def list_zones(self, call: web.Call) -> webob.Response:
        zone = {"zoneName": volumes_module.ZONE, "zoneState": {"available": True}}
        return web.answer(body={"availabilityZoneInfo": [zone]})

    def list_messages(self, call: web.Call) -> webob.Response:
        messages, _ = listing.page(call, listing.select(call, self._messages.all()))
        return web.answer(body={"messages": messages})

    def show_message(self, call: web.Call, key: str) -> webob.Response:
        return web.answer(body={"message": self._messages.get(call.identity, key)})

    def delete_message(self, call: web.Call, key: str) -> webob.Response:
        self._messages.delete(call.identity, key)
        return web.answer(204)


def _type(name: str) -> dict[str, Any]:
    return {"id": name, "name": name, "description": None, "is_public": True, "extra_specs": {}}


def _uploading(volume: dict[str, Any], image: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": volume["id"],
        "updated_at": volume["updated_at"],
        "status": "uploading",
        "display_description": volume["description"],
        "size": volume["size"],
        "volume_type": _type(volume["volume_type"]),
        "image_id": image["id"],
        "container_format": image["container_format"],
        "disk_format": image["disk_format"],
        "image_name": image["name"],
        "visibility": image["visibility"],
        "protected": image["protected"],
    }
