"""Reading of stored blocks from packs, with one request for blocks that lie close together."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from karbor_like.bank import errors, layout
from karbor_like.bank.format.manifest import Head
from karbor_like.bank.format.segment import Place
from karbor_like.bank.objectstore.base import ObjectStore

#: Bytes between two blocks of a pack up to which reading the gap is cheaper than a second request.
_GAP: Final = 256 * 1024


class StoredBlock(NamedTuple):
    """A block of a stream that is not zero.

    :param number: of the block; what it counts from is the caller's matter
    :param size: bytes of the block
    """

    place: Place
    number: int
    size: int
    hash: bytes


def runs(blocks: Iterable[StoredBlock], most: int) -> Iterator[Sequence[StoredBlock]]:
    """Group blocks that lie close together in one pack, within *most* bytes.

    Packs come in the order of their first blocks.
    """
    by_pack: dict[bytes, list[StoredBlock]] = {}
    for block in blocks:
        by_pack.setdefault(block.place.pack.id, []).append(block)
    for of_pack in by_pack.values():
        of_pack.sort(key=lambda block: block.place.offset)
        yield from _runs(of_pack, most)


def _runs(blocks: Sequence[StoredBlock], most: int) -> Iterator[Sequence[StoredBlock]]:
    run: list[StoredBlock] = []
    end = 0
    for block in blocks:
        place = block.place
        if run and (place.offset > end + _GAP or place.offset + place.length > run[0].place.offset + most):
            yield run
            run, end = [], 0
        run.append(block)
        end = max(end, place.offset + place.length)
    yield run


def fetch(store: ObjectStore, head: Head, run: Sequence[StoredBlock], target: memoryview) -> memoryview:
    """Read the bytes of a pack from the first to the last block of *run* into *target*. Returns the part that has them.

    :raises Corrupted: the pack is missing or too short
    """
    start = run[0].place.offset
    end = max(block.place.offset + block.place.length for block in run)
    key = layout.pack_key(head.project_id, run[0].place.pack.id.hex())
    try:
        size = store.get_into(key, start, target[: end - start])
    except errors.ObjectNotFound:
        raise errors.Corrupted(f"{key}: this pack is missing; {head.prefix} needs it") from None
    if size != end - start:
        raise errors.Corrupted(f"{key}: ends at byte {start + size}; {head.prefix} needs it up to byte {end}")
    return target[:size]
