"""Registry of protectable plugins, and the walk from the resources of a plan to their children.

The clients of the caller are an argument of every call and are never kept.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.factory import Clients
from karbor_like.domain import graph
from karbor_like.domain.resource import Resource
from karbor_like.plugins.protectable import ProtectablePlugin

#: Resources that the message of one refusal names.
_MAX_NAMED: Final = 50


class Protectables:
    """The installed protectable plugins.

    :param plugins: resource type -> plugin, in the order in which children are listed
    """

    def __init__(self, plugins: Mapping[str, ProtectablePlugin]) -> None:
        self._plugins = plugins

    def types(self) -> list[str]:
        """Return the resource types that can be listed."""
        return list(self._plugins)

    def ids(self) -> dict[str, Callable[[str], bool]]:
        """Return what decides whether a text can be an id, by resource type."""
        return {kind: plugin.is_id for kind, plugin in self._plugins.items()}

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
        children = self._protectable_children(clients, page)
        return [_instance(resource, children.get(resource, ())) for resource in page]

    def instance(
        self, clients: Clients, resource_type: str, resource_id: str, parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return one resource with its direct children.

        :raises ResourceNotFound: there is no such resource in the caller's project
        :raises Conflict: its state forbids protecting it
        """
        resource = self.get(resource_type).show(clients, resource_id, parameters)
        return _instance(resource, self._protectable_children(clients, [resource]).get(resource, ()))

    def children(self, clients: Clients, parents: Sequence[Resource]) -> dict[Resource, list[Resource]]:
        """Return the direct children of *parents*, of all types. Those that cannot be protected now have an obstacle.

        An error of a plugin is raised, because otherwise its resources would silently be missing from a checkpoint.
        """
        found: dict[Resource, list[Resource]] = {}
        for plugin in self._plugins.values():
            asked = [parent for parent in parents if parent.type in plugin.parent_types]
            if asked:
                for parent, children in plugin.children(clients, asked).items():
                    found.setdefault(parent, []).extend(children)
        return found

    def _protectable_children(
        self, clients: Clients, parents: Sequence[Resource]
    ) -> dict[Resource, Sequence[Resource]]:
        found = self.children(clients, parents)
        return {parent: [child for child in children if not child.obstacle] for parent, children in found.items()}

    def walk(
        self, clients: Clients, planned: Sequence[Resource], *, skip_missing: bool = False
    ) -> tuple[graph.Graph, list[Resource]]:
        """Find the resources of a plan and their children, as they are in the cloud now.

        :param planned: the resources that the plan names, each of which must be protectable
        :param skip_missing: leave out those that do not exist
        :returns: the graph of what can be protected, and the resources that were left out, each with its obstacle
        :raises ResourceNotFound: some of *planned* do not exist; names them all
        :raises Conflict: the states of some of *planned* forbid protecting them; names them all
        :raises UnknownResourceType: there is no plugin for the type of a resource
        :raises InvalidInput: the graph has a cycle
        """
        starts, missing = self._look_up(clients, dict.fromkeys(planned), skip_missing)
        named, left_out = set(starts), {resource: resource for resource in missing}

        def find_children(parents: Sequence[Resource]) -> dict[Resource, list[Resource]]:
            found: dict[Resource, list[Resource]] = {}
            for parent, children in self.children(clients, parents).items():
                # The hooks wait for a resource that the plan names.
                found[parent] = [child for child in children if not child.obstacle or child in named]
                left_out.update((child, child) for child in children if child.obstacle and child not in named)
            return found

        found = graph.walk(starts, find_children, lambda resources: self.dependencies(clients, resources))
        return found, list(left_out.values())

    def _look_up(
        self, clients: Clients, planned: Iterable[Resource], skip_missing: bool
    ) -> tuple[list[Resource], list[Resource]]:
        """Return the planned resources as they are now, and the missing ones with their obstacles."""
        found, missing = [], []
        failures: list[exception.KarborLikeError] = []
        for resource in planned:
            try:
                found.append(self._current(clients, resource))
            except (exception.ResourceNotFound, exception.Conflict) as error:
                if skip_missing and isinstance(error, exception.ResourceNotFound):
                    missing.append(dataclasses.replace(resource, obstacle=exception.public_text(error)))
                else:
                    failures.append(_failure(resource, error))
        if failures:
            raise _joined(failures)
        return found, missing

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


def _failure(planned: Resource, error: exception.KarborLikeError) -> exception.KarborLikeError:
    """Return *error* with a message that names the resource as the plan does."""
    name = f" ({planned.name})" if planned.name else ""
    return type(error)(f"{planned.key}{name}: {error.message}")


def _joined(failures: Sequence[exception.KarborLikeError]) -> exception.KarborLikeError:
    """Return one error about all *failures*: ResourceNotFound if any resource is missing."""
    text = "; ".join(exception.public_text(failure) for failure in failures[:_MAX_NAMED])
    if len(failures) > _MAX_NAMED:
        text += f"; and {len(failures) - _MAX_NAMED} more"
    missing = (failure for failure in failures if isinstance(failure, exception.ResourceNotFound))
    return type(next(missing, failures[0]))(text)
