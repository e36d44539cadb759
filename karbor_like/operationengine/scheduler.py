"""Fires triggers: turns what is due into runs, each exactly once, however many engines look.

A due trigger is claimed by comparing and setting its ``next_run_at`` in the transaction that records its runs, and a run
is unique by operation and due time. So an engine that dies before the commit has done nothing, and one that dies after it
leaves a run for any other to work on. Nothing is called from here.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
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
from karbor_like.triggers.contract import NotInstalled, Timing, TriggerType, of_type

LOG = logging.getLogger(__name__)

#: That many conflicts in a row are no coincidence.
_MANY_CONFLICTS = 10


class Scheduler:
    """:param conf: with groups ``[operationengine]`` and ``[trigger]``
    :param types: the trigger types by name
    """

    def __init__(
        self, conf: cfg.ConfigOpts, database: Database, clock: Clock, types: Mapping[str, TriggerType]
    ) -> None:
        self._options = conf.operationengine
        #: For triggers that name none.
        self._window = conf.trigger.min_window
        self._database = database
        self._clock = clock
        self._types = types
        #: Triggers that this engine lacks something for, and what; they are due for any that has it.
        self._left: dict[str, str] = {}
        #: Batches in a row that were not recorded because another engine had been faster.
        self._conflicts = 0

    def fire(self) -> int:
        """Record a run for everything that is due now. Returns how many triggers fired."""
        total, left = 0, dict[str, str]()
        while True:
            found, leaves = self._fire_batch(list(left))
            left.update(leaves)
            total += found - len(leaves)
            if found < self._options.batch:
                break
        for trigger_id, why in left.items():
            if self._left.get(trigger_id) != why:
                LOG.error("trigger %s is due but cannot fire here: %s", trigger_id, why)
        self._left = left
        return total

    def _fire_batch(self, left: Sequence[str]) -> tuple[int, Mapping[str, str]]:
        """How many triggers were found, and which of them were left, and why.

        :param left: triggers not to look at
        """
        now = self._clock.now()

        def work(session: orm.Session) -> tuple[int, Mapping[str, str]]:
            found = scheduled_runs.due_triggers(session, now, self._options.batch, left)
            if not found:
                return 0, {}
            times, leaves = self._times_of(found, now)
            due = [row for row in found if row.id in times]
            operations = scheduled_runs.operations_of(session, [row.id for row in due])
            ids = [row.id for rows in operations.values() for row in rows]
            busy = dict(scheduled_runs.running(session, ids) if ids else {})
            # The clock may have been put back, and the trigger changed since: a due time is run once all the same.
            first = min((times[row.id].due[0] for row in due), default=now)
            recorded = scheduled_runs.recorded(session, ids, first) if ids else frozenset()
            runs, moved = [], []
            for row in due:
                moved.append((row.id, row.next_run_at, times[row.id].following))
                for operation in operations.get(row.id, ()):
                    new = [due_at for due_at in times[row.id].due if (operation.id, due_at) not in recorded]
                    made = list(self._runs(operation, times[row.id]._replace(due=new), now, busy))
                    for run in made:
                        if run["ended_at"]:
                            scheduled_runs.log(session, operation, run["state"], run["due_at"], now, run["reason"])
                    runs += made
            scheduled_runs.record(session, runs)
            scheduled_runs.advance(session, moved)
            return len(found), leaves

        try:
            answer = self._database.write(work)
        except (exception.Conflict, db_exception.DBDuplicateEntry) as error:
            # On a database without SKIP LOCKED two engines may have looked at the same triggers: one of them won.
            self._conflicts += 1
            level = logging.WARNING if self._conflicts >= _MANY_CONFLICTS else logging.DEBUG
            LOG.log(level, "another engine fired these triggers, %d times in a row: %s", self._conflicts, error)
            return 0, {}
        self._conflicts = 0
        return answer

    def _times_of(self, found: Sequence[Trigger], now: datetime) -> tuple[Mapping[str, "_Times"], Mapping[str, str]]:
        """When triggers should have fired by *now*; and which cannot be asked here, and why."""
        times, leaves = {}, {}
        for row in found:
            try:
                times[row.id] = self._times(row, now)
            except NotInstalled as error:
                leaves[row.id] = str(error)
            except Exception as error:  # noqa: BLE001 - a plugin may raise anything, which must keep no other waiting
                leaves[row.id] = f"unexpected error: {error!r}"
        return times, leaves

    def _times(self, row: Trigger, now: datetime) -> "_Times":
        """When *row* should have fired by *now*, and when it will next."""
        assert row.next_run_at is not None
        kind = of_type(self._types, row.type)
        try:
            timing = kind.parse({"window": self._window, **row.properties})
        except NotInstalled:
            raise
        except exception.InvalidInput as error:
            LOG.error("trigger %s cannot be understood and will not fire any more: %s", row.id, error)
            return _Times([row.next_run_at], 0, timedelta(0), None)
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
        return _Times(times, dropped, timedelta(seconds=timing.window), following)

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
    following: datetime | None


def _from(timing: Timing, first: datetime) -> Iterator[datetime]:
    """*first* and all times after it."""
    moment: datetime | None = first
    while moment is not None:
        yield moment
        moment = timing.next(moment)
