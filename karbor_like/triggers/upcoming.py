"""The next due times of a trigger, for those who want to see them."""

from datetime import datetime
from typing import Final

from karbor_like.clock import Clock
from karbor_like.triggers.contract import Timing

#: Seconds after which no further due time is computed: a pattern may make each of them expensive.
_SECONDS: Final = 0.5


def upcoming(timing: Timing, clock: Clock, count: int) -> list[datetime]:
    """Return the next *count* due times (aware UTC) from now on, or fewer if there are no more or they take too long."""
    end = clock.monotonic() + _SECONDS
    found: list[datetime] = []
    moment: datetime | None = clock.now()
    while moment is not None and len(found) < count and clock.monotonic() <= end:
        moment = timing.next(moment)
        if moment is not None:
            found.append(moment)
    return found
