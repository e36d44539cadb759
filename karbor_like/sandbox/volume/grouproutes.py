"""The routes of group types, groups and group snapshots."""

from typing import Any

import webob

from karbor_like.sandbox import state, web
from karbor_like.sandbox.volume import api
from karbor_like.sandbox.volume import groups as groups_module
from karbor_like.sandbox.volume import volumes as volumes_module

TEXT = {"type": "string", "minLength": 1, "maxLength": 255}
GROUP = {
    "name": api.NAME,
    "description": api.NAME,
    "group_type": TEXT,
    "volume_types": {"type": "array", "minItems": 1, "items": TEXT, "uniqueItems": True},
    "availability_zone": api.NAME,
}
UPDATE = dict.fromkeys(("name", "description", "add_volumes", "remove_volumes"), api.TEXT_OR_NULL)


class GroupRoutes:
    """``/group_types``, ``/groups`` and ``/group_snapshots``."""

    def __init__(
        self,
        types: groups_module.GroupTypes,
        groups: groups_module.Groups,
        taken: groups_module.GroupSnapshots,
        volumes: volumes_module.Volumes,
    ) -> None:
        self._types = types
        self._groups = groups
        self._taken = taken
        self._volumes = volumes

    def routes(self) -> list[web.Route]:
        return [
            web.Route("GET", "/v3/group_types", self.list_types),
            web.Route("POST", "/v3/group_types", self.create_type),
            web.Route("GET", "/v3/group_types/{key}", self.show_type),
            web.Route("DELETE", "/v3/group_types/{key}", self.delete_type),
            web.Route("POST", "/v3/group_types/{key}/group_specs", self.add_specs),
            web.Route("POST", "/v3/groups", self.create),
            web.Route("PUT", "/v3/groups/{key}", self.change),
            web.Route("POST", "/v3/groups/{key}/action", self.group_action),
            *api.readers("group", self._groups, self.shown, brief=_brief),
            web.Route("POST", "/v3/group_snapshots", self.take),
            web.Route("DELETE", "/v3/group_snapshots/{key}", self.delete_taken),
            web.Route("POST", "/v3/group_snapshots/{key}/action", self.taken_action),
            *api.readers("group_snapshot", self._taken, _taken_shown, brief=_brief),
        ]

    def recover(self) -> None:
        self._groups.recover()
        self._taken.recover()

    def list_types(self, call: web.Call) -> webob.Response:
        api.since(call, 11)
        return web.answer(body={"group_types": [_type(call, kind) for kind in self._types.all()]})

    def create_type(self, call: web.Call) -> webob.Response:
        api.since(call, 11)
        api.require_admin(call, "group:group_types:create")
        properties = {
            "name": TEXT,
            "description": api.NAME,
            "is_public": api.BOOLEAN,
            "group_specs": api.METADATA,
        }
        values = api.checked(call, "group_type", properties, "name")
        values["is_public"] = api.is_true(values.get("is_public", True))
        return web.answer(202, {"group_type": _type(call, self._types.create(values))})

    def show_type(self, call: web.Call, key: str) -> webob.Response:
        api.since(call, 11)
        return web.answer(body={"group_type": _type(call, self._types.get(key))})

    def delete_type(self, call: web.Call, key: str) -> webob.Response:
        api.since(call, 11)
        api.require_admin(call, "group:group_types:delete")
        self._types.delete(key)
        return web.answer(202)

    def add_specs(self, call: web.Call, key: str) -> webob.Response:
        api.since(call, 11)
        api.require_admin(call, "group:group_types_specs:create")
        specs = api.checked(call, "group_specs", {}, additional=TEXT)
        self._types.add_specs(key, specs)
        return web.answer(202, {"group_specs": specs})

    def create(self, call: web.Call) -> webob.Response:
        api.since(call, 13)
        values = api.checked(call, "group", GROUP, "group_type", "volume_types")
        group = self._groups.create(call.identity, values, call.strikes)
        return web.answer(202, {"group": _brief(call, group)})

    def change(self, call: web.Call, key: str) -> webob.Response:
        api.since(call, 13)
        self._groups.change(call.identity, key, api.checked(call, "group", UPDATE), call.strikes)
        return web.answer(202)

    def group_action(self, call: web.Call, key: str) -> webob.Response:
        action, values = api.action(call)
        match action:
            case "delete":
                api.since(call, 13)
                volumes = api.is_true(values.get("delete-volumes", False))
                self._groups.delete(call.identity, key, call.strikes, volumes=volumes)
            case "reset_status":
                api.since(call, 20)
                api.require_admin(call, "group:reset_status")
                self._groups.reset(key, str(values.get("status")))
            case _:
                raise api.unknown(action)
        return web.answer(202)

    def shown(self, call: web.Call, group: state.Document) -> dict[str, Any]:
        """Return a group in the form of the API."""
        keys = ("id", "status", "availability_zone", "created_at", "name", "description", "group_type", "volume_types")
        body: dict[str, Any] = {key: group[key] for key in keys}
        version = api.version(call)
        if version >= (3, 14):
            body |= {"group_snapshot_id": None, "source_group_id": None}
        if version >= (3, 25) and api.is_true(call.query.get("list_volume", "false")):
            body["volumes"] = [volume["id"] for volume in self._groups.volumes(group["id"])]
        if version >= (3, 38):
            body["replication_status"] = "disabled"
        if version >= (3, 58) and call.identity.is_admin:
            body["project_id"] = group["project_id"]
        return body

    def take(self, call: web.Call) -> webob.Response:
        api.since(call, 14)
        properties = {"group_id": api.UUID, "name": api.NAME, "description": api.NAME}
        values = api.checked(call, "group_snapshot", properties, "group_id")
        taken = self._taken.create(call.identity, values, call.strikes, self._volumes.path)
        return web.answer(202, {"group_snapshot": {**_brief(call, taken), "group_type_id": taken["group_type_id"]}})

    def delete_taken(self, call: web.Call, key: str) -> webob.Response:
        api.since(call, 14)
        self._taken.delete(call.identity, key, call.strikes)
        return web.answer(202)

    def taken_action(self, call: web.Call, key: str) -> webob.Response:
        action, values = api.action(call)
        if action != "reset_status":
            raise api.unknown(action)
        api.since(call, 19)
        api.require_admin(call, "group:reset_group_snapshot_status")
        self._taken.reset(key, str(values.get("status")))
        return web.answer(202)


def _brief(call: web.Call, document: state.Document) -> dict[str, Any]:
    return {"id": document["id"], "name": document["name"]}


def _type(call: web.Call, kind: state.Document) -> dict[str, Any]:
    shown = {key: kind[key] for key in ("id", "name", "description", "is_public")}
    return {**shown, "group_specs": kind["group_specs"]} if call.identity.is_admin else shown


def _taken_shown(call: web.Call, taken: state.Document) -> dict[str, Any]:
    keys = ["id", "group_id", "group_type_id", "status", "created_at", "name", "description"]
    if api.version(call) >= (3, 58) and call.identity.is_admin:
        keys.append("project_id")
    return {key: taken[key] for key in keys}
