"""What a writer takes over from a base without reading it, segment by segment."""

import heapq
import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from karbor_like.bank.blocks.dedup import UNREADABLE, Base, BaseSegment, load
from karbor_like.bank.blocks.extents import Blocks, Extent, by_segment, merged
from karbor_like.bank.format.segment import Place, Segment, segment_bytes

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """How one segment is written.

    :param blocks: number of its blocks, zero or not
    :param read: the blocks that are read
    :param base: the segment of the base with the entries of the others; None: they are zero
    :param others: segments of further bases, to look up what is read
    """

    index: int
    blocks: int
    read: Sequence[Blocks]
    base: BaseSegment | None
    others: Sequence[BaseSegment] = ()

    @property
    def bases(self) -> Sequence[BaseSegment]:
        """The segments to look up what is read, the most similar first."""
        return [self.base, *self.others] if self.base else self.others

    @property
    def unchanged(self) -> Segment | None:
        """The segment of the base, if all of it is taken over."""
        if self.base is None or self.read or len(self.base.segment) != self.blocks:
            return None
        return self.base.segment

    def kept(self) -> Iterator[tuple[int, Place, bytes]]:
        """Yield number, place and hash of each block that is taken over and is not zero."""
        if self.base is None:
            return
        segment = self.base.segment
        for start, end in _gaps(self.read, min(self.blocks, len(segment))):
            yield from segment.between(start, end)


def _gaps(ranges: Sequence[Blocks], blocks: int) -> Iterator[Blocks]:
    position = 0
    for first, end in ranges:
        yield Blocks(position, min(first, blocks))
        position = end
    yield Blocks(position, blocks)


class Takeover:
    """The division of a source into what is read and what is taken over.

    :param size: bytes of the source
    :param extents: what has to be read; in ascending order and without overlap
    :param base: what the source is equal to outside of *extents*; None: there it is zero
    :param others: further bases
    """

    def __init__(
        self,
        size: int,
        extents: Iterable[Extent],
        base: Base | None,
        others: Sequence[Base],
        block_size: int,
        segment_blocks: int,
    ) -> None:
        self._size = size
        self._extents = extents
        self._base = base
        self._others = others
        self._block_size = block_size
        self._segment_blocks = segment_blocks
        self._blocks = -(-size // block_size)

    def segments(self) -> Iterator[tuple[int, Sequence[Blocks]]]:
        """Yield the number of each segment that may have blocks other than zero, in order, and its blocks in *extents*.

        :raises ResourceFailed: an extent is empty, out of order or out of bounds
        """
        touched = by_segment(self._extents, self._size, self._block_size, self._segment_blocks)
        based = self._base.head.segments if self._base else ()
        inside = (ref.number for ref in based if ref.number * self._segment_blocks < self._blocks)
        both = heapq.merge(touched, ((number, ()) for number in inside), key=lambda item: item[0])
        for number, items in itertools.groupby(both, key=lambda item: item[0]):
            yield number, next((ranges for _, ranges in items if ranges), ())

    def size(self, item: tuple[int, Sequence[Blocks]]) -> int:
        """Return the bytes that the bases' segments of an item of :meth:`segments` take in memory."""
        index, ranges = item
        bases = [*([self._base] if self._base else ()), *(self._others if ranges else ())]
        return sum(segment_bytes(self._segment_blocks, ref.blocks) for base in bases if (ref := base.ref(index)))

    def plan(self, item: tuple[int, Sequence[Blocks]]) -> Plan:
        """Read the bases' segments of an item of :meth:`segments`, and decide which blocks have to be read. Thread-safe."""
        index, ranges = item
        blocks = min(self._segment_blocks, self._blocks - index * self._segment_blocks)
        base: BaseSegment | None = None
        if self._base is not None:
            try:
                base = self._base.load(index)
            except UNREADABLE as error:
                LOG.warning("segment %d of the base cannot be used, so all of it is read: %s", index, error)
                ranges = [Blocks(0, blocks)]
        if base is not None:
            lost = (block for block in itertools.chain(base.lost(), self._cut(index, base)) if block < blocks)
            ranges = merged(ranges, lost)
        return Plan(index, blocks, ranges, base, load(self._others, index) if ranges else ())

    def _cut(self, index: int, base: BaseSegment) -> Iterator[int]:
        """Yield the block of the segment that is shorter in the base than in the source, or the other way round."""
        assert self._base is not None
        shorter = min(self._size, self._base.head.size)
        number = shorter // self._block_size - index * self._segment_blocks
        if self._size != self._base.head.size and shorter % self._block_size and 0 <= number < len(base.segment):
            yield number
