"""Requests to copy checkpoints of a plan to another provider: a row and an operation for each copy."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import orm

from karbor_like import exception
from karbor_like.context import RequestContext
from karbor_like.db import checkpoints, locks, plans, quotas
from karbor_like.db import session as db_session
from karbor_like.db.models import Checkpoint, Plan
from karbor_like.domain import copies, states
from karbor_like.domain.graph import Graph
from karbor_like.domain.operation import OperationType
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.registry.parameters import Parameters, check
from karbor_like.protection.registry.providers import Provider
from karbor_like.protection.requests.queue import Queue

#: A checkpoint that has a copy with one of these statuses is copied, or will be.
_COPIED = (states.WAIT_COPYING, states.COPYING, states.AVAILABLE)


@dataclass(frozen=True)
class _Request:
    """A request for copies.

    :param chosen: ids of checkpoints; None: every available one that is not copied yet
    :param parameters: of the plan, overridden by those of the request
    """

    id: uuid.UUID
    context: RequestContext
    plan: Plan
    source: Provider
    target: Provider
    chosen: Sequence[str] | None
    parameters: Parameters

    def copy_id(self, source_id: str) -> str:
        """Return the id of the copy of a checkpoint, which is the same for each repeat of the request."""
        return str(uuid.uuid5(self.id, source_id))


class Copies:
    """RPC call about copies."""

    def __init__(self, env: ServiceContext, queue: Queue) -> None:
        self._env = env
        self._queue = queue

    def copy(
        self,
        context: RequestContext,
        *,
        copy_id: str,
        plan_id: str,
        provider_id: str,
        target_provider_id: str | None,
        checkpoint_ids: Sequence[str] | None,
        parameters: Parameters,
    ) -> dict[str, Any]:
        """See :meth:`karbor_like.rpc.protection.ProtectionClient.copy`."""
        with self._env.database.reader() as session:
            plan = plans.get(session, plan_id, provider_id, context.scope)
        source = self._env.providers.get(provider_id)
        given = check(parameters, {}, self._env.protectables.ids(), root="copy.parameters", strict=False)
        request = _Request(
            id=uuid.UUID(copy_id),
            context=context,
            plan=plan,
            source=source,
            target=self._target(source, target_provider_id),
            chosen=checkpoint_ids,
            parameters=_merged(plan.parameters, given),
        )
        made = self._env.database.write(lambda session: self._begin(session, request))
        if made:
            self._queue.wake(context)
        return {
            "project_id": plan.project_id,
            "provider_id": source.id,
            "target_provider_id": request.target.id,
            "plan_id": plan.id,
            "checkpoint_id": [
                {"checkpoint_protect_id": source_id, "checkpoint_copy_id": request.copy_id(source_id)}
                for source_id in made
            ],
            "parameters": given,
        }

    def _target(self, source: Provider, wanted: str | None) -> Provider:
        target_id = wanted or source.copy_to
        if target_id is None:
            raise exception.InvalidInput(
                f"provider {source.id} names no other provider to copy to (copy_to): give a target_provider_id"
            )
        target = self._env.providers.get(target_id)
        if target.id == source.id:
            raise exception.InvalidInput(f"target_provider_id {target_id} is the provider that has the checkpoints")
        return target

    def _begin(self, session: orm.Session, request: _Request) -> Sequence[str]:
        """Queue the copies of a request. Return the ids of the checkpoints that it copies, now or when it was sent before."""
        plan = request.plan
        # Taken first, so that the second of two concurrent requests sees the copies of the first.
        locks.take(session, plan.project_id)
        found = checkpoints.of_plan(session, request.source.id, plan.project_id, plan.id, lock=True)
        there = checkpoints.of_plan(session, request.target.id, plan.project_id, plan.id, deleted=True)
        made = _made(request, there)
        if made:
            return made
        wanted = _missing(plan, found, there) if request.chosen is None else _chosen(plan, found, request.chosen)
        if wanted:
            quotas.enforce(session, plan.project_id, "checkpoints", dict(self._env.conf.quota), wanted=len(wanted))
        now = db_session.now(session)
        for number, row in enumerate(wanted):
            # In the order of their sources, even if the clock of the database is coarse.
            self._add(session, request, row, now + timedelta(microseconds=number))
        return [row.id for row in wanted]

    def _add(self, session: orm.Session, request: _Request, of: Checkpoint, when: datetime) -> None:
        """Insert the rows of one copy and its operation."""
        target = request.target
        row = checkpoints.CHECKPOINTS.insert(
            session,
            id=request.copy_id(of.id),
            project_id=of.project_id,
            provider_id=target.id,
            plan_id=of.plan_id,
            status=states.WAIT_COPYING,
            plan={**of.plan, "provider_id": target.id},
            resource_graph=of.resource_graph,
            extra_info=copies.extra_info(of.id, of.provider_id, of.created_at, of.extra_info),
            created_at=when,
        )
        self._queue.add(
            session,
            request.context,
            OperationType.COPY,
            row,
            hooks=_hooks(request.source, target, {node.type for node in Graph.from_text(of.resource_graph).nodes}),
            parameters=request.parameters,
            source_checkpoint_id=of.id,
            created_at=when,
        )


def _made(request: _Request, there: Sequence[Checkpoint]) -> Sequence[str]:
    """Return the ids of the checkpoints that this request has copied before."""
    sources = {row.id: copies.source_of(row.extra_info) for row in there}
    return [source_id for row_id, source_id in sources.items() if source_id and row_id == request.copy_id(source_id)]


def _missing(plan: Plan, found: Sequence[Checkpoint], there: Sequence[Checkpoint]) -> Sequence[Checkpoint]:
    """Return the available checkpoints that are not copied yet, oldest first."""
    if not found:
        raise exception.PlanNotProtected(f"plan {plan.id} has no checkpoint that could be copied")
    copied = {copies.source_of(row.extra_info) for row in there if row.status in _COPIED}
    return [row for row in found if row.status == states.AVAILABLE and row.id not in copied]


def _chosen(plan: Plan, found: Sequence[Checkpoint], wanted: Sequence[str]) -> Sequence[Checkpoint]:
    """Return the checkpoints that the request names, oldest first, copied before or not."""
    rows = {row.id: row for row in found}
    for checkpoint_id in wanted:
        if checkpoint_id not in rows:
            raise exception.CheckpointNotFound(f"plan {plan.id} has no checkpoint {checkpoint_id}")
        if rows[checkpoint_id].status != states.AVAILABLE:
            raise exception.CheckpointNotAvailable(
                f"checkpoint {checkpoint_id} is {rows[checkpoint_id].status!r}; only an available one can be copied"
            )
    return [row for row in found if row.id in wanted]


def _hooks(source: Provider, target: Provider, types: set[str]) -> Mapping[str, Sequence[str]]:
    """Return the hooks of the copies.

    :raises Unsupported: the target has a different plugin, which could not restore a copy
    """
    hooks = target.hooks(OperationType.COPY, types)
    for kind in types:
        if type(source.plugins.get(kind)) is not type(target.plugins[kind]):
            raise exception.Unsupported(
                f"provider {target.id} has another plugin for {kind} than provider {source.id}; it could not restore a copy"
            )
    return hooks


def _merged(ours: Parameters, given: Parameters) -> Parameters:
    """Return the parameters of the plan, overridden by those of the request option by option."""
    return {key: {**ours.get(key, {}), **given.get(key, {})} for key in {**ours, **given}}
