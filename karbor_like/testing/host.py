"""The protection service in small: it runs the hooks of a plugin on one resource, with a bank and a journal in memory."""

import functools
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

from karbor_like import exception
from karbor_like.bank import Bank, CheckpointRecord, Lease, ResourceSection
from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.bank.options import BankOptions
from karbor_like.clients.factory import Clients
from karbor_like.clients.waiter import Waiter
from karbor_like.clock import SystemClock
from karbor_like.context import RequestContext
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.domain.template import Template
from karbor_like.plugins.protection import HOOKS, HookContext, ProtectionPlugin, ResourceOperation
from karbor_like.plugins.toolkit import memory_journal, ownership
from karbor_like.plugins.toolkit.deployment import Deployment


def memory_bank() -> Bank:
    """Create an empty bank without encryption. Close it after use."""
    return Bank(MemoryStore(), keyring=None, options=BankOptions(), clock=SystemClock())


def clients_without_cloud(project_id: str) -> Clients:
    """Return the clients of a tenant for plugins that call no OpenStack service: any such call fails."""
    return Clients(RequestContext(project_id=project_id, user_id="user"), cast(Any, None), cast(Any, None))


class MemoryJournal(memory_journal.MemoryJournal):
    """A journal that survives all attempts at one operation on one resource."""

    def __init__(self, operation_id: str, resource: Resource) -> None:
        super().__init__(ownership.name_prefix(operation_id, resource.id))


@dataclass
class MemoryProgress:
    """The recorded progress of a resource."""

    steps: list[str] = field(default_factory=list)
    bytes_done: int = 0
    bytes_total: int | None = None
    logical: int | None = None
    new: int | None = None

    def step(self, name: str) -> None:
        self.steps.append(name)

    def progress(self, done: int, total: int | None) -> None:
        assert done >= 0
        assert total is None or done <= total
        self.bytes_done, self.bytes_total = done, total

    def sizes(self, *, logical: int, new: int, stored: int) -> None:
        self.logical, self.new = logical, new


@dataclass
class Operation:
    """One operation on one resource, over all its attempts.

    :param source: the section that a copy reads
    :param mapping: see :attr:`HookContext.mapping`
    :param is_member: see :attr:`HookContext.is_member`
    :param others: checkpoints, see :attr:`HookContext.others`
    """

    kind: OperationType
    resource: Resource
    checkpoint_id: str
    parameters: Mapping[str, Any]
    source: ResourceSection | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    is_member: bool = False
    others: Sequence[str] = ()
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __post_init__(self) -> None:
        self.journal = MemoryJournal(self.id, self.resource)
        #: The journals of what a restore deploys, by the key of the description.
        self.deployed: dict[str, MemoryJournal] = {}
        self.report = MemoryProgress()
        self.done: set[str] = set()


class Host:
    """Runs operations of *plugin*.

    :param clients: act as the tenant
    :param service: act as the service user
    :param project_id: the project that has the checkpoints in the bank; None: that of *clients*
    """

    def __init__(
        self,
        plugin: ProtectionPlugin,
        clients: Clients,
        bank: Bank,
        service: Clients | None = None,
        project_id: str | None = None,
    ) -> None:
        self.plugin = plugin
        self.clients = clients
        self.service = service
        self.project_id = project_id or clients.project_id
        self.bank = bank
        #: The resources of every operation: see :attr:`HookContext.siblings`.
        self.siblings: Sequence[Resource] = ()
        self.waiter = Waiter(SystemClock(), interval=0.02, max_interval=0.05, timeout=120, retries=4)

    def operation(
        self, kind: OperationType, resource: Resource, checkpoint_id: str | None = None, **parameters: Any
    ) -> Operation:
        """Create an operation on a checkpoint, by default a new one."""
        return Operation(kind, resource, checkpoint_id or str(uuid.uuid4()), parameters)

    def attempt(self, operation: Operation, check: Callable[[], None] = lambda: None, bases: Sequence[str] = ()) -> Any:
        """Run the hooks that have not run. Return the members of their results, or None. Raise what a hook raises."""
        results: dict[str, Any] = {}
        with self._context(operation, check, bases) as context:
            plugin_operation = self._of(operation)
            if operation.kind is OperationType.RESTORE and "plan" in plugin_operation.hooks():
                conflicts = [line for line in plugin_operation.plan(context) if line.action is Action.CONFLICT]
                if conflicts:
                    raise exception.Conflict("; ".join(f"{line.resource_key}: {line.reason}" for line in conflicts))
            for hook in plugin_operation.hooks():
                if hook in HOOKS and hook not in operation.done:
                    if hook == "complete" and operation.kind is OperationType.RESTORE:
                        context = self._deploy(operation, plugin_operation, context)
                    result = getattr(plugin_operation, hook)(context) or {}
                    operation.done.add(hook)
                    context = replace(context, restored={**context.restored, **(result.get("restored") or {})})
                    results.update(result)
        return results or None

    def plan(self, operation: Operation) -> Sequence[PlannedAction]:
        """Return the plan of a restore whose operation class implements ``plan``."""
        with self._context(operation) as context:
            return self._of(operation).plan(context)

    def contribute(self, operation: Operation) -> Template:
        """Return the contribution to a restore whose operation class implements ``contribute``."""
        with self._context(operation) as context:
            return self._template(self._of(operation), context)

    def needs(self, operation: Operation) -> dict[str, int]:
        """Return what a restore uses up of quotas, by itself and for what it contributes to the template."""
        own = operation.resource.key
        with self._context(operation) as context:
            context = replace(context, is_dry_run=True, restored={own: f"({own})"})
            plugin_operation = self._of(operation)
            total = Counter(plugin_operation.needs(context) if "needs" in plugin_operation.hooks() else {})
            described = self._template(plugin_operation, context).resolve({**context.restored, **context.mapping})
            for each in described.values():
                kind, properties = self.plugin.deployables.get(each["type"]), each["properties"]
                if kind is not None:  # otherwise another plugin deploys it
                    deployable = kind(self.clients, self.service, functools.partial(lambda given: given, properties))
                    total.update(deployable.needs())
        return dict(total)

    def free(self) -> dict[str, int | None]:
        """Return what is free of the quotas that the plugin names, by their names; None without a limit."""
        return {name: quota.free for reader in self.plugin.quotas for name, quota in reader(self.clients).items()}

    def cleanup(self, operation: Operation, check: Callable[[], None] = lambda: None) -> None:
        """Run the clean-up that follows a failure."""
        with self._context(operation, check) as context:
            entries = [key for key, journal in operation.deployed.items() if journal.entries()]
            described = [Resource(kind, name) for kind, _, name in (key.partition("#") for key in reversed(entries))]
            self._deployment(operation, self._of(operation), context).remove(described)
            self._of(operation).cleanup(context)

    def release(self, operation: Operation) -> Sequence[str]:
        """Retry the deletion of the temporary objects of an operation that succeeded. Return the remarks."""
        with self._context(operation) as context:
            return self._of(operation).release(context)

    def perform(self, operation: Operation, **kwargs: Any) -> Any:
        """Attempt an operation, and clean up if it fails. Check that no temporary object remains.

        One that could not be deleted must have a remark, and is deleted in a second attempt.
        """
        try:
            result = self.attempt(operation, **kwargs)
        except Exception:
            self.cleanup(operation)
            assert operation.journal.entries() == []
            assert not any(journal.entries() for journal in operation.deployed.values())
            raise
        if not all(entry.keep for entry in operation.journal.entries()):
            assert (result or {}).get("remarks"), "a temporary object remains without a remark"
            assert not self.release(operation)
        assert all(entry.keep for entry in operation.journal.entries())
        return result

    def protect(self, resource: Resource, bases: Sequence[str] = (), **parameters: Any) -> Operation:
        """Perform a protect. Its ``checkpoint_id`` is a finished checkpoint."""
        operation = self.operation(OperationType.PROTECT, resource, **parameters)
        self.perform(operation, bases=bases)
        return operation

    def commit(self, checkpoint_id: str) -> None:
        """Make the checkpoint of a protect available in the bank, as the service does at its end."""
        record = CheckpointRecord(
            checkpoint_id,
            self.project_id,
            provider_id="provider",
            plan={"id": "plan", "name": "plan", "provider_id": "provider", "resources": []},
            resource_graph="[]",
            extra_info={},
            created_at=SystemClock().now(),
        )
        with self.bank.leases.acquire(holder="test commit") as lease:
            self.bank.checkpoints.create(record, lease)
            self.bank.checkpoints.commit(checkpoint_id, lease)

    def copy(self, source: "Host", resource: Resource, checkpoint_id: str) -> Operation:
        """Copy a checkpoint of *source*."""
        operation = self.operation(OperationType.COPY, resource)
        operation.source = source.section(checkpoint_id, resource)
        self.perform(operation)
        return operation

    def section(
        self, checkpoint_id: str, resource: Resource, lease: Lease | None = None, under: Lease | None = None
    ) -> ResourceSection:
        """Return the resource's part of a checkpoint. Parameters as those of ``Bank.section``."""
        return self.bank.section(checkpoint_id, self.project_id, resource.key, lease=lease, under=under)

    def restore(self, resource: Resource, checkpoint_id: str, **parameters: Any) -> str:
        """Perform a restore and return the id of the restored resource."""
        result = self.perform(self.operation(OperationType.RESTORE, resource, checkpoint_id, **parameters))
        return result["restored"][resource.key]

    def _of(self, operation: Operation) -> ResourceOperation:
        plugin_operation = self.plugin.operation(operation.kind, operation.resource.type)
        assert plugin_operation is not None, f"the plugin does not offer {operation.kind}"
        return plugin_operation

    def _deploy(self, operation: Operation, plugin_operation: ResourceOperation, context: HookContext) -> HookContext:
        """Deploy what the operation contributes. Return the context of ``complete``."""
        deployment = self._deployment(operation, plugin_operation, context)
        deployment.deploy()
        template = deployment.template()
        deployment.complete(template.resources)
        return replace(context, template=template, restored={**context.restored, **deployment.ids})

    def _deployment(
        self, operation: Operation, plugin_operation: ResourceOperation, context: HookContext
    ) -> Deployment:
        def journal(description: Resource) -> MemoryJournal:
            return operation.deployed.setdefault(description.key, MemoryJournal(operation.id, description))

        template = functools.cache(lambda: self._template(plugin_operation, context))
        return Deployment(template, self.plugin.deployables, context, journal)

    @staticmethod
    def _template(plugin_operation: ResourceOperation, context: HookContext) -> Template:
        template = Template()
        if "contribute" in plugin_operation.hooks():
            plugin_operation.contribute(context, template)
        return template

    @contextmanager
    def _context(
        self, operation: Operation, check: Callable[[], None] = lambda: None, bases: Sequence[str] = ()
    ) -> Iterator[HookContext]:
        with self.bank.leases.acquire(holder=f"test {operation.id}", bases=bases) as lease:
            yield HookContext(
                operation_id=operation.id,
                checkpoint_id=operation.checkpoint_id,
                project_id=self.project_id,
                resource=operation.resource,
                children=[],
                parameters=operation.parameters,
                clients=self.clients,
                section=self.section(operation.checkpoint_id, operation.resource, lease),
                bases=[self.section(base, operation.resource, under=lease) for base in bases],
                journal=operation.journal,
                report=operation.report,
                waiter=self.waiter,
                restored={},
                check=check,
                source=operation.source,
                mapping=operation.mapping,
                is_member=operation.is_member,
                find_service=lambda: self.service,
                find_siblings=lambda: [other for other in self.siblings if other != operation.resource],
                others=[self.section(other, operation.resource) for other in operation.others],
            )
