"""Server groups, whose policy says which servers share a host. The sandbox has one host."""

from typing import Any

import webob

from karbor_like.sandbox import errors, state, web
from karbor_like.sandbox.compute import api, servers

KIND = "server_group"
POLICIES = ["anti-affinity", "affinity"]
SOFT_POLICIES = ["soft-anti-affinity", "soft-affinity"]


class ServerGroups:
    """The server groups of all projects."""

    def __init__(self, records: servers.Servers, store: state.Store) -> None:
        self._servers = records
        self._store = store

    def routes(self) -> list[web.Route]:
        path = "/v2.1/os-server-groups"
        return [
            web.Route("POST", path, self.create),
            web.Route("GET", path, self.index),
            web.Route("GET", path + "/{key}", self.show),
            web.Route("DELETE", path + "/{key}", self.delete),
        ]

    def create(self, call: web.Call) -> webob.Response:
        version = api.version(call)
        known = {"enum": POLICIES + (SOFT_POLICIES if version >= (2, 15) else [])}
        properties: dict[str, Any] = {"name": api.NAME}
        if version >= (2, 64):
            most = {"type": ["integer", "string"], "pattern": "^[1-9][0-9]*$", "minimum": 1}
            rules = {"type": "object", "properties": {"max_server_per_host": most}, "additionalProperties": False}
            values = api.checked(call, KIND, {**properties, "policy": known, "rules": rules}, "name", "policy")
            policy = values["policy"]
            if values.get("rules") and policy != "anti-affinity":
                raise errors.bad_request("Only anti-affinity policy supports rules.")
        else:
            properties["policies"] = {"type": "array", "items": known, "minItems": 1, "maxItems": 1}
            values = api.checked(call, KIND, properties, "name", "policies")
            (policy,) = values["policies"]
        group = {
            "id": web.new_id(),
            "name": values["name"].strip(),
            "project_id": call.identity.project_id,
            "user_id": call.identity.user_id,
            "policy": policy,
            "rules": {name: int(value) for name, value in (values.get("rules") or {}).items()},
            "members": [],
        }
        self._store.put(KIND, group["id"], group)
        return web.answer(body={KIND: self._shown(group, version)})

    def index(self, call: web.Call) -> webob.Response:
        everyone = "all_projects" in call.query and call.identity.is_admin
        groups = [g for g in self._store.all(KIND) if everyone or g["project_id"] == call.identity.project_id]
        return web.answer(body={"server_groups": [self._shown(group, api.version(call)) for group in groups]})

    def show(self, call: web.Call, key: str) -> webob.Response:
        return web.answer(body={KIND: self._shown(self._own(call, key, "show"), api.version(call))})

    def delete(self, call: web.Call, key: str) -> webob.Response:
        self._own(call, key, "delete")
        self._store.delete(KIND, key)
        return web.answer(204)

    def _own(self, call: web.Call, key: str, action: str) -> state.Document:
        group = self.find(key)
        if group is None:
            raise errors.not_found(f"Instance group {key} could not be found.")
        if not call.identity.may_see(group["project_id"]):
            raise errors.forbidden(f"Policy doesn't allow os_compute_api:os-server-groups:{action} to be performed.")
        return group

    # servers

    def find(self, key: str) -> state.Document | None:
        return self._store.get(KIND, key)

    def require(self, caller: web.Identity, key: str) -> None:
        """Check that a server can be created in a group.

        :raises ApiError: 400
        """
        group = self.find(key)
        if group is None or not caller.may_see(group["project_id"]):
            raise errors.bad_request(f"Instance group {key} could not be found.")

    def join(self, key: str, server_id: str) -> None:
        """Add a server to a group.

        :raises JobFailed: the only host has as many servers of the group as the policy allows
        """
        with self._store.transaction():
            group = self.find(key)
            if group is None:
                return
            members = self._members(group)
            if group["policy"] == "anti-affinity" and len(members) >= group["rules"].get("max_server_per_host", 1):
                raise errors.JobFailed("No valid host was found. There are not enough hosts available.")
            self._store.change(KIND, key, members=[*members, server_id])

    def of_server(self, server_id: str) -> list[str]:
        """Return the ids of the groups of a server: one or none."""
        return [group["id"] for group in self._store.all(KIND) if server_id in group["members"]]

    def _members(self, group: state.Document) -> list[str]:
        return [member for member in group["members"] if self._servers.find(member)]

    def _shown(self, group: state.Document, version: api.Version) -> dict[str, Any]:
        shown: dict[str, Any] = {"id": group["id"], "name": group["name"], "members": self._members(group)}
        if version >= (2, 64):
            shown |= {"policy": group["policy"], "rules": group["rules"]}
        else:
            shown |= {"policies": [group["policy"]], "metadata": {}}
        owner = {"project_id": group["project_id"], "user_id": group["user_id"]}
        return api.growing(version, shown, {(2, 13): owner})
