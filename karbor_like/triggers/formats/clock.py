"""Times of day at which a pattern fires: they show quickly that no two of its times are close to each other."""

import itertools
from collections.abc import Sequence, Set
from datetime import timedelta
from typing import Final

_DAY: Final = 86_400
_HOUR: Final = 3_600


def crowded_hours(times: Sequence[int], least: timedelta) -> Set[int]:
    """Return the hours of the day with times that are less than *least* from another one, possibly on another day.

    :param times: times of day in seconds, in ascending order
    """
    seconds = least.total_seconds()
    pairs = itertools.pairwise([*times, *(time + _DAY for time in times[:1])])
    return {time % _DAY // _HOUR for pair in pairs if pair[1] - pair[0] < seconds for time in pair}
