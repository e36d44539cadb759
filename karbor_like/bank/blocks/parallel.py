"""Ordered results of a function that threads apply to several items concurrently."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def ahead(
    pool: Executor, function: Callable[[_Item], _Result], items: Iterable[_Item], count: int
) -> Iterator[_Result]:
    """Apply *function* to each of *items* in *pool*, and yield the results in the order of the items.

    :param items: iterated in the caller's thread, only as far ahead of the results as needed
    :param count: maximum number of items in flight
    """
    running: deque[Future[_Result]] = deque()
    for item in items:
        running.append(pool.submit(function, item))
        if len(running) > count:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()
