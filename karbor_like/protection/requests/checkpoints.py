"""Checkpoints on request: protect, show, list, delete, reset.

What can fail is done before a row is written; rows stand before anybody is told.
"""

import contextlib
import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from oslo_db import exception as db_exception
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.context import RequestContext
from karbor_like.db import checkpoints, operations, plans, quotas, scheduled_operations
from karbor_like.db.models import Checkpoint, Plan
from karbor_like.domain import states
from karbor_like.domain.graph import Graph
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.flows import protect
from karbor_like.protection.operation import lifecycle, spec
from karbor_like.protection.operation.claim import ActiveClaim
from karbor_like.protection.registry.providers import Provider
from karbor_like.protection.requests.queue import Queue

LOG = logging.getLogger(__name__)

_CREATED_BY = {"created_by": "manual"}


def to_dict(row: Checkpoint) -> dict[str, Any]:
    """What the API shows."""
    return {
        "id": row.id,
        "project_id": row.project_id,
        "status": row.status,
        "protection_plan": row.plan,
        "resource_graph": row.resource_graph,
        "created_at": f"{row.created_at:%Y-%m-%d}",
        "timestamp": row.created_at.isoformat(),
        "extra_info": json.dumps(row.extra_info),
        "reason": row.reason,
        "logical_bytes": row.logical_bytes,
        "new_bytes": row.new_bytes,
        "stored_bytes": row.stored_bytes,
    }


class Checkpoints:
    """The calls that are about checkpoints."""

    def __init__(self, env: ServiceContext, queue: Queue) -> None:
        self._env = env
        self._queue = queue

    def protect(
        self,
        context: RequestContext,
        *,
        plan_id: str,
        provider_id: str,
        extra_info: Mapping[str, Any],
        checkpoint_id: str | None,
    ) -> dict[str, Any]:
        """See :meth:`karbor_like.rpc.protection.ProtectionClient.protect`."""
        if checkpoint_id is not None and (there := self._find(checkpoint_id)) is not None:
            self._check_visible(context, there.project_id, checkpoint_id)
            return to_dict(there)
        with self._env.database.reader() as session:
            plan = plans.PLANS.get(session, plan_id, None if context.is_admin else context.project_id)
        provider = self._env.providers.get(provider_id)
        if provider.id != plan.provider_id:
            raise exception.PlanWrongProvider(
                f"plan {plan_id} belongs to provider {plan.provider_id}, not to {provider_id}"
            )
        _check_project(context, plan)
        graph = self._walk(context, plan)
        hooks = provider.hooks(OperationType.PROTECT, (node.type for node in graph.nodes))
        row, claim = self._add(context, plan, provider, graph, hooks, extra_info, checkpoint_id)
        self._create_in_bank(row.id, claim)
        self._queue.hint(context)
        return to_dict(row)

    def _walk(self, context: RequestContext, plan: Plan) -> Graph:
        planned = [Resource.from_dict(resource) for resource in plan.resources]
        if not planned:
            raise exception.PlanEmpty(f"plan {plan.id} has no resources")
        return self._env.protectables.walk(self._env.clients.for_context(context), planned)

    def _add(
        self,
        context: RequestContext,
        plan: Plan,
        provider: Provider,
        graph: Graph,
        hooks: Mapping[str, Sequence[str]],
        extra_info: Mapping[str, Any],
        checkpoint_id: str | None,
    ) -> tuple[Checkpoint, operations.Claim]:
        """The rows of a new checkpoint and its operation, which this process holds."""
        values = {
            "id": checkpoint_id or str(uuid.uuid4()),
            "project_id": plan.project_id,
            "provider_id": provider.id,
            "plan_id": plan.id,
            "status": states.PROTECTING,
            "plan": _planned(plan),
            "resource_graph": graph.to_text(),
            "extra_info": dict(extra_info) or _CREATED_BY,
        }

        def write(session: orm.Session) -> tuple[Checkpoint, operations.Claim]:
            quotas.enforce(session, plan.project_id, "checkpoints", dict(self._env.conf.quota))
            row = checkpoints.CHECKPOINTS.insert(session, **values)
            claim = self._queue.add_held(
                session,
                context,
                OperationType.PROTECT,
                row,
                hooks=hooks,
                parameters=plan.parameters,
                scheduled_operation_id=_scheduled_by(session, extra_info, plan.project_id),
            )
            return row, claim

        return self._env.database.write(write)

    def _create_in_bank(self, checkpoint_id: str, claim: operations.Claim) -> None:
        """Begin the checkpoint in the bank before the call answers. The first task of the flow completes its creation."""
        env = self._env
        hold = ActiveClaim(claim, env.clock, env.clock.monotonic(), env.conf.protection.lease)
        job, _, _ = spec.load(env.database, claim)
        bank = env.providers.get(job.provider_id).bank
        try:
            with bank.leases.acquire(holder=f"{env.owner} creates {checkpoint_id}") as lease:
                bank.checkpoints.begin(protect.record(job), lease)
        except exception.KarborLikeError as error:
            reason = f"the checkpoint could not be created: {error.message}"
            try:
                lifecycle.finish(env, job, hold, [reason], done=False)
            except exception.LeaseLost as lost:
                LOG.warning("%s; another service goes on, where %s", lost, reason)
                return
            # Only now: nobody else makes it any more.
            with contextlib.suppress(exception.KarborLikeError):
                bank.checkpoints.event(checkpoint_id, states.ERROR)
            raise
        try:
            env.database.write(lambda session: operations.release(session, claim))
        except db_exception.DBError as error:
            LOG.warning("Operation %s waits for its lease to run out: %s", claim.operation_id, error)

    def list(
        self,
        context: RequestContext,
        *,
        provider_id: str,
        filters: Mapping[str, Any],
        limit: int | None,
        marker: str | None,
        sort: Sequence[Sequence[str]],
    ) -> list[dict[str, Any]]:
        """See :meth:`karbor_like.rpc.protection.ProtectionClient.list_checkpoints`."""
        provider = self._env.providers.get(provider_id)
        wanted = dict(filters)
        project_id = wanted.pop("project_id", None)
        start, end = (_day(name, wanted.pop(name, None)) for name in ("start_date", "end_date"))
        with self._env.database.reader() as session:
            rows = checkpoints.page(
                session,
                provider.id,
                project_id=project_id if context.is_admin else context.project_id,
                filters=wanted,
                start_date=start,
                end_date=end if start else None,
                limit=limit,
                marker=marker,
                sort=[(key, direction) for key, direction in sort] or (("created_at", "desc"),),
            )
            return [to_dict(row) for row in rows]

    def show(self, context: RequestContext, *, provider_id: str, checkpoint_id: str) -> dict[str, Any]:
        """See :meth:`karbor_like.rpc.protection.ProtectionClient.show_checkpoint`."""
        return to_dict(self.get(context, provider_id, checkpoint_id))

    def get(self, context: RequestContext, provider_id: str, checkpoint_id: str) -> Checkpoint:
        """The row of a checkpoint that the caller may see. Raises ProviderNotFound, CheckpointNotFound."""
        provider = self._env.providers.get(provider_id)
        row = self._find(checkpoint_id)
        if row is None or row.provider_id != provider.id:
            raise _not_found(checkpoint_id)
        self._check_visible(context, row.project_id, checkpoint_id)
        return row

    def delete(self, context: RequestContext, *, provider_id: str, checkpoint_id: str) -> None:
        """See :meth:`karbor_like.rpc.protection.ProtectionClient.delete_checkpoint`."""
        row = self.get(context, provider_id, checkpoint_id)
        provider = self._env.providers.get(provider_id)
        hooks = {}
        for kind in {node.type for node in Graph.from_text(row.resource_graph).nodes}:
            # What no plugin deletes has nothing outside the bank.
            if kind in provider.plugins and provider.plugins[kind].operation(OperationType.DELETE, kind):
                hooks[kind] = provider.hooks(OperationType.DELETE, [kind])[kind]

        def write(session: orm.Session) -> None:
            found = self._lock(session, checkpoint_id)
            states.CHECKPOINT.check(checkpoint_id, found.status, states.DELETING)
            found.update({"status": states.DELETING, "reason": None})
            self._queue.add(session, context, OperationType.DELETE, found, hooks=hooks, parameters={})

        self._env.database.write(write)
        self._queue.hint(context)

    def reset(self, context: RequestContext, *, provider_id: str, checkpoint_id: str, state: str) -> None:
        """See :meth:`karbor_like.rpc.protection.ProtectionClient.reset_checkpoint`."""
        row = self.get(context, provider_id, checkpoint_id)
        if state not in (states.AVAILABLE, states.ERROR):
            raise exception.InvalidInput(f"state {state!r}: a checkpoint can be reset to 'available' or 'error'")
        if row.status not in states.RESETTABLE:
            raise exception.WrongState(
                f"checkpoint {checkpoint_id} is {row.status!r}; only {', '.join(sorted(states.RESETTABLE))} can be reset"
            )

        with self._env.database.writer() as session:
            found = self._lock(session, checkpoint_id)
            if found.status != row.status:
                raise exception.WrongState(f"checkpoint {checkpoint_id} became {found.status!r} meanwhile")
        # The bank is the truth: what it refuses (one that was never completed cannot become available) is not recorded. It is
        # asked in no transaction: it looks at all that the checkpoint needs, and nobody else could write for so long.
        bank = self._env.providers.get(provider_id).bank
        bank.checkpoints.event(checkpoint_id, state)
        values = {"status": state, "reason": None if state == states.AVAILABLE else "reset by request"}
        expected = {"status": found.status, "updated_at": found.updated_at}
        if self._env.database.write(
            lambda session: checkpoints.CHECKPOINTS.update(session, checkpoint_id, values, expected)
        ):
            return
        now = self.get(context, provider_id, checkpoint_id)
        if now.status in (states.DELETING, states.ERROR_DELETING):
            # What is said last in the bank must not be that it is whole.
            with contextlib.suppress(exception.KarborLikeError):
                bank.checkpoints.event(checkpoint_id, now.status)
        raise exception.WrongState(f"checkpoint {checkpoint_id} became {now.status!r} meanwhile")

    def _lock(self, session: orm.Session, checkpoint_id: str) -> Checkpoint:
        """The row, locked, while nothing runs on it. Raises InUse naming what does."""
        row = checkpoints.CHECKPOINTS.get(session, checkpoint_id, lock=True)
        for busy in operations.using(session, checkpoint_id):
            made = f" to checkpoint {busy.checkpoint_id}" if busy.source_checkpoint_id == checkpoint_id else ""
            raise exception.CheckpointInUse(
                f"checkpoint {checkpoint_id} is in use by a running {busy.operation_type}{made} (operation {busy.id})"
            )
        return row

    def _find(self, checkpoint_id: str) -> Checkpoint | None:
        with self._env.database.reader() as session:
            return checkpoints.CHECKPOINTS.find(session, checkpoint_id)

    def _check_visible(self, context: RequestContext, project_id: str, checkpoint_id: str) -> None:
        if not context.is_admin and context.project_id != project_id:
            raise _not_found(checkpoint_id)


def _not_found(checkpoint_id: str) -> exception.CheckpointNotFound:
    return exception.CheckpointNotFound(f"checkpoint {checkpoint_id} could not be found")


def _check_project(context: RequestContext, plan: Plan) -> None:
    """Refuse administrators with a token for another project than the plan's.

    What a plan names is looked for in the token's project, and temporary volumes and images are made there: the plan of one
    project would be protected with the resources of another.
    """
    if context.project_id != plan.project_id:
        raise exception.NotAuthorized(
            f"plan {plan.id} is of project {plan.project_id}: protecting it takes a token for that project, because its "
            f"resources are looked for, and temporary ones are made, where the token is from ({context.project_id})"
        )


def _scheduled_by(session: orm.Session, extra_info: Mapping[str, Any], project_id: str) -> str | None:
    """The scheduled operation that *extra_info* names, if it is one of the project's: anybody may write anything there."""
    named = extra_info.get("scheduled_operation_id")
    if not isinstance(named, str):
        return None
    found = scheduled_operations.SCHEDULED_OPERATIONS.find(session, named, project_id)
    return found.id if found else None


def _planned(plan: Plan) -> dict[str, Any]:
    """The API's ``protection_plan``, in which extra_info is a JSON text."""
    resources = [
        {
            "id": resource["id"],
            "type": resource["type"],
            "name": resource.get("name") or "",
            "extra_info": json.dumps(resource["extra_info"]) if resource.get("extra_info") else None,
        }
        for resource in plan.resources
    ]
    return {"id": plan.id, "name": plan.name, "provider_id": plan.provider_id, "resources": resources}


def _day(name: str, text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise exception.InvalidInput(f"{name} {text!r} is not a date (YYYY-MM-DD)") from None
