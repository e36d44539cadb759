"""What a restore needs of the quotas of the project, and what is free of them. Nothing is created or changed."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from karbor_like import exception
from karbor_like.clients.factory import Clients
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.domain.quota import UNBOUNDED, UNLIMITED, Quota
from karbor_like.domain.resource import Resource
from karbor_like.plugins.deployable import Deployable
from karbor_like.protection.operation.session import OperationSession

LOG = logging.getLogger(__name__)

#: What says that a need or a quota is not known: the restore itself finds out.
_UNKNOWN = (
    exception.ResourceFailed,
    exception.NotFound,
    exception.NotAuthorized,
    exception.Unsupported,
    exception.Conflict,
)


@dataclass
class Comparison:
    """One quota that a restore needs.

    :param first: the first resource that needs it
    :param needed: in the unit of the quota
    :param raised: by how much the restore raises the quota before
    :param quota: that of the project now; None if the cloud does not show it
    """

    name: str
    first: Resource
    needed: int = 0
    raised: int = 0
    quota: Quota | None = None

    @property
    def effective(self) -> Quota | None:
        """The quota when the restore needs it."""
        if self.quota is None or self.quota.limit < 0:
            return self.quota
        limit = self.quota.limit + self.raised
        return Quota(UNLIMITED if limit >= UNBOUNDED else limit, self.quota.used)

    @property
    def free(self) -> int | None:
        """What the restore may create; None without a limit or if it is not known."""
        return self.effective.free if self.effective else None

    @property
    def is_exceeded(self) -> bool:
        """Return whether the restore certainly fails."""
        return self.free is not None and self.needed > self.free

    @property
    def shown(self) -> dict[str, Any]:
        """The comparison as the API shows it."""
        limit = self.effective.limit if self.effective else None
        return {"resource": self.name, "needed": self.needed, "free": self.free, "limit": limit}


def compare(operation: OperationSession) -> list[Comparison]:
    """Return what a restore needs, as far as it is certain, sorted by the names of the quotas.

    Raises Unavailable if a service does not answer.
    """
    found: dict[str, Comparison] = {}
    needing: dict[Resource, None] = {}
    for resource, needs in _needs(operation):
        for name, number in needs.items():
            if isinstance(name, str) and type(number) is int and number:
                each = found.setdefault(name, Comparison(name, resource))
                if number > 0:
                    if not each.needed:
                        each.first = resource
                    each.needed += number
                    needing[resource] = None
                else:
                    each.raised -= number
    compared = sorted((each for each in found.values() if each.needed), key=lambda each: each.name)
    quotas = _quotas(operation, [*needing])
    for each in compared:
        each.quota = quotas.get(each.name)
    return compared


def conflicts(compared: Sequence[Comparison]) -> list[tuple[Resource, PlannedAction]]:
    """Return a conflict for each quota that a restore would exceed, with the first resource that needs it."""
    return [
        (
            each.first,
            PlannedAction(
                Action.CONFLICT,
                each.first.key,
                f"quota {each.name!r}: the restore needs {each.needed}, and {each.free} are free; ask for a higher quota,"
                " delete what you do not need, or restore less",
            ),
        )
        for each in compared
        if each.is_exceeded
    ]


def _needs(operation: OperationSession) -> Iterator[tuple[Resource, Mapping[str, int]]]:
    """Yield what each resource needs by itself, and for what it contributes to the template."""
    for resource in operation.implementing("needs"):
        context = operation.hook_context(resource, operation.progress(resource))
        try:
            yield resource, operation.resource_operation(resource).needs(context)
        except _UNKNOWN as error:
            LOG.info("Operation %s: what %s needs is not known: %s", operation.spec.id, resource.key, error)
    kinds = {kind: each for kind, each in operation.provider.deployables.items() if each.needs is not Deployable.needs}
    if not kinds or not operation.implementing("contribute"):
        return
    try:
        template = operation.drafted_template
    except _UNKNOWN as error:
        LOG.info("Operation %s: what its template needs is not known: %s", operation.spec.id, error)
        return
    for resource in operation.implementing("contribute"):
        for name in operation.drafted(resource):
            described = template[name]
            if described["type"] in kinds:
                yield resource, _of_description(operation, kinds[described["type"]], described["properties"])


def _of_description(
    operation: OperationSession, kind: type[Deployable], properties: Mapping[str, Any]
) -> Mapping[str, int]:
    deployable = kind(operation.clients, operation.service, lambda: properties)
    try:
        return operation.env.waiter.call(deployable.needs, check=operation.claim.check)
    except _UNKNOWN as error:
        LOG.info("Operation %s: what a %s needs is not known: %s", operation.spec.id, kind.noun, error)
        return {}


def _quotas(operation: OperationSession, resources: Sequence[Resource]) -> dict[str, Quota]:
    """Return the quotas that the plugins of some resources name."""
    plugins = [operation.provider.plugins[resource.type] for resource in resources]
    readers: Sequence[Callable[[Clients], Mapping[str, Quota]]]
    readers = [*dict.fromkeys(reader for plugin in plugins for reader in plugin.quotas)]
    found: dict[str, Quota] = {}
    for reader in readers:
        try:
            found.update(
                operation.env.waiter.call(
                    lambda reader=reader: reader(operation.clients),  # type: ignore[misc]
                    check=operation.claim.check,
                )
            )
        except _UNKNOWN as error:
            LOG.info("Operation %s: quotas are not known: %s", operation.spec.id, error)
    return found
