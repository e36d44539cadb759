"""What the tasks of one operation share while this process runs it, and the :class:`HookContext` that each hook is handed."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from functools import cached_property
from types import TracebackType
from typing import Any, Self, cast

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.bank import Bank, Lease, ResourceSection
from karbor_like.clients.factory import Clients
from karbor_like.db import checkpoints, operations
from karbor_like.domain import states
from karbor_like.domain.graph import Graph
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.plugins.protection import HookContext, ResourceOperation
from karbor_like.plugins.toolkit import ownership
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.operation import lazy, lifecycle, spec
from karbor_like.protection.operation.claim import ActiveClaim
from karbor_like.protection.operation.copy_source import CopySource
from karbor_like.protection.operation.journal import DatabaseJournal
from karbor_like.protection.operation.progress import DatabaseProgressRecorder
from karbor_like.protection.registry import parameters
from karbor_like.protection.registry.providers import Provider

#: How many of a project's checkpoints are looked through for earlier ones of the same resources.
_BASES_SEARCHED = 50

#: What an operation does to the bank: a reader's lease keeps what it reads, a writer's also what it builds on.
_READERS = frozenset({OperationType.RESTORE, OperationType.VERIFY})


class OperationSession:
    """A context manager: leaving it gives back the banks' leases. Used by many threads.

    Nothing here is opened before it is needed, so that an operation can be undone while its bank is away.
    """

    def __init__(self, env: ServiceContext, job: spec.OperationSpec, hold: ActiveClaim, sealed: str | None) -> None:
        self.env = env
        self.work = job
        self.hold = hold
        self.statuses = states.OPERATION[job.kind]
        self._sealed = sealed
        self._lock = threading.Lock()
        self._clients: Clients | None = None
        self._lease = lazy.LazyLease(self._acquire)
        #: What a copy is made of.
        self.source = CopySource(env, job) if job.kind is OperationType.COPY else None
        self._bases: Mapping[str, Sequence[str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lease.close()
        if self.source is not None:
            self.source.close()

    def fence(self, connection: sa.Connection) -> None:
        """See :data:`karbor_like.protection.workflow.persistence.Fence`."""
        self.hold.ensure_held()
        operations.fence(connection, self.hold.claim)

    @cached_property
    def provider(self) -> Provider:
        """The provider as it was when the operation was taken up here: its file may be read again meanwhile."""
        return self.env.providers.get(self.work.provider_id)

    @property
    def bank(self) -> Bank:
        """The provider's. Raises ProviderNotFound, Unavailable."""
        return self.provider.bank

    @property
    def clients(self) -> Clients:
        """Acting as the operation's owner."""
        with self._lock:
            if self._clients is None:
                self._clients = self.credential.clients(self.env.clients, self.work.target)
            return self._clients

    @cached_property
    def credential(self) -> spec.Credential:
        """The operation's owner. Raises ConfigurationError where it cannot be decrypted."""
        return spec.Credential.unseal(self.env.cipher, self._sealed)

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Around whatever a thread does for the operation: it is waited for, and its log lines carry the request's id."""
        with self.hold.working():
            with suppress(exception.KarborLikeError):
                self.credential.context.update_store()
            yield

    @property
    def lease(self) -> Lease:
        """The operation's lease of the bank, one for all its tasks; taken at the first use, and again by every resume."""
        return self._lease.get()

    def _acquire(self) -> Lease:
        holder = f"{self.env.owner} {self.work.kind} {self.work.id}"
        if self.work.kind in _READERS:
            return self.bank.leases.acquire(holder=holder, bases=[self.work.checkpoint_id], kind="read")
        wanted = self._find_bases() if self.work.kind in (OperationType.PROTECT, OperationType.COPY) else {}
        named = sorted({base for bases in wanted.values() for base in bases})
        with ExitStack() as undo:
            lease = undo.enter_context(self.bank.leases.acquire(holder=holder, bases=named, kind="write"))
            # One that was deleted before the lease named it is not kept by it.
            self._bases = {key: [base for base in bases if self._is_available(base)] for key, bases in wanted.items()}
            undo.pop_all()
        return lease

    def _find_bases(self) -> dict[str, list[str]]:
        """For each resource the newest checkpoints that hold it."""
        limit = self.env.conf.protection.bases
        found: dict[str, list[str]] = {node.key: [] for node in self.work.graph.nodes}
        if not limit:
            return found
        with self.env.database.reader() as session:
            rows = checkpoints.latest_available(
                session, self.work.provider_id, self.work.owner_project, _BASES_SEARCHED
            )
            for row in rows:
                if all(len(bases) == limit for bases in found.values()):
                    break
                for node in Graph.from_text(row.resource_graph).nodes:
                    if node.key in found and len(found[node.key]) < limit:
                        found[node.key].append(row.id)
        return found

    def _is_available(self, checkpoint_id: str) -> bool:
        with self.env.database.reader() as session:
            row = checkpoints.CHECKPOINTS.find(session, checkpoint_id)
            return row is not None and row.status == states.AVAILABLE

    def operation(self, resource: Resource) -> ResourceOperation:
        """The plugin's operation on *resource*. Raises ProviderNotFound, Unsupported."""
        return self.provider.operation(self.work.kind, resource.type)

    def report(self, resource: Resource) -> DatabaseProgressRecorder:
        """How *resource* tells how it is doing."""
        return DatabaseProgressRecorder(
            self.env.database,
            self.env.clock,
            self.work.id,
            resource.key,
            self.env.conf.protection.progress_interval,
        )

    def run(self, resource: Resource, report: DatabaseProgressRecorder) -> HookContext:
        """What a hook of *resource* is handed."""
        # A reader takes a lease too, but not one to write with.
        lease = self.lease
        writable = lease if self.work.kind not in _READERS else None
        return self._run(resource, report, writable, self._bases.get(resource.key, ()), self._check)

    def _check(self) -> None:
        """Raises LeaseLost or Cancelled where a hook must stop."""
        self.hold.check()
        if self.source is not None:
            self.source.check()

    def undo_run(self, resource: Resource, report: DatabaseProgressRecorder) -> HookContext:
        """What the clean-up of *resource* is handed: it goes on when the operation was cancelled, and writes no bank."""
        return self._run(resource, report, None, (), self.hold.ensure_held)

    def _run(
        self,
        resource: Resource,
        report: DatabaseProgressRecorder,
        lease: Lease | None,
        bases: Sequence[str],
        check: Callable[[], None],
    ) -> HookContext:
        job, source = self.work, self.source

        def opener(checkpoint_id: str, lease: Lease | None = None) -> lazy.Open:
            return lambda: self.bank.section(checkpoint_id, job.owner_project, resource.key, lease=lease)

        return HookContext(
            operation_id=job.id,
            checkpoint_id=job.checkpoint_id,
            project_id=job.owner_project,
            resource=resource,
            children=job.graph.children(resource),
            parameters=parameters.effective(job.parameters, resource),
            clients=self.clients,
            section=cast(ResourceSection, lazy.LazySection(opener(job.checkpoint_id, lease))),
            bases=lazy.LazySections([opener(base) for base in bases]),
            journal=DatabaseJournal(
                self.env.database,
                self.hold.claim,
                resource.key,
                ownership.name(job.id, job.graph.node_id(resource)),
            ),
            report=report,
            waiter=self.env.waiter,
            restored=self._restored(),
            check=check,
            source=cast(ResourceSection, lazy.LazySection(lambda: source.section(resource.key))) if source else None,
        )

    def _restored(self) -> dict[str, str]:
        if self.work.kind is not OperationType.RESTORE:
            return {}
        with self.env.database.reader() as session:
            rows = operations.resources_of(session, [self.work.id])
            return {row.resource_key: row.result_key.partition("#")[2] for row in rows if row.result_key}

    def record(self, resource_key: str, **values: Any) -> None:
        """Set members of a resource's row (status, reason, result_key). Raises LeaseLost."""

        def write(session: orm.Session) -> None:
            operations.check(session, self.hold.claim)
            operations.set_resource(session, self.work.id, resource_key, **values)
            session.flush()
            lifecycle.publish(session, self.work)

        self.env.database.write(write)

    def stream(self) -> AbstractContextManager[None]:
        """Around what moves a resource's bytes: only so many may in one process, because of the memory it takes."""
        if self.work.kind is OperationType.DELETE:
            return nullcontext()
        return self.env.streams.place(self.work.owner_project, self.hold.check)


def leftovers(session: orm.Session, operation_id: str, *, temporary_only: bool) -> list[str]:
    """What the journal says is still there, for people."""
    return [
        f"{entry.role} {entry.cloud_id or entry.name} of {entry.resource_key}"
        for entry in operations.journal(session, operation_id)
        if not (temporary_only and entry.keep)
    ]
