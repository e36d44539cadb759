"""Listings of any number of objects. Like every listing, they may lag behind puts and deletes."""

import logging
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from karbor_like.bank import errors, layout
from karbor_like.bank.objectstore.base import ObjectInfo, ObjectStore

LOG = logging.getLogger(__name__)

_T = TypeVar("_T")

_PAGE: Final = 1000


def objects(store: ObjectStore, prefix: str, marker: str = "", page_size: int = _PAGE) -> Iterator[ObjectInfo]:
    """Yield every object below *prefix*, in order.

    :param marker: only keys that sort after it are listed
    :param page_size: number of objects in one request
    """
    while True:
        page = store.list(prefix, marker, page_size)
        yield from page
        if len(page) < page_size:
            return
        marker = page[-1].key


def parsed(
    store: ObjectStore, prefix: str, parse: Callable[[str], _T], marker: str = "", page_size: int = _PAGE
) -> Iterator[tuple[ObjectInfo, _T]]:
    """Yield the objects of :func:`objects`, each with its parsed key.

    :param parse: raises InvalidKey for the keys of foreign objects, which are skipped with a warning
    """
    for info in objects(store, prefix, marker, page_size):
        try:
            parsed_key = parse(info.key)
        except errors.InvalidKey as error:
            _warn(info.key, error)
            continue
        yield info, parsed_key


def segments(store: ObjectStore, prefix: str) -> Iterator[str]:
    """Yield the segments that follow *prefix* in keys, unquoted, each once, in the order of keys.

    The listing skips most objects of a segment that many objects share. Foreign objects are skipped with a warning.

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
        # After everything below this segment: no key has a character that sorts after "z".
        marker = f"{prefix}{last}/~" if page[-1].key.startswith(f"{prefix}{last}/") else page[-1].key


def _warn(key: str, error: errors.InvalidKey) -> None:
    LOG.warning("%s: is a foreign object and is ignored: %s", key, error)
