"""Writing of one stream into packs and manifest segments, in threads.

The caller's thread reads the source and divides it into batches. Workers skip the blocks of a batch that are zero or already
stored, and pass the others to the packer, which compresses, encrypts and uploads them. Batches are collected in order, so
that each segment of the manifest is written and freed as soon as it is complete. The stream's share of the memory budget
limits what is in flight.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final, NamedTuple

from karbor_like.bank.blocks.batching import Batch, Batcher
from karbor_like.bank.blocks.budget import Buffers, Share
from karbor_like.bank.blocks.dedup import Bases, BaseSegment, Recent, find_duplicate
from karbor_like.bank.blocks.packer import Packer, Target, Uploads
from karbor_like.bank.format import manifest
from karbor_like.bank.format.content import Content
from karbor_like.bank.format.manifest import SegmentRef
from karbor_like.bank.format.segment import PackRef, SegmentBuilder, digest
from karbor_like.bank.objectstore.base import ObjectStore
from karbor_like.bank.options import BankOptions

BATCH_BYTES: Final = 2 * 1024 * 1024
#: Batches that are read or processed concurrently, regardless of the number of workers.
_BATCHES: Final = 5


def needed_memory(options: BankOptions) -> int:
    """Return the bytes of memory without which a stream cannot be written."""
    return options.pack_size + _BATCHES * max(BATCH_BYTES, options.block_size)


@dataclass(frozen=True)
class Written:
    """The result of writing a stream. Sizes in bytes; see :class:`karbor_like.bank.format.manifest.Head`."""

    size: int
    digest: str
    new: int
    stored: int
    packs: dict[str, int]
    segments: Sequence[SegmentRef]


@dataclass
class _OpenSegment:
    """A segment that is being written.

    :param bases: segments of the bases that may already hold its blocks
    :param blocks: number of consecutive blocks, from the first one, that are done
    """

    index: int
    builder: SegmentBuilder
    bases: Sequence[BaseSegment]
    blocks: int = 0


class _InFlight(NamedTuple):
    """A batch in flight, and the task that processes it."""

    batch: Batch
    segment: _OpenSegment
    stored: Future[int]


class StreamWriter:
    """Writes one stream, once.

    :param share: memory; at least :func:`needed_memory`
    :param progress: called with the bytes done so far
    :param check: called for every batch; may raise to stop
    """

    def __init__(
        self,
        store: ObjectStore,
        target: Target,
        bases: Bases,
        options: BankOptions,
        share: Share,
        *,
        progress: Callable[[int], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        self._store = store
        self._target = target
        self._bases = bases
        self._options = options
        self._progress = progress
        self._check = check
        self._hash_block = target.block_hash
        self._zeros = bytearray(options.block_size)
        self._recent = Recent()
        self._buffers = Buffers(share, options.pack_size, 1 + options.uploads)
        self._content = Content(options.block_size, options.segment_blocks)
        self._in_flight: deque[_InFlight] = deque()
        self._loading: Future[Sequence[BaseSegment]]
        self._segment: _OpenSegment | None = None
        self._segment_uploads: deque[Future[None]] = deque()
        self._lock = threading.Lock()
        self._unsized: list[PackRef] = []
        self._refs: list[SegmentRef] = []
        self._size = self._new = 0

    def write(self, stream: Iterable[bytes | memoryview]) -> Written:
        """Store all of *stream*. All threads have ended when this returns or raises."""
        with ExitStack() as stack:
            pools = [ThreadPoolExecutor(n, name) for n, name in self._threads()]
            for pool in pools:
                stack.callback(pool.shutdown, cancel_futures=True)
            # Called before the shutdowns: a worker may be waiting for a buffer that is never released.
            stack.callback(self._buffers.stop)
            self._workers, self._loader, uploaders = pools
            self._uploads = Uploads(uploaders)
            self._packer = Packer(
                self._store, self._target, self._options.compression_level, self._buffers, self._uploads
            )
            for batch in self._batcher().split(stream):
                if self._check:
                    self._check()
                self._start(batch)
                while len(self._in_flight) >= _BATCHES:
                    self._collect()
            return self._finish()

    def _threads(self) -> Sequence[tuple[int, str]]:
        return (
            (self._options.workers, "bank-work"),
            (1, "bank-load"),
            (self._options.uploads, "bank-send"),
        )

    def _batcher(self) -> Batcher:
        blocks = max(1, BATCH_BYTES // self._options.block_size)
        return Batcher(self._options.block_size, blocks, self._options.segment_blocks)

    def _start(self, batch: Batch) -> None:
        if batch.first == 0:
            # The next segment of the bases is read while this one is written.
            loading = self._loading if batch.segment else self._loader.submit(self._bases.load, 0)
            self._loading = self._loader.submit(self._bases.load, batch.segment + 1)
            builder = SegmentBuilder(self._options.segment_blocks)
            self._segment = _OpenSegment(batch.segment, builder, loading.result())
        assert self._segment is not None
        stored = self._workers.submit(self._store_blocks, batch, self._segment)
        self._in_flight.append(_InFlight(batch, self._segment, stored))

    def _store_blocks(self, batch: Batch, segment: _OpenSegment) -> int:
        """Store the blocks of a batch. Returns how many bytes were new."""
        size, zeros, block, new = self._options.block_size, self._zeros, batch.first, 0
        for piece in batch.pieces:
            for at in range(0, len(piece), size):
                data = piece[at : at + size]
                # With a bytearray on the left, Python compares memory; every other way is a hundred times slower.
                if (zeros if len(data) == size else zeros[: len(data)]) != data:
                    block_hash = self._hash_block(data)
                    place = find_duplicate(segment.bases, self._recent, block, block_hash)
                    if place is None:
                        place = self._packer.add(data, block_hash)
                        new += len(data)
                    self._recent.add(block_hash, place)
                    segment.builder.set(block, place, block_hash)
                block += 1
        return new

    def _collect(self) -> None:
        """Wait for the oldest batch. If it completes its segment, start the upload of the segment."""
        batch, segment, stored = self._in_flight.popleft()
        self._new += stored.result()
        self._size += batch.size
        self._uploads.raise_failure()
        segment.blocks = batch.first - (-batch.size // self._options.block_size)
        if segment.blocks == self._options.segment_blocks:
            self._close_segment(segment)
        if self._progress:
            self._progress(self._size)

    def _close_segment(self, segment: _OpenSegment) -> None:
        if segment.builder.empty:
            return
        self._segment_uploads.append(self._uploads.start(self._write_segment, segment))
        if len(self._segment_uploads) > self._options.uploads:
            self._segment_uploads.popleft().result()

    def _write_segment(self, segment: _OpenSegment) -> None:
        key = self._target.segment_key(segment.index)
        table, entries, blocks = segment.builder.encode(segment.blocks)
        parts = manifest.seal_segment(key, table, entries, self._target.data_key)
        self._store.put(key, parts)
        self._content.add(segment.index, digest(entries, segment.blocks, blocks))
        size = len(parts[0]) + len(parts[1])
        with self._lock:
            self._refs.append(SegmentRef(segment.index, len(parts[0]), size, blocks))
            self._unsized.extend(segment.builder.unsized)

    def _finish(self) -> Written:
        while self._in_flight:
            self._collect()
        if self._segment is not None and self._segment.blocks < self._options.segment_blocks:
            self._close_segment(self._segment)
        self._packer.flush()
        self._uploads.wait()
        return Written(
            size=self._size,
            digest=self._content.digest(self._size),
            new=self._new,
            stored=self._packer.stored + sum(ref.size for ref in self._refs),
            packs={ref.id.hex(): ref.size for ref in self._unsized},
            segments=sorted(self._refs),
        )
