"""Reads one stream back: fetches, opens and checks blocks in threads, some way ahead of whoever takes them.

A block that is not the one the manifest names is an error at once, and so is, at the end, a stream with another SHA-256 than
the one that was written; the last bytes are not handed out before that was compared.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Final, NamedTuple, Self

from karbor_like.bank import errors, layout, manifest, pack
from karbor_like.bank.budget import Budget, Share
from karbor_like.bank.keys import DataKey
from karbor_like.bank.manifest import Head
from karbor_like.bank.objectstore.base import ObjectStore
from karbor_like.bank.segment import Place, Segment

WINDOW_BYTES: Final = 2 * 1024 * 1024
#: Windows in flight: without which nothing goes on, and at most, however much memory there is.
_LEAST_WINDOWS: Final = 2
_MOST_WINDOWS: Final = 16
#: Windows that wait to be handed out, those of zeros, which take no memory, among them.
_MOST_AHEAD: Final = 64
#: Bytes between two blocks of a pack that are rather read than asked for separately.
_GAP: Final = 64 * 1024
_ZEROS: Final = bytes(1024 * 1024)
#: Zeros that are handed out without looking whether to stop.
_ZEROS_AT_ONCE: Final = 64 * len(_ZEROS)


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

    Iterating gives chunks of bytes in order, and raises Corrupted at the first that is wrong.

    :param check: called every few MiB; may raise to stop
    """

    def __init__(
        self,
        store: ObjectStore,
        head: Head,
        data_key: DataKey | None,
        budget: Budget,
        *,
        check: Callable[[], None] | None = None,
    ) -> None:
        self._store = store
        self._head = head
        self._find: manifest.Find = (lambda _: data_key) if data_key else None
        self._budget = budget
        self._check = check or (lambda: None)
        self._blocks = pack.BlockReader(head.project_id, data_key)
        self._zero_block = bytes(min(head.block_size, head.size))
        self._chunks: Iterator[bytes] | None = None

    @property
    def size(self) -> int:
        """Bytes of the stream."""
        return self._head.size

    @property
    def digest(self) -> str:
        """SHA-256 of the stream, hexadecimal."""
        return self._head.digest

    def __iter__(self) -> Iterator[bytes]:
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

    def _read(self) -> Iterator[bytes]:
        sha256 = hashlib.sha256()
        # As stored, and as it is handed out.
        window_bytes = 2 * max(WINDOW_BYTES, self._head.block_size)
        most = min(_MOST_WINDOWS, max(_LEAST_WINDOWS, self._budget.total // window_bytes - 1))
        with ExitStack() as stack:
            # One more than are fetched: the one that is being hashed and handed out.
            share = stack.enter_context(self._budget.reserve((_LEAST_WINDOWS + 1) * window_bytes, self._check))
            pools = [ThreadPoolExecutor(n, name) for n, name in ((most, "bank-read"), (1, "bank-hash"))]
            for pool in pools:
                stack.callback(pool.shutdown, cancel_futures=True)
            workers, hasher = pools
            hashing: deque[Future[None]] = deque()
            held = b""
            for parts in self._windows_ahead(workers, share, window_bytes, most):
                self._check()
                hashing.append(hasher.submit(_update, sha256, parts))
                if len(hashing) > 1:
                    hashing.popleft().result()
                for part in parts:
                    # The last bytes are kept back until the whole is known to be right.
                    if held:
                        yield held
                    held = part
            for future in hashing:
                future.result()
            if sha256.hexdigest() != self.digest:
                raise errors.Corrupted(
                    f"{self._name}: the SHA-256 of the stream is {sha256.hexdigest()}, it should be {self.digest}"
                )
            if held:
                yield held

    @property
    def _name(self) -> str:
        head = self._head
        return layout.manifest_prefix(head.checkpoint_id, head.resource_key, head.name)

    def _windows_ahead(
        self, workers: ThreadPoolExecutor, share: Share, cost: int, most: int
    ) -> Iterator[Sequence[bytes]]:
        """The contents of all windows, in order.

        :param cost: bytes of the budget for one more window in flight
        :param most: windows in flight at most
        """
        ahead: deque[Future[Sequence[bytes]] | Sequence[bytes]] = deque()
        fetching, allowed = 0, _LEAST_WINDOWS
        for window in self._windows(workers):
            if window.blocks:
                ahead.append(workers.submit(self._fetch, window))
                fetching += 1
            else:
                ahead.append(_zeros(window.size))
            if fetching > allowed and allowed < most and share.borrow(cost):
                allowed += 1
            returning = allowed > _LEAST_WINDOWS and share.wanted
            allowed -= returning
            while ahead and (fetching > allowed or len(ahead) > _MOST_AHEAD or not isinstance(ahead[0], Future)):
                item = ahead.popleft()
                fetching -= isinstance(item, Future)
                yield item.result() if isinstance(item, Future) else item
            if returning:
                share.give_back(cost)
        for item in ahead:
            yield item.result() if isinstance(item, Future) else item

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
        step = max(1, WINDOW_BYTES // block_size)
        for first in range(0, len(segment), step):
            blocks = []
            for block in range(first, min(first + step, len(segment))):
                size = min(block_size, self._head.size - at - block * block_size)
                blocks.append(_Block(size, segment.place(block), segment.hash(block)))
            size = sum(block.size for block in blocks)
            yield _Window(size, blocks if any(block.place for block in blocks) else ())

    def _fetch(self, window: _Window) -> Sequence[bytes]:
        """The contents of one window."""
        contents: list[bytes] = [b""] * len(window.blocks)
        wanted: dict[bytes, list[tuple[Place, int]]] = {}
        for number, block in enumerate(window.blocks):
            if block.place is None:
                contents[number] = self._zero_block[: block.size]
            else:
                wanted.setdefault(block.place.pack.id, []).append((block.place, number))
        for places in wanted.values():
            places.sort(key=lambda item: item[0].offset)
            for run in _runs(places):
                self._fetch_run(run, window, contents)
        return contents

    def _fetch_run(self, run: Sequence[tuple[Place, int]], window: _Window, contents: list[bytes]) -> None:
        start = run[0][0].offset
        end = max(place.offset + place.length for place, _ in run)
        pack_id = run[0][0].pack.id.hex()
        key = layout.pack_key(self._head.project_id, pack_id)
        try:
            data = memoryview(self._store.get(key, start, end - start))
        except errors.ObjectNotFound:
            raise errors.Corrupted(f"{key}: this pack is missing; {self._name} needs it") from None
        if len(data) != end - start:
            raise errors.Corrupted(f"{key}: ends at byte {start + len(data)}, but {self._name} needs it up to {end}")
        for place, number in run:
            block = window.blocks[number]
            stored = data[place.offset - start : place.offset - start + place.length]
            contents[number] = bytes(self._blocks.open(place, stored, block.size, block.hash))


def _runs(places: Sequence[tuple[Place, int]]) -> Iterator[Sequence[tuple[Place, int]]]:
    """Places of one pack, ordered by offset, in groups that lie close together."""
    run: list[tuple[Place, int]] = []
    end = 0
    for item in places:
        place = item[0]
        if run and place.offset > end + _GAP:
            yield run
            run, end = [], 0
        run.append(item)
        end = max(end, place.offset + place.length)
    yield run


def _zeros(size: int) -> Sequence[bytes]:
    whole, rest = divmod(size, len(_ZEROS))
    return [_ZEROS] * whole + ([_ZEROS[:rest]] if rest else [])


def _update(sha256: "hashlib._Hash", parts: Sequence[bytes]) -> None:
    for part in parts:
        sha256.update(part)
