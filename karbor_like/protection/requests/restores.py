"""Requests to restore or verify a checkpoint."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm

from karbor_like import exception
from karbor_like.context import RequestContext
from karbor_like.db import checkpoints, quotas, restores, verifications
from karbor_like.db.repository import Repository
from karbor_like.domain import states
from karbor_like.domain.graph import Graph
from karbor_like.domain.operation import OperationType
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.registry.parameters import Parameters, check
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
        **request: Any,
    ) -> None:
        """See :meth:`karbor_like.rpc.protection.ProtectionClient.restore`. *restore_auth* is encrypted."""
        if self._exists(context, OperationType.RESTORE, restore_id):
            return
        auth = self._authenticate(restore_target, restore_auth) if restore_target else None
        columns = {"restore_target": restore_target}
        self._start(
            context, OperationType.RESTORE, restore_id, columns, target=restore_target, restore_auth=auth, **request
        )

    def verify(self, context: RequestContext, *, verification_id: str, **request: Any) -> None:
        """See :meth:`karbor_like.rpc.protection.ProtectionClient.verify`."""
        if not self._exists(context, OperationType.VERIFY, verification_id):
            self._start(context, OperationType.VERIFY, verification_id, {}, **request)

    def _exists(self, context: RequestContext, kind: OperationType, request_id: str) -> bool:
        with self._env.database.reader() as session:
            return _REPOSITORIES[kind].find(session, request_id, context.project_id) is not None

    def _authenticate(self, target: str, encrypted: str | None) -> Mapping[str, Any]:
        """Decrypt the credential for another cloud and sign in with it, to refuse a wrong address or password now."""
        if encrypted is None:
            raise exception.InvalidInput(f"restore_target {target!r} needs a restore_auth for it")
        auth = self._env.cipher.decrypt(encrypted)
        self._env.clients.for_target(target, auth)
        return auth

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
        **details: Any,
    ) -> None:
        """Insert the row of the request and queue its operation in one transaction.

        :param columns: further columns of the row
        :param details: of the operation, see :meth:`Queue.add`
        """
        repository, provider = _REPOSITORIES[kind], self._env.providers.get(provider_id)
        project_id = str(context.project_id)
        types, root = self._env.protectables.types(), f"{repository.noun}.parameters"
        options = check(parameters, provider.schemas(kind.value), types, root=root, strict=True)

        def write(session: orm.Session) -> None:
            quotas.lock(session, project_id)
            # The lock serializes this with a deletion of the checkpoint, and with a repeat of this request.
            checkpoint = checkpoints.get(session, checkpoint_id, provider.id, context.scope, lock=True)
            if repository.find(session, request_id, context.project_id) is not None:
                return
            if checkpoint.status != states.AVAILABLE:
                raise exception.CheckpointNotAvailable(
                    f"{repository.noun}.checkpoint_id: checkpoint {checkpoint_id} is {checkpoint.status!r}, not 'available'"
                )
            quotas.enforce(session, project_id, f"{repository.noun}s", dict(self._env.conf.quota))
            hooks = provider.hooks(kind, (node.type for node in Graph.from_text(checkpoint.resource_graph).nodes))
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
