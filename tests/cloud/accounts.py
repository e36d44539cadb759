"""Who and what Keystone knows: service users, the catalogue, and two tenants."""

from collections.abc import Mapping
from typing import Any

from keystoneauth1.adapter import Adapter

from tests.cloud.layout import PASSWORD, REGION, Layout

SERVICE_USERS = ("glance", "cinder", "swift", "karbor")
TENANTS = ("alice", "bob")


class Accounts:
    """:param identity: an administrator's adapter for Keystone v3"""

    def __init__(self, identity: Adapter, layout: Layout) -> None:
        self._identity = identity
        self._layout = layout

    def create(self) -> None:
        """Create what is missing, put right what is otherwise."""
        service = self._named("project", "service", domain_id="default")
        for name in SERVICE_USERS:
            user = self._user(name)
            self._grant(service, user, "admin")
            self._grant(service, user, "service")
        for name in TENANTS:
            self._grant(self._named("project", name, domain_id="default"), self._user(name), "member")
        for kind, (name, url) in self._catalogue().items():
            self.endpoint(kind, name, url)

    def endpoint(self, kind: str, name: str, url: str) -> None:
        """Say in the catalogue that the service of type *kind* is at *url*."""
        service = self._service(kind, name)
        params = {"service_id": service}
        have = {e["interface"]: e for e in self._identity.get("/endpoints", params=params).json()["endpoints"]}
        for interface in ("public", "internal", "admin"):
            if interface not in have:
                body = {"service_id": service, "interface": interface, "region_id": REGION, "url": url}
                self._identity.post("/endpoints", json={"endpoint": body})
            elif have[interface]["url"] != url:
                path = f"/endpoints/{have[interface]['id']}"
                self._identity.patch(path, json={"endpoint": {"url": url}})

    def _catalogue(self) -> Mapping[str, tuple[str, str]]:
        layout = self._layout
        return {
            "image": ("glance", layout.image_url),
            "block-storage": ("cinder", f"{layout.volume_url}/v3/%(project_id)s"),
            "volumev3": ("cinderv3", f"{layout.volume_url}/v3/%(project_id)s"),
            "object-store": ("swift", f"{layout.object_url}/v1/AUTH_%(project_id)s"),
            "data-protect": ("karbor", layout.data_protect_url),
        }

    def _named(self, kind: str, name: str, **body: str) -> str:
        """The id of the project, user, role or service of that name, made if it is missing."""
        found = self._identity.get(f"/{kind}s", params={"name": name}).json()[f"{kind}s"]
        if found:
            return str(found[0]["id"])
        answer: dict[str, Any] = self._identity.post(f"/{kind}s", json={kind: {"name": name, **body}}).json()
        return str(answer[kind]["id"])

    def _user(self, name: str) -> str:
        return self._named("user", name, domain_id="default", password=PASSWORD)

    def _grant(self, project: str, user: str, role: str) -> None:
        self._identity.put(f"/projects/{project}/users/{user}/roles/{self._named('role', role)}")

    def _service(self, kind: str, name: str) -> str:
        found = self._identity.get("/services", params={"type": kind}).json()["services"]
        return str(found[0]["id"]) if found else self._named("service", name, type=kind)
