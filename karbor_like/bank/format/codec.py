"""Compression and hashes of the bank: everything that turns blocks and documents into bytes and back, without keys.

What comes from a store is hostile until proven otherwise: nothing is decompressed before its own statement of its size
has been compared with what was expected.
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

#: One compressor may not be used by two threads at once: it would crash the interpreter.
_local = threading.local()


def compress(data: Buffer, level: int) -> bytes:
    """*data* as one zstd frame that states its content size."""
    key = f"compressor{level}"
    compressor = getattr(_local, key, None)
    if compressor is None:
        compressor = zstandard.ZstdCompressor(level=level, write_content_size=True)
        setattr(_local, key, compressor)
    return compressor.compress(data)


def decompress(data: Buffer, size: int, what: str) -> bytes:
    """The content of the zstd frame *data*, which must be *size* bytes and all there is. Raises Corrupted, naming *what*,
    where it is not, before memory is taken for it.
    """
    try:
        _check_size(data, size)
        return _decompressor().decompress(data, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise errors.Corrupted(f"{what}: cannot be decompressed ({error})") from None


def decompress_into(data: Buffer, target: memoryview, what: str) -> None:
    """As :func:`decompress`, into *target*, which the content must fill. What follows the frame is not looked at."""
    try:
        _check_size(data, len(target))
        with _decompressor().stream_reader(data, read_size=len(data)) as content:
            if content.readinto(target) != len(target):
                raise zstandard.ZstdError("it ends too early")
    except zstandard.ZstdError as error:
        raise errors.Corrupted(f"{what}: cannot be decompressed ({error})") from None


def _check_size(data: Buffer, size: int) -> None:
    stated = zstandard.frame_content_size(data)
    if stated != size:
        raise zstandard.ZstdError(f"its content has {stated} bytes, not {size}")


def _decompressor() -> zstandard.ZstdDecompressor:
    decompressor = getattr(_local, "decompressor", None)
    if decompressor is None:
        decompressor = _local.decompressor = zstandard.ZstdDecompressor()
    return decompressor


Hash = Callable[[Buffer], bytes]


def sha256(data: Buffer) -> bytes:
    """The block hash of a bank that is not encrypted."""
    return hashlib.sha256(data).digest()


def keyed_hash(key: bytes) -> Hash:
    """The block hash under *key* (32 bytes): nobody without the key can tell which block a hash belongs to."""

    def digest(data: Buffer) -> bytes:
        return blake3.blake3(data, key=key).digest()

    return digest


def checksum(data: Buffer) -> bytes:
    """The checksum of a pack: fast, and not a secret to anybody."""
    return blake3.blake3(data).digest()
