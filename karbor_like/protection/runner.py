"""Runs one claimed operation to its end: the flow, the clean-up of what it could not remove, the record of the result."""

import logging
from collections.abc import Callable

from taskflow import exceptions as taskflow_exceptions
from taskflow.flow import Flow

from karbor_like import exception
from karbor_like.domain.operation import OperationType
from karbor_like.metrics import families
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.flows import copy, delete, protect, restore
from karbor_like.protection.operation import cleanup, lifecycle, outage, restored_plan
from karbor_like.protection.operation.claim import ActiveClaim
from karbor_like.protection.operation.session import OperationSession
from karbor_like.protection.operation.spec import load
from karbor_like.protection.workflow.engine import Outcome

LOG = logging.getLogger(__name__)

FLOWS: dict[OperationType, Callable[[OperationSession], Flow]] = {
    OperationType.PROTECT: protect.build,
    OperationType.RESTORE: restore.build,
    OperationType.VERIFY: restore.build,
    OperationType.DELETE: delete.build,
    OperationType.COPY: copy.build,
}


def run(env: ServiceContext, claim: ActiveClaim) -> bool:
    """Run the operation that *claim* holds.

    :returns: whether it has ended; if not, it needs another attempt
    :raises LeaseLost: the claim was lost meanwhile
    """
    with claim.activity():
        spec, encrypted, cancelled = outage.outlast(claim, lambda: load(env.database, claim.record))
    if cancelled:
        claim.cancel()
    limit = env.conf.protection.max_attempts
    reasons, error_type = [], exception.KarborLikeError.type
    deaths = spec.attempts - spec.interruptions
    if deaths > limit:
        reasons.append(f"given up: the process that ran it died {limit} times")
    with OperationSession(env, spec, claim, encrypted) as operation:
        if deaths > 2 * limit:
            LOG.error("Operation %s: no attempt to undo it has ended; it is ended without", spec.id)
            outcome = Outcome.REVERTED
        else:
            lifecycle.report(spec, "running", f"attempt {spec.attempts}", attempt=spec.attempts)
            lifecycle.begin(operation.database, spec)
            flow = FLOWS[spec.kind](operation)
            outcome = env.flows.run(flow, spec.flow_id, operation, undo=bool(reasons))
            if outcome is Outcome.UNFINISHED:
                lifecycle.report(spec, "queued", "another attempt follows")
                return False
            if outcome is Outcome.REVERTED:
                found, error_type = _failures(env, operation)
                reasons += found
                cleanup.retry(operation)
        done = outcome is Outcome.DONE
        if done and spec.with_plan:
            reasons += restored_plan.make(operation)
        remains = cleanup.journal_remains(operation, temporary_only=done)
    if remains:
        LOG.error("Operation %s left behind: %s", spec.id, ", ".join(remains))
    again_in = None
    # A clean-up in which processes die is not attempted again.
    if env.conf.protection.orphan_interval > 0 and deaths <= 2 * limit:
        if remains:
            again_in = 0.0
        elif deaths > 1 and cleanup.has_created(operation):
            # A process that seemed to be dead may continue, and die before it deletes what it created too late.
            again_in = float(env.conf.protection.orphan_interval)
    reasons += cleanup.remark(remains)
    lifecycle.finish(
        env,
        spec,
        claim,
        reasons,
        done=done,
        failed_status=operation.failed_status,
        again_in=again_in,
        error_type="" if done else error_type,
    )
    return True


def _failures(env: ServiceContext, operation: OperationSession) -> tuple[list[str], str]:
    """Return why the flow failed, and the type of the first error.

    The reasons are the original failures, without the tasks that were stopped because of them.
    """
    try:
        failures = env.flows.failures(operation.spec.flow_id, operation)
    except taskflow_exceptions.NotFound:
        failures = []
    stopped = [failure for failure in failures if failure.check(exception.Cancelled)]
    original = [failure for failure in failures if failure not in stopped]
    if original:
        # A failure that another process recorded has only the names of its classes.
        return [failure.exception_str for failure in original], families.error_type(original[0])
    if stopped:
        return ["cancelled"], exception.Cancelled.type
    return [], exception.KarborLikeError.type
