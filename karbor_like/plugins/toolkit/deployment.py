"""Creation of the resources of a restore's template one by one, in the order of their references, and their deletion.

Each description has a journal of its own with one entry: an interrupted deployment continues, and creates nothing twice. An
object is waited for when another one needs it, or at the end: servers, for example, start in parallel.
"""

import graphlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.factory import Clients
from karbor_like.domain.resource import Resource
from karbor_like.domain.template import Reference, Template
from karbor_like.plugins.deployable import Deployable, Properties
from karbor_like.plugins.protection import HookContext, Journal
from karbor_like.plugins.toolkit import cleanup, cloud_objects

Maker = Callable[[Clients, Clients | None, Callable[[], Properties]], Deployable]

#: The role of the only entry in the journal of a description.
ROLE: Final = "resource"


@dataclass
class Deployment:
    """The resources of one restore's template.

    :param template: returns the contributions of all resources. A removal calls it only if it cannot do without
    :param types: type in the template -> what creates its resources
    :param context: of a hook of the restore; the journal in it is not used
    :param journal: returns the journal of a description, which is named like a resource: its type, and its name as the id
    """

    template: Callable[[], Template]
    types: Mapping[str, Maker]
    context: HookContext
    journal: Callable[[Resource], Journal]

    def deploy(self) -> None:
        """Create everything that does not yet exist, and wait until all of it is ready.

        Descriptions of types that no plugin creates are left alone: their contributors create what they describe.

        Raises Unsupported if one of those is needed by another, Conflict for a reference that means nothing or that closes a
        circle, and what creating and waiting raises.
        """
        order = ordered(self._resolved, self.types)
        ready: set[str] = set()
        for name in order:
            self._wait(self._needs(name), ready)
            with self._naming(name):
                objects, context = self._objects(name), self._context(self._resource(name))
                cloud_objects.ensure(context, objects, ROLE, objects.create, keep=True)
        self._wait(order, ready)

    def _wait(self, names: Iterable[str], ready: set[str]) -> None:
        for name in names:
            if name not in ready:
                with self._naming(name):
                    cloud_objects.wait(self.context, self._objects(name), self._id(name))
                ready.add(name)

    def complete(self, names: Iterable[str]) -> list[str]:
        """Give deployed objects their final names and descriptions. Return remarks on what the cloud refused."""
        remarks = []
        for name in filter(self._is_deployed, names):
            with self._naming(name):
                remarks += self.context.waiter.call(
                    lambda name=name: self._objects(name).complete(self._id(name)),  # type: ignore[misc]
                    check=self.context.check,
                )
        return remarks

    @property
    def ids(self) -> dict[str, str]:
        """The deployed objects: the original ``Type#id`` that each restores -> its id."""
        deployed = {original: name for original, name in self.template().originals.items() if self._is_deployed(name)}
        found = {original: self._recorded(name) for original, name in deployed.items()}
        return {original: cloud_id for original, cloud_id in found.items() if cloud_id is not None}

    def remove(self, descriptions: Iterable[Resource]) -> None:
        """Delete what was created of some descriptions, in the given order. Idempotent.

        :param descriptions: those that a journal names, dependents first

        If an object cannot be deleted, continue with the next. Raises ResourceFailed that names those.
        """
        failures = []
        for description in descriptions:
            try:
                if description.type not in self.types:
                    raise exception.Unsupported("no plugin of the provider deletes resources of its type")
                objects = self._objects(description.id, description.type)
                cleanup.remove_all(self._context(description), {ROLE: objects})
            except (exception.LeaseLost, exception.Cancelled):
                raise
            except exception.KarborLikeError as error:
                failures.append(f"{description.key}: {exception.public_text(error)}")
        if failures:
            raise exception.ResourceFailed("; ".join(failures))

    @cached_property
    def _resolved(self) -> Mapping[str, Mapping[str, Any]]:
        return self.template().resolve({**self.context.restored, **self.context.mapping})

    def _is_deployed(self, name: str) -> bool:
        return self._resolved[name]["type"] in self.types

    def _needs(self, name: str) -> list[str]:
        return _needs(self._resolved[name])

    def _resource(self, name: str) -> Resource:
        return Resource(str(self._resolved[name]["type"]), name)

    def _objects(self, name: str, kind: str | None = None) -> Deployable:
        make = self.types[kind or str(self._resolved[name]["type"])]
        return make(self.context.clients, self.context.service, lambda: self._properties(name))

    def _context(self, description: Resource) -> HookContext:
        return replace(self.context, resource=description, journal=self.journal(description))

    def _properties(self, name: str) -> Properties:
        if name not in self._resolved:  # a contributor that found another target describes less
            raise exception.ResourceFailed(f"{name} is no longer in the template")
        properties: Properties = self._with_ids(self._resolved[name]["properties"])
        return properties

    def _with_ids(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [self._with_ids(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        if isinstance(value, Reference):
            return self._id(value["get_resource"])
        return {key: self._with_ids(item) for key, item in value.items()}

    def _recorded(self, name: str) -> str | None:
        entry = self.journal(self._resource(name)).peek(ROLE)
        return entry.cloud_id if entry else None

    def _id(self, name: str) -> str:
        cloud_id = self._recorded(name)
        if cloud_id is None:
            raise exception.ResourceFailed(f"{name} was not created")
        return cloud_id

    @contextmanager
    def _naming(self, name: str) -> Iterator[None]:
        """Let errors about a description name it."""
        try:
            yield
        except (exception.LeaseLost, exception.Cancelled):
            raise
        except exception.KarborLikeError as error:
            error.message = f"{self._resolved[name]['type']} {name}: {error.message}"
            raise


def ordered(resolved: Mapping[str, Mapping[str, Any]], types: Container[str]) -> list[str]:
    """Return the names of the descriptions to deploy, each after those that it needs.

    :param resolved: as :meth:`karbor_like.domain.template.Template.resolve` returned it
    :param types: those to deploy

    Raises Unsupported if one needs another whose type is not deployed, Conflict for a reference that means nothing or that
    closes a circle.
    """
    needs = {name: _needs(description) for name, description in resolved.items()}
    try:
        order = [*graphlib.TopologicalSorter(needs).static_order()]
    except graphlib.CycleError as error:
        raise exception.Conflict(f"resources of the template need each other: {', '.join(error.args[1])}") from None
    unknown = sorted(set(order) - set(resolved))
    if unknown:
        raise exception.Conflict(f"the template refers to resources that it does not have: {', '.join(unknown)}")
    deployed = [name for name in order if resolved[name]["type"] in types]
    for name in deployed:
        others = [other for other in needs[name] if resolved[other]["type"] not in types]
        if others:
            raise exception.Unsupported(
                f"{name} needs {', '.join(others)}, of a type that no plugin of the provider creates; add its plugin"
            )
    return deployed


def _needs(description: Mapping[str, Any]) -> list[str]:
    """Return the names of the descriptions that must be ready before one is created."""
    return sorted({*_referred(description["properties"]), *description.get("depends_on", ())})


def _referred(value: Any) -> Iterator[str]:
    """Yield the names of the descriptions that a resolved property refers to."""
    if isinstance(value, Mapping):
        if isinstance(value, Reference):
            yield value["get_resource"]
        else:
            yield from _referred([*value.values()])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _referred(item)
