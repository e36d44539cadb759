"""Deduplication: for each block of a stream, whether an equal block is already stored, and where.

:func:`find_duplicate` decides. It compares the block with the block at the same position of each base
(:class:`Bases`, read segment by segment), and with the blocks that this stream stored recently (:class:`Recent`).
"""

import logging
from collections.abc import Sequence, Set
from typing import Final

from karbor_like.bank import errors, layout
from karbor_like.bank.format import manifest
from karbor_like.bank.format.datakey import DataKey
from karbor_like.bank.format.manifest import Head
from karbor_like.bank.format.segment import PackUse, Place, Segment
from karbor_like.bank.objectstore.base import ObjectStore

LOG = logging.getLogger(__name__)

#: Maximum number of packs whose presence is remembered.
_KNOWN_PACKS: Final = 16384
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

    :param avoid: ids of packs whose blocks must not be referred to
    :param broken: ids of damaged packs, of those that this segment refers to
    """

    def __init__(self, segment: Segment, avoid: Set[bytes], broken: Set[bytes]) -> None:
        self._segment = segment
        self._avoid = avoid
        self._broken = broken

    def find(self, block: int, block_hash: bytes) -> Place | None:
        """Return where block *block* of the segment is stored if it has this hash, or None."""
        if block >= len(self._segment) or self._segment.hash(block) != block_hash:
            return None
        place = self._segment.place(block)
        if place is None or place.pack.id in self._avoid or place.pack.id in self._broken:
            return None
        return place


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


class Bases:
    """The bases of one stream. Not thread-safe.

    A base that cannot be read does not prevent the stream from being stored: its blocks are stored again. So are blocks in
    packs that are missing or have an unexpected size.

    :param heads: manifests to refer to, the best first; those with other block sizes or another data key are ignored
    :param avoid: ids of packs that must not be referred to
    """

    def __init__(
        self,
        store: ObjectStore,
        heads: Sequence[Head],
        data_key: DataKey | None,
        *,
        block_size: int,
        segment_blocks: int,
        avoid: Set[bytes],
    ) -> None:
        self._store = store
        self._resolve_key: manifest.KeyResolver = (lambda _: data_key) if data_key else None
        self._avoid = avoid
        self._intact: dict[str, bool] = {}
        required = (block_size, segment_blocks, data_key and data_key.id)
        self._bases = [
            (head, {ref.number: ref for ref in head.segments})
            for head in heads
            if (head.block_size, head.segment_blocks, head.data_key) == required
        ]

    def load(self, index: int) -> Sequence[BaseSegment]:
        """Read segment *index* of every base that has one."""
        loaded = []
        for head, segments in self._bases:
            ref = segments.get(index)
            if ref is None:
                continue
            try:
                segment = manifest.read_segment(self._store, head, ref, self._resolve_key)
            except (errors.Corrupted, errors.UnsupportedVersion) as error:
                LOG.warning("segment %d of a base cannot be used, so its blocks are stored again: %s", index, error)
                continue
            loaded.append(BaseSegment(segment, self._avoid, self._find_broken(head.project_id, segment.packs)))
        return loaded

    def _find_broken(self, project_id: str, uses: Sequence[PackUse]) -> Set[bytes]:
        if len(self._intact) + len(uses) > _KNOWN_PACKS:
            self._intact.clear()
        broken = set()
        for use in uses:
            if use.pack not in self._intact:
                self._intact[use.pack] = self._is_intact(project_id, use)
            if not self._intact[use.pack]:
                broken.add(bytes.fromhex(use.pack))
        return broken

    def _is_intact(self, project_id: str, use: PackUse) -> bool:
        key = layout.pack_key(project_id, use.pack)
        try:
            size = self._store.stat(key).size
        except errors.ObjectNotFound:
            LOG.error("pack %s: missing; its blocks are stored again", key)
            return False
        if size != use.size:
            LOG.error("pack %s: has %d bytes instead of %d; its blocks are stored again", key, size, use.size)
        return size == use.size
