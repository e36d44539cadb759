"""The state that the tasks of one operation share in this process, and the :class:`HookContext` of each hook."""

import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from functools import cached_property
from types import TracebackType
from typing import Any, Self, TypeVar

import sqlalchemy as sa

from karbor_like import exception
from karbor_like.bank import Bank, Lease, Section, errors
from karbor_like.clients.factory import Clients
from karbor_like.db import checkpoints, operations
from karbor_like.db.models import JournalEntry, OperationResource
from karbor_like.domain import states
from karbor_like.domain.graph import Graph
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.domain.template import Template
from karbor_like.plugins.heat.deployment import STACK, StackDeployment
from karbor_like.plugins.protection import HookContext, ResourceOperation
from karbor_like.plugins.toolkit import ownership
from karbor_like.plugins.toolkit.deployment import Deployment, ordered
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.operation import deployers, lazy, outage
from karbor_like.protection.operation.claim import ActiveClaim
from karbor_like.protection.operation.copy_source import CopySource
from karbor_like.protection.operation.journal import DatabaseJournal
from karbor_like.protection.operation.progress import DatabaseProgressRecorder
from karbor_like.protection.operation.results import Results
from karbor_like.protection.operation.spec import Credential, OperationSpec
from karbor_like.protection.operation.waiting import Waiting
from karbor_like.protection.registry import parameters
from karbor_like.protection.registry.providers import Provider

LOG = logging.getLogger(__name__)

T = TypeVar("T")

#: How many of a project's newest checkpoints are searched for bases of the same resources.
_BASES_SEARCHED = 50

#: Operations that store nothing in the bank. A reader's lease protects what is read, a writer's lease also the bases. A full
#: bank has no room for the lease of a writer, and a deletion must work there.
_READERS = frozenset({OperationType.RESTORE, OperationType.VERIFY, OperationType.DELETE})


class OperationSession:
    """A context manager that releases the banks' leases at its end. Thread-safe.

    Everything is opened at its first use, so that an operation can be undone while its bank is unreachable.

    :param encrypted: the operation's credential, as its row holds it
    """

    def __init__(self, env: ServiceContext, spec: OperationSpec, claim: ActiveClaim, encrypted: str | None) -> None:
        self.env = env
        self.spec = spec
        self.claim = claim
        self.database = outage.OperationDatabase(env.database, claim)
        self.waiting = Waiting(self.database, shown=spec.waits)
        self._results = Results(self.database)
        self.statuses = states.OPERATION[spec.kind]
        self._encrypted = encrypted
        self._lock = threading.Lock()
        self._clients: Clients | None = None
        self._lease = lazy.LazyLease(self._acquire)
        self._rates = env.rates.operation()
        #: The source of a copy; None for other operations.
        self.source = CopySource(env, spec, self._rates) if spec.kind is OperationType.COPY else None
        self._bases: Mapping[str, Sequence[str]] = {}
        self._means: deployers.Means | None = None
        self._choice: deployers.Choice | None = None
        self._deployed_ids: Mapping[str, str] | None = None
        #: Status of the checkpoint after a failure; None for the usual one.
        self.failed_status: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lease.close()
        if self.source is not None:
            self.source.close()

    def fence(self, connection: sa.Connection) -> None:
        """Fence the transaction of *connection*: see :data:`karbor_like.protection.workflow.persistence.Fence`."""
        self.claim.ensure_held()
        operations.fence(connection, self.claim.record)

    def outlast(self, call: Callable[[], T]) -> T:
        """Repeat *call* during an outage: see :func:`karbor_like.protection.operation.outage.outlast`."""
        return outage.outlast(self.claim, call)

    @cached_property
    def provider(self) -> Provider:
        """The provider as of the start of this run: a reload of its file does not affect it. Raises ProviderNotFound."""
        return self.env.providers.get(self.spec.provider_id)

    @property
    def bank(self) -> Bank:
        """The provider's bank. Raises ProviderNotFound, Unavailable."""
        return self.provider.bank

    @property
    def clients(self) -> Clients:
        """SDKs that act on behalf of the operation's owner."""
        with self._lock:
            if self._clients is None:
                # This may sign in: Keystone's restart is no reason to undo what an earlier attempt has done.
                self._clients = self.env.waiter.call(
                    lambda: self.credential.clients(self.env.clients, self.spec.target), check=self.claim.ensure_held
                )
            return self._clients

    @cached_property
    def credential(self) -> Credential:
        """The identity of the operation's owner.

        :raises NotAuthorized: it was deleted
        :raises ConfigurationError: no configured key fits
        """
        found = Credential.decrypt(self.env.cipher, self._encrypted)
        # Logs in JSON then name the operation in each line of its threads.
        found.context.resource_uuid = self.spec.id
        return found

    @cached_property
    def service(self) -> Clients | None:
        """SDKs that act as the service user, if there is one and the operation acts in this cloud."""
        try:
            if self.spec.target is None or self.env.clients.is_here(self.spec.target):
                return self.env.clients.as_service()
        except exception.KarborLikeError as error:  # few plugins need it; those say that it is missing
            LOG.info("Operation %s acts without the service user: %s", self.spec.id, error)
        return None

    def ensure_identity(self) -> None:
        """Act as the service user from now on if the owner's identity can no longer be used in this cloud.

        :raises NotAuthorized: the service user has no role in the owner's project
        """
        owner = self.credential.context
        if self.spec.target is None and self.env.clients.is_lost(owner):
            clients = self.env.clients.as_service_in(str(owner.project_id))
            with self._lock:
                self._clients = clients

    @contextmanager
    def activity(self) -> Iterator[None]:
        """Mark the thread as active for the operation: it is waited for, and its log lines carry the request's id."""
        with self.claim.activity():
            with suppress(exception.KarborLikeError):
                self.credential.context.update_store()
            yield

    @property
    def lease(self) -> Lease:
        """The operation's lease of the bank, shared by its tasks: taken at the first use in this process."""
        return self._lease.get()

    def hint(self, error: BaseException) -> str:
        """Return what to add to the reason *error*; empty in most cases.

        The data that a reader without a stored lease misses may have been removed by the collector.
        """
        refusal = (self.source or self._lease).unprotected
        if refusal is None or not isinstance(error, errors.Corrupted):
            return ""
        return (
            "; the garbage collection of another site may have removed it, if the checkpoint was deleted there: the bank did"
            f" not take the lease of this reader: {exception.public_text(refusal)}"
        )

    def _acquire(self) -> Lease:
        lease = self._take_lease()
        self.waiting.end()
        return lease

    def _take_lease(self) -> Lease:
        holder = f"{self.env.owner} {self.spec.kind} {self.spec.id}"
        if self.spec.kind in _READERS:
            return self.bank.leases.acquire(holder=holder, bases=[self.spec.checkpoint_id], kind="read")
        bases = self._find_bases()
        names = sorted({base for of_resource in bases.values() for base in of_resource})
        with ExitStack() as undo:
            lease = undo.enter_context(self.bank.leases.acquire(holder=holder, bases=names, kind="write"))
            self.bank.reserve.ensure()  # before this operation takes the last room
            # The lease does not protect a base that was deleted before the lease named it.
            self._bases = {
                key: [base for base in of_resource if self._is_available(base)] for key, of_resource in bases.items()
            }
            undo.pop_all()
        return lease

    def _find_bases(self) -> dict[str, list[str]]:
        """Return the newest checkpoints of each resource, by its key."""
        limit = self.env.conf.protection.bases
        newest: dict[str, list[str]] = {node.key: [] for node in self.spec.graph.nodes}
        if not limit:
            return newest
        rows = self.database.read(
            lambda session: checkpoints.latest_available(
                session, self.spec.provider_id, self.spec.owner_project, self.spec.bank_project, limit=_BASES_SEARCHED
            )
        )
        for row in rows:
            if all(len(bases) == limit for bases in newest.values()):
                break
            for node in Graph.from_text(row.resource_graph).nodes:
                if node.key in newest and len(newest[node.key]) < limit:
                    newest[node.key].append(row.id)
        return newest

    def _find_others(self, resource: Resource) -> Iterator[str]:
        """Yield the other available checkpoints that have the resource which a deletion deletes from one, newest first."""
        if self.spec.kind is not OperationType.DELETE:
            return
        spec = self.spec
        ids = self.database.read(
            lambda session: checkpoints.available_ids(
                session, spec.provider_id, spec.owner_project, spec.bank_project, resource
            )
        )
        yield from (each for each in ids if each != spec.checkpoint_id)

    def _is_available(self, checkpoint_id: str) -> bool:
        row = self.database.read(lambda session: checkpoints.CHECKPOINTS.find(session, checkpoint_id))
        return row is not None and row.status == states.AVAILABLE

    def resource_operation(self, resource: Resource) -> ResourceOperation:
        """Return the plugin's operation on *resource*. Raises ProviderNotFound, Unsupported."""
        return self.provider.operation(self.spec.kind, resource.type)

    def progress(self, resource: Resource) -> DatabaseProgressRecorder:
        """Return a new progress recorder for *resource*."""
        interval = self.env.conf.protection.progress_interval
        return DatabaseProgressRecorder(self.database, resource.key, interval, self.waiting.end)

    def hook_context(self, resource: Resource, recorder: DatabaseProgressRecorder) -> HookContext:
        """Build the argument of a hook of *resource*."""
        # Readers hold a lease too, but may not write under it.
        lease = self.lease
        write_lease = lease if self.spec.kind not in _READERS else None
        # A deletion deletes what it has read.
        under = lease if self.spec.kind is not OperationType.DELETE else None
        return self._context(resource, recorder, write_lease, under, self._bases.get(resource.key, ()), self._check)

    def _check(self) -> None:
        """Raise LeaseLost or Cancelled if a hook must stop."""
        self.claim.check()
        if self.source is not None:
            self.source.check()

    def cleanup_context(self, resource: Resource, recorder: DatabaseProgressRecorder) -> HookContext:
        """Build the argument of the clean-up of *resource*: a cancellation does not stop it, and it cannot write the bank."""
        return self._context(resource, recorder, None, None, (), self.claim.ensure_held)

    def _context(
        self,
        resource: Resource,
        recorder: DatabaseProgressRecorder,
        lease: Lease | None,
        under: Lease | None,
        bases: Sequence[str],
        check: Callable[[], None],
    ) -> HookContext:
        spec = self.spec
        children = spec.graph.children(resource)

        def opener(checkpoint_id: str, lease: Lease | None = None) -> lazy.Open:
            return lambda: self.bank.section(
                checkpoint_id, spec.bank_project, resource.key, lease=lease, under=under, rates=self._rates.bank
            )

        return HookContext(
            operation_id=spec.id,
            checkpoint_id=spec.checkpoint_id,
            project_id=spec.bank_project,
            resource=resource,
            children=[child for child in children if not self.is_left_out(child)],
            is_member=spec.is_member(resource),
            find_service=lambda: self.service,
            find_siblings=lambda: self._siblings(resource),
            others=lazy.LazySections(opener(other) for other in self._find_others(resource)),
            parameters=parameters.effective(spec.parameters, resource),
            clients=self.clients,
            section=lazy.LazySection(opener(spec.checkpoint_id, lease)),
            bases=lazy.LazySections([opener(base) for base in bases]),
            journal=self._journal(resource.key, spec.graph.node_id(resource)),
            report=recorder,
            waiter=self.env.waiter,
            restored=self.restored(),
            check=check,
            source=self._source_section(resource),
            is_dry_run=spec.is_dry_run,
            dependencies=spec.graph.dependencies.get(resource, ()),
            mapping=parameters.mapping(spec.parameters) if spec.kind is OperationType.RESTORE else {},
            paced=lambda pieces: self._rates.paced(pieces, check),
        )

    def _journal(self, key: str, number: str) -> DatabaseJournal:
        return DatabaseJournal(self.database, key, ownership.name_prefix(self.spec.id, number))

    def deployment(self, context: HookContext) -> Deployment | StackDeployment:
        """Return the means to deploy the template, the same ones in every process as soon as anything is created.

        :param context: of a resource that contributes to it

        Raises what :func:`karbor_like.protection.operation.deployers.choose` raises.
        """
        if self._means is None:
            keys = {entry.resource_key for entry in self.deployed()}
            begun: deployers.Means = StackDeployment if STACK.key in keys else Deployment
            self._means = begun if keys else self._choose(context).means
        return self._means(
            lambda: self.template, self.provider.deployables, context, lambda each: self._journal(each.key, each.id)
        )

    def deployment_remark(self, context: HookContext) -> str:
        """Return why the template was not deployed by Heat although the provider prefers it, or an empty text.

        :param context: of a resource that contributed to it
        """
        if self._means is not Deployment:
            return ""
        if self._choice is None:
            self._choice = deployers.resumed(
                self.provider.deployer, self._described(context), self.provider.deployables
            )
        return self._choice.remark

    def drafted_choice(self) -> deployers.Choice:
        """Return how the template would be deployed. Raises what :func:`deployers.choose` and ``drafted_template`` raise."""
        return self._choose_for(self._deployable(self.drafted_template), self._check)

    def deployed_ids(self, deployment: Deployment | StackDeployment) -> Mapping[str, str]:
        """Return the ids of what was deployed, by the original ``Type#id``. For hooks after the deployment.

        They do not change any more, so each process reads them once, not for each of these hooks.
        """
        if self._deployed_ids is None:
            self._deployed_ids = deployment.ids
        return self._deployed_ids

    @cached_property
    def drafted_template(self) -> Mapping[str, Any]:
        """The resources of the template before anything is created, with references replaced.

        Texts in brackets stand for the ids of what will be restored. Raises Conflict if a reference means nothing.
        """
        mapping = parameters.mapping(self.spec.parameters)
        return self._draft[0].resolve({**self._placeholders, **mapping})

    def drafted(self, resource: Resource) -> Sequence[str]:
        """Return the names of what a resource contributed to the draft of the template."""
        return self._draft[1].get(resource, ())

    def _siblings(self, resource: Resource) -> Sequence[Resource]:
        return [node for node in self.spec.graph.nodes if node != resource and not self.is_left_out(node)]

    def _choose(self, context: HookContext) -> deployers.Choice:
        self._choice = self._choose_for(self._described(context), context.check)
        return self._choice

    def _choose_for(self, described: Mapping[str, Any], check: Callable[[], None]) -> deployers.Choice:
        return self.env.waiter.call(
            lambda: deployers.choose(
                self.provider.deployer,
                self.clients,
                self.env.clock,
                described,
                self.provider.deployables,
                timeout=self.env.waiter.timeout,
                has_password=self._has_password,
            ),
            check=check,
        )

    def _described(self, context: HookContext) -> Mapping[str, Any]:
        """Return the descriptions to deploy, with references replaced."""
        return self._deployable(self.template.resolve({**context.restored, **context.mapping}))

    def _deployable(self, resolved: Mapping[str, Any]) -> Mapping[str, Any]:
        return {name: resolved[name] for name in ordered(resolved, self.provider.deployables)}

    @property
    def _has_password(self) -> bool:
        return bool(self.spec.target and self.credential.restore_auth)

    def deployed(self) -> list[JournalEntry]:
        """Return the entries of the journal about what a restore created from its template. Raises LeaseLost."""
        keys = {resource.key for resource in self.spec.graph.nodes}
        journal = self.database.read(lambda session: operations.journal(session, self.spec.id))
        return [entry for entry in journal if entry.resource_key not in keys]

    def _source_section(self, resource: Resource) -> Section | None:
        source = self.source
        return lazy.LazySection(lambda: source.section(resource.key)) if source else None

    def is_left_out(self, resource: Resource) -> bool:
        """Return whether this operation has left a resource out. Raises LeaseLost."""
        return self.spec.kind is OperationType.PROTECT and self._results.is_left_out(resource.key)

    def rows(self) -> Sequence[OperationResource]:
        """Return the recorded progress of all resources, for what is done once in an operation. Raises LeaseLost."""
        return self.database.read(lambda session: operations.resources_of(session, [self.spec.id]))

    def implementing(self, hook: str) -> list[Resource]:
        """Return the resources whose operation implements *hook*, children and dependencies first."""
        return [node for node in self.spec.graph.nodes if hook in self.spec.hooks.get(node.type, ())]

    @property
    def template(self) -> Template:
        """The contributions of all resources. Every process that runs the operation collects them again."""
        return self._contributions[0]

    def contributed(self, resource: Resource) -> Sequence[str]:
        """Return the names of what a resource contributed to the template."""
        return self._contributions[1].get(resource, ())

    @cached_property
    def _contributions(self) -> tuple[Template, Mapping[Resource, Sequence[str]]]:
        return self._contribute(lambda context: context)

    @cached_property
    def _draft(self) -> tuple[Template, Mapping[Resource, Sequence[str]]]:
        return self._contribute(
            lambda context: dataclasses.replace(context, is_dry_run=True, restored=self._placeholders)
        )

    @property
    def _placeholders(self) -> dict[str, str]:
        return {node.key: f"({node.key})" for node in self.spec.graph.nodes}

    def _contribute(
        self, adapt: Callable[[HookContext], HookContext]
    ) -> tuple[Template, Mapping[Resource, Sequence[str]]]:
        template, names = Template(), dict[Resource, Sequence[str]]()
        for resource in self.implementing("contribute"):
            before = set(template.resources)
            context = adapt(self.hook_context(resource, self.progress(resource)))
            self.resource_operation(resource).contribute(context, template)
            names[resource] = [name for name in template.resources if name not in before]
        return template, names

    def restored(self) -> dict[str, str]:
        """Return the ids of what a restore has restored so far, by the original ``Type#id``."""
        if self.spec.kind is not OperationType.RESTORE:
            return {}
        if self.spec.is_dry_run:
            return self._placeholders
        return self._results.restored()

    def record(self, resource_key: str, **values: Any) -> None:
        """Set columns of a resource's row: ``status``, ``reason``, ``result_key``. Raises LeaseLost."""
        self.database.write(lambda session: operations.set_resource(session, self.spec.id, resource_key, **values))
        self._results.note(resource_key, values)

    def transfer_slot(self) -> AbstractContextManager[None]:
        """Hold a transfer slot within the block: memory limits how many resources one process may transfer concurrently."""
        if self.spec.kind is OperationType.DELETE:
            return nullcontext()
        return self.env.transfer_slots.acquire(self.spec.owner_project, self.claim.check)
