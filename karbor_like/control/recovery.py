"""What follows the return of a database: the site continues, although time has passed since its archive was made.

The database is older than the banks and the clouds, which alone have what the lost site did after the archive was made. What
ran then must neither appear to run, nor run twice:

* Services of the lost site no longer exist. Their rows are removed, except for those that an operator disabled.
* Deletions and verifications continue: they are idempotent.
* Protects, copies and restores are ended as failed. They may have ended at the lost site, and then a second run, or the
  removal of what the first one made, would harm what the tenant has. The status of a checkpoint follows its bank at the next
  synchronization, which is due at once, and which ends a checkpoint that is in progress there.
* Due times until now count as missed, as they may have been run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import orm

from karbor_like.clock import Clock
from karbor_like.db import operations, scheduled_runs
from karbor_like.db import session as db_session
from karbor_like.db.models import JournalEntry, Operation, PeriodicJob, Restore, ScheduledRun, Service
from karbor_like.db.session import Database
from karbor_like.domain import states
from karbor_like.domain.operation import OperationType
from karbor_like.operationengine.scheduler import Scheduler
from karbor_like.protection.workflow import engine
from karbor_like.triggers import loader

#: Operations that can run again from their start, even after they have ended.
_REPEATABLE: Final = (OperationType.DELETE.value, OperationType.VERIFY.value)
_ENABLED: Final = "enabled"


@dataclass
class Recovered:
    """What was changed.

    :param continued: number of operations that the services continue
    :param ended: number of operations that were ended as failed
    :param leftovers: cloud objects that ended operations may have left behind: their names, with the ids that are known
    :param runs: number of scheduled runs that were ended
    :param missed: number of triggers whose due times until now count as missed
    """

    continued: int = 0
    ended: int = 0
    leftovers: list[str] = field(default_factory=list)
    runs: int = 0
    missed: int = 0


def recover(session: orm.Session, persistence: engine.Persistence, made: datetime) -> Recovered:
    """Change the rows of a database that was just loaded. Idempotent.

    :param made: when the archive was made
    """
    recovered = Recovered()
    reason = f"the service was recovered from an archive of {made:%Y-%m-%d %H:%M:%S} UTC, when this was in progress"
    session.execute(sa.delete(Service).where(Service.status == _ENABLED))
    session.execute(sa.update(Service).values(reports=None, updated_at=Service.created_at))
    # All jobs are due: above all, the synchronization with the banks.
    session.execute(sa.delete(PeriodicJob))
    unfinished = sa.select(Operation).where(Operation.queue_state.in_((operations.QUEUED, operations.RUNNING)))
    for row in session.execute(unfinished.order_by(Operation.id)).scalars().all():
        if row.operation_type in _REPEATABLE:
            row.update({"queue_state": operations.QUEUED, "owner": None, "lease_until": None, "epoch": row.epoch + 1})
            recovered.continued += 1
        else:
            recovered.leftovers += _journal(session, row.id)
            _end(session, row, reason)
            if row.flow_id is not None:
                persistence.forget(session, row.flow_id)
            recovered.ended += 1
    recovered.runs = _end_runs(session, reason)
    session.flush()
    return recovered


def _journal(session: orm.Session, operation_id: str) -> Sequence[str]:
    rows: Sequence[JournalEntry] = operations.journal(session, operation_id)
    return [f"{row.name} ({row.cloud_id})" if row.cloud_id else row.name for row in rows]


def _end(session: orm.Session, row: Operation, reason: str) -> None:
    kind = OperationType(row.operation_type)
    row.update(
        {
            "queue_state": operations.DONE,
            "status": states.OPERATION[kind].failed,
            "error_info": reason,
            "ended_at": db_session.now(session),
            "owner": None,
            "lease_until": None,
            "credential": None,
            "epoch": row.epoch + 1,
        }
    )
    if kind is OperationType.RESTORE and row.restore_id is not None:
        failed = {"status": states.FAIL, "reason": f"{reason}; check what it created, and repeat it if needed"}
        session.execute(
            sa.update(Restore)
            .where(Restore.id == row.restore_id, Restore.status == states.IN_PROGRESS)
            .values(**failed)
        )


def _end_runs(session: orm.Session, reason: str) -> int:
    """End the runs that may have been started after the archive was made. The others follow their checkpoints."""
    unclaimed = {"owner": None, "lease_until": None, "trust_id": None, "epoch": ScheduledRun.epoch + 1}
    started = sa.update(ScheduledRun).where(ScheduledRun.state == scheduled_runs.STARTED)
    ended = {
        "state": scheduled_runs.FAILED,
        "reason": reason,
        "ended_at": db_session.now(session),
        "next_look_at": None,
    }
    options = {"synchronize_session": False}
    result = session.execute(
        started.where(ScheduledRun.checkpoint_id.is_(None)).values(**unclaimed, **ended).execution_options(**options)
    )
    session.execute(started.values(**unclaimed).execution_options(**options))
    return result.rowcount  # type: ignore[attr-defined]


def miss_due_times(conf: cfg.ConfigOpts, database: Database, clock: Clock) -> int:
    """Record all due times until now as missed, and return the number of triggers that had one."""
    return Scheduler(conf, database, clock, loader.trigger_types()).miss(
        "the service was recovered from an archive; it may have run before"
    )
