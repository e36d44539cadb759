"""Trove v1.0: routes, and the form of requests and responses."""

import urllib.parse
from collections.abc import Sequence
from typing import Any

import webob

from karbor_like import clock as clocks
from karbor_like.sandbox import errors, jobs, listing, state, web
from karbor_like.sandbox.compute.flavors import FLAVORS
from karbor_like.sandbox.database import instances
from karbor_like.sandbox.database.instances import BACKUP, INSTANCE

FAULT_NAMES = {400: "badRequest", 403: "forbidden", 404: "itemNotFound", 409: "conflict", 422: "unprocessableEntity"}


class DatabaseService(web.Service):
    """Trove."""

    name = "database"
    prefix = "database"

    def __init__(self, store: state.Store, clock: clocks.Clock, work: jobs.Jobs) -> None:
        self._records = instances.Records(store, clock, work)
        super().__init__()

    def routes(self) -> Sequence[web.Route]:
        root = "/v1.0/{project_id}"
        instance, backup = f"{root}/instances", f"{root}/backups"
        return [
            web.Route("GET", f"{root}/flavors", self.flavors),
            web.Route("GET", instance, lambda call, project_id: self.index(call, INSTANCE)),
            web.Route("POST", instance, self.create_instance),
            web.Route("GET", f"{instance}/{{key}}", self.show_instance),
            web.Route("PATCH", f"{instance}/{{key}}", self.edit_instance),
            web.Route("DELETE", f"{instance}/{{key}}", self.delete_instance),
            web.Route("GET", f"{instance}/{{key}}/databases", self.databases),
            web.Route("POST", f"{instance}/{{key}}/databases", self.create_databases),
            web.Route("GET", backup, lambda call, project_id: self.index(call, BACKUP)),
            web.Route("POST", backup, self.create_backup),
            web.Route("GET", f"{backup}/{{key}}", self.show_backup),
            web.Route("DELETE", f"{backup}/{{key}}", self.delete_backup),
            # There are no groups of configuration parameters.
            web.Route("GET", f"{root}/configurations/{{key}}", self.show_configuration),
        ]

    def render(self, error: errors.ApiError) -> webob.Response:
        name = FAULT_NAMES.get(error.status, "computeFault")
        return web.answer(error.status, {name: {"code": error.status, "message": error.message}})

    def recover(self) -> None:
        self._records.recover()

    def flavors(self, call: web.Call, project_id: str) -> webob.Response:
        shown = [{"id": int(key), "str_id": key, "ephemeral": 0, **flavor} for key, flavor in FLAVORS.items()]
        return web.answer(body={"flavors": shown})

    def index(self, call: web.Call, kind: str) -> webob.Response:
        name, view = ("instances", _instance) if kind == INSTANCE else ("backups", _backup)
        page, more = listing.page(call, self._records.all(call.identity, kind))
        body: dict[str, Any] = {name: [view(call, each) for each in page]}
        if more:
            query = {**call.query, "marker": page[-1]["id"]}
            href = f"{call.base_url}/database{call.path}?{urllib.parse.urlencode(query)}"
            body["links"] = [{"rel": "next", "href": href}]
        return web.answer(body=body)

    def create_instance(self, call: web.Call, project_id: str) -> webob.Response:
        made = self._records.create_instance(call.identity, call.member("instance"), call.strikes)
        return web.answer(200, {"instance": _instance(call, made)})

    def show_instance(self, call: web.Call, project_id: str, key: str) -> webob.Response:
        return web.answer(body={"instance": _instance(call, self._records.get(call.identity, INSTANCE, key))})

    def edit_instance(self, call: web.Call, project_id: str, key: str) -> webob.Response:
        self._records.change(call.identity, key, name=call.member("instance")["name"])
        return web.answer(202)

    def delete_instance(self, call: web.Call, project_id: str, key: str) -> webob.Response:
        self._records.delete_instance(call.identity, key, call.strikes)
        return web.answer(202)

    def databases(self, call: web.Call, project_id: str, key: str) -> webob.Response:
        names = self._records.get(call.identity, INSTANCE, key)["databases"]
        return web.answer(body={"databases": [{"name": name} for name in names]})

    def create_databases(self, call: web.Call, project_id: str, key: str) -> webob.Response:
        names = self._records.get(call.identity, INSTANCE, key)["databases"]
        new = [each["name"] for each in call.json()["databases"]]
        self._records.change(call.identity, key, databases=[*names, *new])
        return web.answer(202)

    def create_backup(self, call: web.Call, project_id: str) -> webob.Response:
        made = self._records.create_backup(call.identity, call.member("backup"), call.strikes)
        return web.answer(202, {"backup": _backup(call, made)})

    def show_backup(self, call: web.Call, project_id: str, key: str) -> webob.Response:
        return web.answer(body={"backup": _backup(call, self._records.get(call.identity, BACKUP, key))})

    def delete_backup(self, call: web.Call, project_id: str, key: str) -> webob.Response:
        self._records.delete_backup(call.identity, key, call.strikes)
        return web.answer(202)

    def show_configuration(self, call: web.Call, project_id: str, key: str) -> webob.Response:
        raise errors.not_found(f"Resource {key} cannot be found.")


def _instance(call: web.Call, instance: state.Document) -> dict[str, Any]:
    shown = {name: instance[name] for name in ("id", "name", "status", "datastore", "access", "created", "updated")}
    shown |= {"flavor": {"id": instance["flavor"], "links": []}, "volume": {"size": instance["size"]}, "links": []}
    shown["addresses"] = [
        {"address": "10.0.0.2", "type": "private", "network": network} for network in instance["networks"]
    ]
    if instance["configuration"]:
        shown["configuration"] = {"id": instance["configuration"], "name": "", "links": []}
    if instance["fault"]:
        shown["fault"] = instance["fault"]
    if call.identity.is_admin:
        shown["tenant_id"] = instance["project_id"]
    return shown


def _backup(call: web.Call, backup: state.Document) -> dict[str, Any]:
    names = ("id", "name", "description", "status", "instance_id", "parent_id", "datastore", "size", "created")
    return {**{name: backup[name] for name in names}, "updated": backup["updated"], "locationRef": None}
