"""What a restore uses instead of creating it, because the target has it already.

The decision must stay the same when the restore continues in another process, which may find what the first one has created.
The main hook takes it, and the journal keeps it until the operation ends: as an entry that is never deleted from the cloud.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from karbor_like.plugins.protection import Entry, HookContext

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
    return replace(context, journal=_Draft())


class _Draft:
    """A journal in memory."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def intend(self, role: str, *, keep: bool = False) -> Entry:
        return self._entries.setdefault(role, Entry(role, role, None, keep))

    def made(self, role: str, cloud_id: str) -> Entry:
        self._entries[role] = replace(self._entries[role], cloud_id=cloud_id)
        return self._entries[role]

    def gone(self, role: str) -> None:
        self._entries.pop(role, None)

    def peek(self, role: str) -> Entry | None:
        return self._entries.get(role)

    def entries(self) -> Sequence[Entry]:
        return [*self._entries.values()]


def forget(context: HookContext) -> None:
    """Remove all decisions from the journal. The objects remain."""
    for entry in context.journal.entries():
        if entry.role.startswith(_PREFIX):
            context.journal.gone(entry.role)
