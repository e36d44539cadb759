"""Cuts a stream of chunks of any length into batches of whole blocks, copying as little as possible."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Batch(NamedTuple):
    """Consecutive blocks of one segment.

    :param segment: number of the segment
    :param first: number of the first block within the segment
    :param size: bytes
    :param pieces: the bytes; each piece is whole blocks, but for the last block of the stream
    """

    segment: int
    first: int
    size: int
    pieces: list[memoryview]


class Batcher:
    """Cuts one stream.

    :param block_size: bytes of a block
    :param batch_blocks: blocks of a batch, at most
    :param segment_blocks: blocks of a segment; a batch does not cross from one into the next
    """

    def __init__(self, block_size: int, batch_blocks: int, segment_blocks: int) -> None:
        self._block_size = block_size
        self._batch_blocks = batch_blocks
        self._segment_blocks = segment_blocks
        self._block = 0
        self._pieces: list[memoryview] = []
        self._size = 0

    def cut(self, stream: Iterable[bytes | memoryview]) -> Iterator[Batch]:
        """The batches of *stream*, in order."""
        partial = bytearray()
        for chunk in stream:
            # What is not immutable might be used again by the source while it still waits here.
            view = memoryview(chunk if isinstance(chunk, bytes) else bytes(chunk))
            if partial:
                taken = view[: self._block_size - len(partial)]
                partial += taken
                view = view[len(taken) :]
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
            room = self._room() * self._block_size - self._size
            self._append(view[:room])
            view = view[room:]
            if self._size == self._room() * self._block_size:
                yield self._take()

    def _append(self, piece: memoryview) -> None:
        self._pieces.append(piece)
        self._size += len(piece)

    def _room(self) -> int:
        """Blocks that the batch which is being filled may have."""
        return min(self._batch_blocks, self._segment_blocks - self._block % self._segment_blocks)

    def _take(self) -> Batch:
        segment, first = divmod(self._block, self._segment_blocks)
        batch = Batch(segment, first, self._size, self._pieces)
        self._block += -(-self._size // self._block_size)
        self._pieces, self._size = [], 0
        return batch
