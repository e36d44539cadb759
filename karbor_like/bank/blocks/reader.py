"""Reading of one stream: threads fetch, decrypt and check blocks ahead of the consumer.

A block that differs from the one in the manifest is an error at once. At the end, so is a stream whose digest differs from
the manifest's; the last bytes are not yielded before that comparison. The digest of a head of version 1 is that of all
bytes, which a thread of its own hashes.
"""

import hashlib
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Final, NamedTuple, Self

from karbor_like.bank import errors
from karbor_like.bank.blocks.budget import Budget, Buffer, Buffers
from karbor_like.bank.blocks.fetch import StoredBlock, fetch, runs
from karbor_like.bank.format import manifest, pack
from karbor_like.bank.format.content import Content
from karbor_like.bank.format.datakey import DataKey
from karbor_like.bank.format.manifest import Head
from karbor_like.bank.format.segment import MAX_OVERHEAD, Place, Segment
from karbor_like.bank.objectstore.base import ObjectStore

WINDOW_BYTES: Final = 2 * 1024 * 1024
#: Windows in memory. The reader needs the least number to make progress: two in flight and one that is being yielded.
_LEAST_WINDOWS: Final = 3
#: The most windows in memory, however large the budget.
_MOST_WINDOWS: Final = 16
#: Windows that wait to be yielded, including those of zeros, which need no memory.
_MOST_AHEAD: Final = 64
_ZEROS: Final = memoryview(bytes(1024 * 1024))
#: Bytes of zeros that are yielded without a call of check.
_ZEROS_PER_CHECK: Final = 64 * len(_ZEROS)

_NOTHING_TO_DO: Final[Future[None]] = Future()
_NOTHING_TO_DO.set_result(None)

#: The contents of a window, and the buffer to release afterwards, if there is one.
_Contents = tuple[Sequence[memoryview], Buffer | None]


class _Block(NamedTuple):
    """A block of a window. *place* is None if the block is zero."""

    size: int
    place: Place | None
    hash: bytes


class _Window(NamedTuple):
    """Consecutive blocks of a stream. *blocks* is empty if all of them are zero."""

    size: int
    blocks: Sequence[_Block]


class StreamReader:
    """One stream of a bank, to be read once from beginning to end. A context manager and an iterable.

    Iteration yields chunks of bytes in order, and raises Corrupted at the first wrong one. Zeros are in chunks of their own.
    The memory of a chunk is reused: a chunk is valid until the next one is requested, and raises ValueError afterwards. A
    caller that keeps it longer must convert it to ``bytes``.

    :param threads: threads that decrypt and check blocks
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
        check: Callable[[], None] | None = None,
    ) -> None:
        self._store = store
        self._head = head
        self._resolve_key: manifest.KeyResolver = (lambda _: data_key) if data_key else None
        self._budget = budget
        self._check = check or (lambda: None)
        self._opener = pack.BlockReader(head.project_id, data_key)
        self._threads = max(threads, store.requests_at_once)
        # Fewer of them decrypt concurrently: more threads than processors would only take turns.
        self._opening = threading.Semaphore(threads)
        #: Blocks of a window: not more than the stream has, so that a short stream leaves the budget to others.
        self._step = max(1, min(WINDOW_BYTES // head.block_size, head.segment_blocks, head.blocks))
        #: Maximum bytes of a window as stored: blocks that compression did not shrink, and the overhead of encryption.
        self._stored_bytes = self._step * (head.block_size + MAX_OVERHEAD)
        self._content = Content(head.block_size, head.segment_blocks)
        self._chunks: Iterator[memoryview] | None = None

    @property
    def size(self) -> int:
        """Bytes of the stream."""
        return self._head.size

    def __iter__(self) -> Iterator[memoryview]:
        if self._chunks is None:
            self._chunks = self._read()
        return self._chunks

    def close(self) -> None:
        """End the threads. Iteration yields nothing afterwards."""
        chunks, self._chunks = self._chunks, iter(())
        if chunks is not None and hasattr(chunks, "close"):
            chunks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> Iterator[memoryview]:
        whole = None if self._head.states_content else hashlib.sha256()
        # The window as stored, one decrypted block, and the window as it is yielded.
        window_bytes = self._stored_bytes + self._head.block_size * (1 + self._step)
        most = min(_MOST_WINDOWS, max(_LEAST_WINDOWS, self._budget.total // window_bytes))
        with ExitStack() as stack:
            share = stack.enter_context(self._budget.reserve(_LEAST_WINDOWS * window_bytes, self._check))
            buffers = Buffers(share, window_bytes, most, reserved=_LEAST_WINDOWS)
            threads = (min(most, self._threads), "bank-read"), (1, "bank-hash")
            pools = [ThreadPoolExecutor(n, name) for n, name in threads]
            for pool in pools:
                stack.callback(pool.shutdown, cancel_futures=True)
            workers, hasher = pools
            # One window may be hashed while the previous one is yielded. The last window is held back until the digest of
            # the stream is known to be right.
            hashing: deque[tuple[Future[None], _Contents]] = deque()
            for contents in self._windows_ahead(workers, buffers):
                self._check()
                hashed = hasher.submit(_update, whole, contents[0]) if whole else _NOTHING_TO_DO
                hashing.append((hashed, contents))
                if len(hashing) > 1:
                    yield from _chunks(*hashing.popleft(), buffers)
            for hashed, _ in hashing:
                hashed.result()
            self._content.require(self._head)
            if whole is not None and whole.hexdigest() != self._head.sha256:
                raise errors.Corrupted(
                    f"{self._head.prefix}: the SHA-256 of the stream is {whole.hexdigest()}; expected {self._head.sha256}"
                )
            for hashed, contents in hashing:
                yield from _chunks(hashed, contents, buffers)

    def _windows_ahead(self, workers: ThreadPoolExecutor, buffers: Buffers) -> Iterator[_Contents]:
        """Yield the contents of all windows, in order."""
        ahead: deque[tuple[Future[Sequence[memoryview]] | Sequence[memoryview], Buffer | None]] = deque()

        def take_first() -> _Contents:
            pieces, buffer = ahead.popleft()
            return pieces.result() if isinstance(pieces, Future) else pieces, buffer

        for window in self._windows(workers):
            if window.blocks:
                while (buffer := buffers.try_get()) is None:
                    yield take_first()
                ahead.append((workers.submit(self._fetch, window, buffer), buffer))
            else:
                ahead.append((_zeros(window.size), None))
            while ahead and (len(ahead) > _MOST_AHEAD or ahead[0][1] is None):
                yield take_first()
        while ahead:
            yield take_first()

    def _windows(self, workers: ThreadPoolExecutor) -> Iterator[_Window]:
        """Divide the stream into windows. Zeros between segments and windows are in windows of their own."""
        head = self._head
        refs = deque(head.segments)
        loading = self._load_segment(workers, refs[0]) if refs else None
        segment_bytes = head.segment_blocks * head.block_size
        at = 0
        while at < head.size:
            if not refs or refs[0].number * segment_bytes > at:
                end = refs[0].number * segment_bytes if refs else head.size
                for start in range(at, end, _ZEROS_PER_CHECK):
                    yield _Window(min(_ZEROS_PER_CHECK, end - start), ())
                at = end
                continue
            assert loading is not None
            segment = loading.result()
            self._content.add(refs.popleft().number, segment.digest())
            if refs:
                loading = self._load_segment(workers, refs[0])
            yield from self._windows_of(segment, at)
            at += min(segment_bytes, head.size - at)

    def _load_segment(self, workers: ThreadPoolExecutor, ref: manifest.SegmentRef) -> Future[Segment]:
        return workers.submit(manifest.read_segment, self._store, self._head, ref, self._resolve_key)

    def _windows_of(self, segment: Segment, at: int) -> Iterator[_Window]:
        block_size = self._head.block_size
        for first in range(0, len(segment), self._step):
            blocks = []
            for block in range(first, min(first + self._step, len(segment))):
                size = min(block_size, self._head.size - at - block * block_size)
                blocks.append(_Block(size, segment.place(block), segment.hash(block)))
            size = sum(block.size for block in blocks)
            yield _Window(size, blocks if any(block.place for block in blocks) else ())

    def _fetch(self, window: _Window, buffer: Buffer) -> Sequence[memoryview]:
        """Read the contents of one window into *buffer*."""
        view, block_size = memoryview(buffer), self._head.block_size
        stored, scratch, plain = (
            view[: self._stored_bytes],
            view[self._stored_bytes :][:block_size],
            view[self._stored_bytes + block_size :],
        )
        blocks = [
            StoredBlock(block.place, number, block.size, block.hash)
            for number, block in enumerate(window.blocks)
            if block.place is not None
        ]
        for run in runs(blocks, self._stored_bytes):
            fetched = fetch(self._store, self._head, run, stored)
            with self._opening:
                for place, number, size, block_hash in run:
                    at = place.offset - run[0].place.offset
                    target = plain[number * block_size :][:size]
                    self._opener.open(place, fetched[at : at + place.length], target, block_hash, scratch)
        return list(_pieces(window.blocks, plain))


def _pieces(blocks: Sequence[_Block], plain: memoryview) -> Iterator[memoryview]:
    """Yield the contents of consecutive blocks in as few pieces as possible. Those that are not zero are in *plain*."""
    at = 0
    for zero, run in itertools.groupby(blocks, lambda block: block.place is None):
        size = sum(block.size for block in run)
        if zero:
            yield from _zeros(size)
        else:
            yield plain[at : at + size]
        at += size


def _chunks(hashed: Future[None], contents: _Contents, buffers: Buffers) -> Iterator[memoryview]:
    """Yield the contents of a window, each piece until the next one is requested, and release its buffer."""
    hashed.result()
    pieces, buffer = contents
    for piece in pieces:
        with piece.toreadonly() as chunk:
            yield chunk
    if buffer is not None:
        buffers.release(buffer)


def _zeros(size: int) -> Sequence[memoryview]:
    whole, rest = divmod(size, len(_ZEROS))
    return [_ZEROS] * whole + ([_ZEROS[:rest]] if rest else [])


def _update(sha256: "hashlib._Hash", pieces: Sequence[memoryview]) -> None:
    for piece in pieces:
        sha256.update(piece)
