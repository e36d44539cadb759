"""Attachments of volumes: reserved, connected and completed by a client, and deleted when it has ended."""

from typing import Any

import webob

from karbor_like.sandbox import errors, listing, state, web
from karbor_like.sandbox.volume import api, records
from karbor_like.sandbox.volume import volumes as volumes_module

RESERVED, ATTACHING, ATTACHED = "reserved", "attaching", "attached"


class Attachments(records.Records):
    """The attachments of all projects."""

    kind = "attachment"
    title = "Volume attachment"

    def __init__(self, common: records.Common, volumes: volumes_module.Volumes) -> None:
        super().__init__(common)
        self._volumes = volumes

    def create(self, caller: web.Identity, values: dict[str, Any]) -> state.Document:
        """Reserve a volume, and connect it if there is a connector.

        :raises ApiError: 400, if the volume is not available
        """
        key = values["volume_uuid"]
        with self._store.transaction():
            volume = self._volumes.get(caller, key)
            free = volume["status"] == "available" or volume["multiattach"] and volume["status"] == "in-use"
            if not free:
                raise errors.bad_request(
                    f"Invalid volume: Volume {key} status must be available or downloading to reserve, but the current "
                    f"status is {volume['status']}."
                )
            fields = {"volume_id": key, "instance": values.get("instance_uuid"), "mode": values.get("mode") or "null"}
            fields["connector"] = values.get("connector")
            fields["status"] = ATTACHING if values.get("connector") else RESERVED
            if not volume["attachments"]:
                self._volumes.set(key, status="attaching" if values.get("connector") else "reserved")
            return self.add(caller, fields)

    def complete(self, caller: web.Identity, key: str) -> None:
        """Mark an attachment as used.

        :raises ApiError: 404
        """
        with self._store.transaction():
            attachment = self.get(caller, key)
            volume = self._volumes.get(caller, attachment["volume_id"])
            shown = {"id": volume["id"], "attachment_id": key, "volume_id": volume["id"], "device": None}
            host = (attachment["connector"] or {}).get("host")
            shown |= {"server_id": attachment["instance"], "host_name": host, "attached_at": self.now()}
            others = [each for each in volume["attachments"] if each["attachment_id"] != key]
            self._volumes.set(volume["id"], status="in-use", attachments=[*others, shown])
            self.set(key, status=ATTACHED)

    def delete(self, caller: web.Identity, key: str) -> list[state.Document]:
        """Disconnect and release a volume. Returns the other attachments of the volume."""
        with self._store.transaction():
            attachment = self.get(caller, key)
            volume_id = attachment["volume_id"]
            self.remove(key)
            volume = self._store.get("volume", volume_id)
            if volume is not None:
                left = [each for each in volume["attachments"] if each["attachment_id"] != key]
                self._volumes.set(volume_id, status="in-use" if left else "available", attachments=left)
        return [each for each in self.all() if each["volume_id"] == volume_id]


class AttachmentRoutes:
    """``/attachments``."""

    def __init__(self, attachments: Attachments) -> None:
        self._attachments = attachments

    def routes(self) -> list[web.Route]:
        return [
            web.Route("POST", "/v3/attachments", self.create),
            web.Route("GET", "/v3/attachments", self.index),
            web.Route("GET", "/v3/attachments/{key}", self.show),
            web.Route("POST", "/v3/attachments/{key}/action", self.action),
            web.Route("DELETE", "/v3/attachments/{key}", self.delete),
        ]

    def recover(self) -> None:
        """Attachments stay as they are."""

    def create(self, call: web.Call) -> webob.Response:
        api.since(call, 27)
        properties = {
            "volume_uuid": api.UUID,
            "instance_uuid": api.UUID_OR_NULL,
            "connector": {"type": ["object", "null"]},
            "mode": {"type": "string", "enum": ["rw", "ro"]},
        }
        values = api.checked(call, "attachment", properties, "volume_uuid")
        return web.answer(200, {"attachment": _shown(call, self._attachments.create(call.identity, values))})

    def index(self, call: web.Call) -> webob.Response:
        api.since(call, 27)
        documents, _ = listing.page(call, listing.select(call, self._attachments.all()))
        names = ("id", "status", "volume_id", "instance")
        return web.answer(body={"attachments": [{name: each[name] for name in names} for each in documents]})

    def show(self, call: web.Call, key: str) -> webob.Response:
        api.since(call, 27)
        return web.answer(body={"attachment": _shown(call, self._attachments.get(call.identity, key))})

    def action(self, call: web.Call, key: str) -> webob.Response:
        api.since(call, 44)
        name, _ = api.action(call)
        if name != "os-complete":
            raise api.unknown(name)
        self._attachments.complete(call.identity, key)
        return web.answer(204)

    def delete(self, call: web.Call, key: str) -> webob.Response:
        api.since(call, 27)
        left = self._attachments.delete(call.identity, key)
        return web.answer(200, {"attachments": [{"id": each["id"]} for each in left]})


def _shown(call: web.Call, attachment: state.Document) -> dict[str, Any]:
    connection: dict[str, Any] = {}
    if attachment["status"] != RESERVED:
        connection = {"driver_volume_type": "sandbox", "access_mode": "rw", "encrypted": False}
        connection |= {"volume_id": attachment["volume_id"], "name": f"volumes/volume-{attachment['volume_id']}"}
        connection["client"] = attachment["connector"].get("host")
        connection["url"] = f"{call.base_url}/sandbox/volumes/{attachment['volume_id']}"
    names = ("id", "status", "volume_id", "instance")
    return {
        **{name: attachment[name] for name in names},
        "attach_mode": attachment["mode"],
        "attached_at": attachment["created_at"],
        "detached_at": "",
        "connection_info": connection,
    }
