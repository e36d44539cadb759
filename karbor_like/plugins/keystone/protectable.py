"""The protectable plugin for projects, the roots of all resources."""

from collections.abc import Mapping, Sequence
from typing import Any

from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.domain import resource
from karbor_like.domain.resource import Resource
from karbor_like.plugins.protectable import ProtectablePlugin
from karbor_like.plugins.toolkit import states


class ProjectProtectable(ProtectablePlugin):
    """Lists exactly one project, the calling one."""

    api_version = 1
    resource_type = resource.PROJECT

    def list(self, clients: Clients, parameters: Mapping[str, Any] | None = None) -> Sequence[Resource]:
        project_id = clients.project_id
        return [Resource(self.resource_type, project_id, clients.context.project_name or _name(clients))]

    def show(self, clients: Clients, resource_id: str, parameters: Mapping[str, Any] | None = None) -> Resource:
        states.require_ours("project", resource_id, resource_id, clients.project_id)
        return self.list(clients)[0]

    def children(self, clients: Clients, parents: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        return {}


def _name(clients: Clients) -> str:
    """Return the project's name from Keystone, for contexts without it."""
    with translated(f"project {clients.project_id}"):
        answer = clients.keystone().get(f"/projects/{clients.project_id}")
    return answer.json()["project"]["name"]
