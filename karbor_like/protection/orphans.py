"""Deletion of what ended operations left behind in the clouds: objects that could not be deleted when the operation ended.

The journal names them. The operation keeps its credential until they are deleted, at most for ``orphan_days``. If Keystone no
longer accepts it, the service user takes its owner's place, if it has a role in the owner's project.

An operation that was taken over from a process which seemed dead is looked at once more, by the names in its journal: that
process may have continued, created something and died.
"""

import dataclasses
import functools
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import orm

from karbor_like import exception, watchdog
from karbor_like.clients.waiter import Waiter
from karbor_like.db import operations
from karbor_like.db import session as db_session
from karbor_like.db.models import Operation
from karbor_like.domain import states
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.operation import cleanup, lifecycle
from karbor_like.protection.operation.claim import ActiveClaim
from karbor_like.protection.operation.session import OperationSession
from karbor_like.protection.operation.spec import OperationSpec, load

LOG = logging.getLogger(__name__)

#: Seconds for a deletion in the cloud. The next attempt finds out whether one that takes longer has ended.
_PATIENCE: Final = 60.0
#: Seconds for an attempt at one operation, after which it stops.
_LEASE: Final = 900.0
#: Seconds after which no further operation is begun: other jobs wait.
_RUN: Final = 600.0
#: The pause between two attempts is this part of the time since the end of the operation, or one interval if that is longer.
_PAUSE: Final = 0.1
_BATCH: Final = 100


@dataclass
class OrphanReport:
    """Numbers of operations: those of which nothing remains, those that will be attempted again, and those given up."""

    deleted: int = 0
    remaining: int = 0
    given_up: int = 0


class Orphans:
    """One run for the operations of one provider. It may run alongside other runs."""

    def __init__(self, env: ServiceContext, provider_id: str) -> None:
        waiter = Waiter.from_conf(env.conf, env.clock)
        waiter.timeout = min(waiter.timeout, _PATIENCE)
        self._env = dataclasses.replace(env, waiter=waiter)
        self._provider_id = provider_id
        self._report = OrphanReport()

    def run(self) -> OrphanReport:
        """Attempt the operations that are due, and give up those that are too old, also of other providers."""
        end = self._env.clock.monotonic() + _RUN
        self._give_up()
        with self._env.database.reader() as session:
            due = operations.with_orphans(session, _BATCH, provider_id=self._provider_id)
        for row in due:
            if self._env.clock.monotonic() < end:
                watchdog.tick()
                self._attempt(row)
        return self._report

    def _give_up(self) -> None:
        """Erase the credentials of operations that ended too long ago, even if no service has their provider any more."""
        age = timedelta(days=self._env.conf.protection.orphan_days)
        with self._env.database.reader() as session:
            old = operations.with_orphans(session, _BATCH, ended_before=db_session.now(session) - age)
        for row in old:
            claim = self._claim(row)
            if claim is not None:
                self._env.database.write(functools.partial(operations.forget_ended, held=claim.record))
                self._report.given_up += 1
                LOG.error(
                    "Operation %s ended %s days ago; what it left behind is not deleted any more, delete it manually: %s",
                    row.id,
                    age.days,
                    row.error_info,
                )

    def _claim(self, row: Operation) -> ActiveClaim | None:
        began = self._env.clock.monotonic()
        record = self._env.database.write(lambda session: operations.claim_ended(session, row, self._env.owner, _LEASE))
        return ActiveClaim(record, self._env.clock, began, _LEASE) if record else None

    def _attempt(self, row: Operation) -> None:
        claim = self._claim(row)
        if claim is None:
            return
        try:
            spec, encrypted, _ = load(self._env.database, claim.record)
            done = row.status == states.OPERATION[spec.kind].done
            with OperationSession(self._env, spec, claim, encrypted) as operation:
                try:
                    operation.ensure_identity()
                    if spec.attempts - spec.interruptions > 1:
                        # A process that had lost the operation may have created an object again.
                        operation.database.write(
                            functools.partial(operations.reopen, operation_id=spec.id, temporary_only=done)
                        )
                    cleanup.repeat(operation, temporary_only=done)
                    refusal = None
                except exception.NotAuthorized as error:
                    refusal = error
                remains = cleanup.journal_remains(operation, temporary_only=done)
            if refusal and remains:
                LOG.warning(
                    "Operation %s: its owner's identity can no longer be used, and the service user cannot take its place in "
                    "project %s: %s; give it a role there, or delete manually: %s",
                    row.id,
                    row.project_id,
                    refusal,
                    ", ".join(remains),
                )
            if self._settle(claim, spec, remains):
                LOG.info("Operation %s: everything that it left behind is deleted", row.id)
        except exception.LeaseLost as error:
            LOG.warning("%s", error)
        except exception.KarborLikeError as error:
            # The lease is the pause before the next attempt.
            LOG.warning("Operation %s: what it left behind cannot be deleted: %s", row.id, error)

    def _settle(self, claim: ActiveClaim, spec: OperationSpec, remains: list[str]) -> bool:
        """Record the end of an attempt. Return whether nothing remains."""

        def write(session: orm.Session) -> None:
            row = operations.check(session, claim.record)
            lifecycle.change_reason(session, spec, row.error_info, cleanup.replace_remark(row.error_info, remains))
            if not remains:
                operations.forget_ended(session, claim.record)
                return
            ended = row.ended_at or row.created_at
            age = (db_session.now(session) - ended).total_seconds()
            pause = max(self._env.conf.protection.orphan_interval, age * _PAUSE)
            operations.postpone_ended(session, claim.record, pause)

        self._env.database.write(write)
        if remains:
            self._report.remaining += 1
        else:
            self._report.deleted += 1
        return not remains
