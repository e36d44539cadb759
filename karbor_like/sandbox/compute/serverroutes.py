"""Routes of servers: their records, metadata and tags, and their actions."""

from collections.abc import Callable

import webob

from karbor_like.sandbox import errors, listing, state, web
from karbor_like.sandbox.compute import actions as actions_module
from karbor_like.sandbox.compute import api, building, imaging, servers, views


class ServerRoutes:
    """Servers."""

    def __init__(
        self,
        records: servers.Servers,
        store: state.Store,
        builder: building.Building,
        actions: actions_module.Actions,
        images: imaging.Imaging,
        shown: views.Views,
    ) -> None:
        self._servers = records
        self._store = store
        self._building = builder
        self._actions = actions
        self._imaging = images
        self._views = shown

    def routes(self) -> list[web.Route]:
        server = "/v2.1/servers/{key}"
        return [
            web.Route("POST", "/v2.1/servers", self.create),
            web.Route("GET", "/v2.1/servers", self.index),
            web.Route("GET", "/v2.1/servers/detail", self.detail),
            web.Route("GET", server, self.show),
            web.Route("PUT", server, self.update),
            web.Route("DELETE", server, self.delete),
            web.Route("POST", f"{server}/action", self.action),
            web.Route("GET", f"{server}/metadata", self.show_metadata),
            web.Route("PUT", f"{server}/metadata", self.replace_metadata),
            web.Route("POST", f"{server}/metadata", self.merge_metadata),
            web.Route("GET", f"{server}/metadata/{{item}}", self.show_item),
            web.Route("PUT", f"{server}/metadata/{{item}}", self.set_item),
            web.Route("DELETE", f"{server}/metadata/{{item}}", self.delete_item),
            web.Route("GET", f"{server}/tags", self.show_tags),
            web.Route("PUT", f"{server}/tags", self.replace_tags),
            web.Route("DELETE", f"{server}/tags", self.delete_tags),
            web.Route("GET", f"{server}/tags/{{tag}}", self.show_tag),
            web.Route("PUT", f"{server}/tags/{{tag}}", self.add_tag),
            web.Route("DELETE", f"{server}/tags/{{tag}}", self.delete_tag),
        ]

    def create(self, call: web.Call) -> webob.Response:
        server = self._building.create(call)
        asked = call.member("server").get("security_groups", [{"name": "default"}])
        body = {"id": server["id"], "links": [], "adminPass": "none", "security_groups": asked}
        return web.answer(202, {"server": {**body, "OS-DCF:diskConfig": server["disk_config"]}})

    def index(self, call: web.Call) -> webob.Response:
        found, _ = listing.page(call, listing.select(call, self._servers.all()))
        return web.answer(body={"servers": [{"id": s["id"], "name": s["name"], "links": []} for s in found]})

    def detail(self, call: web.Call) -> webob.Response:
        found, _ = listing.page(call, listing.select(call, self._servers.all()))
        return web.answer(body={"servers": [self._views.server(call, server, listed=True) for server in found]})

    def show(self, call: web.Call, key: str) -> webob.Response:
        return web.answer(body={"server": self._views.server(call, self._servers.get(call.identity, key))})

    def update(self, call: web.Call, key: str) -> webob.Response:
        version = api.version(call)
        known = {"name": api.NAME, "accessIPv4": {"type": "string"}, "accessIPv6": {"type": "string"}}
        known |= {"OS-DCF:diskConfig": {"enum": ["AUTO", "MANUAL"]}}
        later = {(2, 19): {"description": api.DESCRIPTION}, (2, 90): {"hostname": building.hostname_schema(version)}}
        values = api.checked(call, "server", api.growing(version, known, later))
        with self._store.transaction():
            server = self._servers.get(call.identity, key)
            fields = {name: values[name] for name in ("name", "description", "hostname") if name in values}
            access = {name: values.get(name, server["access"][name]) for name in server["access"]}
            self._servers.change(key, **fields, access=access)
        return self.show(call, key)

    def delete(self, call: web.Call, key: str) -> webob.Response:
        self._building.delete(call.identity, key, call.strikes)
        return web.answer(204)

    def action(self, call: web.Call, key: str) -> webob.Response:
        self._servers.get(call.identity, key)
        name, values = actions_module.parse(call)
        if step := actions_module.STEPS.get(name):
            return self._actions.take(call, key, step)
        match name:
            case "createImage":
                return self._imaging.create(call, key)
            case "shelve":
                return self._actions.shelve(call, key)
            case "lock":
                reason = values.get("locked_reason") if isinstance(values, dict) else None
                if reason is not None and api.version(call) < (2, 73):
                    raise errors.bad_request("Additional properties are not allowed ('locked_reason' was unexpected)")
                return self._actions.lock(call, key, reason)
            case "unlock":
                return self._actions.unlock(call, key)
        raise errors.bad_request(f"There is no such action: {name}")

    # metadata

    def _change_metadata(
        self, call: web.Call, key: str, change: Callable[[dict[str, str]], dict[str, str]]
    ) -> dict[str, str]:
        with self._store.transaction():
            server = self._servers.get(call.identity, key)
            servers.require_unlocked(call.identity, server)
            servers.require_state(server, "update metadata", servers.CHANGEABLE, idle=False)
            metadata = change(server["metadata"])
            self._servers.change(key, metadata=metadata)
            return metadata

    def show_metadata(self, call: web.Call, key: str) -> webob.Response:
        return web.answer(body={"metadata": self._servers.get(call.identity, key)["metadata"]})

    def replace_metadata(self, call: web.Call, key: str) -> webob.Response:
        new = api.checked_part(call, "metadata", api.METADATA)
        return web.answer(body={"metadata": self._change_metadata(call, key, lambda _: new)})

    def merge_metadata(self, call: web.Call, key: str) -> webob.Response:
        new = api.checked_part(call, "metadata", api.METADATA)
        return web.answer(body={"metadata": self._change_metadata(call, key, lambda old: {**old, **new})})

    def show_item(self, call: web.Call, key: str, item: str) -> webob.Response:
        metadata = self._servers.get(call.identity, key)["metadata"]
        if item not in metadata:
            raise errors.not_found("Metadata item was not found")
        return web.answer(body={"meta": {item: metadata[item]}})

    def set_item(self, call: web.Call, key: str, item: str) -> webob.Response:
        new = api.checked_part(call, "meta", api.METADATA)
        if list(new) != [item]:
            raise errors.bad_request("Request body and URI mismatch")
        self._change_metadata(call, key, lambda old: {**old, **new})
        return web.answer(body={"meta": new})

    def delete_item(self, call: web.Call, key: str, item: str) -> webob.Response:
        self.show_item(call, key, item)
        self._change_metadata(call, key, lambda old: {name: value for name, value in old.items() if name != item})
        return web.answer(204)

    # tags

    def _tagged(self, call: web.Call, key: str) -> state.Document:
        api.since(call, 26)
        return self._servers.get(call.identity, key)

    def _change_tags(self, call: web.Call, key: str, change: Callable[[set[str]], set[str]]) -> list[str]:
        with self._store.transaction():
            server = self._tagged(call, key)
            servers.require_state(server, "update tags", servers.CHANGEABLE, idle=False)
            tags = sorted(change(set(server["tags"])))
            if len(tags) > api.MOST_TAGS:
                raise errors.bad_request(f"The number of tags exceeded the per-server limit {api.MOST_TAGS}")
            self._servers.change(key, tags=tags)
            return tags

    def show_tags(self, call: web.Call, key: str) -> webob.Response:
        return web.answer(body={"tags": self._tagged(call, key)["tags"]})

    def replace_tags(self, call: web.Call, key: str) -> webob.Response:
        self._tagged(call, key)
        new = api.checked_part(call, "tags", api.TAGS)
        return web.answer(body={"tags": self._change_tags(call, key, lambda _: set(new))})

    def delete_tags(self, call: web.Call, key: str) -> webob.Response:
        self._change_tags(call, key, lambda _: set())
        return web.answer(204)

    def show_tag(self, call: web.Call, key: str, tag: str) -> webob.Response:
        if tag not in self._tagged(call, key)["tags"]:
            raise errors.not_found(f"Server {key} has no tag '{tag}'")
        return web.answer(204)

    def add_tag(self, call: web.Call, key: str, tag: str) -> webob.Response:
        known = tag in self._tagged(call, key)["tags"]
        if "," in tag or len(tag) > api.TAG_LENGTH:
            raise errors.bad_request(
                f"Tag '{tag}' is invalid. It must be a non empty string without characters '/' and ','."
            )
        self._change_tags(call, key, lambda old: old | {tag})
        return web.answer(204 if known else 201)

    def delete_tag(self, call: web.Call, key: str, tag: str) -> webob.Response:
        self.show_tag(call, key, tag)
        self._change_tags(call, key, lambda old: old - {tag})
        return web.answer(204)
