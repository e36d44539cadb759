"""Queue of operations as requests see it: the operation, its flow and its credential are written in one transaction."""

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like import logs
from karbor_like.context import RequestContext
from karbor_like.db import operations
from karbor_like.db.models import Checkpoint, Operation
from karbor_like.domain import states
from karbor_like.domain.operation import OperationType
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.operation import spec

LOG = logging.getLogger(__name__)


class Queue:
    """Adds operations, and wakes those who run them.

    :param wake: tells the services that operations are queued; may be lost, because the services also poll
    """

    def __init__(self, env: ServiceContext, wake: Callable[[RequestContext], None]) -> None:
        self._env = env
        self.wake = wake

    def add(
        self,
        session: orm.Session,
        context: RequestContext,
        kind: OperationType,
        of: Checkpoint,
        *,
        hooks: Mapping[str, Sequence[str]],
        parameters: Mapping[str, Any],
        target: str | None = None,
        restore_auth: Mapping[str, Any] | None = None,
        resources: Sequence[str] | None = None,
        dry_run: bool = False,
        with_plan: bool = False,
        **columns: Any,
    ) -> Operation:
        """Queue an operation in the session's transaction.

        :param of: the checkpoint that the operation creates or uses, in the status that it has without the operation
        :param hooks: hooks that the plugins have for *kind*, by resource type
        :param parameters: the tenant's
        :param target: Keystone URL of the cloud to restore to; None: this one
        :param restore_auth: credential for *target*
        :param resources: ``Type#id`` of those of the checkpoint to use; None: all
        :param dry_run: create nothing (restore)
        :param with_plan: make a plan that protects what is restored (restore)
        :param columns: of the operation's row, such as ``restore_id`` or ``source_checkpoint_id``
        """
        operation_id, statuses = str(uuid.uuid4()), states.OPERATION[kind]
        # The operation engine keeps the trust as long as the operation has a credential.
        trust = self._env.cipher.fingerprints(context.trust_id)[0] if context.trust_id else None
        self._env.flows.persistence.save(session, operation_id, f"{kind} {of.id}")
        about = logs.about(
            operation_id=operation_id,
            operation_type=kind.value,
            state="queued",
            project_id=of.project_id,
            request_id=context.request_id,
            provider_id=of.provider_id,
            checkpoint_id=of.id,
        )
        message = f"Operation {operation_id}: {kind} of checkpoint {of.id}: queued"
        sa.event.listen(session, "after_commit", lambda committed: LOG.info("%s", message, extra=about), once=True)
        return operations.OPERATIONS.insert(
            session,
            id=operation_id,
            operation_type=kind.value,
            project_id=of.project_id,
            user_id=context.user_id,
            provider_id=of.provider_id,
            plan_id=of.plan_id if kind not in (OperationType.RESTORE, OperationType.VERIFY) else None,
            checkpoint_id=of.id,
            parameters={
                "hooks": {name: list(given) for name, given in hooks.items()},
                "parameters": dict(parameters),
                "target": target,
                "resources": None if resources is None else list(resources),
                "dry_run": dry_run,
                "with_plan": with_plan,
                "request_id": context.request_id,
                "status_before": of.status,
            },
            credential=spec.encrypt(self._env.cipher, context, restore_auth),
            trust_fingerprint=trust,
            flow_id=operation_id,
            status=statuses.waiting or statuses.running,
            **columns,
        )

    def hold(self, session: orm.Session, operation: Operation) -> operations.Claim:
        """Claim an operation for this process in the transaction that queues it."""
        return operations.hold(session, operation, self._env.owner, self._env.conf.protection.lease)
