"""The next due times of triggers, for one response."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from karbor_like import exception, foreign
from karbor_like.api.context import ServiceContext
from karbor_like.triggers import contract, upcoming

#: Number of due times that are shown.
COUNT: Final = 5
#: Seconds after which no more due times are computed for a response.
_SECONDS: Final = 1.0


class NextRuns:
    """Computes due times, each trigger's once, for a limited time in all."""

    def __init__(self, deps: ServiceContext) -> None:
        self._deps = deps
        self._end = deps.clock.monotonic() + _SECONDS
        self._known: dict[str, Sequence[datetime] | None] = {}

    def of(self, trigger_id: str, row: Any) -> Sequence[datetime] | None:
        """Return the next due times of a trigger (aware UTC); None if this process cannot compute them in time.

        :param row: has ``type``, ``properties`` and ``next_run_at`` of the trigger
        """
        if trigger_id not in self._known:
            self._known[trigger_id] = self._compute(row)
        return self._known[trigger_id]

    def _compute(self, row: Any) -> Sequence[datetime] | None:
        if row.next_run_at is None:
            return []
        if self._deps.clock.monotonic() > self._end:
            return None
        try:
            with foreign.refused("properties"):
                window = self._deps.conf.trigger.min_window
                timing = contract.stored_timing(self._deps.trigger_types, row.type, row.properties, window)
                return upcoming.upcoming(timing, self._deps.clock, COUNT)
        except exception.InvalidInput:
            return None
