"""Who may move bytes: a bounded number of resources at once in one process, projects taking turns."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds between two looks whether a waiting operation is still wanted.
_CHECK_SECONDS = 1.0


class TransferSlots:
    """Places for resources whose bytes are moved.

    A free place goes to the project that has the fewest, and among those to who waits the longest: a project with a
    thousand volumes does not keep another's single one waiting until it is through.

    :param places: how many there are
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._condition = threading.Condition()
        self._taken: Counter[str] = Counter()
        #: ticket -> project, in order of arrival
        self._waiting: dict[object, str] = {}

    @contextmanager
    def place(self, project_id: str, check: Callable[[], None]) -> Iterator[None]:
        """Wait for a place and hold it. *check* is called about once a second meanwhile, and may raise to give up."""
        ticket = object()
        with self._condition:
            self._waiting[ticket] = project_id
            try:
                while not self._condition.wait_for(lambda: self._is_next(ticket), _CHECK_SECONDS):
                    check()
                self._free -= 1
                self._taken[project_id] += 1
            finally:
                del self._waiting[ticket]
                self._condition.notify_all()
        try:
            yield
        finally:
            with self._condition:
                self._free += 1
                self._taken[project_id] -= 1
                self._condition.notify_all()

    def _is_next(self, ticket: object) -> bool:
        return self._free > 0 and min(self._waiting, key=lambda one: self._taken[self._waiting[one]]) is ticket
