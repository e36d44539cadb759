"""What a restore uses instead of creating it, because the target has it already.

The decision must stay the same when the restore continues in another process, which may find what the first one has created.
The main hook takes it, and the journal keeps it until the operation ends: as an entry that is never deleted from the cloud.
"""

from dataclasses import replace
from typing import Final

from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit.memory_journal import MemoryJournal

_PREFIX: Final = "use-"


def decide(context: HookContext, what: str, target_id: str | None) -> None:
    """Record that the restore uses an existing object, unless *target_id* is None.

    :param what: unique in the operation on the resource, at most 60 characters
    """
    if target_id is not None:
        context.journal.intend(_PREFIX + what, keep=True)
        context.journal.made(_PREFIX + what, target_id)


def decided(context: HookContext, what: str) -> str | None:
    """Return the id that :func:`decide` recorded, or None."""
    entry = context.journal.peek(_PREFIX + what)
    return entry.cloud_id if entry else None


def draft(context: HookContext) -> HookContext:
    """Return a context whose decisions are kept in memory only, for a restore that creates nothing."""
    return replace(context, journal=MemoryJournal("draft"))


def forget(context: HookContext) -> None:
    """Remove all decisions from the journal. The objects remain."""
    for entry in context.journal.entries():
        if entry.role.startswith(_PREFIX):
            context.journal.gone(entry.role)
