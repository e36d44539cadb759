"""The decision whether something owns a marked object. In doubt, something does."""

import enum
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from karbor_like.plugins.objects import Mark


class Standing(enum.StrEnum):
    """What is known of the owner of a marked object."""

    #: Its operation has not ended.
    RUNNING = "running"
    #: Its operation has ended, and the clean-up of the operation still attempts to delete it.
    CLEANING = "cleaning"
    #: A checkpoint needs it, or a restore that succeeded created it.
    NEEDED = "needed"
    #: It, or the end of its operation, is too young: the database may learn of it later than the cloud.
    YOUNG = "young"
    #: The cloud does not say when it was created.
    UNDATED = "undated"
    #: It may be the result of a restore, or a bank that may need it cannot be read.
    UNCERTAIN = "uncertain"
    #: Nothing owns it, and its operation has ended.
    ENDED = "ended"
    #: Nothing here owns it, and the database does not know its operation, which may be that of another installation.
    UNKNOWN = "unknown"


#: Standings of objects that nothing owns.
ORPHANED: Final = frozenset({Standing.ENDED, Standing.UNKNOWN})
#: Standings of objects that only a person can decide about.
DOUBTFUL: Final = frozenset({Standing.UNDATED, Standing.UNCERTAIN})


@dataclass(frozen=True)
class Known:
    """What the database knows of an operation.

    :param is_done: whether it has ended
    :param is_cleaning: whether its clean-up attempts to delete what it left
    :param ended_at: None if that is unknown
    :param results: ids of what it left in the cloud on purpose; names of what it left if the ids were not recorded
    :param holds: whether the results are owned: it is a restore that succeeded, or its checkpoint is there
    """

    is_done: bool
    is_cleaning: bool = False
    ended_at: datetime | None = None
    results: Collection[str] = ()
    holds: bool = False


def judge(mark: Mark, known: Known | None, before: datetime, find_need: Callable[[], bool | None]) -> Standing:
    """Return the standing of an object.

    :param known: what the database knows of its operation; None: nothing
    :param before: objects that were created later are too young
    :param find_need: returns whether a checkpoint in a bank names the object; None: that cannot be found out. Asked last
    """
    if known is not None:
        if not known.is_done:
            return Standing.RUNNING
        if known.is_cleaning:
            return Standing.CLEANING
        if known.holds and (mark.cloud_id in known.results or mark.name in known.results):
            return Standing.NEEDED
    ended_at = known.ended_at if known is not None else None
    # What the journal names was created before its operation ended.
    created_at = mark.created_at or (ended_at if mark.recorded else None)
    if created_at is None:
        return Standing.UNDATED
    if created_at > before or (ended_at is not None and ended_at > before):
        return Standing.YOUNG
    if known is None and mark.final:
        return Standing.UNCERTAIN
    need = find_need()
    if need is not False:
        return Standing.UNCERTAIN if need is None else Standing.NEEDED
    return Standing.UNKNOWN if known is None else Standing.ENDED
