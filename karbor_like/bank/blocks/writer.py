"""Writing of one stream into packs and manifest segments, in threads.

The caller's thread goes through the source in batches: all bytes of a stream (:meth:`StreamWriter.write`), or some extents of
a source with random access (:meth:`StreamWriter.write_extents`). Workers skip the blocks of a batch that are zero or already
stored, and pass the others to the packer, which compresses, encrypts and uploads them. Batches are collected in order, so
that each segment of the manifest is written and freed as soon as it is complete. The stream's share of the memory budget
limits what is in flight.
"""

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, NamedTuple

from karbor_like.bank.blocks.batching import Batcher
from karbor_like.bank.blocks.budget import Buffers, Share
from karbor_like.bank.blocks.dedup import KEPT_BYTES, Base, BaseSegment, Recent, find_duplicate, load
from karbor_like.bank.blocks.extents import Extent, ExtentSource, read
from karbor_like.bank.blocks.packer import Packer, Target, Uploads
from karbor_like.bank.blocks.parallel import Window, ahead
from karbor_like.bank.blocks.takeover import Plan, Takeover
from karbor_like.bank.format import manifest
from karbor_like.bank.format.content import Content
from karbor_like.bank.format.manifest import SegmentRef
from karbor_like.bank.format.segment import PackRef, Segment, SegmentBuilder, digest, encode_table, segment_bytes
from karbor_like.bank.objectstore.base import ObjectStore
from karbor_like.bank.options import BankOptions

BATCH_BYTES: Final = 2 * 1024 * 1024
#: Batches that are read or processed concurrently, regardless of the number of workers.
_BATCHES: Final = 6
#: Segments of bases that are read or decoded ahead, and segments that are sealed and uploaded, at most.
_SEGMENTS_AT_ONCE: Final = 16
#: Packs that are remembered for the commit, of one stream and under one lease, at most: about 3 MiB of memory, and 256 GiB
#: of packs.
MOST_REMEMBERED: Final = 16384
#: Bytes of the segments that are read ahead, and of those that are uploaded. A segment of the default size in which nothing
#: is zero needs half of it, so that there are always two; of a sparse volume, as many as may be are in flight.
_SEGMENTS_ROOM: Final = 3 * 1024 * 1024 // 2


def needed_memory(options: BankOptions) -> int:
    """Return the bytes of memory without which a stream cannot be written."""
    segments = KEPT_BYTES + 2 * _SEGMENTS_ROOM
    return options.pack_size + _BATCHES * max(BATCH_BYTES, options.block_size) + segments


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
    :param blocks: number of its blocks; with a stream, those of the batches that are done
    """

    index: int
    builder: SegmentBuilder
    bases: Sequence[BaseSegment]
    blocks: int = 0


class _Batch(NamedTuple):
    """Consecutive blocks of one segment.

    :param first: number of the first block within the segment
    :param size: bytes
    :param pieces: returns the bytes; each piece consists of whole blocks, except for the last block of the stream
    """

    segment: _OpenSegment
    first: int
    size: int
    pieces: Callable[[], Sequence[memoryview]]


class StreamWriter:
    """Writes one stream, once.

    :param share: memory; at least :func:`needed_memory`
    :param progress: called with the bytes done so far
    :param check: called for every batch and every segment; may raise to stop
    """

    #: After the stream was written: id -> bytes of every pack that the manifest needs. None if there are too many.
    packs: Mapping[str, int] | None = None

    def __init__(
        self,
        store: ObjectStore,
        target: Target,
        bases: Sequence[Base],
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
        self._progress = progress or (lambda _: None)
        self._check = check or (lambda: None)
        self._hash_block = target.block_hash
        self._zeros = bytearray(options.block_size)
        self._recent = Recent()
        self._buffers = Buffers(share, options.pack_size, 1 + options.uploads)
        self._content = Content(options.block_size, options.segment_blocks)
        self._in_flight: deque[tuple[_Batch, Future[int]]] = deque()
        self._segment: _OpenSegment | None = None
        self._segments = Window[None](_SEGMENTS_AT_ONCE, _SEGMENTS_ROOM)
        self._lock = threading.Lock()
        self._unsized: list[PackRef] = []
        self._packs: dict[str, int] | None = {}
        self._refs: list[SegmentRef] = []
        self._size = self._new = 0

    def write(self, stream: Iterable[bytes | memoryview]) -> Written:
        """Store all of *stream*. All threads have ended when this returns or raises."""
        return self._write(lambda: self._batches(stream))

    def write_extents(self, source: ExtentSource, extents: Iterable[Extent], base: Base | None) -> Written:
        """Store *source*. All threads have ended when this returns or raises.

        :param extents: what is read; in ascending order and without overlap
        :param base: what the source is equal to outside of *extents*; None: there it is zero
        :raises ResourceFailed: the source violates its contract
        """
        others = [each for each in self._bases if each is not base]
        takeover = Takeover(source.size, extents, base, others, self._options.block_size, self._options.segment_blocks)
        written = self._write(lambda: self._batches_of_extents(source, takeover))
        source.confirm()
        self._progress(source.size)
        return replace(written, size=source.size, digest=self._content.digest(source.size))

    def _write(self, batches: Callable[[], Iterator[_Batch]]) -> Written:
        with ExitStack() as stack:
            pools = [ThreadPoolExecutor(n, name) for n, name in self._threads()]
            for pool in pools:
                stack.callback(pool.shutdown, cancel_futures=True)
            # Called before the shutdowns: a worker may be waiting for a buffer that is never released.
            stack.callback(self._buffers.stop)
            self._workers, self._loader, self._sealers, uploaders = pools
            self._uploads = Uploads(uploaders)
            self._packer = Packer(
                self._store, self._target, self._options.compression_level, self._buffers, self._uploads
            )
            for batch in batches():
                self._check()
                self._in_flight.append((batch, self._workers.submit(self._store_blocks, batch)))
                while len(self._in_flight) >= _BATCHES:
                    self._collect()
            return self._finish()

    def _threads(self) -> Sequence[tuple[int, str]]:
        return (
            (self._options.workers, "bank-work"),
            (_SEGMENTS_AT_ONCE, "bank-load"),
            (_SEGMENTS_AT_ONCE, "bank-seal"),
            (self._options.uploads, "bank-send"),
        )

    @property
    def _batch_blocks(self) -> int:
        return max(1, BATCH_BYTES // self._options.block_size)

    def _batches(self, stream: Iterable[bytes | memoryview]) -> Iterator[_Batch]:
        """Divide all of *stream*."""
        # The next segment of the bases is read while this one is written.
        loaded = ahead(self._loader, partial(load, self._bases), itertools.count(), 1)
        batcher = Batcher(self._options.block_size, self._batch_blocks, self._options.segment_blocks)
        for batch in batcher.split(stream):
            if batch.first == 0:
                segment = _OpenSegment(batch.segment, SegmentBuilder(), next(loaded))
            yield _Batch(segment, batch.first, batch.size, partial(_identity, batch.pieces))

    def _batches_of_extents(self, source: ExtentSource, takeover: Takeover) -> Iterator[_Batch]:
        """Go through the segments that are not zero. Write what needs no reading, and begin to read the rest."""
        plans = ahead(
            self._loader,
            takeover.plan,
            takeover.segments(),
            _SEGMENTS_AT_ONCE,
            size=takeover.size,
            room=_SEGMENTS_ROOM,
        )
        for plan in plans:
            self._check()
            if plan.unchanged is not None:
                self._upload(self._bytes_of(plan.unchanged.stored), self._reseal, plan.index, plan.unchanged)
                continue
            segment = self._open(plan)
            if not plan.read:
                self._close_segment(segment)
            start = plan.index * self._options.segment_blocks
            for first, end in plan.read:
                for block in range(first, end, self._batch_blocks):
                    offset = (start + block) * self._options.block_size
                    stop = (start + min(end, block + self._batch_blocks)) * self._options.block_size
                    reading = read(source, offset, min(stop, source.size) - offset)
                    yield _Batch(segment, block, reading.length, reading.pieces)

    def _open(self, plan: Plan) -> _OpenSegment:
        """Begin a segment with the entries that are taken over."""
        builder = SegmentBuilder()
        for block, place, block_hash in plan.kept():
            builder.set(block, place, block_hash)
        return _OpenSegment(plan.index, builder, plan.bases, plan.blocks)

    def _store_blocks(self, batch: _Batch) -> int:
        """Store the blocks of a batch. Returns how many bytes were new."""
        size, zeros, block, new = self._options.block_size, self._zeros, batch.first, 0
        segment = batch.segment
        for piece in batch.pieces():
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
        """Wait for the oldest batch. If it is the first one of its segment, start the upload of the segment before."""
        batch, stored = self._in_flight.popleft()
        self._new += stored.result()
        self._uploads.raise_failure()
        self._segments.take_done()
        segment, size = batch.segment, self._options.block_size
        if self._segment is not None and self._segment is not segment:
            self._close_segment(self._segment)
        self._segment = segment
        segment.blocks = max(segment.blocks, batch.first - (-batch.size // size))
        self._size = (segment.index * self._options.segment_blocks + batch.first) * size + batch.size
        self._progress(self._size)

    def _close_segment(self, segment: _OpenSegment) -> None:
        if segment.builder.stored:
            self._upload(self._bytes_of(segment.builder.stored), self._write_segment, segment)

    def _bytes_of(self, stored: int) -> int:
        return segment_bytes(self._options.segment_blocks, stored)

    def _upload(self, size: int, upload: Callable[..., None], *args: Any) -> None:
        """Start the upload of a segment that needs *size* bytes, as soon as there is room for it."""
        while not self._segments.has_room(size):
            self._segments.take()
        self._segments.add(self._sealers.submit(upload, *args), size)

    def _write_segment(self, segment: _OpenSegment) -> None:
        table, entries, blocks = segment.builder.encode(segment.blocks)
        self._put_segment(segment.index, table, entries, blocks)
        self._content.add(segment.index, digest(entries, segment.blocks, blocks))
        self._remember({pack.id.hex(): pack.size for pack in segment.builder.packs})
        with self._lock:
            self._unsized.extend(segment.builder.unsized)

    def _reseal(self, index: int, segment: Segment) -> None:
        """Store a segment of the base as a segment of this stream. Sizes that only the base's head has go into its table."""
        self._put_segment(index, encode_table(segment.packs), segment.entries, segment.stored)
        self._content.add(index, segment.digest())
        self._remember({use.pack: use.size for use in segment.packs})

    def _remember(self, packs: Mapping[str, int]) -> None:
        with self._lock:
            if self._packs is not None:
                self._packs.update(packs)
                if len(self._packs) > MOST_REMEMBERED:
                    self._packs = None

    def _put_segment(self, index: int, table: bytes, entries: bytes, blocks: int) -> None:
        key = self._target.segment_key(index)
        parts = manifest.seal_segment(key, table, entries, self._target.data_key)
        self._store.put(key, parts)
        with self._lock:
            self._refs.append(SegmentRef(index, len(parts[0]), len(parts[0]) + len(parts[1]), blocks))

    def _finish(self) -> Written:
        while self._in_flight:
            self._collect()
        if self._segment is not None:
            self._close_segment(self._segment)
        self._packer.flush()
        while self._segments:
            self._segments.take()
        self._uploads.wait()
        packs = {ref.id.hex(): ref.size for ref in self._unsized}
        if self._packs is not None:
            self.packs = self._packs | packs
        return Written(
            size=self._size,
            digest=self._content.digest(self._size),
            new=self._new,
            stored=self._packer.stored + sum(ref.size for ref in self._refs),
            packs=packs,
            segments=sorted(self._refs),
        )


def _identity(pieces: Sequence[memoryview]) -> Sequence[memoryview]:
    return pieces
