"""Calls that threads run concurrently, and their results in order."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Generic, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Window(Generic[_Result]):
    """Calls in flight, in order. At most so many at once, and with so much memory.

    :param count: maximum number of calls
    :param room: maximum bytes of all of them, unless one alone needs more
    """

    def __init__(self, count: int, room: int) -> None:
        self._count = count
        self._room = room
        self._size = 0
        self._running: deque[tuple[Future[_Result], int]] = deque()

    def __len__(self) -> int:
        """Number of calls whose results were not taken."""
        return len(self._running)

    def has_room(self, size: int) -> bool:
        """Whether a call that needs *size* bytes may begin before the result of the oldest one is taken."""
        return not self._running or (len(self._running) < self._count and self._size + size <= self._room)

    def add(self, call: Future[_Result], size: int) -> None:
        """Add a call that needs *size* bytes."""
        self._running.append((call, size))
        self._size += size

    def take_done(self) -> None:
        """Raise the error of a call that failed so far, if there is one. Forget the results before it."""
        while self._running and self._running[0][0].done():
            self.take()

    def take(self) -> _Result:
        """Wait for the oldest call, and return its result or raise its error."""
        call, size = self._running.popleft()
        self._size -= size
        return call.result()


def ahead(
    pool: Executor,
    function: Callable[[_Item], _Result],
    items: Iterable[_Item],
    count: int,
    *,
    size: Callable[[_Item], int] = lambda _: 0,
    room: int = 0,
) -> Iterator[_Result]:
    """Apply *function* to each of *items* in *pool*, and yield the results in the order of the items.

    :param items: iterated in the caller's thread, only as far ahead of the results as needed
    :param count: maximum number of items in flight while a result is used
    :param size: the bytes that an item needs while it is in flight
    :param room: maximum bytes of the items in flight, unless one alone needs more
    """
    running = Window[_Result](count + 1, room)
    for item in items:
        needed = size(item)
        while not running.has_room(needed):
            yield running.take()
        running.add(pool.submit(function, item), needed)
        if len(running) > count:
            yield running.take()
    while running:
        yield running.take()


def begun(pool: Executor, items: Iterable[_Item]) -> Iterator[_Item]:
    """Begin to iterate over *items* in *pool*, and return them. The first is found while the caller does something else."""
    iterator = iter(items)
    first = pool.submit(lambda: list(itertools.islice(iterator, 1)))

    def all_items() -> Iterator[_Item]:
        yield from first.result()
        yield from iterator

    return all_items()
