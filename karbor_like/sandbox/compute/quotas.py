"""Quotas of servers, key pairs and server groups."""

from typing import Any, Final

import webob

from karbor_like.sandbox import errors, state, web
from karbor_like.sandbox.compute import api, flavors

DEFAULTS: Final = {
    "instances": 1000,
    "cores": 10000,
    "ram": 10_000_000,
    "metadata_items": 128,
    "key_pairs": 1000,
    "server_groups": 1000,
    "server_group_members": 1000,
}
"""Limits of a project without its own; -1 means no limit. Memory is in MiB."""
_KIND: Final = "compute_quota"


class Quotas:
    """The limits of all projects, and ``/os-quota-sets``."""

    def __init__(self, store: state.Store) -> None:
        self._store = store

    def routes(self) -> list[web.Route]:
        path = "/v2.1/os-quota-sets/{project_id}"
        return [
            web.Route("GET", path, self.show),
            web.Route("GET", path + "/detail", self.detail),
            web.Route("PUT", path, self.change),
        ]

    def limits(self, project_id: str) -> dict[str, int]:
        return DEFAULTS | (self._store.get(_KIND, project_id) or {})

    def usage(self, project_id: str) -> dict[str, int]:
        """Count what a project has. As in Nova, key pairs and members are not counted here."""
        servers = [flavors.get(each["flavor_id"]) for each in self._owned("server", project_id)]
        return {
            **dict.fromkeys(DEFAULTS, 0),
            "instances": len(servers),
            "cores": sum(flavor["vcpus"] for flavor in servers),
            "ram": sum(flavor["ram"] for flavor in servers),
            "server_groups": len(self._owned("server_group", project_id)),
        }

    def _owned(self, kind: str, project_id: str) -> list[state.Document]:
        return [each for each in self._store.all(kind) if each["project_id"] == project_id]

    def require_server(self, project_id: str | None, flavor_id: str) -> None:
        """Check that a project may have one more server of a flavor.

        :raises ApiError: 403
        """
        limits, usage, flavor = self.limits(project_id or ""), self.usage(project_id or ""), flavors.get(flavor_id)
        for name, wanted in {"instances": 1, "cores": flavor["vcpus"], "ram": flavor["ram"]}.items():
            if 0 <= limits[name] < usage[name] + wanted:
                raise errors.forbidden(
                    f"Quota exceeded for {name}: Requested {wanted}, but already used {usage[name]} of {limits[name]}"
                    f" {name}"
                )

    def show(self, call: web.Call, project_id: str) -> webob.Response:
        self._require_visible(call, project_id, "show")
        return web.answer(body={"quota_set": {"id": project_id, **self.limits(project_id)}})

    def detail(self, call: web.Call, project_id: str) -> webob.Response:
        self._require_visible(call, project_id, "detail")
        usage = self.usage(project_id)
        details: dict[str, Any] = {
            name: {"limit": limit, "in_use": usage[name], "reserved": 0}
            for name, limit in self.limits(project_id).items()
        }
        return web.answer(body={"quota_set": {"id": project_id, **details}})

    def change(self, call: web.Call, project_id: str) -> webob.Response:
        api.require_admin(call, "os_compute_api:os-quota-sets:update")
        properties = {name: {"type": "integer", "minimum": -1} for name in DEFAULTS}
        values = api.checked(call, "quota_set", {**properties, "force": api.BOOLEAN})
        force, usage = api.is_true(values.pop("force", False)), self.usage(project_id)
        for name, limit in values.items():
            if not force and 0 <= limit < usage[name]:
                raise errors.bad_request(
                    f"Quota limit {limit} for {name} must be greater than or equal to already used and reserved"
                    f" {usage[name]}."
                )
        self._store.put(_KIND, project_id, {**(self._store.get(_KIND, project_id) or {}), **values})
        return web.answer(body={"quota_set": self.limits(project_id)})

    @staticmethod
    def _require_visible(call: web.Call, project_id: str, action: str) -> None:
        if not call.identity.may_see(project_id):
            raise errors.forbidden(f"Policy doesn't allow os_compute_api:os-quota-sets:{action} to be performed.")
