"""Runs one claimed operation to its end: the flow, then what the flow left over, then the record of the end."""

import logging
from collections.abc import Callable

from taskflow import exceptions as taskflow_exceptions
from taskflow.flow import Flow

from karbor_like import exception
from karbor_like.db import operations
from karbor_like.domain.operation import OperationType
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.flows import copy, delete, protect, restore, tasks
from karbor_like.protection.operation import lifecycle, spec
from karbor_like.protection.operation.claim import ActiveClaim
from karbor_like.protection.operation.session import OperationSession, leftovers
from karbor_like.protection.workflow.engine import Outcome

LOG = logging.getLogger(__name__)

FLOWS: dict[OperationType, Callable[[OperationSession], Flow]] = {
    OperationType.PROTECT: protect.build,
    OperationType.RESTORE: restore.build,
    OperationType.VERIFY: restore.build,
    OperationType.DELETE: delete.build,
    OperationType.COPY: copy.build,
}

#: What is left after the first clean-up is tried again: a cloud may be away for a minute. Seconds before each try.
_SWEEP_PAUSES = (1, 5, 30)


def run(env: ServiceContext, hold: ActiveClaim) -> bool:
    """Run the operation that *hold* holds. Returns whether it has ended; where not, another attempt must be made.

    Raises LeaseLost where it was lost meanwhile.
    """
    with hold.working():
        job, sealed, cancelled = spec.load(env.database, hold.claim)
    if cancelled:
        hold.cancel()
    limit = env.conf.protection.max_attempts
    reasons = []
    if job.attempts > limit:
        reasons.append(f"given up: whoever ran it died {limit} times")
    with OperationSession(env, job, hold, sealed) as scope:
        if job.attempts > 2 * limit:
            LOG.error("Operation %s: not even undoing it ever ended; it is ended as it stands", job.id)
            outcome = Outcome.REVERTED
        else:
            lifecycle.begin(env, job, hold)
            flow = FLOWS[job.kind](scope)
            outcome = env.flows.run(flow, job.flow_id, scope.fence, undo=bool(reasons))
            if outcome is Outcome.UNFINISHED:
                return False
            if outcome is Outcome.REVERTED:
                reasons += _reasons(env, scope)
                _sweep(scope)
        reasons += _left(scope, done=outcome is Outcome.DONE)
    lifecycle.finish(env, job, hold, reasons, done=outcome is Outcome.DONE)
    return True


def _reasons(env: ServiceContext, scope: OperationSession) -> list[str]:
    """Why the flow failed: what failed by itself before what was stopped because of that."""
    try:
        failures = env.flows.failures(scope.work.flow_id, scope.fence)
    except taskflow_exceptions.NotFound:
        return []
    stopped = [failure for failure in failures if failure.check(exception.Cancelled)]
    own = [failure for failure in failures if failure not in stopped]
    if own:
        return [failure.exception_str for failure in own]
    return ["cancelled"] if stopped else []


def _sweep(scope: OperationSession) -> None:
    """Clean up again what the clean-ups of the flow left."""
    for pause in _SWEEP_PAUSES:
        with scope.env.database.reader() as session:
            keys = {entry.resource_key for entry in operations.journal(session, scope.work.id)}
        if not keys:
            return
        for resource in scope.work.graph.nodes:
            if resource.key in keys:
                _clean(scope, resource)
        scope.hold.ensure_held()
        with scope.env.database.reader() as session:
            if operations.journal(session, scope.work.id):
                scope.env.clock.sleep(pause)


def _clean(scope: OperationSession, resource: object) -> None:
    with scope.acting():
        try:
            tasks.clean(scope, resource)  # type: ignore[arg-type]
        except exception.LeaseLost:
            raise
        except Exception:  # noqa: BLE001 - a plugin's clean-up; the journal says what is left
            LOG.exception("Operation %s: %s could not be cleaned up", scope.work.id, resource)


def _left(scope: OperationSession, *, done: bool) -> list[str]:
    with scope.env.database.reader() as session:
        names = leftovers(session, scope.work.id, temporary_only=done)
    if names:
        LOG.error("Operation %s left behind: %s", scope.work.id, ", ".join(names))
    return [f"left behind: {', '.join(names)}"] if names else []
