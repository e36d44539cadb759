"""RPC endpoint of the protection service. :class:`karbor_like.rpc.protection.ProtectionClient` documents the calls."""

from collections.abc import Callable
from typing import Any

import oslo_messaging

from karbor_like import exception
from karbor_like.context import RequestContext
from karbor_like.db import operations
from karbor_like.domain.operation import OperationType
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.executor import Executor
from karbor_like.protection.registry.parameters import Parameters, check
from karbor_like.protection.requests.checkpoints import Checkpoints
from karbor_like.protection.requests.copies import Copies
from karbor_like.protection.requests.queue import Queue
from karbor_like.protection.requests.restores import Restores
from karbor_like.rpc import protection
from karbor_like.rpc.server import rpc_method


class Endpoint:
    """Every public method answers an RPC call. Arguments and results are JSON.

    :param wake: called after operations were queued or cancelled
    """

    target = oslo_messaging.Target(version=protection.VERSION)

    def __init__(self, env: ServiceContext, executor: Executor, wake: Callable[[RequestContext], None]) -> None:
        self._env = env
        self._executor = executor
        queue = Queue(env, wake)
        self._checkpoints = Checkpoints(env, queue)
        self._copies = Copies(env, queue)
        self._restores = Restores(env, queue)

    @rpc_method
    def ping(self, context: RequestContext) -> dict[str, Any]:
        self._env.database.ping()
        return {"host": self._env.conf.service.host}

    @rpc_method
    def wake(self, context: RequestContext) -> None:
        self._executor.wake()

    @rpc_method
    def check_plan(
        self, context: RequestContext, provider_id: str, resource_types: list[str], parameters: Parameters
    ) -> dict[str, dict[str, Any]]:
        provider = self._env.providers.get(provider_id)
        provider.check_types(OperationType.PROTECT, resource_types)
        types = self._env.protectables.ids()
        return check(parameters, provider.schemas("options"), types, root="plan.parameters", strict=False)

    @rpc_method
    def protect(self, context: RequestContext, **arguments: Any) -> None:
        self._checkpoints.protect(context, **arguments)

    @rpc_method
    def delete_checkpoint(self, context: RequestContext, **arguments: Any) -> None:
        self._checkpoints.delete(context, **arguments)

    @rpc_method
    def reset_checkpoint(self, context: RequestContext, **arguments: Any) -> None:
        self._checkpoints.reset(context, **arguments)

    @rpc_method
    def restore(self, context: RequestContext, **arguments: Any) -> None:
        self._restores.restore(context, **arguments)

    @rpc_method
    def verify(self, context: RequestContext, **arguments: Any) -> None:
        self._restores.verify(context, **arguments)

    @rpc_method
    def copy(self, context: RequestContext, **arguments: Any) -> dict[str, Any]:
        return self._copies.copy(context, **arguments)

    @rpc_method
    def cancel(self, context: RequestContext, operation_id: str) -> None:
        def write(session: Any) -> bool:
            operations.OPERATIONS.get(session, operation_id, context.scope)
            return operations.request_cancel(session, operation_id)

        if not self._env.database.write(write):
            raise exception.OperationEnded(f"operation {operation_id} has ended")
        self._executor.wake()

    @rpc_method
    def list_providers(self, context: RequestContext) -> list[dict[str, Any]]:
        return [provider.to_dict() for provider in self._env.providers.list()]

    @rpc_method
    def show_provider(self, context: RequestContext, provider_id: str) -> dict[str, Any]:
        return self._env.providers.get(provider_id).to_dict()

    @rpc_method
    def list_protectables(self, context: RequestContext) -> list[str]:
        return self._env.protectables.types()

    @rpc_method
    def show_protectable(self, context: RequestContext, resource_type: str) -> dict[str, Any]:
        return self._env.protectables.to_dict(resource_type)

    @rpc_method
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

    @rpc_method
    def show_instance(
        self, context: RequestContext, resource_type: str, resource_id: str, parameters: dict[str, Any]
    ) -> dict[str, Any]:
        clients = self._env.clients.for_context(context)
        return self._env.protectables.instance(clients, resource_type, resource_id, parameters)
