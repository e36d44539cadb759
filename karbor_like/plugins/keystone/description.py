"""The description of a project: its name, its quotas and its role assignments. Nothing in it is secret."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.domain.quota import UNBOUNDED
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import quotas, schemas

T = TypeVar("T")
Document = dict[str, Any]

#: Role assignments in a description, at most.
MAX_ROLES: Final = 1000
#: The kinds of those who have roles.
USER, GROUP = "user", "group"

_NAME: Final = {"type": "string", "minLength": 1, "maxLength": 255}
_LIMITS: Final = {
    "type": "object",
    "maxProperties": 1000,
    "propertyNames": {"type": "string", "minLength": 1, "maxLength": 200},
    "additionalProperties": {"type": "integer", "minimum": -1, "maximum": UNBOUNDED},
}
SCHEMA: Final = schemas.record(
    id=schemas.TEXT,
    name=schemas.TEXT,
    description={"type": "string", "maxLength": 65536},
    quotas={
        "type": "object",
        "propertyNames": {"enum": [*quotas.SERVICES]},
        "additionalProperties": _LIMITS,
    },
    roles=schemas.array(
        schemas.record(role=_NAME, kind={"enum": [USER, GROUP]}, name=_NAME, domain=_NAME), most=MAX_ROLES
    ),
)


def describe(context: HookContext) -> tuple[Document, list[str]]:
    """Return the description of the project of an operation, and remarks on what could not be read.

    What the owner of the operation may not read is read as the service user.
    """
    reader = _Reader(context)
    shown = reader.read("its description", _project) or {}
    document: Document = {
        "id": context.project_id,
        "name": str(shown.get("name") or context.resource.name),
        "description": str(shown.get("description") or "")[:65536],
        "quotas": {},
        "roles": [],
    }
    for name, service in quotas.SERVICES.items():
        found = reader.read(f"its quotas of {name}s", service.read)
        if found:
            document["quotas"][name] = {each: found[each].limit for each in sorted(found) if len(each) <= 200}
    assigned = reader.read("its role assignments", _assignments) or []
    if len(assigned) > MAX_ROLES:
        reader.remarks.append(f"only {MAX_ROLES} of its {len(assigned)} role assignments are in the checkpoint")
    document["roles"] = assigned[:MAX_ROLES]
    return document, reader.remarks


class _Reader:
    """Reads as the owner of the operation, and as the service user what the owner may not read."""

    def __init__(self, context: HookContext) -> None:
        self._context = context
        self.remarks: list[str] = []

    def read(self, what: str, function: Callable[[Clients, str | None], T]) -> T | None:
        """Return a result, or None with a remark. Without a remark if the cloud does not have the service."""
        context = self._context
        context.report.step(f"reading {what}")
        for find in (lambda: context.clients, lambda: context.service):
            clients = find()
            if clients is None:
                continue
            try:
                return context.waiter.call(
                    lambda clients=clients: function(clients, context.project_id),  # type: ignore[misc]
                    check=context.check,
                )
            except exception.Unsupported:
                return None
            except (exception.NotAuthorized, exception.NotFound):
                continue
        self.remarks.append(
            f"not in the checkpoint: {what}, which the cloud shows neither to you nor to the service user"
        )
        return None


def _project(clients: Clients, project_id: str | None) -> Mapping[str, Any]:
    with translated(f"project {project_id}"):
        found: Mapping[str, Any] = clients.keystone().get(f"/projects/{project_id}").json()["project"]
    return found


def _assignments(clients: Clients, project_id: str | None) -> list[dict[str, Any]]:
    """Return the roles that users and groups have in the project, sorted."""
    url = f"/role_assignments?scope.project.id={project_id}&include_names=true"
    with translated(f"the role assignments of project {project_id}"):
        found = clients.keystone().get(url).json()["role_assignments"]
    return roles(found)


def roles(assignments: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what a description has of Keystone's role assignments.

    Left out are those that apply to projects below the project, roles of a domain, and users that no longer exist.
    """
    described: list[dict[str, Any]] = []
    for each in assignments:
        kind = USER if USER in each else GROUP
        holder, role = each.get(kind) or {}, each.get("role") or {}
        names = {
            "name": holder.get("name"),
            "domain": (holder.get("domain") or {}).get("name"),
            "role": role.get("name"),
        }
        if "OS-INHERIT:inherited_to" in (each.get("scope") or {}) or role.get("domain"):
            continue
        if all(isinstance(name, str) and 0 < len(name) <= 255 for name in names.values()):
            described.append({"kind": kind, **names})
    return sorted(described, key=lambda each: [each[member] for member in ("kind", "domain", "name", "role")])
