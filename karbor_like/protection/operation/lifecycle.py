"""Status transitions of checkpoints, restores, verifications and operations.

The status, the operation log and the notification change in one transaction. ``domain/states.py`` has the legal transitions.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import orm

from karbor_like import exception, logs
from karbor_like.db import checkpoints, operations, restores, verifications
from karbor_like.db.models import Checkpoint, OperationResource
from karbor_like.db.repository import Repository
from karbor_like.domain import copies, left_out, states
from karbor_like.domain.operation import OperationType
from karbor_like.domain.states import Lifecycle
from karbor_like.metrics import families
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.operation.claim import ActiveClaim
from karbor_like.protection.operation.outage import OperationDatabase
from karbor_like.protection.operation.spec import OperationSpec

LOG = logging.getLogger(__name__)

_REQUESTS: dict[OperationType, tuple[Repository[Any], Lifecycle]] = {
    OperationType.RESTORE: (restores.RESTORES, states.RESTORE),
    OperationType.VERIFY: (verifications.VERIFICATIONS, states.VERIFICATION),
}


def move_checkpoint(session: orm.Session, checkpoint_id: str, status: str, **values: Any) -> bool:
    """Change the status of a checkpoint, with other columns *values*, if its present status allows that.

    :returns: whether the status changed
    """
    return checkpoints.move(session, checkpoint_id, status, states.CHECKPOINT.sources(status), **values)


def follow_bank(session: orm.Session, row: Checkpoint, status: str, **values: Any) -> bool:
    """Set the status that the bank holds, with other columns *values*, unless the row has changed since it was read.

    The table of transitions does not apply: another site may have made several transitions since the last look.

    :returns: whether the status changed
    """
    return checkpoints.move(session, row.id, status, [row.status], **values)


def begin(database: OperationDatabase, spec: OperationSpec) -> None:
    """Record that an operation which had a waiting status is running now. Raises LeaseLost."""
    statuses = states.OPERATION[spec.kind]
    if statuses.waiting is None:
        return

    def write(session: orm.Session) -> None:
        operations.OPERATIONS.update(session, spec.id, {"status": statuses.running})
        move_checkpoint(session, spec.checkpoint_id, statuses.running)

    database.write(write)


def finish(
    env: ServiceContext,
    spec: OperationSpec,
    claim: ActiveClaim,
    reasons: Sequence[str],
    *,
    done: bool,
    failed_status: str | None = None,
    again_in: float | None = None,
    error_type: str = "",
) -> None:
    """Record the end of an operation.

    :param reasons: the reasons of a failure, most relevant first, or remarks on a success
    :param done: whether the operation succeeded
    :param error_type: the type of the most relevant reason of a failure
    :param failed_status: of the checkpoint after a failure; None for the usual one
    :param again_in: seconds until objects that it left in the cloud are to be deleted; None: it left none
    :raises LeaseLost: another process holds the operation
    """
    statuses = states.OPERATION[spec.kind]
    status = statuses.done if done else statuses.failed
    reason = "; ".join(reasons) or None

    def write(session: orm.Session) -> tuple[float | None, Mapping[str, int]]:
        rows = operations.resources_of(session, [spec.id])
        sizes = _sizes(rows)
        if spec.kind in _REQUESTS:
            _finish_request(session, spec, status, reason, rows)
        else:
            _finish_checkpoint(session, spec, status if done else failed_status or status, reason, rows)
        operations.finish(session, claim.record, status, reason, again_in=again_in)
        env.flows.persistence.forget(session, spec.flow_id)
        return operations.duration(session, spec.id), sizes

    seconds, sizes = OperationDatabase(env.database, claim).write(write)
    families.count_operation(spec.kind.value, _outcome(done, error_type), error_type, seconds, sizes)
    report(spec, "done", f"{status}{_why(reason)}", status=status, error_type=error_type or None)


def report(spec: OperationSpec, state: str, text: str, **fields: Any) -> None:
    """Log a transition of an operation.

    :param state: the state that it has now: ``running``, ``queued`` or ``done``
    :param text: what happened
    :param fields: more for programs that read the log
    """
    about = logs.about(
        operation_id=spec.id,
        operation_type=spec.kind.value,
        state=state,
        project_id=spec.owner_project,
        request_id=spec.request_id,
        provider_id=spec.provider_id,
        checkpoint_id=spec.checkpoint_id,
        **fields,
    )
    LOG.info("Operation %s: %s of checkpoint %s: %s", spec.id, spec.kind, spec.checkpoint_id, text, extra=about)


def _outcome(done: bool, error_type: str) -> str:
    if done:
        return families.SUCCEEDED
    return families.CANCELLED if error_type == exception.Cancelled.type else families.FAILED


def _why(reason: str | None) -> str:
    return f" ({reason})" if reason else ""


def _sizes(rows: Sequence[OperationResource]) -> dict[str, int]:
    """Return the sums of the sizes by measure."""
    contained = [row for row in rows if row.status != states.LEFT_OUT]
    return {
        measure: sum(getattr(row, f"{measure}_bytes") or 0 for row in contained)
        for measure in ("logical", "new", "stored")
    }


def _finish_checkpoint(
    session: orm.Session, spec: OperationSpec, status: str, reason: str | None, rows: Sequence[OperationResource]
) -> None:
    values: dict[str, Any] = {"reason": reason}
    if status == states.AVAILABLE and spec.kind is not OperationType.DELETE:
        values |= {f"{measure}_bytes": size for measure, size in _sizes(rows).items()}
        if spec.kind is OperationType.COPY:
            values["extra_info"] = {**spec.extra_info, **copies.FINISHED}
        lacking = spec.left_out(rows)
        if lacking:
            values["plan"] = left_out.recorded(spec.plan, lacking)
            values["resource_graph"] = spec.graph.without(lacking).to_text()
        remarks = (reason, left_out.describe(values.get("plan", spec.plan)))
        values["reason"] = "; ".join(filter(None, remarks)) or None
    if not move_checkpoint(session, spec.checkpoint_id, status, **values):
        LOG.error("Checkpoint %s did not become %s: its status forbids the change", spec.checkpoint_id, status)


def _finish_request(
    session: orm.Session, spec: OperationSpec, status: str, reason: str | None, rows: Sequence[OperationResource]
) -> None:
    repository, lifecycle = _REQUESTS[spec.kind]
    values = {"status": status, "reason": reason, **_results(rows)}
    repository.update(session, str(request_id(spec)), values, {"status": list(lifecycle.sources(status))})


def change_reason(session: orm.Session, spec: OperationSpec, old: str | None, new: str | None) -> None:
    """Change the reason of an ended operation, and that of its object if it is still the same."""
    if new == old:
        return
    repository: Repository[Any] = _REQUESTS[spec.kind][0] if spec.kind in _REQUESTS else checkpoints.CHECKPOINTS
    repository.update(session, request_id(spec) or spec.checkpoint_id, {"reason": new}, {"reason": old})
    operations.OPERATIONS.update(session, spec.id, {"error_info": new})


def _results(rows: Sequence[OperationResource]) -> dict[str, dict[str, str]]:
    return {
        "resources_status": {row.result_key or row.resource_key: row.status for row in rows},
        "resources_reason": {row.result_key or row.resource_key: row.reason or "" for row in rows},
    }


def request_id(spec: OperationSpec) -> str | None:
    """Return the id of the restore or verification that *spec* is for."""
    return spec.restore_id or spec.verification_id
