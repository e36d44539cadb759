"""Asking for several things at once, in threads, and getting the answers in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


def ahead(
    pool: Executor, function: Callable[[_Item], _Answer], items: Iterable[_Item], count: int
) -> Iterator[_Answer]:
    """*function* of each of *items*, in their order, worked out in *pool*.

    :param items: iterated over in the caller's thread, no further ahead of the answers than needed
    :param count: how many are worked on at once
    """
    running: deque[Future[_Answer]] = deque()
    for item in items:
        running.append(pool.submit(function, item))
        if len(running) > count:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()
