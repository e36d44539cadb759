"""Whether packs are there: the cheap look that commit and quick verification take."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from karbor_like.bank import errors, layout
from karbor_like.bank.objectstore.base import ObjectStore
from karbor_like.bank.segment import PackUse

_PAGE: Final = 1000


def missing(
    store: ObjectStore, project_id: str, uses: Iterable[PackUse], check: Callable[[], None] | None = None
) -> Iterator[str]:
    """Look for every pack in *uses*; yield a sentence for each that is missing or has another size than it should.

    Packs are looked up in listings, jumping from one that is needed to the next: so many listings as there are packs in use,
    or a thousandth of the packs of the project, whichever is less. What a listing does not show, or shows with another
    size, is asked for itself, as listings lag.

    :param check: called before every request; may raise to stop
    """
    sizes = {use.pack: use.size for use in uses}
    prefix = layout.packs_prefix(project_id)
    needed = sorted(sizes)
    at = 0
    while at < len(needed):
        if check:
            check()
        # The marker is excluded from the listing; one character less than the key sorts right before it.
        page = store.list(prefix, prefix + needed[at][:-1], _PAGE)
        seen = {info.key.removeprefix(prefix): info.size for info in page}
        end = page[-1].key.removeprefix(prefix) if len(page) == _PAGE else "g"
        while at < len(needed) and needed[at] <= end:
            pack = needed[at]
            if seen.get(pack) != sizes[pack]:
                problem = _problem(store, layout.pack_key(project_id, pack), sizes[pack])
                if problem:
                    yield problem
            at += 1


def _problem(store: ObjectStore, key: str, size: int) -> str | None:
    try:
        found = store.stat(key).size
    except errors.ObjectNotFound:
        return f"pack {key} is missing"
    return None if found == size else f"pack {key} has {found} bytes instead of {size}"
