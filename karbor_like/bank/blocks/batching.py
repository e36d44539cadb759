"""Division of a stream of chunks of any length into batches of whole blocks, with as little copying as possible."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Batch(NamedTuple):
    """Consecutive blocks of one segment.

    :param segment: number of the segment
    :param first: number of the first block within the segment
    :param size: bytes
    :param pieces: the bytes; each piece consists of whole blocks, except for the last block of the stream
    """

    segment: int
    first: int
    size: int
    pieces: list[memoryview]


class Batcher:
    """Divider of one stream.

    :param block_size: bytes of a block
    :param batch_blocks: maximum number of blocks in a batch
    :param segment_blocks: blocks of a segment; a batch never spans two segments
    """

    def __init__(self, block_size: int, batch_blocks: int, segment_blocks: int) -> None:
        self._block_size = block_size
        self._batch_blocks = batch_blocks
        self._segment_blocks = segment_blocks
        self._block = 0
        self._pieces: list[memoryview] = []
        self._size = 0

    def split(self, stream: Iterable[bytes | memoryview]) -> Iterator[Batch]:
        """Yield the batches of *stream*, in order."""
        partial = bytearray()
        for chunk in stream:
            # The source may reuse a mutable chunk while it still waits here.
            view = memoryview(chunk if isinstance(chunk, bytes) else bytes(chunk))
            if partial:
                head = view[: self._block_size - len(partial)]
                partial += head
                view = view[len(head) :]
                if len(partial) < self._block_size:
                    continue
                yield from self._add(memoryview(partial))
                partial = bytearray()
            whole = len(view) - len(view) % self._block_size
            yield from self._add(view[:whole])
            partial += view[whole:]
        if partial:
            self._append(memoryview(partial))
        if self._pieces:
            yield self._take()

    def _add(self, view: memoryview) -> Iterator[Batch]:
        while view:
            room = self._capacity() * self._block_size - self._size
            self._append(view[:room])
            view = view[room:]
            if self._size == self._capacity() * self._block_size:
                yield self._take()

    def _append(self, piece: memoryview) -> None:
        self._pieces.append(piece)
        self._size += len(piece)

    def _capacity(self) -> int:
        """Return the maximum number of blocks in the batch that is being filled."""
        return min(self._batch_blocks, self._segment_blocks - self._block % self._segment_blocks)

    def _take(self) -> Batch:
        segment, first = divmod(self._block, self._segment_blocks)
        batch = Batch(segment, first, self._size, self._pieces)
        self._block += -(-self._size // self._block_size)
        self._pieces, self._size = [], 0
        return batch
