"""Extents: the ranges of a source that a writer has to read, and their division into blocks and segments."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from karbor_like import exception


@dataclass(frozen=True, order=True)
class Extent:
    """A range of bytes.

    :param offset: first byte
    :param length: bytes, more than 0
    """

    offset: int
    length: int

    @property
    def end(self) -> int:
        """The first byte after the range."""
        return self.offset + self.length


class ExtentSource(Protocol):
    """Bytes with random access, which do not change while they are read: a snapshot of a volume."""

    @property
    def size(self) -> int:
        """Bytes in total, holes included."""
        ...

    def allocated(self) -> Iterable[Extent]:
        """Return the ranges that may contain bytes other than zero, in ascending order and without overlap."""
        ...

    def read(self, offset: int, length: int) -> Future[bytes]:
        """Begin to read exactly *length* bytes.

        Several reads are in progress at once, and in any order. Each must end within a limited time; its error stops the
        writer.
        """
        ...

    def confirm(self) -> None:
        """Raise if the bytes that were read may be wrong, for example because the snapshot was removed meanwhile.

        Called once, after the last read and before the stream is found under its name.
        """
        ...


class Blocks(NamedTuple):
    """Consecutive blocks of one segment.

    :param first: number of the first one within the segment
    :param end: number after the last one
    """

    first: int
    end: int


def by_segment(
    extents: Iterable[Extent], size: int, block_size: int, segment_blocks: int
) -> Iterator[tuple[int, Sequence[Blocks]]]:
    """Round extents outward to blocks. Yield the number of each segment that they touch, and the blocks in it.

    Both are in ascending order and without overlap. The extents are iterated one segment ahead.

    :param size: bytes of the source
    :raises ResourceFailed: an extent is empty, out of order or out of bounds
    """
    current, ranges = -1, list[Blocks]()
    for first, end in _rounded(extents, size, block_size):
        for number in range(first // segment_blocks, -(-end // segment_blocks)):
            if number != current:
                if ranges:
                    yield current, ranges
                current, ranges = number, []
            start = number * segment_blocks
            ranges.append(Blocks(max(first - start, 0), min(end - start, segment_blocks)))
    if ranges:
        yield current, ranges


def _rounded(extents: Iterable[Extent], size: int, block_size: int) -> Iterator[tuple[int, int]]:
    """Yield first block and end of each group of extents that share or touch blocks."""
    position, first, end = 0, 0, 0
    for extent in extents:
        if extent.offset < position or extent.length <= 0 or extent.end > size:
            raise exception.ResourceFailed(
                f"data source of {size} bytes: {extent} is empty, out of order or out of bounds"
            )
        position = extent.end
        if extent.offset // block_size > end:
            if end > first:
                yield first, end
            first = extent.offset // block_size
        end = -(-extent.end // block_size)
    if end > first:
        yield first, end


def merged(ranges: Sequence[Blocks], blocks: Iterable[int]) -> Sequence[Blocks]:
    """Return *ranges* and single *blocks* as ranges in ascending order and without overlap."""
    merged: list[Blocks] = []
    for first, end in sorted([*ranges, *(Blocks(block, block + 1) for block in blocks)]):
        if merged and first <= merged[-1].end:
            merged[-1] = Blocks(merged[-1].first, max(end, merged[-1].end))
        else:
            merged.append(Blocks(first, end))
    return merged


def read(source: ExtentSource, offset: int, length: int) -> "Reading":
    """Begin to read a range of *source*."""
    return Reading(source.read(offset, length), offset, length)


class Reading(NamedTuple):
    """A range that is being read."""

    data: Future[bytes]
    offset: int
    length: int

    def pieces(self) -> Sequence[memoryview]:
        """Wait for the bytes. Raises ResourceFailed if they are fewer or more than were requested."""
        data = self.data.result()
        if len(data) != self.length:
            raise exception.ResourceFailed(
                f"data source: {len(data)} bytes read at offset {self.offset} instead of {self.length}"
            )
        return [memoryview(data)]
