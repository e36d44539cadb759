"""The next due times of triggers, for one response."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from karbor_like import exception, foreign
from karbor_like.api.context import ServiceContext
from karbor_like.triggers import contract, upcoming

T = TypeVar("T")

#: Number of due times that are shown.
COUNT: Final = 5
#: Seconds after which no more due times are computed for a response.
_SECONDS: Final = 1.0


def of_timing(deps: ServiceContext, trigger: Any, ask: Callable[[contract.Timing], T]) -> T | None:
    """Return what *ask* answers about the due times of a stored trigger; None if this process does not know them.

    :param trigger: has ``type`` and ``properties``
    """
    try:
        with foreign.refused("properties"):
            least = deps.conf.trigger.min_window
            return ask(contract.stored_timing(deps.trigger_types, trigger.type, trigger.properties, least))
    except exception.InvalidInput:
        return None


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
        return of_timing(self._deps, row, lambda timing: upcoming.upcoming(timing, self._deps.clock, COUNT))
