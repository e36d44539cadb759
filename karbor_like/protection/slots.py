"""Limit on concurrent transfers of one process, shared fairly between projects."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds between two checks whether a waiting operation was cancelled or lost.
_CHECK_SECONDS = 1.0


class TransferSlots:
    """Slots for resources whose bytes are transferred.

    A free slot goes to the project that holds the fewest; of several such, to the one whose last turn was the longest ago;
    and within that project to the longest waiting resource. So a project with a thousand volumes does not starve another
    project's single one, also if there is a single slot.

    :param count: number of slots
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._condition = threading.Condition()
        self._held: Counter[str] = Counter()
        #: ticket -> project, in order of arrival
        self._waiting: dict[object, str] = {}
        #: project -> number of its latest turn, until all slots are free
        self._turns: dict[str, int] = {}
        self._count = 0

    @contextmanager
    def acquire(self, project_id: str, check: Callable[[], None]) -> Iterator[None]:
        """Wait for a slot and hold it within the block.

        :param check: called about once a second while waiting; may raise to stop
        """
        ticket = object()
        with self._condition:
            self._waiting[ticket] = project_id
            try:
                while not self._condition.wait_for(lambda: self._is_next(ticket), _CHECK_SECONDS):
                    check()
                self._free -= 1
                self._held[project_id] += 1
                self._count += 1
                self._turns[project_id] = self._count
            finally:
                del self._waiting[ticket]
                self._condition.notify_all()
        try:
            yield
        finally:
            with self._condition:
                self._free += 1
                self._held[project_id] -= 1
                if not self._waiting and not self._held.total():
                    self._held.clear()
                    self._turns.clear()
                self._condition.notify_all()

    def _is_next(self, ticket: object) -> bool:
        return self._free > 0 and min(self._waiting, key=self._rank) is ticket

    def _rank(self, ticket: object) -> tuple[int, int]:
        project_id = self._waiting[ticket]
        return self._held[project_id], self._turns.get(project_id, 0)
