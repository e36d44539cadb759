"""Creation of the resources of a restore's template as one stack of Heat, and its deletion."""

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from karbor_like.clients.factory import Clients
from karbor_like.domain.resource import Resource
from karbor_like.domain.template import Template
from karbor_like.plugins.deployable import Deployable, Properties
from karbor_like.plugins.heat import hot, stack
from karbor_like.plugins.protection import HookContext, Journal
from karbor_like.plugins.toolkit import deployment

#: The only description: the journal names it like a resource.
STACK: Final = Resource(stack.TYPE, "stack")


@dataclass
class StackDeployment:
    """Like :class:`karbor_like.plugins.toolkit.deployment.Deployment`, with the same parameters, by Heat."""

    template: Callable[[], Template]
    types: Mapping[str, type[Deployable]]
    context: HookContext
    journal: Callable[[Resource], Journal]

    def deploy(self) -> None:
        """Create the stack unless it exists, and wait until all of its resources are ready.

        Raises Unsupported and Conflict as the direct deployment does, Conflict for a template that is too large, and what
        creating and waiting raises.
        """
        if self._resolved:
            self._single.deploy()

    def complete(self, names: Iterable[str]) -> list[str]:
        """Give deployed objects, which have their final names, their final descriptions.

        Return remarks on what the cloud refused.
        """
        created, remarks = self._created(), list[str]()
        for name in sorted(created.keys() & {*names}):
            kind, properties = self._resolved[name]["type"], self._resolved[name]["properties"]
            if self.types[kind].described_by:
                objects = self.types[kind](
                    self.context.clients, self.context.service, functools.partial(dict, properties)
                )
                describe = functools.partial(objects.describe, created[name])
                remarks += self.context.waiter.call(describe, check=self.context.check)
        return remarks

    @property
    def ids(self) -> dict[str, str]:
        """The deployed objects: the original ``Type#id`` that each restores -> its id."""
        created = self._created()
        originals = self.template().originals.items()
        return {original: created[name] for original, name in originals if name in created}

    def _created(self) -> dict[str, str]:
        """Return the ids of the objects of the stack by their names in the template."""
        entry = self.journal(STACK).peek(deployment.ROLE)
        if entry is None or entry.cloud_id is None:
            return {}
        stack_id = entry.cloud_id
        objects = self._stacks(self.context.clients, self.context.service, self._properties)
        return self.context.waiter.call(lambda: objects.resources(stack_id), check=self.context.check)

    def remove(self, descriptions: Iterable[Resource]) -> None:
        """Delete the stack. Idempotent. Raises ResourceFailed if it cannot be deleted."""
        self._single.remove(descriptions)

    @functools.cached_property
    def _single(self) -> deployment.Deployment:
        return deployment.Deployment(self._wrapped, {stack.TYPE: self._stacks}, self.context, self.journal)

    def _stacks(self, clients: Clients, service: Clients | None, properties: Callable[[], Properties]) -> stack.Stack:
        return stack.Stack(clients, service, properties, self.types)

    def _wrapped(self) -> Template:
        template = Template()
        template.add(STACK.id, STACK.type, self._properties())
        return template

    def _properties(self) -> dict[str, Any]:
        return {
            "template": hot.document(self._resolved, self.types),
            "timeout_mins": math.ceil(self.context.waiter.timeout / 60),
        }

    @functools.cached_property
    def _resolved(self) -> hot.Resolved:
        resolved = self.template().resolve({**self.context.restored, **self.context.mapping})
        return {name: resolved[name] for name in deployment.ordered(resolved, self.types)}
