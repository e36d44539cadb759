"""Requests to create, delete and reset checkpoints."""

import contextlib
import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from oslo_db import exception as db_exception
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.context import RequestContext
from karbor_like.db import checkpoints, locks, operations, plans, quotas, scheduled_operations
from karbor_like.db.models import Checkpoint, Plan
from karbor_like.domain import coercion, left_out, planned, states
from karbor_like.domain.graph import Graph
from karbor_like.domain.operation import CREATING, OperationType
from karbor_like.domain.resource import PROJECT, Resource
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.flows import protect
from karbor_like.protection.operation import lifecycle, spec
from karbor_like.protection.operation.claim import ActiveClaim
from karbor_like.protection.registry.providers import Provider
from karbor_like.protection.requests.queue import Queue

LOG = logging.getLogger(__name__)

_CREATED_BY = {"created_by": "manual"}

#: Member of ``extra_info`` by which planned resources that do not exist are left out. Old clients can send it there.
_SKIP_MISSING = "skip_missing"

#: Maximum length of a message about all resources of a plan, in characters.
_MAX_MESSAGE = 4000


class Checkpoints:
    """RPC calls about checkpoints."""

    def __init__(self, env: ServiceContext, queue: Queue) -> None:
        self._env = env
        self._queue = queue

    def protect(
        self,
        context: RequestContext,
        *,
        checkpoint_id: str,
        plan_id: str,
        provider_id: str,
        extra_info: Mapping[str, Any],
    ) -> None:
        """See :meth:`karbor_like.rpc.protection.ProtectionClient.protect`."""
        with self._env.database.reader() as session:
            if checkpoints.CHECKPOINTS.find(session, checkpoint_id, context.scope) is not None:
                return
            plan = plans.get(session, plan_id, provider_id, context.scope)
        provider = self._env.providers.get(provider_id)
        _check_project(context, plan)
        graph, without = self._walk(context, plan, provider, skip_missing=_is_true(extra_info.get(_SKIP_MISSING)))
        hooks = provider.hooks(OperationType.PROTECT, (node.type for node in graph.nodes))
        recorded = left_out.recorded(_planned(plan, provider), without)
        claim = self._add(context, plan, recorded, graph, hooks, extra_info, checkpoint_id)
        if claim is not None:
            self._create_in_bank(checkpoint_id, claim)
            self._queue.wake(context)

    def _walk(
        self, context: RequestContext, plan: Plan, provider: Provider, *, skip_missing: bool
    ) -> tuple[Graph, list[Resource]]:
        """Return what to protect, and the resources that are left out, each with its obstacle."""
        planned = [Resource.from_dict(resource) for resource in plan.resources]
        if not planned:
            raise exception.PlanEmpty(f"plan {plan.id} has no resources")
        clients = self._env.clients.for_context(context)
        try:
            graph, without = self._env.protectables.walk(clients, planned, skip_missing=skip_missing)
        except exception.ResourceNotFound as error:
            raise exception.ResourceNotFound(
                f"{error.message}. Remove what does not exist from the plan, or protect the plan with the extra_info"
                f" {_SKIP_MISSING}=true to leave it out"
            ) from error
        unsupported = _unsupported(provider, graph, planned)
        rest = graph.without(unsupported)
        if not rest.nodes:
            texts = [f"{resource.key}: {resource.obstacle}" for resource in (*without, *unsupported)]
            raise exception.PlanEmpty(f"plan {plan.id} has nothing to protect: {'; '.join(texts)}"[:_MAX_MESSAGE])
        return rest, [*without, *(resource for resource in unsupported if resource.type != PROJECT)]

    def _add(
        self,
        context: RequestContext,
        plan: Plan,
        planned: Mapping[str, Any],
        graph: Graph,
        hooks: Mapping[str, Sequence[str]],
        extra_info: Mapping[str, Any],
        checkpoint_id: str,
    ) -> operations.Claim | None:
        """Insert a checkpoint and its operation, and hold the operation. Return None if the checkpoint exists."""

        def write(session: orm.Session) -> operations.Claim | None:
            # The lock serializes this with a repeat of this request.
            locks.take(session, plan.project_id)
            if checkpoints.CHECKPOINTS.find(session, checkpoint_id, context.scope) is not None:
                return None
            quotas.enforce(session, plan.project_id, "checkpoints", dict(self._env.conf.quota))
            row = checkpoints.CHECKPOINTS.insert(
                session,
                id=checkpoint_id,
                project_id=plan.project_id,
                provider_id=plan.provider_id,
                plan_id=plan.id,
                status=states.PROTECTING,
                plan=dict(planned),
                resource_graph=graph.to_text(),
                extra_info=dict(extra_info) or _CREATED_BY,
            )
            operation = self._queue.add(
                session,
                context,
                OperationType.PROTECT,
                row,
                hooks=hooks,
                parameters=plan.parameters,
                scheduled_operation_id=_scheduled_by(session, extra_info, plan.project_id),
            )
            return self._queue.hold(session, operation)

        return self._env.database.write(write)

    def _create_in_bank(self, checkpoint_id: str, claim: operations.Claim) -> None:
        """Begin the checkpoint in the bank before the call answers. The first task of the flow completes its creation."""
        env = self._env
        active = ActiveClaim(claim, env.clock, env.clock.monotonic(), env.conf.protection.lease)
        operation, _, _ = spec.load(env.database, claim)
        bank = env.providers.get(operation.provider_id).bank
        try:
            with bank.leases.acquire(holder=f"{env.owner} creates {checkpoint_id}") as lease:
                bank.checkpoints.begin(protect.record(operation), lease)
        except exception.KarborLikeError as error:
            reason = f"the checkpoint could not be created: {exception.public_text(error)}"
            try:
                lifecycle.finish(env, operation, active, [reason], done=False)
            except exception.LeaseLost as lost:
                LOG.warning("%s; another service continues after: %s", lost, reason)
                return
            # Only now, because no other process creates the checkpoint any more.
            with contextlib.suppress(exception.KarborLikeError):
                bank.checkpoints.event(checkpoint_id, states.ERROR)
            raise
        try:
            env.database.write(lambda session: operations.release(session, claim))
        except db_exception.DBError as error:
            LOG.warning("Operation %s waits until its lease expires: %s", claim.operation_id, error)

    def delete(self, context: RequestContext, *, provider_id: str, checkpoint_id: str, with_hooks: bool = True) -> None:
        """See :meth:`karbor_like.rpc.protection.ProtectionClient.delete_checkpoint`.

        :param with_hooks: whether plugins delete what they stored outside the bank, which needs the caller's credential
        """
        provider = self._env.providers.get(provider_id)

        def write(session: orm.Session) -> None:
            row = checkpoints.get(session, checkpoint_id, provider.id, context.scope, lock=True)
            if _cancel_creation(session, checkpoint_id):
                return
            _check_unused(session, checkpoint_id)
            states.CHECKPOINT.check(checkpoint_id, row.status, states.DELETING)
            hooks = _deletion_hooks(provider, row) if with_hooks else {}
            self._queue.add(session, context, OperationType.DELETE, row, hooks=hooks, parameters={})
            lifecycle.move_checkpoint(session, checkpoint_id, states.DELETING, reason=None)

        self._env.database.write(write)
        self._queue.wake(context)

    def reset(self, context: RequestContext, *, provider_id: str, checkpoint_id: str, state: str) -> None:
        """See :meth:`karbor_like.rpc.protection.ProtectionClient.reset_checkpoint`."""
        bank = self._env.providers.get(provider_id).bank
        with self._env.database.writer() as session:
            row = checkpoints.get(session, checkpoint_id, provider_id, context.scope, lock=True)
            if row.status not in states.RESETTABLE:
                raise exception.WrongState(
                    f"checkpoint {checkpoint_id} is {row.status!r}; its state can only be reset from "
                    f"{', '.join(sorted(states.RESETTABLE))}"
                )
            _check_unused(session, checkpoint_id)
            expected = {"status": row.status, "updated_at": row.updated_at}
            plan = row.plan
        # The bank is the source of truth. A status that it refuses is not recorded: a checkpoint that was never completed
        # cannot become available. This is done outside of a transaction, because the bank checks all objects that the
        # checkpoint needs, and other writers would have to wait for that.
        bank.checkpoints.event(checkpoint_id, state)
        reason = left_out.describe(plan) if state == states.AVAILABLE else "reset by request"
        values = {"status": state, "reason": reason}
        if self._env.database.write(
            lambda session: checkpoints.CHECKPOINTS.update(session, checkpoint_id, values, expected)
        ):
            return
        with self._env.database.reader() as session:
            now = checkpoints.get(session, checkpoint_id, provider_id, context.scope).status
        if now in (states.DELETING, states.ERROR_DELETING):
            # The last event in the bank must not say that the checkpoint is complete.
            with contextlib.suppress(exception.KarborLikeError):
                bank.checkpoints.event(checkpoint_id, now)
        raise exception.Conflict(f"checkpoint {checkpoint_id} became {now!r} meanwhile")


def _cancel_creation(session: orm.Session, checkpoint_id: str) -> bool:
    """Cancel the operation that is creating a checkpoint. Return whether there is one."""
    unfinished = operations.unfinished_of(session, checkpoint_id=checkpoint_id)
    creating = [operation for operation in unfinished if operation.operation_type in CREATING]
    for operation in creating:
        operations.request_cancel(session, operation.id)
    return bool(creating)


def _check_unused(session: orm.Session, checkpoint_id: str) -> None:
    """Check that no operation uses a checkpoint. Its row must be locked.

    :raises CheckpointInUse: naming the operation
    """
    for operation in operations.using(session, checkpoint_id):
        is_source = operation.source_checkpoint_id == checkpoint_id
        copy = f" to checkpoint {operation.checkpoint_id}" if is_source else ""
        raise exception.CheckpointInUse(
            f"checkpoint {checkpoint_id} is in use by a running {operation.operation_type}{copy} (operation {operation.id})"
        )


def _deletion_hooks(provider: Provider, row: Checkpoint) -> dict[str, list[str]]:
    """Return the hooks of a deletion. A type that no plugin deletes has nothing outside the bank."""
    types = {node.type for node in Graph.from_text(row.resource_graph).nodes}
    deleted = (
        name
        for name in types
        if name in provider.plugins and provider.plugins[name].operation(OperationType.DELETE, name)
    )
    return provider.hooks(OperationType.DELETE, deleted)


def _unsupported(provider: Provider, graph: Graph, planned: Sequence[Resource]) -> list[Resource]:
    """Return the resources of a graph that are left out because the provider has no plugin for them, with that as obstacle.

    A resource that the plan names is not among them, unless it is a project, which has no data of its own.
    """
    named, found = frozenset(planned), []
    for node in graph.nodes:
        if node not in named or node.type == PROJECT:
            try:
                provider.operation(OperationType.PROTECT, node.type)
            except exception.Unsupported as error:
                found.append(dataclasses.replace(node, obstacle=exception.public_text(error)))
    return found


def _is_true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and bool(coercion.boolean(value)))


def _check_project(context: RequestContext, plan: Plan) -> None:
    """Refuse administrators with a token for another project than the plan's.

    The resources of a plan are looked up in the project of the token, and temporary volumes and images are created there.
    Otherwise the plan of one project would be protected with the resources of another.
    """
    if context.project_id != plan.project_id:
        raise exception.NotAuthorized(
            f"plan {plan.id} belongs to project {plan.project_id}: use a token for that project, because resources are "
            f"looked up in the project of the token ({context.project_id})"
        )


def _scheduled_by(session: orm.Session, extra_info: Mapping[str, Any], project_id: str) -> str | None:
    """Return the scheduled operation that *extra_info* names if it is the project's: a tenant may write any id there."""
    named = extra_info.get("scheduled_operation_id")
    if not isinstance(named, str):
        return None
    row = scheduled_operations.SCHEDULED_OPERATIONS.find(session, named, project_id)
    return row.id if row else None


def _planned(plan: Plan, provider: Provider) -> dict[str, Any]:
    """Return the plan of a checkpoint: see :mod:`karbor_like.domain.planned`. ``extra_info`` of resources is a JSON text."""
    resources = [
        {
            "id": resource["id"],
            "type": resource["type"],
            "name": resource.get("name") or "",
            "extra_info": json.dumps(resource["extra_info"]) if resource.get("extra_info") else None,
        }
        for resource in plan.resources
    ]
    return {
        "id": plan.id,
        "name": plan.name,
        "provider_id": plan.provider_id,
        "resources": resources,
        planned.DESCRIPTION: plan.description,
        planned.PARAMETERS: planned.storable(plan.parameters, provider.schemas("options")),
    }
