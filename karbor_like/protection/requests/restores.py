"""Restores and verifications on request: the row stands already; check, queue, or say in the row why not."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import orm

from karbor_like import exception
from karbor_like.context import RequestContext
from karbor_like.db import checkpoints, operations, restores, verifications
from karbor_like.db.models import Checkpoint, Restore, Verification
from karbor_like.db.repository import Repository
from karbor_like.domain import states
from karbor_like.domain.graph import Graph
from karbor_like.domain.operation import OperationType
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.operation import lifecycle
from karbor_like.protection.registry import parameters
from karbor_like.protection.requests.queue import Queue

_REQUESTS: Mapping[OperationType, Repository[Any]] = {
    OperationType.RESTORE: restores.RESTORES,
    OperationType.VERIFY: verifications.VERIFICATIONS,
}


class Restores:
    """The calls that are about restores and verifications."""

    def __init__(self, env: ServiceContext, queue: Queue) -> None:
        self._env = env
        self._queue = queue

    def restore(self, context: RequestContext, *, restore_id: str, restore_auth: str | None) -> None:
        """See :meth:`karbor_like.rpc.protection.ProtectionClient.restore`; *restore_auth* is encrypted."""
        with self._env.database.reader() as session:
            row = restores.RESTORES.get(session, restore_id)
        with self._refusing(OperationType.RESTORE, restore_id):
            # Without a target it is the account in this cloud that some clients always send; the token says who that is.
            auth = self._env.cipher.decrypt(restore_auth) if restore_auth and row.restore_target else None
            if row.restore_target:
                if not auth:
                    raise exception.InvalidInput(f"restore_target {row.restore_target!r} needs a restore_auth for it")
                # Signs in, so that a wrong address or password is said now.
                self._env.clients.for_target(row.restore_target, auth)
            self._begin(
                context,
                OperationType.RESTORE,
                row,
                "restore",
                restore_id=restore_id,
                target=row.restore_target,
                restore_auth=auth,
            )

    def verify(self, context: RequestContext, *, verification_id: str) -> None:
        """See :meth:`karbor_like.rpc.protection.ProtectionClient.verify`."""
        with self._env.database.reader() as session:
            row = verifications.VERIFICATIONS.get(session, verification_id)
        with self._refusing(OperationType.VERIFY, verification_id):
            self._begin(context, OperationType.VERIFY, row, "verify", verification_id=verification_id)

    @contextmanager
    def _refusing(self, kind: OperationType, object_id: str) -> Iterator[None]:
        try:
            yield
        except exception.KarborLikeError as error:
            lifecycle.refuse(self._env, kind, object_id, error)
            raise

    def _begin(
        self, context: RequestContext, kind: OperationType, row: Restore | Verification, schema: str, **details: Any
    ) -> None:
        provider = self._env.providers.get(row.provider_id)
        parameters.check(row.parameters, provider.schemas(schema), schema)

        def write(session: orm.Session) -> None:
            # A second call for one row is the same request again: it is running, or it has run. The lock makes of two at
            # once one that comes second. Whoever asked may have withdrawn the row, or have been told that it failed.
            now = _REQUESTS[kind].get(session, row.id, lock=True)
            ids = {name: value for name, value in details.items() if name in ("restore_id", "verification_id")}
            if now.status != states.IN_PROGRESS or operations.latest_of(session, **ids) is not None:
                return
            # The lock: whoever deletes the checkpoint sees this operation, or this sees the deletion.
            checkpoint = self._visible(context, provider.id, session, row.checkpoint_id)
            if checkpoint.status != states.AVAILABLE:
                raise exception.CheckpointNotAvailable(
                    f"checkpoint {checkpoint.id} is {checkpoint.status!r}; only an available one can be used"
                )
            hooks = provider.hooks(kind, (node.type for node in Graph.from_text(checkpoint.resource_graph).nodes))
            self._queue.add(session, context, kind, checkpoint, hooks=hooks, parameters=_own(row.parameters), **details)

        self._env.database.write(write)
        self._queue.hint(context)

    def _visible(
        self, context: RequestContext, provider_id: str, session: orm.Session, checkpoint_id: str
    ) -> Checkpoint:
        checkpoint = checkpoints.CHECKPOINTS.find(session, checkpoint_id, lock=True)
        if (
            checkpoint is None
            or checkpoint.provider_id != provider_id
            or not (context.is_admin or checkpoint.project_id == context.project_id)
        ):
            raise exception.CheckpointNotFound(f"checkpoint {checkpoint_id} could not be found")
        return checkpoint


def _own(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters without what was not given: clients send nulls and empty texts for what they know of."""
    return {
        key: {name: value for name, value in (options or {}).items() if value not in (None, "")}
        for key, options in given.items()
    }
