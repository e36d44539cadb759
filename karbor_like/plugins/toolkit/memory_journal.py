"""A journal in memory, for what ends together with this process: see :class:`karbor_like.plugins.protection.Journal`."""

from collections.abc import Sequence
from dataclasses import replace

from karbor_like.plugins.protection import Entry


class MemoryJournal:
    """A journal in memory.

    :param prefix: of the names under which objects are created
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._entries: dict[str, Entry] = {}

    def intend(self, role: str, *, keep: bool = False) -> Entry:
        return self._entries.setdefault(role, Entry(role, f"{self._prefix}-{role}", None, keep))

    def made(self, role: str, cloud_id: str) -> Entry:
        self._entries[role] = replace(self._entries[role], cloud_id=cloud_id)
        return self._entries[role]

    def gone(self, role: str) -> None:
        self._entries.pop(role, None)

    def peek(self, role: str) -> Entry | None:
        return self._entries.get(role)

    def entries(self) -> Sequence[Entry]:
        return list(self._entries.values())
