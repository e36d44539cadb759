"""The check that packs exist with their expected sizes, for bases, commits and quick verifications."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Final

from karbor_like.bank import errors, layout
from karbor_like.bank.blocks.parallel import ahead
from karbor_like.bank.format.segment import PackUse
from karbor_like.bank.objectstore.base import ObjectStore

#: Trust listings regardless of the age of what they show.
ALWAYS: Final = datetime.min.replace(tzinfo=UTC)
#: Never trust listings.
NEVER: Final = datetime.max.replace(tzinfo=UTC)

_PAGE: Final = 1000
#: Stat requests in flight.
_STATS_IN_FLIGHT: Final = 8


def missing(
    store: ObjectStore,
    project_id: str,
    uses: Iterable[PackUse],
    check: Callable[[], None] | None = None,
    *,
    believed_since: datetime = ALWAYS,
) -> Iterator[str]:
    """Yield a sentence for each pack that is missing or has an unexpected size. Parameters as :func:`broken`."""
    for _, problem in broken(store, project_id, uses, check, believed_since=believed_since):
        yield problem


def broken(
    store: ObjectStore,
    project_id: str,
    uses: Iterable[PackUse],
    check: Callable[[], None] | None = None,
    *,
    believed_since: datetime = ALWAYS,
) -> Iterator[tuple[str, str]]:
    """Look up every pack in *uses*; yield the id of each that is missing or has an unexpected size, and a sentence.

    Packs are looked up in listings, which skip from one needed pack to the next. The number of listings is the number of
    needed packs or a thousandth of the project's packs, whichever is smaller. Listings lag, so a pack that a listing does
    not show, or shows with another size, is looked up with a stat request.

    :param check: called before every request; may raise to stop
    :param believed_since: the store's time. Listings also lag behind deletions, so a pack that was not stored after this time
        gets a stat request even if a listing shows it
    """
    sizes = {use.pack: use.size for use in uses}
    doubted = sorted(sizes) if believed_since == NEVER else _doubted(store, project_id, sizes, check, believed_since)
    with ThreadPoolExecutor(_STATS_IN_FLIGHT, "bank-packs") as pool:
        describe = partial(_describe_problem, store, project_id, sizes)
        for pack, problem in ahead(pool, describe, _checking(doubted, check), _STATS_IN_FLIGHT):
            if problem:
                yield pack, problem


def _doubted(
    store: ObjectStore,
    project_id: str,
    sizes: dict[str, int],
    check: Callable[[], None] | None,
    believed_since: datetime,
) -> Iterator[str]:
    """Yield the packs that no listing shows with the size in *sizes*."""
    prefix = layout.packs_prefix(project_id)
    needed = sorted(sizes)
    at = 0
    while at < len(needed):
        if check:
            check()
        # The listing excludes its marker; the key without its last character sorts just before the key.
        page = store.list(prefix, prefix + needed[at][:-1], _PAGE)
        listed = {info.key.removeprefix(prefix): info.size for info in page if info.modified > believed_since}
        end = page[-1].key.removeprefix(prefix) if len(page) == _PAGE else "g"
        while at < len(needed) and needed[at] <= end:
            if listed.get(needed[at]) != sizes[needed[at]]:
                yield needed[at]
            at += 1


def _checking(packs: Iterable[str], check: Callable[[], None] | None) -> Iterator[str]:
    for pack in packs:
        if check:
            check()
        yield pack


def _describe_problem(store: ObjectStore, project_id: str, sizes: dict[str, int], pack: str) -> tuple[str, str | None]:
    key = layout.pack_key(project_id, pack)
    try:
        size = store.stat(key).size
    except errors.ObjectNotFound:
        return pack, f"pack {key} is missing"
    return pack, None if size == sizes[pack] else f"pack {key} has {size} bytes; expected {sizes[pack]}"
