"""Whether packs are there: the look that commit and quick verification take."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Final

from karbor_like.bank import errors, layout
from karbor_like.bank.blocks.parallel import ahead
from karbor_like.bank.format.segment import PackUse
from karbor_like.bank.objectstore.base import ObjectStore

#: Listings may be believed, whatever they show.
ALWAYS: Final = datetime.min.replace(tzinfo=UTC)
#: Listings may not be believed.
NEVER: Final = datetime.max.replace(tzinfo=UTC)

_PAGE: Final = 1000
#: Packs that the store is asked for at once.
_ASKED: Final = 8


def missing(
    store: ObjectStore,
    project_id: str,
    uses: Iterable[PackUse],
    check: Callable[[], None] | None = None,
    *,
    believed_since: datetime = ALWAYS,
) -> Iterator[str]:
    """Look for every pack in *uses*; yield a sentence for each that is missing or has another size than it should.

    Packs are looked up in listings, jumping from one that is needed to the next: so many listings as there are packs in use,
    or a thousandth of the packs of the project, whichever is less. What a listing does not show, or shows with another
    size, is asked for itself, as listings lag.

    :param check: called before every request; may raise to stop
    :param believed_since: the store's time; a pack that was not stored after it is asked for itself also where a listing
        shows it, as listings lag behind deletions, too
    """
    sizes = {use.pack: use.size for use in uses}
    doubted = sorted(sizes) if believed_since == NEVER else _doubted(store, project_id, sizes, check, believed_since)
    with ThreadPoolExecutor(_ASKED, "bank-packs") as pool:
        for problem in ahead(pool, partial(_problem, store, project_id, sizes), _checked(doubted, check), _ASKED):
            if problem:
                yield problem


def _doubted(
    store: ObjectStore,
    project_id: str,
    sizes: dict[str, int],
    check: Callable[[], None] | None,
    believed_since: datetime,
) -> Iterator[str]:
    """Packs of which listings do not say that they are there with the size that *sizes* has."""
    prefix = layout.packs_prefix(project_id)
    needed = sorted(sizes)
    at = 0
    while at < len(needed):
        if check:
            check()
        # The marker is excluded from the listing; one character less than the key sorts right before it.
        page = store.list(prefix, prefix + needed[at][:-1], _PAGE)
        seen = {info.key.removeprefix(prefix): info.size for info in page if info.modified > believed_since}
        end = page[-1].key.removeprefix(prefix) if len(page) == _PAGE else "g"
        while at < len(needed) and needed[at] <= end:
            if seen.get(needed[at]) != sizes[needed[at]]:
                yield needed[at]
            at += 1


def _checked(packs: Iterable[str], check: Callable[[], None] | None) -> Iterator[str]:
    for pack in packs:
        if check:
            check()
        yield pack


def _problem(store: ObjectStore, project_id: str, sizes: dict[str, int], pack: str) -> str | None:
    key = layout.pack_key(project_id, pack)
    try:
        found = store.stat(key).size
    except errors.ObjectNotFound:
        return f"pack {key} is missing"
    return None if found == sizes[pack] else f"pack {key} has {found} bytes instead of {sizes[pack]}"
