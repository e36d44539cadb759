"""Role assignments of users in a project: which of those in a checkpoint can be given again, and to whom."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.plugins.keystone.description import USER

#: Types of role assignments in templates and plans.
_TYPES: Final[Mapping[str, str]] = {
    "user": "OS::Keystone::UserRoleAssignment",
    "group": "OS::Keystone::GroupRoleAssignment",
}


@dataclass(frozen=True)
class Grant:
    """One role assignment of a checkpoint.

    :param key: ``Type#id`` of it in plans
    :param obstacle: why it is not given; empty if it is
    :param path: ``user id/role id`` in the target
    """

    key: str
    obstacle: str
    path: str = ""


def key(described: Mapping[str, str]) -> str:
    """Return ``Type#id`` of a role assignment in a description."""
    return f"{_TYPES[described['kind']]}#{described['role']}:{described['name']}@{described['domain']}"


def decide(clients: Clients, project_id: str, described: Sequence[Mapping[str, str]]) -> list[Grant]:
    """Return what can be given of the role assignments in a description.

    :param clients: act as an administrator

    Raises the exceptions of :func:`karbor_like.clients.errors.translated`.
    """
    target = _Target(clients, project_id)
    return [target.decide(each) for each in described]


class _Target:
    """Users and roles of the target, by their names."""

    def __init__(self, clients: Clients, project_id: str) -> None:
        self._clients = clients
        self._project_id = project_id
        self._domain, self._user = cache(self._find_domain), cache(self._find_user)
        self._roles = cache(lambda: {role["name"]: role["id"] for role in self._list("roles")})
        self._present = cache(self._find_present)

    def decide(self, described: Mapping[str, str]) -> Grant:
        own = key(described)
        if described["kind"] != USER:
            return Grant(own, "roles are given to users only, not to groups")
        role_id = self._roles().get(described["role"])
        if role_id is None:
            return Grant(own, f"there is no role {described['role']!r}")
        user_id = self._user(described["domain"], described["name"])
        if user_id is None:
            return Grant(own, f"there is no user {described['name']!r} in a domain {described['domain']!r}")
        path = f"{user_id}/{role_id}"
        return Grant(own, "the user has this role" if path in self._present() else "", path)

    def _find_domain(self, name: str) -> str | None:
        return self._only("domains", name)

    def _find_user(self, domain: str, name: str) -> str | None:
        domain_id = self._domain(domain)
        return self._only("users", name, domain_id=domain_id) if domain_id else None

    def _find_present(self) -> frozenset[str]:
        found = self._list("role_assignments", **{"scope.project.id": self._project_id})
        return frozenset(f"{each['user']['id']}/{each['role']['id']}" for each in found if each.get("user"))

    def _only(self, collection: str, name: str, **filters: str) -> str | None:
        """Return the id of the one object of a name. Keystone may ignore a filter, and the case of letters."""
        found = [each["id"] for each in self._list(collection, name=name, **filters) if each["name"] == name]
        return found[0] if len(found) == 1 else None

    def _list(self, collection: str, **filters: str) -> list[dict[str, Any]]:
        with translated(f"the {collection.replace('_', ' ')} of the cloud"):
            found: list[dict[str, Any]] = (
                self._clients.keystone().get(f"/{collection}", params=filters).json()[collection]
            )
        return found


def give(clients: Clients, project_id: str, path: str) -> None:
    """Give a user a role. Idempotent."""
    with translated(f"giving a role to user {path.partition('/')[0]}"):
        clients.keystone().put(_url(project_id, path))


def take(clients: Clients, project_id: str, path: str) -> None:
    """Take a role from a user. Idempotent."""
    try:
        with translated(f"taking a role from user {path.partition('/')[0]}"):
            clients.keystone().delete(_url(project_id, path))
    except exception.NotFound:
        pass


def _url(project_id: str, path: str) -> str:
    user_id, _, role_id = path.partition("/")
    return f"/projects/{project_id}/users/{user_id}/roles/{role_id}"
