"""What the protection service answers over RPC: see :class:`karbor_like.rpc.protection.ProtectionClient` for the calls."""

import functools
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import oslo_messaging

from karbor_like import exception
from karbor_like.context import RequestContext
from karbor_like.db import operations
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.executor import Executor
from karbor_like.protection.requests.checkpoints import Checkpoints
from karbor_like.protection.requests.copies import Copies
from karbor_like.protection.requests.queue import Queue
from karbor_like.protection.requests.restores import Restores
from karbor_like.rpc import protection

LOG = logging.getLogger(__name__)
F = TypeVar("F", bound=Callable[..., Any])


def answers(method: F) -> F:
    """An RPC method: the project's own errors travel as classes of ``exception.py``, without a stack in the log."""

    @functools.wraps(method)
    def wrapper(self: "Endpoint", context: RequestContext, **arguments: Any) -> Any:
        # oslo.log takes the request id and the tenant of each line from here.
        context.update_store()
        try:
            return method(self, context, **arguments)
        except exception.KarborLikeError as error:
            LOG.info("%s is refused: %s", method.__name__, error.message)
            # A family's own error is sent as what it is derived from: callers do not know every family.
            kind = next(kind for kind in type(error).__mro__ if kind.__module__ == exception.__name__)
            try:
                raise kind(error.message) from error
            except exception.KarborLikeError:
                raise oslo_messaging.ExpectedException from None

    return wrapper  # type: ignore[return-value]


class Endpoint:
    """Each public method is an RPC call; arguments and answers are JSON."""

    target = oslo_messaging.Target(version=protection.VERSION)

    def __init__(self, env: ServiceContext, executor: Executor, hint: Callable[[RequestContext], None]) -> None:
        self._env = env
        self._executor = executor
        queue = Queue(env, hint)
        self._checkpoints = Checkpoints(env, queue)
        self._copies = Copies(env, queue)
        self._restores = Restores(env, queue)

    @answers
    def ping(self, context: RequestContext) -> dict[str, Any]:
        self._env.database.ping()
        return {"host": self._env.conf.service.host}

    @answers
    def look(self, context: RequestContext) -> None:
        self._executor.wake()

    @answers
    def protect(self, context: RequestContext, **arguments: Any) -> dict[str, Any]:
        return self._checkpoints.protect(context, **arguments)

    @answers
    def list_checkpoints(self, context: RequestContext, **arguments: Any) -> list[dict[str, Any]]:
        return self._checkpoints.list(context, **arguments)

    @answers
    def show_checkpoint(self, context: RequestContext, **arguments: Any) -> dict[str, Any]:
        return self._checkpoints.show(context, **arguments)

    @answers
    def delete_checkpoint(self, context: RequestContext, **arguments: Any) -> None:
        self._checkpoints.delete(context, **arguments)

    @answers
    def reset_checkpoint(self, context: RequestContext, **arguments: Any) -> None:
        self._checkpoints.reset(context, **arguments)

    @answers
    def restore(self, context: RequestContext, **arguments: Any) -> None:
        self._restores.restore(context, **arguments)

    @answers
    def verify(self, context: RequestContext, **arguments: Any) -> None:
        self._restores.verify(context, **arguments)

    @answers
    def copy(self, context: RequestContext, **arguments: Any) -> dict[str, Any]:
        return self._copies.copy(context, **arguments)

    @answers
    def cancel(self, context: RequestContext, operation_id: str) -> None:
        def write(session: Any) -> bool:
            project_id = None if context.is_admin else context.project_id
            operations.OPERATIONS.get(session, operation_id, project_id)
            return operations.request_cancel(session, operation_id)

        if not self._env.database.write(write):
            raise exception.OperationEnded(f"operation {operation_id} has ended")
        self._executor.wake()

    @answers
    def list_providers(self, context: RequestContext) -> list[dict[str, Any]]:
        return [provider.to_dict() for provider in self._env.providers.list()]

    @answers
    def show_provider(self, context: RequestContext, provider_id: str) -> dict[str, Any]:
        return self._env.providers.get(provider_id).to_dict()

    @answers
    def list_protectables(self, context: RequestContext) -> list[str]:
        return self._env.protectables.types()

    @answers
    def show_protectable(self, context: RequestContext, resource_type: str) -> dict[str, Any]:
        return self._env.protectables.to_dict(resource_type)

    @answers
    def list_instances(
        self,
        context: RequestContext,
        resource_type: str,
        parameters: dict[str, Any],
        limit: int | None,
        marker: str | None,
    ) -> list[dict[str, Any]]:
        clients = self._env.clients.for_context(context)
        return self._env.protectables.instances(clients, resource_type, parameters, limit=limit, marker=marker)

    @answers
    def show_instance(
        self, context: RequestContext, resource_type: str, resource_id: str, parameters: dict[str, Any]
    ) -> dict[str, Any]:
        clients = self._env.clients.for_context(context)
        return self._env.protectables.instance(clients, resource_type, resource_id, parameters)
