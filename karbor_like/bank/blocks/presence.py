"""The check that packs and segments exist with their expected sizes, for bases, commits and quick verifications."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Final, TypeVar

from karbor_like.bank import errors, layout
from karbor_like.bank.blocks.parallel import ahead
from karbor_like.bank.format.manifest import Head, SegmentRef
from karbor_like.bank.format.segment import PackUse
from karbor_like.bank.objectstore.base import ObjectStore

_Result = TypeVar("_Result")

#: Trust listings regardless of the age of what they show.
ALWAYS: Final = datetime.min.replace(tzinfo=UTC)
#: Never trust listings.
NEVER: Final = datetime.max.replace(tzinfo=UTC)

_PAGE: Final = 1000
#: Requests in flight at least, also to a store that needs no more to be busy.
_AT_ONCE: Final = 8


def missing(
    store: ObjectStore,
    project_id: str,
    uses: Iterable[PackUse],
    check: Callable[[], None] | None = None,
    *,
    believed_since: datetime = ALWAYS,
) -> Iterator[str]:
    """Yield a sentence for each pack that is missing or has an unexpected size. Parameters as :func:`broken_packs`."""
    sizes = {use.pack: use.size for use in uses}
    for _, problem in broken_packs(store, project_id, sizes, check, believed_since=believed_since):
        yield problem


def broken_packs(
    store: ObjectStore,
    project_id: str,
    sizes: Mapping[str, int],
    check: Callable[[], None] | None = None,
    *,
    believed_since: datetime = ALWAYS,
) -> Iterator[tuple[str, str]]:
    """Look up packs; yield the id of each that is missing or has an unexpected size, and a sentence.

    :param sizes: id of each pack -> its expected bytes
    :param check: called before every request; may raise to stop
    :param believed_since: an object that the store received at this time or earlier gets a stat request even if a listing
        shows it
    """
    yield from _broken(store, "pack", layout.packs_prefix(project_id), sizes, check, believed_since)


def broken_segments(
    store: ObjectStore, head: Head, check: Callable[[], None] | None = None, *, believed_since: datetime = ALWAYS
) -> Iterator[tuple[str, str]]:
    """Look up the segments of *head* like the packs in :func:`broken_packs`, and read none of them."""
    prefix = layout.segments_prefix(head.checkpoint_id, head.resource_key, head.name, head.attempt)
    sizes = {head.segment_key(ref.number).removeprefix(prefix): ref.size for ref in head.segments}
    yield from _broken(store, "segment", prefix, sizes, check, believed_since)


def for_segments(
    store: ObjectStore, head: Head, read: Callable[[SegmentRef], _Result], check: Callable[[], None] | None
) -> Iterator[_Result]:
    """Yield what *read* returns for each segment of *head*, in order. It is called for several of them concurrently."""

    def refs() -> Iterator[SegmentRef]:
        for ref in head.segments:
            if check:
                check()
            yield ref

    at_once = max(_AT_ONCE, store.requests_at_once)
    with ThreadPoolExecutor(at_once, "bank-tables") as pool:
        yield from ahead(pool, read, refs(), at_once)


def _broken(
    store: ObjectStore,
    noun: str,
    prefix: str,
    sizes: Mapping[str, int],
    check: Callable[[], None] | None,
    believed_since: datetime,
) -> Iterator[tuple[str, str]]:
    """Look up the objects whose keys are *prefix* and a name in *sizes*; yield the name of each broken one, and why."""
    if believed_since == NEVER:
        doubted: Iterable[str] = sorted(sizes)
    else:
        doubted = _doubted(store, prefix, sizes, check, believed_since)
    at_once = max(_AT_ONCE, store.requests_at_once)
    with ThreadPoolExecutor(at_once, "bank-stats") as pool:
        describe = partial(_describe_problem, store, noun, prefix, sizes)
        for name, problem in ahead(pool, describe, _checking(doubted, check), at_once):
            if problem:
                yield name, problem


def _doubted(
    store: ObjectStore,
    prefix: str,
    sizes: Mapping[str, int],
    check: Callable[[], None] | None,
    believed_since: datetime,
) -> Iterator[str]:
    """Yield the names that no listing shows with the size in *sizes*."""
    needed = sorted(sizes)
    at, end = 0, ""
    while at < len(needed):
        if check:
            check()
        # The listing excludes its marker; the key without its last character sorts just before the key. Foreign objects
        # between the two may fill a page, and then the next one begins after them.
        page = store.list(prefix, prefix + max(needed[at][:-1], end), _PAGE)
        listed = {info.key.removeprefix(prefix): info.size for info in page if info.modified > believed_since}
        # Names are hexadecimal digits, so that all of them sort before the letter.
        end = page[-1].key.removeprefix(prefix) if len(page) == _PAGE else "g"
        while at < len(needed) and needed[at] <= end:
            if listed.get(needed[at]) != sizes[needed[at]]:
                yield needed[at]
            at += 1


def _checking(names: Iterable[str], check: Callable[[], None] | None) -> Iterator[str]:
    for name in names:
        if check:
            check()
        yield name


def _describe_problem(
    store: ObjectStore, noun: str, prefix: str, sizes: Mapping[str, int], name: str
) -> tuple[str, str | None]:
    key = f"{prefix}{name}"
    try:
        size = store.stat(key).size
    except errors.ObjectNotFound:
        return name, f"{noun} {key} is missing"
    return name, None if size == sizes[name] else f"{noun} {key} has {size} bytes; expected {sizes[name]}"
