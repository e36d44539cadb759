"""The one mover: an object's state, its operation's log and the notice of it change together, in one transaction."""

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import orm

from karbor_like import exception
from karbor_like.db import checkpoints, operations, restores, verifications
from karbor_like.db.models import OperationResource
from karbor_like.db.repository import Repository
from karbor_like.domain import copies, states
from karbor_like.domain.operation import OperationType
from karbor_like.domain.states import Lifecycle
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.operation.claim import ActiveClaim
from karbor_like.protection.operation.spec import OperationSpec

LOG = logging.getLogger(__name__)

#: Characters of a reason that are kept: a row of MySQL's TEXT, whatever the characters.
_MAX_REASON = 16000

_REQUESTS: dict[OperationType, tuple[Repository[Any], Lifecycle]] = {
    OperationType.RESTORE: (restores.RESTORES, states.RESTORE),
    OperationType.VERIFY: (verifications.VERIFICATIONS, states.VERIFICATION),
}


def requests() -> list[tuple[OperationType, Repository[Any], str]]:
    """The kinds whose objects stand before their operation does, where they are, and the operation's column for them."""
    return [
        (OperationType.RESTORE, restores.RESTORES, "restore_id"),
        (OperationType.VERIFY, verifications.VERIFICATIONS, "verification_id"),
    ]


def begin(env: ServiceContext, work: OperationSpec, hold: ActiveClaim) -> None:
    """Record that an operation which was shown to wait is running now. Raises LeaseLost where somebody else holds it."""
    statuses = states.OPERATION[work.kind]
    if statuses.waiting is None:
        return

    def write(session: orm.Session) -> None:
        operations.check(session, hold.claim).update({"status": statuses.running})
        checkpoints.move(session, work.checkpoint_id, statuses.running, states.CHECKPOINT.sources(statuses.running))

    env.database.write(write)


def finish(env: ServiceContext, work: OperationSpec, hold: ActiveClaim, reasons: Sequence[str], *, done: bool) -> None:
    """Record the end of an operation. Raises LeaseLost where somebody else holds it.

    :param reasons: why it failed, most telling first
    """
    statuses = states.OPERATION[work.kind]
    status = statuses.done if done else statuses.failed
    reason = "; ".join(reasons)[:_MAX_REASON] or None

    def write(session: orm.Session) -> None:
        operations.check(session, hold.claim)
        if work.kind in _REQUESTS:
            _finish_request(session, work, status, reason)
        else:
            _finish_checkpoint(session, work, status, reason)
        operations.finish(session, hold.claim, status, reason)
        env.flows.persistence.forget(session, work.flow_id)

    env.database.write(write)
    LOG.info("Operation %s: %s of checkpoint %s: %s%s", work.id, work.kind, work.checkpoint_id, status, _why(reason))


def _why(reason: str | None) -> str:
    return f" ({reason})" if reason else ""


def _finish_checkpoint(session: orm.Session, work: OperationSpec, status: str, reason: str | None) -> None:
    values: dict[str, Any] = {"reason": reason}
    if status == states.AVAILABLE:
        rows = operations.resources_of(session, [work.id])
        for size in ("logical_bytes", "new_bytes", "stored_bytes"):
            values[size] = sum(getattr(row, size) or 0 for row in rows)
        if work.kind is OperationType.COPY:
            values["extra_info"] = {**work.extra_info, **copies.FINISHED}
    moved = checkpoints.move(session, work.checkpoint_id, status, states.CHECKPOINT.sources(status), **values)
    if not moved:
        LOG.error("checkpoint %s did not become %s: it is in a state that forbids it", work.checkpoint_id, status)


def _finish_request(session: orm.Session, work: OperationSpec, status: str, reason: str | None) -> None:
    repository, lifecycle = _REQUESTS[work.kind]
    rows = operations.resources_of(session, [work.id])
    values = {"status": status, "reason": reason, **_results(rows)}
    repository.update(session, str(request_id(work)), values, {"status": list(lifecycle.sources(status))})


def publish(session: orm.Session, work: OperationSpec) -> None:
    """Show on a restore or verification how its resources are doing, while it goes on."""
    if work.kind not in _REQUESTS:
        return
    repository, _ = _REQUESTS[work.kind]
    rows = operations.resources_of(session, [work.id])
    # Restored resources go by their new ids, and are not spoken of before they have one.
    known = [row for row in rows if row.result_key or work.kind is not OperationType.RESTORE]
    repository.update(session, str(request_id(work)), _results(known), {"status": states.IN_PROGRESS})


def _results(rows: Sequence[OperationResource]) -> dict[str, dict[str, str]]:
    return {
        "resources_status": {row.result_key or row.resource_key: row.status for row in rows},
        "resources_reason": {row.result_key or row.resource_key: row.reason or "" for row in rows},
    }


def request_id(work: OperationSpec) -> str | None:
    """The restore or verification that *work* is for."""
    return work.restore_id or work.verification_id


def refuse(env: ServiceContext, kind: OperationType, object_id: str, error: exception.KarborLikeError) -> None:
    """A restore or verification whose row stands cannot begin: it fails, with the reason."""
    repository, lifecycle = _REQUESTS[kind]
    values = {"status": states.FAIL, "reason": error.message[:_MAX_REASON]}
    env.database.write(
        lambda session: repository.update(session, object_id, values, {"status": list(lifecycle.sources(states.FAIL))})
    )
