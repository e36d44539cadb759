"""Data in files: streamed a mebibyte at a time, hashed during the transfer, with holes preserved."""

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CHUNK = 1 << 20
"""Bytes that are read, written and hashed in one step."""

ZEROS = bytes(CHUNK)


class Digests:
    """MD5 and SHA-256 of one stream, computed in parallel: both release the interpreter's lock."""

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sandbox-md5")

    def __enter__(self) -> "Digests":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._pool.shutdown()

    def update(self, chunk: bytes) -> None:
        other = self._pool.submit(self._md5.update, chunk)
        self._sha256.update(chunk)
        other.result()

    @property
    def md5(self) -> str:
        return self._md5.hexdigest()

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()


def is_zero(chunk: bytes) -> bool:
    return chunk == (ZEROS if len(chunk) == CHUNK else bytes(len(chunk)))


def write(path: Path, chunks: Iterable[bytes], *, offset: int = 0, each: Callable[[bytes], None] | None = None) -> int:
    """Write a stream to a file from *offset* on, with holes for zeros beyond the former end of the file.

    :param each: called with every chunk, to hash or count it
    :returns: size of the stream in bytes
    """
    path.touch()
    position = offset
    with path.open("r+b", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        for chunk in chunks:
            if position < end or not is_zero(chunk):
                view = memoryview(chunk)
                while view:
                    written = os.pwrite(file.fileno(), view, position + len(chunk) - len(view))
                    view = view[written:]
            if each:
                each(chunk)
            position += len(chunk)
        if position > max(end, offset):
            file.truncate(max(position, os.fstat(file.fileno()).st_size))
    return position - offset


def read(path: Path, start: int = 0, length: int | None = None) -> Iterator[bytes]:
    """Return an iterator over a file, or over *length* bytes from *start* on.

    The file is opened immediately, so that the call fails if it does not exist.
    """
    file = path.open("rb", buffering=0)
    return _read(file.fileno(), file, start, length)


def _read(descriptor: int, file: contextlib.AbstractContextManager, start: int, length: int | None) -> Iterator[bytes]:
    with file:
        position, end = start, None if length is None else start + length
        while end is None or position < end:
            chunk = os.pread(descriptor, CHUNK if end is None else min(CHUNK, end - position), position)
            if not chunk:
                return
            position += len(chunk)
            yield chunk


def copy(source: Path, target: Path, size: int, check: Callable[[], None]) -> None:
    """Copy *source* to *target*, including holes, with a size of *size* bytes.

    :param check: called every 64 MiB; its exception ends the copy
    """
    with source.open("rb", buffering=0) as src, target.open("wb", buffering=0) as dst:
        dst.truncate(size)
        end = min(size, os.fstat(src.fileno()).st_size)
        for start, stop in _extents(src.fileno(), end):
            position = start
            while position < stop:
                check()
                position += os.copy_file_range(
                    src.fileno(), dst.fileno(), min(64 * CHUNK, stop - position), position, position
                )


def _extents(descriptor: int, end: int) -> Iterator[tuple[int, int]]:
    position = 0
    while position < end:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole follows
                return
            raise
        position = min(end, os.lseek(descriptor, start, os.SEEK_HOLE))
        if start < end:
            yield start, position


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    digest = hashlib.sha256()
    for chunk in read(path):
        digest.update(chunk)
    return digest.hexdigest()


def remove(path: Path) -> None:
    """Remove a file if it exists."""
    path.unlink(missing_ok=True)
