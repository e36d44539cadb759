"""Requests to restore or verify a checkpoint."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import orm

from karbor_like import exception
from karbor_like.clients.factory import Clients
from karbor_like.context import RequestContext
from karbor_like.db import checkpoints, locks, quotas, restores, verifications
from karbor_like.db.repository import Repository
from karbor_like.domain import states
from karbor_like.domain.graph import Graph
from karbor_like.domain.operation import OperationType
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.operation import deployers
from karbor_like.protection.registry.parameters import Parameters, check, spread
from karbor_like.protection.registry.providers import Deployer
from karbor_like.protection.requests.queue import Queue

_REPOSITORIES: Mapping[OperationType, Repository[Any]] = {
    OperationType.RESTORE: restores.RESTORES,
    OperationType.VERIFY: verifications.VERIFICATIONS,
}


class Restores:
    """RPC calls about restores and verifications."""

    def __init__(self, env: ServiceContext, queue: Queue) -> None:
        self._env = env
        self._queue = queue

    def restore(
        self,
        context: RequestContext,
        *,
        restore_id: str,
        restore_target: str | None,
        restore_auth: str | None,
        dry_run: bool = False,
        with_plan: bool = False,
        **request: Any,
    ) -> None:
        """See :meth:`karbor_like.rpc.protection.ProtectionClient.restore`. *restore_auth* is encrypted."""
        if self._exists(context, OperationType.RESTORE, restore_id):
            return
        if with_plan and restore_target and not self._env.clients.is_here(restore_target):
            raise exception.InvalidInput(
                f"restore.with_plan: a plan is made at this site, and cannot protect what is restored in {restore_target!r};"
                " restore the checkpoint at the site there, or leave with_plan out"
            )
        auth, clients = self._authenticate(restore_target, restore_auth) if restore_target else (None, None)
        self._check_deployer(context, clients, request["provider_id"], request["checkpoint_id"])
        columns = {"restore_target": restore_target, "dry_run": dry_run}
        details: dict[str, Any] = {
            "target": restore_target,
            "restore_auth": auth,
            "dry_run": dry_run,
            "with_plan": with_plan,
        }
        self._start(context, OperationType.RESTORE, restore_id, columns, **details, **request)

    def verify(self, context: RequestContext, *, verification_id: str, **request: Any) -> None:
        """See :meth:`karbor_like.rpc.protection.ProtectionClient.verify`."""
        if not self._exists(context, OperationType.VERIFY, verification_id):
            self._start(context, OperationType.VERIFY, verification_id, {}, **request)

    def _exists(self, context: RequestContext, kind: OperationType, request_id: str) -> bool:
        with self._env.database.reader() as session:
            return _REPOSITORIES[kind].find(session, request_id, context.project_id) is not None

    def _authenticate(self, target: str, encrypted: str | None) -> tuple[Mapping[str, Any], Clients]:
        """Decrypt the credential for another cloud and sign in with it, to refuse a wrong address or password now."""
        if encrypted is None:
            raise exception.InvalidInput(f"restore_target {target!r} needs a restore_auth for it")
        auth = self._env.cipher.decrypt(encrypted)
        return auth, self._env.clients.for_target(target, auth)

    def _check_deployer(
        self, context: RequestContext, target: Clients | None, provider_id: str, checkpoint_id: str
    ) -> None:
        """Refuse a restore whose servers and networks only Heat may create, if Heat cannot.

        :param target: act in another cloud, with a password

        Raises InvalidInput that says why and what to do.
        """
        provider = self._env.providers.get(provider_id)
        if provider.deployer is not Deployer.HEAT:
            return
        with self._env.database.reader() as session:
            checkpoint = checkpoints.get(session, checkpoint_id, provider.id, context.scope)
        types = {node.type for node in Graph.from_text(checkpoint.resource_graph).nodes}
        if not any("contribute" in hooks for hooks in provider.hooks(OperationType.RESTORE, types).values()):
            return
        clients = target or self._env.clients.for_context(context)
        reason = self._env.waiter.call(
            lambda: deployers.obstacle(
                clients, self._env.clock, timeout=self._env.waiter.timeout, has_password=target is not None
            )
        )
        if reason:
            raise exception.InvalidInput(
                f"restore.provider_id: provider {provider.name!r} restores servers and networks by Heat, which cannot be"
                f" used: {reason}; otherwise, use a provider with another deployer"
            )

    def _start(
        self,
        context: RequestContext,
        kind: OperationType,
        request_id: str,
        columns: Mapping[str, Any],
        *,
        provider_id: str,
        checkpoint_id: str,
        parameters: Parameters,
        resources: Sequence[str] | None = None,
        with_children: bool = True,
        **details: Any,
    ) -> None:
        """Insert the row of the request and queue its operation in one transaction.

        :param columns: further columns of the row
        :param resources: ``Type#id`` of those to read; None: all
        :param with_children: whether to read everything below *resources* as well
        :param details: of the operation, see :meth:`Queue.add`
        """
        repository, provider = _REPOSITORIES[kind], self._env.providers.get(provider_id)
        project_id = str(context.project_id)
        types, root = self._env.protectables.ids(), f"{repository.noun}.parameters"
        schemas = provider.schemas(kind.value)
        options = check(spread(parameters, schemas, root=root), schemas, types, root=root, strict=True)

        def write(session: orm.Session) -> None:
            locks.take(session, project_id)
            # The lock serializes this with a deletion of the checkpoint, and with a repeat of this request.
            checkpoint = checkpoints.get(session, checkpoint_id, provider.id, context.scope, lock=True)
            if repository.find(session, request_id, context.project_id) is not None:
                return
            if checkpoint.status != states.AVAILABLE:
                raise exception.CheckpointNotAvailable(
                    f"{repository.noun}.checkpoint_id: checkpoint {checkpoint_id} is {checkpoint.status!r}, not 'available'"
                )
            quotas.enforce(session, project_id, f"{repository.noun}s", dict(self._env.conf.quota))
            graph = Graph.from_text(checkpoint.resource_graph)
            if resources is not None:
                graph = graph.part(resources, with_children=with_children, root="restore.resources")
                details["resources"] = [node.key for node in graph.nodes]
            hooks = provider.hooks(kind, (node.type for node in graph.nodes))
            repository.insert(
                session,
                id=request_id,
                project_id=context.project_id,
                provider_id=provider.id,
                checkpoint_id=checkpoint_id,
                parameters=options,
                status=states.IN_PROGRESS,
                **columns,
            )
            link: dict[str, Any] = {f"{repository.noun}_id": request_id}
            self._queue.add(session, context, kind, checkpoint, hooks=hooks, parameters=options, **link, **details)

        self._env.database.write(write)
        self._queue.wake(context)
