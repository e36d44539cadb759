"""Packs in progress: a stream's new blocks are compressed, encrypted, added to a pack, and uploaded when the pack is full."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from karbor_like.bank import layout
from karbor_like.bank.blocks.budget import Buffers
from karbor_like.bank.format import codec, pack
from karbor_like.bank.format.datakey import DataKey
from karbor_like.bank.format.segment import Place
from karbor_like.bank.objectstore.base import ObjectStore


@dataclass(frozen=True)
class Target:
    """The destination of a stream.

    :param data_key: None if the bank is not encrypted
    :param segment_key: number of a segment -> key of its object
    """

    project_id: str
    data_key: DataKey | None
    segment_key: Callable[[int], str]

    @property
    def block_hash(self) -> codec.Hash:
        """The function that hashes blocks."""
        return self.data_key.block_hash if self.data_key else codec.sha256


class Uploads:
    """Uploads in flight. The first failure is raised by :meth:`raise_failure` or :meth:`wait`."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._running: deque[Future[None]] = deque()

    def start(self, upload: Callable[..., None], *args: Any) -> Future[None]:
        """Run *upload* with *args* in a thread."""
        future = self._pool.submit(upload, *args)
        self._running.append(future)
        return future

    def raise_failure(self) -> None:
        """Raise the error of an upload that failed so far, if there is one."""
        while self._running and self._running[0].done():
            self._running.popleft().result()

    def wait(self) -> None:
        """Wait until every upload is complete."""
        while self._running:
            self._running.popleft().result()


class Packer:
    """Fills packs and uploads them. Thread-safe.

    :param level: of the compression
    :param buffers: of the size of a pack
    """

    def __init__(self, store: ObjectStore, target: Target, level: int, buffers: Buffers, uploads: Uploads) -> None:
        self._store = store
        self._target = target
        self._level = level
        self._buffers = buffers
        self._uploads = uploads
        self._open: pack.OpenPack | None = None
        self._lock = threading.Lock()
        self._stored_lock = threading.Lock()
        #: Bytes of the packs that were uploaded.
        self.stored = 0

    def add(self, block: memoryview, block_hash: bytes) -> Place:
        """Compress and encrypt a block, and add it to the open pack. Returns where it will be stored."""
        codec_id, body = pack.encode(block, self._level, block_hash, self._target.block_hash)
        with self._lock:
            if self._open is not None:
                place = self._open.add(codec_id, body, len(block), block_hash)
                if place is not None:
                    return place
                self._upload()
            self._open = pack.OpenPack(self._buffers.get(), self._target.data_key)
            place = self._open.add(codec_id, body, len(block), block_hash)
            assert place is not None, "a pack holds at least one block"
            return place

    def flush(self) -> None:
        """Start the upload of the open pack."""
        with self._lock:
            if self._open is not None:
                self._upload()

    def _upload(self) -> None:
        full, self._open = self._open, None
        assert full is not None
        self._uploads.start(self._finish, full)

    def _finish(self, full: pack.OpenPack) -> None:
        try:
            data = full.finish()
            self._store.put(layout.pack_key(self._target.project_id, full.ref.id.hex()), data)
            full.ref.size = len(data)
            # A lock of its own: the holder of the other one may be waiting for the buffer that is released below.
            with self._stored_lock:
                self.stored += len(data)
        finally:
            self._buffers.release(full.buffer)
