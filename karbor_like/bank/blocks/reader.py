"""Reads one stream back: fetches, opens and checks blocks in threads, some way ahead of whoever takes them.

A block that is not the one the manifest names is an error at once, and so is, at the end, a stream with another SHA-256 than
the one that was written; the last bytes are not handed out before that was compared.
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

from karbor_like.bank import errors, layout
from karbor_like.bank.blocks.budget import Budget, Buffer, Buffers
from karbor_like.bank.format import manifest, pack
from karbor_like.bank.format.datakey import DataKey
from karbor_like.bank.format.manifest import Head
from karbor_like.bank.format.segment import MAX_OVERHEAD, Place, Segment
from karbor_like.bank.objectstore.base import ObjectStore

WINDOW_BYTES: Final = 2 * 1024 * 1024
#: Windows in memory: without which nothing goes on (two in flight and one that is handed out), and at most, however much
#: there is.
_LEAST_WINDOWS: Final = 3
_MOST_WINDOWS: Final = 16
#: Windows that wait to be handed out, those of zeros, which take no memory, among them.
_MOST_AHEAD: Final = 64
#: Bytes between two blocks of a pack that are rather read than asked for separately.
_GAP: Final = 256 * 1024
_ZEROS: Final = memoryview(bytes(1024 * 1024))
#: Zeros that are handed out without looking whether to stop.
_ZEROS_AT_ONCE: Final = 64 * len(_ZEROS)

#: The contents of a window, and the buffer that is to be used again afterwards, if there is one.
_Contents = tuple[Sequence[memoryview], Buffer | None]


class _Block(NamedTuple):
    """A block of a window; *place* is None where it is zero."""

    size: int
    place: Place | None
    hash: bytes


class _Window(NamedTuple):
    """Some consecutive blocks of a stream; no *blocks*: all of it is zero."""

    size: int
    blocks: Sequence[_Block]


class StreamReader:
    """One stream of a bank, for reading it once from the beginning to the end. A context manager, and iterable.

    Iterating gives chunks of bytes in order, and raises Corrupted at the first that is wrong. Zeros come in chunks of their
    own. A chunk lives until the next is asked for, as its memory is used again: who wants to keep it makes ``bytes`` of it,
    and who uses it later all the same gets a ValueError.

    :param threads: that open and check blocks
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
        self._find: manifest.KeyResolver = (lambda _: data_key) if data_key else None
        self._budget = budget
        self._check = check or (lambda: None)
        self._blocks = pack.BlockReader(head.project_id, data_key)
        self._threads = max(threads, store.requests_at_once)
        # Fewer of those threads open what they fetched: more than there are processors would only take turns.
        self._opening = threading.Semaphore(threads)
        #: Blocks of a window: no more than there are, so that a short stream leaves the budget to others.
        self._step = max(1, min(WINDOW_BYTES // head.block_size, head.segment_blocks, head.blocks))
        #: Bytes of a window as stored, at most: blocks that were not made smaller, and what encryption adds to each.
        self._stored_bytes = self._step * (head.block_size + MAX_OVERHEAD)
        self._chunks: Iterator[memoryview] | None = None

    @property
    def size(self) -> int:
        """Bytes of the stream."""
        return self._head.size

    @property
    def digest(self) -> str:
        """SHA-256 of the stream, hexadecimal."""
        return self._head.digest

    def __iter__(self) -> Iterator[memoryview]:
        if self._chunks is None:
            self._chunks = self._read()
        return self._chunks

    def close(self) -> None:
        """End the threads. Nothing is read afterwards."""
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
        sha256 = hashlib.sha256()
        # As stored, a block decrypted, and as it is handed out.
        window_bytes = self._stored_bytes + self._head.block_size * (1 + self._step)
        most = min(_MOST_WINDOWS, max(_LEAST_WINDOWS, self._budget.total // window_bytes))
        with ExitStack() as stack:
            share = stack.enter_context(self._budget.reserve(_LEAST_WINDOWS * window_bytes, self._check))
            buffers = Buffers(share, window_bytes, most, least=_LEAST_WINDOWS)
            threads = (min(most, self._threads), "bank-read"), (1, "bank-hash")
            pools = [ThreadPoolExecutor(n, name) for n, name in threads]
            for pool in pools:
                stack.callback(pool.shutdown, cancel_futures=True)
            workers, hasher = pools
            # One window is hashed while the one before it is handed out. The last one is not until the whole is known to be
            # right.
            hashing: deque[tuple[Future[None], _Contents]] = deque()
            for contents in self._windows_ahead(workers, buffers):
                self._check()
                hashing.append((hasher.submit(_update, sha256, contents[0]), contents))
                if len(hashing) > 1:
                    yield from _handed_out(*hashing.popleft(), buffers)
            for hashed, _ in hashing:
                hashed.result()
            if sha256.hexdigest() != self.digest:
                raise errors.Corrupted(
                    f"{self._name}: the SHA-256 of the stream is {sha256.hexdigest()}, it should be {self.digest}"
                )
            for hashed, contents in hashing:
                yield from _handed_out(hashed, contents, buffers)

    @property
    def _name(self) -> str:
        head = self._head
        return layout.manifest_prefix(head.checkpoint_id, head.resource_key, head.name)

    def _windows_ahead(self, workers: ThreadPoolExecutor, buffers: Buffers) -> Iterator[_Contents]:
        """The contents of all windows, in order."""
        ahead: deque[tuple[Future[Sequence[memoryview]] | Sequence[memoryview], Buffer | None]] = deque()

        def first() -> _Contents:
            pieces, buffer = ahead.popleft()
            return pieces.result() if isinstance(pieces, Future) else pieces, buffer

        for window in self._windows(workers):
            if window.blocks:
                while (buffer := buffers.take()) is None:
                    yield first()
                ahead.append((workers.submit(self._fetch, window, buffer), buffer))
            else:
                ahead.append((_zeros(window.size), None))
            while ahead and (len(ahead) > _MOST_AHEAD or ahead[0][1] is None):
                yield first()
        while ahead:
            yield first()

    def _windows(self, workers: ThreadPoolExecutor) -> Iterator[_Window]:
        """The stream as windows; runs of zeros between segments and windows are windows of their own."""
        head = self._head
        refs = deque(head.segments)
        loading = workers.submit(manifest.read_segment, self._store, head, refs[0], self._find) if refs else None
        segment_bytes = head.segment_blocks * head.block_size
        at = 0
        while at < head.size:
            if not refs or refs[0].number * segment_bytes > at:
                end = refs[0].number * segment_bytes if refs else head.size
                for start in range(at, end, _ZEROS_AT_ONCE):
                    yield _Window(min(_ZEROS_AT_ONCE, end - start), ())
                at = end
                continue
            assert loading is not None
            segment = loading.result()
            refs.popleft()
            if refs:
                loading = workers.submit(manifest.read_segment, self._store, head, refs[0], self._find)
            yield from self._windows_of(segment, at)
            at += min(segment_bytes, head.size - at)

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
        """The contents of one window, in *buffer*."""
        view, block_size = memoryview(buffer), self._head.block_size
        stored, scratch, plain = (
            view[: self._stored_bytes],
            view[self._stored_bytes :][:block_size],
            view[self._stored_bytes + block_size :],
        )
        wanted: dict[bytes, list[tuple[Place, int]]] = {}
        for number, block in enumerate(window.blocks):
            if block.place is not None:
                wanted.setdefault(block.place.pack.id, []).append((block.place, number))
        for places in wanted.values():
            places.sort(key=lambda item: item[0].offset)
            for run in _runs(places, self._stored_bytes):
                start = run[0][0].offset
                fetched = self._fetch_run(run, stored)
                with self._opening:
                    for place, number in run:
                        block, at = window.blocks[number], place.offset - start
                        target = plain[number * block_size :][: block.size]
                        self._blocks.open(place, fetched[at : at + place.length], target, block.hash, scratch)
        return list(_pieces(window.blocks, plain))

    def _fetch_run(self, run: Sequence[tuple[Place, int]], target: memoryview) -> memoryview:
        """The bytes of a pack from the first to the last of *run*, in *target*."""
        start = run[0][0].offset
        end = max(place.offset + place.length for place, _ in run)
        key = layout.pack_key(self._head.project_id, run[0][0].pack.id.hex())
        try:
            size = self._store.get_into(key, start, target[: end - start])
        except errors.ObjectNotFound:
            raise errors.Corrupted(f"{key}: this pack is missing; {self._name} needs it") from None
        if size != end - start:
            raise errors.Corrupted(f"{key}: ends at byte {start + size}, but {self._name} needs it up to {end}")
        return target[:size]


def _runs(places: Sequence[tuple[Place, int]], most: int) -> Iterator[Sequence[tuple[Place, int]]]:
    """Places of one pack, ordered by offset, in groups that lie close together, within *most* bytes."""
    run: list[tuple[Place, int]] = []
    end = 0
    for item in places:
        place = item[0]
        if run and (place.offset > end + _GAP or place.offset + place.length > run[0][0].offset + most):
            yield run
            run, end = [], 0
        run.append(item)
        end = max(end, place.offset + place.length)
    yield run


def _pieces(blocks: Sequence[_Block], plain: memoryview) -> Iterator[memoryview]:
    """The contents of consecutive blocks, those that are not zero from *plain*, in as few pieces as can be."""
    at = 0
    for zero, run in itertools.groupby(blocks, lambda block: block.place is None):
        size = sum(block.size for block in run)
        if zero:
            yield from _zeros(size)
        else:
            yield plain[at : at + size]
        at += size


def _handed_out(hashed: Future[None], contents: _Contents, buffers: Buffers) -> Iterator[memoryview]:
    hashed.result()
    pieces, buffer = contents
    for piece in pieces:
        with piece.toreadonly() as chunk:
            yield chunk
    if buffer is not None:
        buffers.put(buffer)


def _zeros(size: int) -> Sequence[memoryview]:
    whole, rest = divmod(size, len(_ZEROS))
    return [_ZEROS] * whole + ([_ZEROS[:rest]] if rest else [])


def _update(sha256: "hashlib._Hash", pieces: Sequence[memoryview]) -> None:
    for piece in pieces:
        sha256.update(piece)
