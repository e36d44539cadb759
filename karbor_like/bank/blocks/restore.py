"""Restoring of one stream into a target with random access, in the order of packs: most packs are read with one request.

The caller's thread goes through the manifest. Workers fetch stored blocks of one pack, decrypt and check them, and write them
where they belong. The stream's share of the memory budget limits what is in flight.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from threading import Semaphore
from typing import Final, Protocol

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.bank.blocks.budget import Budget, Buffers
from karbor_like.bank.blocks.fetch import StoredBlock, fetch, runs
from karbor_like.bank.blocks.parallel import ahead
from karbor_like.bank.format import manifest, pack
from karbor_like.bank.format.content import Content
from karbor_like.bank.format.datakey import DataKey
from karbor_like.bank.format.manifest import Head
from karbor_like.bank.format.segment import MAX_OVERHEAD, Segment
from karbor_like.bank.objectstore.base import ObjectStore

#: The most bytes that one request reads: a pack of the usual size.
_RUN_BYTES: Final = 16 * 1024 * 1024
#: The most bytes that are written at once, and the most zeros that are written without a call of check.
_PIECE_BYTES: Final = 1024 * 1024
#: Buffers that the whole budget must suffice for: they are filled while others are emptied.
_LEAST_BUFFERS: Final = 3
_MOST_BUFFERS: Final = 16
_ZEROS: Final = memoryview(bytes(_PIECE_BYTES))


class ExtentTarget(Protocol):
    """What a stream is restored into: random access, like a volume."""

    @property
    def size(self) -> int:
        """Bytes in total."""
        ...

    def write(self, offset: int, data: memoryview) -> None:
        """Write all of *data*, at most 4 MiB, at *offset*.

        Several threads call it at once, for ranges that do not overlap, in any order. It takes the memory that it needs
        within limits of its own, and waits if need be. *data* must not be used after it returned, so it may return when a
        copy is on its way. Errors of that are the target's to report, when the caller of the bank asks whether all is there.
        """
        ...


class Restorer:
    """Restores one stream, once.

    :param threads: threads that decrypt and check blocks
    :param progress: called with the bytes done so far, including zeros
    :param check: called every few MiB; may raise to stop
    """

    def __init__(
        self,
        store: ObjectStore,
        head: Head,
        data_key: DataKey | None,
        budget: Budget,
        *,
        threads: int,
        progress: Callable[[int], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        self._store = store
        self._head = head
        self._resolve_key: manifest.KeyResolver = (lambda _: data_key) if data_key else None
        self._budget = budget
        self._progress = progress or (lambda _: None)
        self._check = check or (lambda: None)
        self._opener = pack.BlockReader(head.project_id, data_key)
        self._opening = Semaphore(threads)
        self._content = Content(head.block_size, head.segment_blocks)
        self._piece_bytes = max(_PIECE_BYTES // head.block_size, 1) * head.block_size
        room = budget.total // _LEAST_BUFFERS - head.block_size - self._piece_bytes
        #: Not more than the stream can have, so that a short stream leaves the budget to others.
        most = min(_RUN_BYTES, room, head.blocks * (head.block_size + MAX_OVERHEAD))
        self._run_bytes = max(most, head.block_size + MAX_OVERHEAD)
        self._threads = max(threads, store.requests_at_once)
        self._done = 0

    def restore(self, target: ExtentTarget, *, empty: bool) -> None:
        """Write all of the stream. All threads have ended when this returns or raises.

        :param empty: whether all of *target* reads as zero: then zeros are not written
        :raises ResourceFailed: *target* is smaller than the stream
        :raises Corrupted: a block or the digest is wrong. Names the stream, the range of the block in it and its place in
            the bank. What was written before is right, but not complete
        """
        head = self._head
        if target.size < head.size:
            raise exception.ResourceFailed(
                f"{head.prefix}: the target has {target.size} bytes; the stream needs {head.size}"
            )
        # Stored blocks of a pack, one decrypted block, and consecutive blocks that are written at once.
        buffer_bytes = self._run_bytes + head.block_size + self._piece_bytes
        most = min(_MOST_BUFFERS, max(1, self._budget.total // buffer_bytes))
        with ExitStack() as stack:
            share = stack.enter_context(self._budget.reserve(buffer_bytes, self._check))
            buffers = Buffers(share, buffer_bytes, most)
            pools = [
                ThreadPoolExecutor(n, name) for n, name in ((min(most, self._threads), "bank-read"), (1, "bank-load"))
            ]
            for pool in pools:
                stack.callback(pool.shutdown, cancel_futures=True)
            stack.callback(buffers.stop)
            workers, loader = pools
            running: deque[Future[int]] = deque()
            for run in self._runs(loader, target, empty=empty):
                self._check()
                running.append(workers.submit(self._copy, run, target, buffers))
                if len(running) > 2 * most:
                    self._advance(running.popleft().result())
            while running:
                self._advance(running.popleft().result())
        self._content.require(head)

    def _advance(self, size: int) -> None:
        self._done += size
        self._progress(self._done)

    def _runs(
        self, loader: ThreadPoolExecutor, target: ExtentTarget, *, empty: bool
    ) -> Iterator[Sequence[StoredBlock]]:
        """Yield the blocks that are not zero, grouped by their places. Blocks are counted within the stream."""
        head = self._head
        read = partial(manifest.read_segment, self._store, head, resolve_key=self._resolve_key)
        at = 0
        for ref, segment in zip(head.segments, ahead(loader, read, head.segments, 1), strict=True):
            first = ref.number * head.segment_blocks
            self._skip(target, at, first * head.block_size, empty=empty)
            self._content.add(ref.number, segment.digest())
            blocks = list(self._stored(segment, first))
            yield from runs(blocks, self._run_bytes)
            at = min((first + len(segment)) * head.block_size, head.size)
            for start, end in self._zeros(segment, first, at):
                self._skip(target, start, end, empty=empty)
        self._skip(target, at, head.size, empty=empty)

    def _stored(self, segment: Segment, first: int) -> Iterator[StoredBlock]:
        size = self._head.block_size
        for block in range(len(segment)):
            place = segment.place(block)
            if place is not None:
                at = (first + block) * size
                yield StoredBlock(place, first + block, min(size, self._head.size - at), segment.hash(block))

    def _zeros(self, segment: Segment, first: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the ranges of bytes of a segment that are zero."""
        size, start = self._head.block_size, None
        for block in range(len(segment)):
            if segment.place(block) is None:
                start = (first + block) * size if start is None else start
            elif start is not None:
                yield start, (first + block) * size
                start = None
        if start is not None:
            yield start, end

    def _skip(self, target: ExtentTarget, start: int, end: int, *, empty: bool) -> None:
        """Write zeros, unless *target* has them."""
        if not empty:
            for at in range(start, end, _PIECE_BYTES):
                self._check()
                target.write(at, _ZEROS[: end - at])
        if end > start:
            self._advance(end - start)

    def _copy(self, run: Sequence[StoredBlock], target: ExtentTarget, buffers: Buffers) -> int:
        """Copy blocks of one pack into *target*. Returns their size."""
        buffer = buffers.get()
        try:
            view = memoryview(buffer)
            stored, rest = view[: self._run_bytes], view[self._run_bytes :]
            scratch, plain = rest[: self._head.block_size], rest[self._head.block_size :]
            try:
                fetched = fetch(self._store, self._head, run, stored)
            except errors.Corrupted as error:
                raise self._located(run, error) from None
            for piece in self._pieces(run):
                size = 0
                with self._opening:
                    for block in piece:
                        at = block.place.offset - run[0].place.offset
                        body = fetched[at : at + block.place.length]
                        try:
                            self._opener.open(block.place, body, plain[size:][: block.size], block.hash, scratch)
                        except errors.Corrupted as error:
                            raise self._located([block], error) from None
                        size += block.size
                with plain[:size].toreadonly() as data:
                    target.write(piece[0].number * self._head.block_size, data)
            return sum(block.size for block in run)
        finally:
            buffers.release(buffer)

    def _pieces(self, run: Sequence[StoredBlock]) -> Iterator[Sequence[StoredBlock]]:
        """Group blocks that follow each other in the stream."""
        most, piece = self._piece_bytes // self._head.block_size, list[StoredBlock]()
        for block in run:
            if piece and (block.number != piece[-1].number + 1 or len(piece) == most):
                yield piece
                piece = []
            piece.append(block)
        yield piece

    def _located(self, blocks: Sequence[StoredBlock], error: errors.Corrupted) -> errors.Corrupted:
        """Return *error* with the range of the stream that it concerns."""
        start = min(block.number for block in blocks) * self._head.block_size
        last = max(blocks, key=lambda block: block.number)
        end = last.number * self._head.block_size + last.size
        return errors.Corrupted(f"{self._head.prefix}, bytes {start} to {end - 1}: {error.message}")
