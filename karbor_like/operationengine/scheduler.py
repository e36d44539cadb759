"""Firing of due triggers: each due time is recorded as a run exactly once, regardless of the number of engines.

A due trigger is claimed by compare-and-set of its ``next_run_at``, in the transaction that records its runs. A run is unique
by operation and due time. An engine that dies before the commit has changed nothing; after the commit, any other engine can
claim the runs. The scheduler itself makes no calls.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from oslo_config import cfg
from oslo_db import exception as db_exception
from sqlalchemy import orm

from karbor_like import exception, watchdog
from karbor_like.clock import Clock
from karbor_like.db import scheduled_runs
from karbor_like.db.models import ScheduledOperation, Trigger
from karbor_like.db.session import Database
from karbor_like.metrics import families
from karbor_like.triggers.contract import NotInstalled, Timing, TriggerType, stored_timing

LOG = logging.getLogger(__name__)

#: From this number of consecutive conflicts on, they are logged as warnings.
_MANY_CONFLICTS = 10


class Scheduler:
    """Records the runs of due triggers.

    :param conf: with groups ``[operationengine]`` and ``[trigger]``
    :param types: the trigger types by name
    """

    def __init__(
        self, conf: cfg.ConfigOpts, database: Database, clock: Clock, types: Mapping[str, TriggerType]
    ) -> None:
        self._options = conf.operationengine
        #: Window, in seconds, of triggers without one.
        self._window = conf.trigger.min_window
        self._database = database
        self._clock = clock
        self._types = types
        #: Due triggers that this engine cannot fire, and the reasons. Another engine may be able to fire them.
        self._skipped: dict[str, str] = {}
        #: Consecutive batches that were rolled back because another engine fired the triggers first.
        self._conflicts = 0
        #: Why due times are recorded as missed even within their windows, or None.
        self._missed: str | None = None

    def miss(self, reason: str) -> int:
        """Record all due times until now as missed, because of *reason*. Return the number of triggers that had one."""
        self._missed = reason
        try:
            return self.fire()
        finally:
            self._missed = None

    def fire(self) -> int:
        """Record the runs of all due triggers, and return the number of triggers that fired."""
        total, skipped = 0, dict[str, str]()
        more = True
        while more:
            watchdog.tick()
            fired, reasons, more = self._fire_batch(list(skipped))
            skipped.update(reasons)
            total += fired
        for trigger_id, why in skipped.items():
            if self._skipped.get(trigger_id) != why:
                LOG.error("trigger %s: due but cannot fire in this engine: %s", trigger_id, why)
        self._skipped = skipped
        return total

    def _fire_batch(self, skipped: Sequence[str]) -> tuple[int, Mapping[str, str], bool]:
        """Fire a batch of triggers.

        :param skipped: ids of triggers to leave out
        :returns: number of triggers that fired; reasons for those that cannot fire here, by id; whether more may be due
        """
        now = self._clock.now()
        with self._database.reader() as session:
            triggers = scheduled_runs.due_triggers(session, now, self._options.batch, skipped)
        # Not in the transaction that records the runs: a plugin may compute for long.
        times, reasons = self._compute_times(triggers, now)
        computed = [row for row in triggers if row.id in times]
        try:
            fired, ended = (
                self._database.write(lambda session: self._record(session, computed, times, now))
                if computed
                else (0, [])
            )
        except (exception.Conflict, db_exception.DBDuplicateEntry) as error:
            # On a database without SKIP LOCKED, two engines may have read the same triggers; one of them was faster.
            self._conflicts += 1
            level = logging.WARNING if self._conflicts >= _MANY_CONFLICTS else logging.DEBUG
            LOG.log(level, "another engine fired these triggers first, %d times in a row: %s", self._conflicts, error)
            return 0, reasons, False
        self._conflicts = 0
        for state in ended:
            families.SCHEDULED_RUNS.labels(state).inc()
        return fired, reasons, len(triggers) == self._options.batch and bool(fired or reasons)

    def _record(
        self, session: orm.Session, computed: Sequence[Trigger], times: Mapping[str, "_Times"], now: datetime
    ) -> tuple[int, list[str]]:
        """Record the runs of those triggers that are still due.

        :returns: number of these triggers; states of the runs that ended at once
        """
        due = scheduled_runs.lock_unchanged(session, computed)
        operations = scheduled_runs.operations_of(session, [row.id for row in due])
        ids = [row.id for rows in operations.values() for row in rows]
        busy = dict(scheduled_runs.running(session, ids) if ids else {})
        # A due time runs only once, even if the clock was set back and the trigger was changed afterwards.
        first = min((times[row.id].due[0] for row in due), default=now)
        recorded = scheduled_runs.recorded(session, ids, first) if ids else frozenset()
        runs, fired = [], []
        for row in due:
            fired.append((row.id, row.next_run_at, times[row.id].following))
            for operation in operations.get(row.id, ()):
                new = [due_at for due_at in times[row.id].due if (operation.id, due_at) not in recorded]
                for run in self._runs(operation, times[row.id]._replace(due=new), now, busy):
                    if run["ended_at"]:
                        scheduled_runs.log(session, operation, run["state"], run["due_at"], now, run["reason"])
                    runs.append(run)
        scheduled_runs.record(session, runs)
        scheduled_runs.advance(session, fired)
        return len(due), [run["state"] for run in runs if run["ended_at"]]

    def _compute_times(
        self, triggers: Sequence[Trigger], now: datetime
    ) -> tuple[Mapping[str, "_Times"], Mapping[str, str]]:
        """Compute the due times of triggers until *now*, and the reasons for those that cannot be evaluated here."""
        times, reasons = {}, {}
        for row in triggers:
            try:
                times[row.id] = self._times(row, now)
            except NotInstalled as error:
                reasons[row.id] = str(error)
            except Exception as error:  # noqa: BLE001 - a plugin may raise anything, which must not block other triggers
                reasons[row.id] = f"unexpected error: {error!r}"
        return times, reasons

    def _times(self, row: Trigger, now: datetime) -> "_Times":
        """Compute the due times of *row* until *now*, and the next one."""
        assert row.next_run_at is not None
        try:
            timing = stored_timing(self._types, row.type, row.properties, self._window)
        except NotInstalled:
            raise
        except exception.InvalidInput as error:
            # It was accepted by an earlier version. Its owner finds the reason in the operation log.
            reason = f"trigger {row.id} is invalid and does not fire until its properties are changed: {error}"
            LOG.error("%s", reason)
            return _Times([row.next_run_at], 0, timedelta(seconds=self._window), None, reason)
        times: list[datetime] = []
        dropped, following = 0, None
        for moment in _from(timing, row.next_run_at):
            if moment > now:
                following = moment
                break
            if len(times) == self._options.max_missed:
                # After a very long outage. The newest due time may still run; most of the others are only counted.
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
            if times.invalid:
                state, reason = scheduled_runs.FAILED, times.invalid
            elif now > ends:
                late = (now - due_at).total_seconds()
                state = scheduled_runs.MISSED
                reason = f"found {late:.0f} seconds late; its window is {times.window.total_seconds():.0f} seconds"
                if times.dropped and due_at == times.due[0]:
                    reason += f"; {times.dropped} more due times after it were missed, too, and are not recorded"
            elif self._missed is not None:
                state, reason = scheduled_runs.MISSED, self._missed
            elif operation.id in busy:
                state = scheduled_runs.SKIPPED
                reason = scheduled_runs.not_ended(busy[operation.id])
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
    """Due times of a trigger.

    :param due: due times until now
    :param dropped: number of due times that are not in *due* because there are too many
    :param window: how long after its due time a run may start
    :param following: the next due time, or None
    :param invalid: why the trigger cannot fire at any of them, or None
    """

    due: list[datetime]
    dropped: int
    window: timedelta
    following: datetime | None
    invalid: str | None = None


def _from(timing: Timing, first: datetime) -> Iterator[datetime]:
    """Yield *first* and all due times after it."""
    moment: datetime | None = first
    while moment is not None:
        yield moment
        moment = timing.next(moment)
