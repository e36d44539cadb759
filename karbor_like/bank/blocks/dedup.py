"""What a stream may be stored against: the same positions of earlier streams, read segment by segment."""

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

#: Packs of which is remembered whether they are there.
_KNOWN_PACKS: Final = 16384


class BaseSegment:
    """One segment of a base, for looking blocks up.

    :param avoid: ids of packs in which a block does not count as stored
    :param broken: the same, of those that this segment refers to
    """

    def __init__(self, segment: Segment, avoid: Set[bytes], broken: Set[bytes]) -> None:
        self._segment = segment
        self._avoid = avoid
        self._broken = broken

    def find(self, block: int, block_hash: bytes) -> Place | None:
        """Where block *block* of the segment is stored, if it is the one with this hash."""
        if block >= len(self._segment) or self._segment.hash(block) != block_hash:
            return None
        place = self._segment.place(block)
        if place is None or place.pack.id in self._avoid or place.pack.id in self._broken:
            return None
        return place


class Bases:
    """The bases of one stream. For one thread at a time.

    A base that cannot be read does not keep anybody from storing the stream: its blocks are stored anew. So are blocks in a
    pack that is not there any more as it should be.

    :param heads: manifests to build on, the best first; those that cannot be built on are left out
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
        self._find: manifest.KeyResolver = (lambda _: data_key) if data_key else None
        self._avoid = avoid
        self._known: dict[str, bool] = {}
        wanted = (block_size, segment_blocks, data_key and data_key.id)
        self._bases = [
            (head, {ref.number: ref for ref in head.segments})
            for head in heads
            if (head.block_size, head.segment_blocks, head.data_key) == wanted
        ]

    def load(self, index: int) -> Sequence[BaseSegment]:
        """Segment *index* of every base that has one."""
        found = []
        for head, segments in self._bases:
            ref = segments.get(index)
            if ref is None:
                continue
            try:
                segment = manifest.read_segment(self._store, head, ref, self._find)
            except (errors.Corrupted, errors.UnsupportedVersion) as error:
                LOG.warning("a base cannot be used for segment %d, its blocks are stored anew: %s", index, error)
                continue
            found.append(BaseSegment(segment, self._avoid, self._broken(head.project_id, segment.packs)))
        return found

    def _broken(self, project_id: str, uses: Sequence[PackUse]) -> Set[bytes]:
        if len(self._known) + len(uses) > _KNOWN_PACKS:
            self._known.clear()
        broken = set()
        for use in uses:
            if use.pack not in self._known:
                self._known[use.pack] = self._is_there(project_id, use)
            if not self._known[use.pack]:
                broken.add(bytes.fromhex(use.pack))
        return broken

    def _is_there(self, project_id: str, use: PackUse) -> bool:
        key = layout.pack_key(project_id, use.pack)
        try:
            size = self._store.stat(key).size
        except errors.ObjectNotFound:
            size = -1
        if size != use.size:
            LOG.error(
                "%s is missing or damaged (%d bytes instead of %d); its blocks are stored anew", key, size, use.size
            )
        return size == use.size
