"""Compression and hashes: what turns blocks and documents into bytes and back, without keys.

Bytes from a store are hostile until they are verified. Nothing is decompressed before the size that it claims has been
compared with the expected one.
"""

import hashlib
import threading
from collections.abc import Callable
from typing import Final

import blake3
import zstandard

from karbor_like.bank import errors

RAW: Final = 0
ZSTD: Final = 1

HASH_BYTES: Final = 32

Buffer = bytes | bytearray | memoryview

#: Compressors per thread: two threads that used the same one would crash the interpreter.
_local = threading.local()


def compress(data: Buffer, level: int) -> bytes:
    """Compress *data* to one zstd frame that states its content size."""
    name = f"compressor{level}"
    compressor = getattr(_local, name, None)
    if compressor is None:
        compressor = zstandard.ZstdCompressor(level=level, write_content_size=True)
        setattr(_local, name, compressor)
    return compressor.compress(data)


def decompress(data: Buffer, size: int, what: str) -> bytes:
    """Decompress *data*, which must be one zstd frame with *size* bytes of content and nothing after it.

    :param what: names the data in errors
    :raises Corrupted: it is not; raised before memory is allocated for the content
    """
    try:
        _check_size(data, size)
        return _decompressor().decompress(data, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise errors.Corrupted(f"{what}: cannot be decompressed ({error})") from None


def decompress_into(data: Buffer, target: memoryview, what: str) -> None:
    """Decompress *data* into *target*, which the content must fill. Bytes after the frame are ignored. Raises Corrupted.

    :param what: names the data in errors
    """
    try:
        _check_size(data, len(target))
        with _decompressor().stream_reader(data, read_size=len(data)) as content:
            if content.readinto(target) != len(target):
                raise zstandard.ZstdError("the content ends too early")
    except zstandard.ZstdError as error:
        raise errors.Corrupted(f"{what}: cannot be decompressed ({error})") from None


def _check_size(data: Buffer, size: int) -> None:
    stated = zstandard.frame_content_size(data)
    if stated != size:
        raise zstandard.ZstdError(f"the content has {stated} bytes; expected {size}")


def _decompressor() -> zstandard.ZstdDecompressor:
    decompressor = getattr(_local, "decompressor", None)
    if decompressor is None:
        decompressor = _local.decompressor = zstandard.ZstdDecompressor()
    return decompressor


Hash = Callable[[Buffer], bytes]


def sha256(data: Buffer) -> bytes:
    """Return the block hash of a bank that is not encrypted."""
    return hashlib.sha256(data).digest()


def keyed_hash(key: bytes) -> Hash:
    """Return the block hash under *key* (32 bytes). Without the key, a hash cannot be matched to a known block."""

    def digest(data: Buffer) -> bytes:
        return blake3.blake3(data, key=key).digest()

    return digest


def checksum(data: Buffer) -> bytes:
    """Return the checksum of a pack: fast, and computed without a key."""
    return blake3.blake3(data).digest()
