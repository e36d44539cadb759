"""Listings of more objects than a page holds. What they show may lag behind puts and deletes, as every listing does."""

import logging
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from karbor_like.bank import errors, layout
from karbor_like.bank.objectstore.base import ObjectInfo, ObjectStore

LOG = logging.getLogger(__name__)

_T = TypeVar("_T")

_PAGE: Final = 1000


def objects(store: ObjectStore, prefix: str, marker: str = "", at_once: int = _PAGE) -> Iterator[ObjectInfo]:
    """Every object below *prefix*, in order.

    :param marker: only those with keys behind it
    :param at_once: how many to ask the store for at a time
    """
    while True:
        page = store.list(prefix, marker, at_once)
        yield from page
        if len(page) < at_once:
            return
        marker = page[-1].key


def parsed(
    store: ObjectStore, prefix: str, parse: Callable[[str], _T], marker: str = "", at_once: int = _PAGE
) -> Iterator[tuple[ObjectInfo, _T]]:
    """What :func:`objects` gives, each with what *parse* makes of its key.

    :param parse: raises InvalidKey for keys that are not ours: those are left alone, with a warning
    """
    for info in objects(store, prefix, marker, at_once):
        try:
            what = parse(info.key)
        except errors.InvalidKey as error:
            _warn(info.key, error)
            continue
        yield info, what


def segments(store: ObjectStore, prefix: str) -> Iterator[str]:
    """What follows *prefix* in keys up to the next slash or the end, unquoted, each once, in the order of keys. Much less is
    listed than there is where many objects have one of them in common. What is not ours is left alone, with a warning.

    :param prefix: ends with a slash
    """
    for segment in _segments(store, prefix):
        try:
            yield layout.unquote(segment)
        except errors.InvalidKey as error:
            _warn(f"{prefix}{segment}", error)


def _segments(store: ObjectStore, prefix: str) -> Iterator[str]:
    marker = ""
    while True:
        page = store.list(prefix, marker, _PAGE)
        last = None
        for info in page:
            segment = info.key.removeprefix(prefix).split("/", 1)[0]
            if segment != last:
                yield segment
            last = segment
        if len(page) < _PAGE:
            return
        # Behind all that is below this segment: no key has a character after "z".
        marker = f"{prefix}{last}/~" if page[-1].key.startswith(f"{prefix}{last}/") else page[-1].key


def _warn(what: str, error: errors.InvalidKey) -> None:
    LOG.warning("%s: somebody else put it there, it is left alone: %s", what, error)
