"""Requests to a store that do not depend on one another, sent at the same time: together they take as long as one."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

_A = TypeVar("_A")
_B = TypeVar("_B")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

#: Threads of one call. With more, a Swift proxy and this process only wait for each other.
_AT_ONCE: Final = 8


def each(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> Sequence[_Result]:
    """Apply *function* to every item, several at once, and return the results in the order of the items.

    All that were begun have ended when this returns or raises. After an error no further ones begin; the error of the first
    item that failed is raised.

    :param function: sends requests; thread-safe
    """
    todo = list(items)
    if len(todo) < 2:
        return [function(item) for item in todo]
    with ThreadPoolExecutor(min(len(todo), _AT_ONCE), "bank-ask") as pool:
        futures = [pool.submit(function, item) for item in todo]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def both(first: Callable[[], _A], second: Callable[[], _B]) -> tuple[_A, _B]:
    """Call two functions at once, *first* in this thread. Both have ended when this returns, or raises the error of one.

    If both fail, the error of *first* is raised.
    """
    with ThreadPoolExecutor(1, "bank-ask") as pool:
        future = pool.submit(second)
        result = first()
        return result, future.result()
