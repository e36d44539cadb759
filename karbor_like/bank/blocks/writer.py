"""Writes one stream into packs and manifest segments, in threads.

The caller's thread reads the source and cuts it into batches. One thread hashes the whole stream; workers look at the blocks
of a batch (zero? where the base has it? seen lately?), compress and encrypt what is new, and put it into the pack that is
being filled; senders store full packs. Batches are collected in order, so a segment of the manifest is written as soon as it
is complete, and nothing is kept of it. What is in flight is bounded by a share of the bank's memory budget.
"""

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from karbor_like.bank import layout
from karbor_like.bank.blocks.batching import Batch, Batcher
from karbor_like.bank.blocks.budget import Buffers, Share
from karbor_like.bank.blocks.dedup import Bases, BaseSegment
from karbor_like.bank.format import codec, manifest, pack
from karbor_like.bank.format.datakey import DataKey
from karbor_like.bank.format.manifest import SegmentRef
from karbor_like.bank.format.segment import PackRef, Place, SegmentBuilder
from karbor_like.bank.objectstore.base import ObjectStore
from karbor_like.bank.options import BankOptions

BATCH_BYTES: Final = 2 * 1024 * 1024
#: Batches that are read, hashed or worked on at once, whatever the number of workers.
_BATCHES: Final = 5
#: Blocks whose hashes are remembered: twice this many at most.
_RECENT: Final = 8192


def needed_memory(options: BankOptions) -> int:
    """Bytes without which a stream cannot be written."""
    return options.pack_size + _BATCHES * max(BATCH_BYTES, options.block_size)


@dataclass(frozen=True)
class Target:
    """Where a stream goes.

    :param data_key: None where the bank is not encrypted
    :param segment_key: number of a segment -> key of its object
    """

    project_id: str
    data_key: DataKey | None
    segment_key: Callable[[int], str]

    @property
    def hash(self) -> codec.Hash:
        """The block hash."""
        return self.data_key.block_hash if self.data_key else codec.sha256


@dataclass(frozen=True)
class Written:
    """What was written. Sizes in bytes; see :class:`karbor_like.bank.format.manifest.Head`."""

    size: int
    digest: str
    new: int
    stored: int
    packs: dict[str, int]
    segments: Sequence[SegmentRef]


class Recent:
    """Where blocks were stored lately, by their hash. Forgets the older half when it is full."""

    def __init__(self) -> None:
        self._young: dict[bytes, Place] = {}
        self._old: dict[bytes, Place] = {}

    def get(self, block_hash: bytes) -> Place | None:
        return self._young.get(block_hash) or self._old.get(block_hash)

    def add(self, block_hash: bytes, place: Place) -> None:
        # Threads may race here: the worst is that a few are forgotten early.
        if len(self._young) >= _RECENT:
            self._old, self._young = self._young, {}
        self._young[block_hash] = place


class Packer:
    """Fills packs and sends them. Safe to use from several threads.

    :param senders: stores finished packs
    """

    def __init__(self, store: ObjectStore, target: Target, level: int, buffers: Buffers, senders: "Senders") -> None:
        self._store = store
        self._target = target
        self._level = level
        self._buffers = buffers
        self._senders = senders
        self._open: pack.OpenPack | None = None
        self._lock = threading.Lock()
        self._counting = threading.Lock()
        self.stored = 0

    def add(self, block: memoryview, block_hash: bytes) -> Place:
        """Compress, encrypt and place one block."""
        codec_id, body = pack.encode(block, self._level, block_hash, self._target.hash)
        with self._lock:
            if self._open is not None:
                place = self._open.add(codec_id, body, len(block), block_hash)
                if place is not None:
                    return place
                self._send()
            self._open = pack.OpenPack(self._buffers.get(), self._target.data_key)
            place = self._open.add(codec_id, body, len(block), block_hash)
            assert place is not None, "a pack holds at least one block"
            return place

    def flush(self) -> None:
        """Send the pack that is not full."""
        with self._lock:
            if self._open is not None:
                self._send()

    def _send(self) -> None:
        full, self._open = self._open, None
        assert full is not None
        self._senders.submit(self._finish, full)

    def _finish(self, full: pack.OpenPack) -> None:
        try:
            data = full.finish()
            self._store.put(layout.pack_key(self._target.project_id, full.ref.id.hex()), data)
            full.ref.size = len(data)
            # Not the lock above: its holder may be waiting for the buffer that is put back here.
            with self._counting:
                self.stored += len(data)
        finally:
            self._buffers.put(full.buffer)


class Senders:
    """Threads that store objects. The first failure is raised from :meth:`poll` or :meth:`wait`."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._running: deque[Future[None]] = deque()

    def submit(self, task: Callable[..., None], *args: Any) -> Future[None]:
        future = self._pool.submit(task, *args)
        self._running.append(future)
        return future

    def poll(self) -> None:
        """Raise what failed so far."""
        while self._running and self._running[0].done():
            self._running.popleft().result()

    def wait(self) -> None:
        """Wait until everything is stored."""
        while self._running:
            self._running.popleft().result()


@dataclass
class _Part:
    """A segment that is being written.

    :param bases: where its blocks may be stored already
    :param blocks: number of blocks that are done, from the first on
    """

    index: int
    builder: SegmentBuilder
    bases: Sequence[BaseSegment]
    blocks: int = 0


class _Running(NamedTuple):
    """A batch in flight: what was cut, and the two things that are done with it."""

    batch: Batch
    part: _Part
    hashed: Future[None]
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
        self._hash = target.hash
        self._zeros = bytearray(options.block_size)
        self._recent = Recent()
        self._buffers = Buffers(share, options.pack_size, 1 + options.senders)
        self._sha256 = hashlib.sha256()
        self._running: deque[_Running] = deque()
        self._loading: Future[Sequence[BaseSegment]]
        self._part: _Part | None = None
        self._parts: deque[Future[None]] = deque()
        self._lock = threading.Lock()
        self._unsized: list[PackRef] = []
        self._segments: list[SegmentRef] = []
        self._size = self._new = 0

    def write(self, stream: Iterable[bytes | memoryview]) -> Written:
        """Store all of *stream*. When it raises, whatever it raises, all threads have ended."""
        with ExitStack() as stack:
            pools = [ThreadPoolExecutor(n, name) for n, name in self._threads()]
            for pool in pools:
                stack.callback(pool.shutdown, cancel_futures=True)
            # Called first: somebody may be waiting for a buffer that will not come.
            stack.callback(self._buffers.stop)
            self._hasher, self._workers, self._loader, sending = pools
            self._senders = Senders(sending)
            self._packer = Packer(
                self._store, self._target, self._options.compression_level, self._buffers, self._senders
            )
            for batch in self._cutter().cut(stream):
                if self._check:
                    self._check()
                self._start(batch)
                while len(self._running) >= _BATCHES:
                    self._collect()
            return self._finish()

    def _threads(self) -> Sequence[tuple[int, str]]:
        return (
            (1, "bank-hash"),
            (self._options.workers, "bank-work"),
            (1, "bank-load"),
            (self._options.senders, "bank-send"),
        )

    def _cutter(self) -> Batcher:
        blocks = max(1, BATCH_BYTES // self._options.block_size)
        return Batcher(self._options.block_size, blocks, self._options.segment_blocks)

    def _start(self, batch: Batch) -> None:
        if batch.first == 0:
            # The next segment of the bases is read while this one is written.
            loading = self._loading if batch.segment else self._loader.submit(self._bases.load, 0)
            self._loading = self._loader.submit(self._bases.load, batch.segment + 1)
            builder = SegmentBuilder(self._options.segment_blocks)
            self._part = _Part(batch.segment, builder, loading.result())
        assert self._part is not None
        hashed = self._hasher.submit(self._hash_stream, batch.pieces)
        stored = self._workers.submit(self._store_blocks, batch, self._part)
        self._running.append(_Running(batch, self._part, hashed, stored))

    def _hash_stream(self, pieces: Sequence[memoryview]) -> None:
        for piece in pieces:
            self._sha256.update(piece)

    def _store_blocks(self, batch: Batch, part: _Part) -> int:
        """Returns how many bytes were new."""
        size, zeros, block, new = self._options.block_size, self._zeros, batch.first, 0
        for piece in batch.pieces:
            for at in range(0, len(piece), size):
                data = piece[at : at + size]
                # A bytearray on the left compares memory; any other way round is a hundred times slower.
                if (zeros if len(data) == size else zeros[: len(data)]) != data:
                    block_hash = self._hash(data)
                    place = self._known(part, block, block_hash)
                    if place is None:
                        place = self._packer.add(data, block_hash)
                        new += len(data)
                    self._recent.add(block_hash, place)
                    part.builder.set(block, place, block_hash)
                block += 1
        return new

    def _known(self, part: _Part, block: int, block_hash: bytes) -> Place | None:
        for base in part.bases:
            place = base.find(block, block_hash)
            if place is not None:
                return place
        return self._recent.get(block_hash)

    def _collect(self) -> None:
        """Wait for the oldest batch; have its segment written where it was the last of it."""
        batch, part, hashed, stored = self._running.popleft()
        hashed.result()
        self._new += stored.result()
        self._size += batch.size
        self._senders.poll()
        part.blocks = batch.first - (-batch.size // self._options.block_size)
        if part.blocks == self._options.segment_blocks:
            self._end_part(part)
        if self._progress:
            self._progress(self._size)

    def _end_part(self, part: _Part) -> None:
        if part.builder.empty:
            return
        self._parts.append(self._senders.submit(self._write_segment, part))
        if len(self._parts) > self._options.senders:
            self._parts.popleft().result()

    def _write_segment(self, part: _Part) -> None:
        key = self._target.segment_key(part.index)
        table, entries, blocks = part.builder.encode(part.blocks)
        parts = manifest.seal_segment(key, table, entries, self._target.data_key)
        self._store.put(key, parts)
        size = len(parts[0]) + len(parts[1])
        with self._lock:
            self._segments.append(SegmentRef(part.index, len(parts[0]), size, blocks))
            self._unsized.extend(part.builder.unsized)

    def _finish(self) -> Written:
        while self._running:
            self._collect()
        if self._part is not None and self._part.blocks < self._options.segment_blocks:
            self._end_part(self._part)
        self._packer.flush()
        self._senders.wait()
        return Written(
            size=self._size,
            digest=self._sha256.hexdigest(),
            new=self._new,
            stored=self._packer.stored + sum(ref.size for ref in self._segments),
            packs={ref.id.hex(): ref.size for ref in self._unsized},
            segments=sorted(self._segments),
        )
