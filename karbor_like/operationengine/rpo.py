"""Recovery point objectives: finds the plans whose last good checkpoint is too old for their schedules.

The objective of a plan follows from its schedules. It is violated when ``[operationengine] rpo_missed`` due times of a
schedule have passed since the last good checkpoint, the last one with its window, and there is no newer one. All engines
look, and a change is recorded by compare-and-set, so that it is reported once.
"""

import json
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from oslo_config import cfg

from karbor_like import exception, foreign, watchdog
from karbor_like.clock import Clock
from karbor_like.db import plans
from karbor_like.db.plans import PLANS
from karbor_like.db.session import Database
from karbor_like.triggers.contract import TriggerType, stored_timing

LOG = logging.getLogger(__name__)

#: Seconds between two looks.
INTERVAL: Final = 60.0

_Key = tuple[str, str, datetime]


class Objectives:
    """Compares the schedules of all plans with their checkpoints.

    :param conf: with groups ``[operationengine]`` and ``[trigger]``
    :param types: the trigger types by name
    """

    def __init__(
        self, conf: cfg.ConfigOpts, database: Database, clock: Clock, types: Mapping[str, TriggerType]
    ) -> None:
        self._options = conf.operationengine
        self._window = conf.trigger.min_window
        self._database = database
        self._clock = clock
        self._types = types
        #: Deadlines of the last look: computing them costs more than all the rest.
        self._deadlines: dict[_Key, datetime | None] = {}

    def check(self) -> int:
        """Record which plans violate their objective now, and return the number of changes."""
        now = self._clock.now()
        known, self._deadlines = self._deadlines, {}
        with self._database.lookup() as connection:
            before = plans.violated(connection)
            schedules = plans.schedules(connection) if self._options.rpo_missed else ()
        violated = set()
        for row in schedules:
            watchdog.tick()
            deadline = self._deadline(row, known)
            if deadline is not None and now > deadline:
                violated.add(row.id)
        changes = [(plan_id, plans.VIOLATED) for plan_id in sorted(violated - before)]
        changes += [(plan_id, plans.MET) for plan_id in sorted(before - violated)]
        return sum(self._change(plan_id, state) for plan_id, state in changes)

    def _deadline(self, row: Any, known: Mapping[_Key, datetime | None]) -> datetime | None:
        """Return when the objective is violated unless there is a newer checkpoint; None: never."""
        base = max(row.newest, row.scheduled_at) if row.newest else row.scheduled_at
        key = row.type, json.dumps(row.properties, sort_keys=True), base
        if key not in self._deadlines:
            self._deadlines[key] = known[key] if key in known else self._compute(row, base)
        return self._deadlines[key]

    def _compute(self, row: Any, base: datetime) -> datetime | None:
        try:
            with foreign.refused(f"trigger {row.trigger_id}"):
                timing = stored_timing(self._types, row.type, row.properties, self._window)
                due: datetime | None = base
                for _ in range(self._options.rpo_missed):
                    due = timing.next(due) if due is not None else None
        except exception.InvalidInput as error:
            # The scheduler reports it when the trigger is due.
            LOG.debug("plan %s: its objective is unknown: %s", row.id, error)
            return None
        return None if due is None else due + timedelta(seconds=timing.window)

    def _change(self, plan_id: str, state: str) -> bool:
        other = plans.MET if state == plans.VIOLATED else plans.VIOLATED
        expected = {"rpo_state": other}

        def write(session: Any) -> bool:
            return PLANS.update(session, plan_id, {"rpo_state": state}, expected) or (
                state == plans.VIOLATED and PLANS.update(session, plan_id, {"rpo_state": state}, {"rpo_state": None})
            )

        changed = self._database.write(write)
        if changed and state == plans.VIOLATED:
            LOG.warning("plan %s: its last good checkpoint is too old for its schedule", plan_id)
        elif changed:
            LOG.info("plan %s: its last good checkpoint is no longer too old", plan_id)
        return changed
