"""Content of Keystone: service users, the catalogue, and two tenants."""

import json
from collections.abc import Mapping
from typing import Any

from keystoneauth1.adapter import Adapter

from tests.cloud.layout import PASSWORD, REGION, Layout

SERVICE_USERS = ("glance", "cinder", "swift", "karbor", "nova", "neutron", "placement", "heat")
TENANTS = ("alice", "bob")
STACK_DOMAIN = "heat"
"""The domain in which Heat creates the users of stacks."""
STACK_ADMIN = "heat_domain_admin"
_STACK_ROLE = "heat_stack_user"
#: project, user, role
_ROLES = (
    *(("service", user, role) for user in SERVICE_USERS for role in ("admin", "service")),
    *((tenant, tenant, "member") for tenant in TENANTS),
)


class Accounts:
    """:param identity: an administrator's adapter for Keystone v3"""

    def __init__(self, identity: Adapter, layout: Layout) -> None:
        self._identity = identity
        self._layout = layout

    def key(self) -> str:
        """Return a text that changes whenever :meth:`create` has something new to do."""
        return json.dumps([self._catalogue(), SERVICE_USERS, TENANTS])

    def create(self) -> None:
        """Create or update projects, users, roles and endpoints. Idempotent; call :meth:`grant` afterwards."""
        for project, user, role in _ROLES:
            self._named("project", project, domain_id="default")
            self._named("user", user, domain_id="default", password=PASSWORD)
            self._named("role", role)
        self._stack_domain()
        for kind, (name, url) in self._catalogue().items():
            self.endpoint(kind, name, url)

    def _stack_domain(self) -> None:
        self._named("role", _STACK_ROLE)
        domain = self._named("domain", STACK_DOMAIN)
        user = self._named("user", STACK_ADMIN, domain_id=domain, password=PASSWORD)
        self._identity.put(f"/domains/{domain}/users/{user}/roles/{self._named('role', 'admin')}")

    def grant(self) -> None:
        """Grant the missing roles to all users. Only reads if no role is missing."""
        projects, users, roles = (self._ids(kind) for kind in ("project", "user", "role"))
        held = {
            (entry["scope"].get("project", {}).get("id"), entry.get("user", {}).get("id"), entry["role"]["id"])
            for entry in self._identity.get("/role_assignments").json()["role_assignments"]
        }
        for project, user, role in ((projects[p], users[u], roles[r]) for p, u, r in _ROLES):
            if (project, user, role) not in held:
                self._identity.put(f"/projects/{project}/users/{user}/roles/{role}")

    def endpoint(self, kind: str, name: str, url: str) -> None:
        """Publish the endpoint *url* of the service of type *kind* in the catalogue."""
        service = self._service(kind, name)
        params = {"service_id": service}
        present = {e["interface"]: e for e in self._identity.get("/endpoints", params=params).json()["endpoints"]}
        for interface in ("public", "internal", "admin"):
            if interface not in present:
                body = {"service_id": service, "interface": interface, "region_id": REGION, "url": url}
                self._identity.post("/endpoints", json={"endpoint": body})
            elif present[interface]["url"] != url:
                path = f"/endpoints/{present[interface]['id']}"
                self._identity.patch(path, json={"endpoint": {"url": url}})

    def _catalogue(self) -> Mapping[str, tuple[str, str]]:
        layout = self._layout
        catalogue = {
            "image": ("glance", layout.image_url),
            "block-storage": ("cinder", f"{layout.volume_url}/v3/%(project_id)s"),
            "volumev3": ("cinderv3", f"{layout.volume_url}/v3/%(project_id)s"),
            "data-protect": ("karbor", layout.data_protect_url),
        }
        if layout.first is None:
            catalogue["object-store"] = ("swift", f"{layout.object_url}/v1/AUTH_%(project_id)s")
        if layout.with_servers:
            catalogue |= {
                "compute": ("nova", layout.compute_url),
                "network": ("neutron", layout.network_url),
                "placement": ("placement", layout.placement_url),
                "orchestration": ("heat", layout.stack_url),
            }
        return catalogue

    def _named(self, kind: str, name: str, **body: str) -> str:
        """Return the id of the project, user, role, domain or service with that name. Create it if it is missing."""
        matches = self._identity.get(f"/{kind}s", params={"name": name}).json()[f"{kind}s"]
        if matches:
            return str(matches[0]["id"])
        answer: dict[str, Any] = self._identity.post(f"/{kind}s", json={kind: {"name": name, **body}}).json()
        return str(answer[kind]["id"])

    def _ids(self, kind: str) -> Mapping[str, str]:
        return {item["name"]: item["id"] for item in self._identity.get(f"/{kind}s").json()[f"{kind}s"]}

    def _service(self, kind: str, name: str) -> str:
        services = self._identity.get("/services", params={"type": kind}).json()["services"]
        return str(services[0]["id"]) if services else self._named("service", name, type=kind)
