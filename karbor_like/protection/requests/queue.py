"""Puts operations into the queue: the row, the flow and the credential in one transaction; then a hint to look."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import orm

from karbor_like.context import RequestContext
from karbor_like.db import operations
from karbor_like.db.models import Checkpoint
from karbor_like.domain import states
from karbor_like.domain.operation import OperationType
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.operation import spec


class Queue:
    """:param hint: tells whoever may have a free place that there is something to do; may be lost"""

    def __init__(self, env: ServiceContext, hint: Callable[[RequestContext], None]) -> None:
        self._env = env
        self.hint = hint

    def add(
        self, session: orm.Session, context: RequestContext, kind: OperationType, of: Checkpoint, **details: Any
    ) -> str:
        """Queue an operation in *session*'s transaction; *details* as in :meth:`add_held`. Returns its id."""
        return operations.OPERATIONS.insert(session, **self._values(session, context, kind, of, **details)).id

    def add_held(
        self,
        session: orm.Session,
        context: RequestContext,
        kind: OperationType,
        of: Checkpoint,
        *,
        hooks: Mapping[str, Sequence[str]],
        parameters: Mapping[str, Any],
        **details: Any,
    ) -> operations.Claim:
        """As :meth:`add`, but this process holds the operation until it releases it.

        :param of: the checkpoint it is about
        :param hooks: resource type -> hooks that its plugin has for *kind*
        :param parameters: the tenant's
        :param details: ``restore_id``, ``verification_id``, ``scheduled_operation_id``; ``target`` and ``restore_auth`` for a
            restore elsewhere; ``source_checkpoint_id`` and ``created_at`` for a copy
        """
        values = self._values(session, context, kind, of, hooks=hooks, parameters=parameters, **details)
        return operations.enqueue(session, self._env.owner, self._env.conf.protection.lease, **values)

    def _values(
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
        **columns: Any,
    ) -> dict[str, Any]:
        operation_id, statuses = str(uuid.uuid4()), states.OPERATION[kind]
        self._env.flows.persistence.save(session, operation_id, f"{kind} {of.id}")
        return {
            "id": operation_id,
            "operation_type": str(kind),
            "project_id": of.project_id,
            "user_id": context.user_id,
            "provider_id": of.provider_id,
            "plan_id": of.plan_id if kind not in (OperationType.RESTORE, OperationType.VERIFY) else None,
            "checkpoint_id": of.id,
            "parameters": {
                "hooks": {name: list(given) for name, given in hooks.items()},
                "parameters": dict(parameters),
                "target": target,
                "request_id": context.request_id,
            },
            "credential": spec.encrypt(self._env.cipher, context, restore_auth),
            "flow_id": operation_id,
            "status": statuses.waiting or statuses.running,
            **columns,
        }
