"""Registry of protectable plugins, and the walk from the resources of a plan to their children.

The clients of the caller are an argument of every call and are never kept.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from karbor_like import exception
from karbor_like.clients.factory import Clients
from karbor_like.domain import graph
from karbor_like.domain.resource import Resource
from karbor_like.plugins.protectable import ProtectablePlugin


class Protectables:
    """The installed protectable plugins.

    :param plugins: resource type -> plugin, in the order in which children are listed
    """

    def __init__(self, plugins: Mapping[str, ProtectablePlugin]) -> None:
        self._plugins = plugins

    def types(self) -> list[str]:
        """Return the resource types that can be listed."""
        return list(self._plugins)

    def get(self, resource_type: str) -> ProtectablePlugin:
        """Return the plugin for a resource type.

        :raises UnknownResourceType: there is none
        """
        try:
            return self._plugins[resource_type]
        except KeyError:
            raise exception.UnknownResourceType(
                f"unknown resource type {resource_type!r}; known are {', '.join(self._plugins)}"
            ) from None

    def to_dict(self, resource_type: str) -> dict[str, Any]:
        """Return a type as the API shows it."""
        self.get(resource_type)
        return {
            "name": resource_type,
            "dependent_types": [kind for kind, plugin in self._plugins.items() if resource_type in plugin.parent_types],
        }

    def instances(
        self,
        clients: Clients,
        resource_type: str,
        parameters: Mapping[str, Any],
        *,
        limit: int | None = None,
        marker: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return a page of resources sorted by id, each with its direct children.

        :raises ResourceNotFound: *marker* is unknown
        """
        resources = sorted(self.get(resource_type).list(clients, parameters), key=lambda resource: resource.id)
        if marker is not None:
            after = [n for n, resource in enumerate(resources, start=1) if resource.id == marker]
            if not after:
                raise exception.ResourceNotFound(f"marker {marker!r} is not the id of a {resource_type}")
            resources = resources[after[0] :]
        page = resources[:limit]
        children = self.children(clients, page)
        return [_instance(resource, children.get(resource, ())) for resource in page]

    def instance(
        self, clients: Clients, resource_type: str, resource_id: str, parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return one resource with its direct children.

        :raises ResourceNotFound: there is no such resource in the caller's project
        :raises Conflict: its state forbids protecting it
        """
        resource = self.get(resource_type).show(clients, resource_id, parameters)
        return _instance(resource, self.children(clients, [resource]).get(resource, ()))

    def children(self, clients: Clients, parents: Sequence[Resource]) -> dict[Resource, list[Resource]]:
        """Return the direct children of *parents*, of all types.

        An error of a plugin is raised, because otherwise its resources would silently be missing from a checkpoint.
        """
        found: dict[Resource, list[Resource]] = {}
        for plugin in self._plugins.values():
            asked = [parent for parent in parents if parent.type in plugin.parent_types]
            if asked:
                for parent, children in plugin.children(clients, asked).items():
                    found.setdefault(parent, []).extend(children)
        return found

    def walk(self, clients: Clients, planned: Sequence[Resource]) -> graph.Graph:
        """Return the graph of the resources of a plan and their children, as they are in the cloud now.

        :raises ResourceNotFound: a resource does not exist
        :raises Conflict: the state of a resource forbids protecting it
        :raises UnknownResourceType: there is no plugin for the type of a resource
        :raises InvalidInput: the graph has a cycle
        """
        return graph.walk(
            [self._current(clients, resource) for resource in dict.fromkeys(planned)],
            lambda parents: self.children(clients, parents),
            lambda resources: self.dependencies(clients, resources),
        )

    def dependencies(self, clients: Clients, resources: Sequence[Resource]) -> dict[Resource, Sequence[Resource]]:
        """Return the dependencies of *resources* of every type."""
        dependencies: dict[Resource, Sequence[Resource]] = {}
        for resource_type, plugin in self._plugins.items():
            own = [resource for resource in resources if resource.type == resource_type]
            if own:
                dependencies.update(plugin.dependencies(clients, own))
        return dependencies

    def _current(self, clients: Clients, planned: Resource) -> Resource:
        now = self.get(planned.type).show(clients, planned.id)
        return Resource(now.type, now.id, now.name, planned.extra_info or now.extra_info)


def _instance(resource: Resource, children: Sequence[Resource]) -> dict[str, Any]:
    return {**resource.to_dict(), "dependent_resources": [child.to_dict() for child in children]}
