"""Lists of a cloud's objects, page by page."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated

#: Objects that one request asks for.
PAGE: Final = 500
#: Objects that a list may have: a service that never ends a list must not be read forever.
MAX_OBJECTS: Final = 100_000


def paged(what: str, ask: Callable[[str | None], Sequence[Any]]) -> Iterator[Any]:
    """Go through the objects of a list, each of which has an ``id``.

    :param what: the list, for messages
    :param ask: returns the page after the object with an id; None: the first one

    Raises ResourceFailed if there are more than :data:`MAX_OBJECTS`, and what ``translated`` raises.
    """
    marker: str | None = None
    number = 0
    while True:
        with translated(what):
            page = ask(marker)
        if not page:
            return
        yield from page
        number += len(page)
        if number > MAX_OBJECTS or page[-1].id == marker:
            raise exception.ResourceFailed(f"{what}: the list does not end after {number} objects")
        marker = page[-1].id
