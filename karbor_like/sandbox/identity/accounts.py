"""Projects, users, roles and role assignments."""

import uuid
from typing import Any

from karbor_like.sandbox import errors, state

DOMAIN = {"id": "default", "name": "Default"}
PASSWORD = "secret"  # noqa: S105 of all users, in a cloud on the loopback address
ROLES = ("admin", "member", "reader", "service")
SERVICE_USERS = ("glance", "cinder", "swift", "nova", "karbor")
TENANTS = ("alice", "bob")


class Accounts:
    """The accounts in the store."""

    def __init__(self, store: state.Store) -> None:
        self._store = store

    def seed(self) -> None:
        """Create the initial accounts, unless there are any accounts."""
        with self._store.transaction():
            if self._store.all("role"):
                return
            for role in ROLES:
                self.create("role", {"name": role})
            users: dict[str, tuple[str, tuple[str, ...]]] = {"admin": ("admin", ("admin", "member"))}
            users |= dict.fromkeys(SERVICE_USERS, ("service", ("admin", "service")))
            users |= {name: (name, ("member",)) for name in TENANTS}
            for name, (project, roles) in users.items():
                owner = self.find("project", project) or self.create("project", {"name": project})
                user = self.create("user", {"name": name, "password": PASSWORD, "default_project_id": owner["id"]})
                for role in roles:
                    self.assign(user["id"], owner["id"], self.by_name("role", role)["id"])

    def create(self, kind: str, values: dict[str, Any]) -> state.Document:
        """Create a project, user or role.

        :raises ApiError: 400 without a name, 409 if the name is in use
        """
        name = values.get("name")
        if not name:
            raise errors.bad_request("'name' is a required property")
        with self._store.transaction():
            if self.find(kind, name):
                raise errors.conflict(f"Conflict occurred attempting to store {kind} - Duplicate entry found: {name}.")
            document = {"domain_id": DOMAIN["id"], "enabled": True, **values, "id": uuid.uuid4().hex}
            self._store.put(kind, document["id"], document)
        return document

    def update(self, kind: str, key: str, values: dict[str, Any]) -> state.Document:
        with self._store.transaction():
            self.get(kind, key)
            return self._store.change(kind, key, **{k: v for k, v in values.items() if k != "id"}) or {}

    def delete(self, kind: str, key: str) -> None:
        with self._store.transaction():
            self.get(kind, key)
            self._store.delete(kind, key)
            for trust in self._store.all("trust"):
                if key in (trust["trustor_user_id"], trust["trustee_user_id"], trust["project_id"]):
                    self._store.delete("trust", trust["id"])
            for grant in self._store.all("assignment"):
                if key in (grant["user_id"], grant["project_id"], grant["role_id"]):
                    self.unassign(**grant)

    def get(self, kind: str, key: str) -> state.Document:
        """Return a project, user or role.

        :raises ApiError: 404
        """
        document = self._store.get(kind, key)
        if document is None:
            raise errors.not_found(f"Could not find {kind}: {key}.")
        return document

    def find(self, kind: str, name: str) -> state.Document | None:
        return next((d for d in self._store.all(kind) if d["name"] == name), None)

    def by_name(self, kind: str, name: str) -> state.Document:
        """Return a project, user or role by its name.

        :raises ApiError: 404
        """
        return self.find(kind, name) or self.get(kind, name)

    def all(self, kind: str) -> list[state.Document]:
        return self._store.all(kind)

    def assign(self, user_id: str, project_id: str, role_id: str) -> None:
        for kind, key in (("user", user_id), ("project", project_id), ("role", role_id)):
            self.get(kind, key)
        grant = {"user_id": user_id, "project_id": project_id, "role_id": role_id}
        self._store.put("assignment", "/".join(grant.values()), grant)

    def unassign(self, user_id: str, project_id: str, role_id: str) -> None:
        """Remove a role assignment.

        :raises ApiError: 404, if the user does not have the role
        """
        key = f"{user_id}/{project_id}/{role_id}"
        if self._store.get("assignment", key) is None:
            raise errors.not_found("Could not find role assignment with role, user and project.")
        self._store.delete("assignment", key)

    def assignments(self, user_id: str | None = None, project_id: str | None = None) -> list[state.Document]:
        return [
            grant
            for grant in self._store.all("assignment")
            if user_id in (None, grant["user_id"]) and project_id in (None, grant["project_id"])
        ]

    def roles(self, user_id: str, project_id: str) -> list[state.Document]:
        """List the roles of a user in a project, as id and name. The admin role implies member and reader."""
        held = {grant["role_id"] for grant in self.assignments(user_id, project_id)}
        names = {role["name"] for role in self.all("role") if role["id"] in held}
        for higher, lower in (("admin", "member"), ("member", "reader")):
            if higher in names:
                names.add(lower)
        return [{"id": role["id"], "name": role["name"]} for role in self.all("role") if role["name"] in names]
