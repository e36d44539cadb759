"""The routes of backups."""

from typing import Any

import webob

from karbor_like.sandbox import errors, state, web
from karbor_like.sandbox.volume import api
from karbor_like.sandbox.volume import backups as backups_module

CREATE = {
    "volume_id": api.UUID,
    "container": api.NAME,
    "description": api.NAME,
    "incremental": api.BOOLEAN,
    "force": api.BOOLEAN,
    "name": api.NAME,
    "snapshot_id": api.UUID_OR_NULL,
}
TEXT = {"type": "string", "minLength": 1}


class BackupRoutes:
    """``/backups``."""

    def __init__(self, backups: backups_module.Backups) -> None:
        self._backups = backups

    def routes(self) -> list[web.Route]:
        item = "/v3/backups/{key}"
        return [
            web.Route("POST", "/v3/backups", self.create),
            *api.readers("backup", self._backups, shown),
            web.Route("PUT", item, self.update),
            web.Route("DELETE", item, self.delete),
            web.Route("POST", f"{item}/restore", self.restore),
            web.Route("POST", f"{item}/action", self.action),
            web.Route("GET", f"{item}/export_record", self.export),
            web.Route("POST", "/v3/backups/import_record", self.import_record),
        ]

    def recover(self) -> None:
        self._backups.recover()

    def create(self, call: web.Call) -> webob.Response:
        properties: dict[str, Any] = dict(CREATE)
        if api.version(call) >= (3, 43):
            properties["metadata"] = api.METADATA
        if api.version(call) >= (3, 51):
            properties["availability_zone"] = api.NAME
        values = api.checked(call, "backup", properties, "volume_id")
        flags = {name: api.is_true(values.get(name, False)) for name in ("incremental", "force")}
        backup = self._backups.create(call.identity, {**values, **flags}, call.strikes)
        return web.answer(202, {"backup": api.brief(call, backup)})

    def update(self, call: web.Call, key: str) -> webob.Response:
        api.since(call, 9)
        properties: dict[str, Any] = {"name": api.NAME, "description": api.NAME}
        if api.version(call) >= (3, 43):
            properties["metadata"] = api.METADATA
        backup = self._backups.update(call.identity, key, api.checked(call, "backup", properties))
        return web.answer(body={"backup": api.brief(call, backup)})

    def delete(self, call: web.Call, key: str) -> webob.Response:
        self._backups.delete(call.identity, key, call.strikes)
        return web.answer(202)

    def restore(self, call: web.Call, key: str) -> webob.Response:
        values = api.checked(call, "restore", {"name": api.NAME, "volume_id": api.UUID_OR_NULL})
        volume_id, name = values.get("volume_id"), values.get("name")
        volume = self._backups.restore(call.identity, key, volume_id, name, call.strikes)
        body = {"backup_id": key, "volume_id": volume["id"], "volume_name": volume["name"]}
        return web.answer(202, {"restore": body})

    def action(self, call: web.Call, key: str) -> webob.Response:
        action, values = api.action(call)
        match action:
            case "os-reset_status":
                api.require_admin(call, "volume_extension:backup_admin_actions:reset_status")
                self._backups.get(call.identity, key)
                status = str(values.get("status")).lower()
                if status not in backups_module.STATES:
                    raise errors.bad_request(
                        f"Backup status: {status} is invalid, valid statuses are: {backups_module.STATES}."
                    )
                self._backups.reset(key, status)
            case "os-force_delete":
                api.require_admin(call, "volume_extension:backup_admin_actions:force_delete")
                self._backups.delete(call.identity, key, call.strikes, force=True)
            case _:
                raise api.unknown(action)
        return web.answer(202)

    def export(self, call: web.Call, key: str) -> webob.Response:
        self._backups.get(call.identity, key)
        api.require_admin(call, "backup:export-import")
        return web.answer(body={"backup-record": self._backups.export(call.identity, key)})

    def import_record(self, call: web.Call) -> webob.Response:
        properties = {"backup_service": api.NAME, "backup_url": {**TEXT, "format": "base64"}}
        values = api.checked(call, "backup-record", properties, "backup_service", "backup_url")
        api.require_admin(call, "backup:backup-import")
        backup = self._backups.import_record(
            call.identity, values["backup_service"] or "", values["backup_url"], call.strikes
        )
        return web.answer(201, {"backup": api.brief(call, backup)})


def shown(call: web.Call, backup: state.Document) -> dict[str, Any]:
    """Return a backup in the form of the API."""
    keys = (
        *("id", "status", "size", "object_count", "availability_zone", "container", "created_at", "updated_at", "name"),
        *("description", "fail_reason", "volume_id", "snapshot_id", "data_timestamp"),
    )
    body = {key: backup[key] for key in keys} | {
        "links": [],
        "is_incremental": backup["parent_id"] is not None,
        "has_dependent_backups": backup["num_dependent_backups"] > 0,
    }
    version = api.version(call)
    if version >= (3, 43):
        body["metadata"] = backup["metadata"]
    if version >= (3, 18) and call.identity.is_admin:
        body["os-backup-project-attr:project_id"] = backup["project_id"]
    if version >= (3, 56) and call.identity.is_admin:
        body["user_id"] = backup["user_id"]
    return body
