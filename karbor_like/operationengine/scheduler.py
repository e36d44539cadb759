"""Fires triggers: turns what is due into runs, each exactly once, however many engines look.

A due trigger is claimed by comparing and setting its ``next_run_at`` in the transaction that records its runs, and a run
is unique by operation and due time. So an engine that dies before the commit has done nothing, and one that dies after it
leaves a run for any other to work on. Nothing is called from here.
"""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from oslo_config import cfg
from oslo_db import exception as db_exception
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.clock import Clock
from karbor_like.db import scheduled_runs
from karbor_like.db.models import ScheduledOperation, Trigger
from karbor_like.db.session import Database
from karbor_like.domain import trigger as triggers

LOG = logging.getLogger(__name__)


class Scheduler:
    """:param conf: with groups ``[operationengine]`` and ``[trigger]``"""

    def __init__(self, conf: cfg.ConfigOpts, database: Database, clock: Clock) -> None:
        self._options = conf.operationengine
        #: For triggers that name none.
        self._window = conf.trigger.min_window
        self._database = database
        self._clock = clock

    def fire(self) -> int:
        """Record a run for everything that is due now. Returns how many triggers fired."""
        total = 0
        while True:
            fired = self._fire_batch()
            total += fired
            if fired < self._options.batch:
                return total

    def _fire_batch(self) -> int:
        now = self._clock.now()

        def work(session: orm.Session) -> int:
            due = scheduled_runs.due_triggers(session, now, self._options.batch)
            operations = scheduled_runs.operations_of(session, [row.id for row in due])
            busy = dict(
                scheduled_runs.running(session, [row.id for rows in operations.values() for row in rows]) if due else {}
            )
            runs, moved = [], []
            for row in due:
                times, following = self._times(row, now)
                moved.append((row.id, row.next_run_at, following))
                for operation in operations.get(row.id, ()):
                    made = list(self._runs(operation, times, now, busy))
                    for run in made:
                        if run["ended_at"]:
                            scheduled_runs.log(session, operation, run["state"], run["due_at"], now, run["reason"])
                    runs += made
            scheduled_runs.record(session, runs)
            scheduled_runs.advance(session, moved)
            return len(due)

        try:
            return self._database.write(work)
        except (exception.Conflict, db_exception.DBDuplicateEntry) as error:
            # On a database without SKIP LOCKED two engines may have looked at the same triggers: one of them won.
            LOG.debug("another engine fired these triggers: %s", error)
            return 0

    def _times(self, row: Trigger, now: datetime) -> tuple["_Times", datetime | None]:
        """When *row* should have fired by *now*, and when it will next."""
        assert row.next_run_at is not None
        try:
            timing = triggers.parse({"window": self._window, **row.properties})
        except exception.InvalidInput as error:
            LOG.error("trigger %s cannot be understood and will not fire any more: %s", row.id, error)
            return _Times([row.next_run_at], 0, timedelta(0)), None
        times: list[datetime] = []
        dropped, following = 0, None
        for moment in _from(timing, row.next_run_at):
            if moment > now:
                following = moment
                break
            if len(times) == self._options.max_missed:
                # Nobody looked for very long. The newest may still be run, most of the others are only counted.
                dropped += 1
                times.pop()
            times.append(moment)
        return _Times(times, dropped, timedelta(seconds=timing.window)), following

    def _runs(
        self, operation: ScheduledOperation, times: "_Times", now: datetime, busy: dict[str, datetime]
    ) -> Iterator[dict[str, Any]]:
        for due_at in times.due:
            ends = due_at + times.window
            state, reason = scheduled_runs.STARTED, None
            if now > ends:
                late = (now - due_at).total_seconds()
                state = scheduled_runs.MISSED
                reason = f"found {late:.0f} seconds late, its window is {times.window.total_seconds():.0f} seconds"
                if times.dropped and due_at == times.due[0]:
                    reason += f"; {times.dropped} more due times after it were missed too and have no run of their own"
            elif operation.id in busy:
                state = scheduled_runs.SKIPPED
                reason = f"the run that was due at {busy[operation.id].isoformat()} has not ended"
            else:
                busy[operation.id] = due_at
            yield {
                "scheduled_operation_id": operation.id,
                "project_id": operation.project_id,
                "due_at": due_at,
                "window_ends_at": ends,
                "state": state,
                "reason": reason,
                "created_at": now,
                "next_look_at": now if state == scheduled_runs.STARTED else None,
                "ended_at": None if state == scheduled_runs.STARTED else now,
            }


class _Times(NamedTuple):
    """:param dropped: due times that are not in *due* because they are too many"""

    due: list[datetime]
    dropped: int
    window: timedelta


def _from(timing: triggers.Timing, first: datetime) -> Iterator[datetime]:
    """*first* and all times after it."""
    moment: datetime | None = first
    while moment is not None:
        yield moment
        moment = timing.next(moment)
