"""Deduplication: for each block of a stream, whether an equal block is already stored, and where.

:func:`find_duplicate` decides. It compares the block with the block at the same position of each base
(:class:`Base`, read segment by segment), and with the blocks that this stream stored recently (:class:`Recent`).
"""

import logging
from collections.abc import Callable, Iterator, Sequence, Set
from typing import Final

from karbor_like.bank import errors
from karbor_like.bank.blocks import presence
from karbor_like.bank.format import manifest
from karbor_like.bank.format.datakey import DataKey
from karbor_like.bank.format.manifest import Head, SegmentRef
from karbor_like.bank.format.segment import PackUse, Place, Segment
from karbor_like.bank.objectstore.base import ObjectStore

LOG = logging.getLogger(__name__)

#: Bytes of segments that are kept from the check of the packs of a stream's bases until the segments are needed. Small
#: segments, of which a sparse volume has many, are so read once.
KEPT_BYTES: Final = 1024 * 1024
#: What makes a segment of a base unusable.
UNREADABLE: Final = (errors.Corrupted, errors.UnsupportedVersion)
#: Half the maximum number of blocks whose hashes are remembered.
_RECENT: Final = 8192


class Recent:
    """Places of recently stored blocks, by their hash. When it is full, it forgets the older half."""

    def __init__(self) -> None:
        self._young: dict[bytes, Place] = {}
        self._old: dict[bytes, Place] = {}

    def get(self, block_hash: bytes) -> Place | None:
        """Return where a block with this hash was stored, or None."""
        return self._young.get(block_hash) or self._old.get(block_hash)

    def add(self, block_hash: bytes, place: Place) -> None:
        """Remember a block."""
        # A race between threads does no harm: at worst, a few blocks are forgotten early.
        if len(self._young) >= _RECENT:
            self._old, self._young = self._young, {}
        self._young[block_hash] = place


class BaseSegment:
    """One segment of a base, for looking up blocks.

    :param unusable: ids of packs whose blocks must not be referred to
    """

    def __init__(self, segment: Segment, unusable: Set[bytes]) -> None:
        self.segment = segment
        self._unusable = unusable

    def find(self, block: int, block_hash: bytes) -> Place | None:
        """Return where block *block* of the segment is stored if it has this hash, or None."""
        if block >= len(self.segment) or self.segment.hash(block) != block_hash:
            return None
        place = self.segment.place(block)
        if place is None or place.pack.id in self._unusable:
            return None
        return place

    def lost(self) -> Iterator[int]:
        """Yield the blocks that are stored in packs that must not be referred to."""
        if self._unusable.isdisjoint(bytes.fromhex(use.pack) for use in self.segment.packs):
            return
        for block, place, _ in self.segment.between(0, len(self.segment)):
            if place.pack.id in self._unusable:
                yield block


def find_duplicate(bases: Sequence[BaseSegment], recent: Recent, block: int, block_hash: bytes) -> Place | None:
    """Return where an equal block is already stored, or None.

    :param bases: the segment of each base at the same position of the stream
    :param block: number of the block within the segment
    """
    for base in bases:
        place = base.find(block, block_hash)
        if place is not None:
            return place
    return recent.get(block_hash)


class Base:
    """A base of one stream: an earlier manifest with the same block sizes and data key. Thread-safe.

    :param unusable: ids of packs that must not be referred to; :meth:`check_packs` adds to them
    """

    def __init__(self, store: ObjectStore, head: Head, resolve_key: manifest.KeyResolver, unusable: Set[bytes]) -> None:
        self._store = store
        self.head = head
        self._resolve_key = resolve_key
        self._unusable = unusable
        self._refs = {ref.number: ref for ref in head.segments}
        self._kept: dict[int, bytes] = {}

    def check_packs(self, room: int, check: Callable[[], None] | None) -> int:
        """Look up the packs in listings. Those that are missing or of unexpected size must not be referred to.

        Reads the tables of all segments, and the whole of those segments that fit into *room*: they are not read again.

        :param room: bytes
        :param check: called before every request; may raise to stop
        :returns: the bytes that are left of *room*
        """
        whole = set()
        for ref in self.head.segments:
            if ref.size <= room:
                room -= ref.size
                whole.add(ref.number)

        def read(ref: SegmentRef) -> Sequence[PackUse]:
            try:
                if ref.number not in whole:
                    return manifest.read_table(self._store, self.head, ref, self._resolve_key)
                data = manifest.get_segment(self._store, self.head, ref)
                uses = manifest.decode_table(self.head, ref, data, self._resolve_key)
            except UNREADABLE:
                return ()  # reported when the segment is loaded
            self._kept[ref.number] = data
            return uses

        sizes = {
            use.pack: use.size for uses in presence.for_segments(self._store, self.head, read, check) for use in uses
        }
        broken = set()
        for pack, problem in presence.broken_packs(self._store, self.head.project_id, sizes, check):
            LOG.error("%s; its blocks are stored again", problem)
            broken.add(bytes.fromhex(pack))
        self._unusable |= broken
        return room

    def ref(self, index: int) -> SegmentRef | None:
        """Return what the head says about segment *index*. None if all of its blocks are zero."""
        return self._refs.get(index)

    def load(self, index: int) -> BaseSegment | None:
        """Read segment *index*. None if all of its blocks are zero.

        :raises Corrupted, UnsupportedVersion: it cannot be read
        """
        ref = self._refs.get(index)
        if ref is None:
            return None
        data = self._kept.pop(index, None)
        if data is None:
            data = manifest.get_segment(self._store, self.head, ref)
        return BaseSegment(manifest.decode_segment(self.head, ref, data, self._resolve_key), self._unusable)


def load(bases: Sequence[Base], index: int) -> Sequence[BaseSegment]:
    """Read segment *index* of every base that has one. The blocks of one that cannot be read are stored again."""
    loaded = []
    for base in bases:
        try:
            segment = base.load(index)
        except UNREADABLE as error:
            LOG.warning("segment %d of a base cannot be used, so its blocks are stored again: %s", index, error)
            continue
        if segment is not None:
            loaded.append(segment)
    return loaded


def find_bases(
    store: ObjectStore,
    heads: Sequence[Head],
    data_key: DataKey | None,
    *,
    block_size: int,
    segment_blocks: int,
    avoid: Set[bytes],
    check: Callable[[], None] | None = None,
) -> Sequence[Base]:
    """Return those of *heads* that a stream can refer to.

    A base that cannot be read does not prevent the stream from being stored: its blocks are stored again. So are blocks in
    packs that are missing or have an unexpected size, according to listings.

    :param heads: the best first; those with other block sizes or another data key are left out
    :param avoid: ids of packs that must not be referred to
    :param check: called before every request; may raise to stop
    """
    resolve_key: manifest.KeyResolver = (lambda _: data_key) if data_key else None
    required = (block_size, segment_blocks, data_key and data_key.id)
    bases, room = [], KEPT_BYTES
    for head in heads:
        if (head.block_size, head.segment_blocks, head.data_key) == required:
            base = Base(store, head, resolve_key, avoid)
            room = base.check_packs(room, check)
            bases.append(base)
    return bases
