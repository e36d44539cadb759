"""Packs: objects that hold many blocks of one project, with a table of contents and a checksum at the end.

The bytes are described in ``doc/source/contributor/bank-format.rst``, section *Packs*. Blocks are encrypted with
:class:`karbor_like.bank.format.encryption.PackCipher`.
"""

import functools
import mmap
import os
import struct
from typing import Final, NamedTuple

from karbor_like.bank import errors, layout
from karbor_like.bank.format import codec
from karbor_like.bank.format.datakey import DataKey
from karbor_like.bank.format.encryption import TAG_BYTES, PackCipher
from karbor_like.bank.format.segment import PackRef, Place

MAGIC: Final = b"KLPK"
VERSION: Final = 1
PLAIN: Final = 0
AES_GCM: Final = 1

_HEADER = struct.Struct("<4sBBH16s16s")
_ROW = struct.Struct("<IIIB32s")
_TRAILER = struct.Struct("<III")
_CHECKSUM_BYTES: Final = 32
#: In place of a codec, marks the table of contents in the associated data of its encryption.
_TABLE: Final = 255

#: Bytes that each block adds to a pack in addition to its stored bytes.
ROW_BYTES: Final = _ROW.size
#: Bytes of a pack in addition to its blocks and rows.
FRAME_BYTES: Final = _HEADER.size + TAG_BYTES + _TRAILER.size + _CHECKSUM_BYTES


def encode(block: codec.Buffer, level: int, block_hash: bytes, hash_of: codec.Hash) -> tuple[int, codec.Buffer]:
    """Compress a block if that makes it smaller. Returns its codec and its bytes, not encrypted yet.

    The result is decompressed and compared with the hash while the source still has the block. Bit flips in memory and bugs
    in compressors have produced unreadable backups elsewhere.

    :param level: of the compression
    :raises Corrupted: the comparison failed
    """
    compressed = codec.compress(block, level)
    if len(compressed) >= len(block):
        return codec.RAW, block
    if hash_of(codec.decompress(compressed, len(block), "a block")) != block_hash:
        raise errors.Corrupted("a compressed block failed its read-back; the memory or CPU of this host may be faulty")
    return codec.ZSTD, compressed


class OpenPack:
    """A pack that is being filled. Not thread-safe.

    :param buffer: where the pack is built; its length is the maximum size of the pack
    :param data_key: None if the pack is not encrypted
    """

    def __init__(self, buffer: bytearray | mmap.mmap, data_key: DataKey | None) -> None:
        self.ref: Final = PackRef(os.urandom(16))
        self.buffer: Final = buffer
        self._view = memoryview(buffer)
        header = _header(self.ref.id, data_key)
        self._cipher = None if data_key is None else PackCipher(data_key, self.ref.id, header)
        self._view[: len(header)] = header
        self._at = len(header)
        self._rows: list[bytes] = []

    def add(self, codec_id: int, body: codec.Buffer, size: int, block_hash: bytes) -> Place | None:
        """Encrypt and append the result of :func:`encode`. Returns None if the pack has no room for it.

        :param size: bytes of the block before compression
        """
        length = len(body) + (TAG_BYTES if self._cipher else 0)
        if self._at + length + (len(self._rows) + 1) * ROW_BYTES + FRAME_BYTES - _HEADER.size > len(self.buffer):
            return None
        place = Place(self.ref, self._at, length, codec_id)
        self._rows.append(_ROW.pack(self._at, length, size, codec_id, block_hash))
        self._append(body, length, size, codec_id)
        return place

    def finish(self) -> memoryview:
        """Append the table of contents and the checksum. Returns the bytes of the pack, a view of the buffer."""
        table, table_at = b"".join(self._rows), self._at
        self._append(table, len(table) + (TAG_BYTES if self._cipher else 0), len(self._rows), _TABLE)
        trailer = _TRAILER.pack(table_at, self._at - table_at, len(self._rows))
        self._view[self._at : self._at + len(trailer)] = trailer
        self._at += len(trailer)
        self._view[self._at : self._at + _CHECKSUM_BYTES] = codec.checksum(self._view[: self._at])
        self._at += _CHECKSUM_BYTES
        return self._view[: self._at]

    def _append(self, body: codec.Buffer, length: int, size: int, codec_id: int) -> None:
        target = self._view[self._at : self._at + length]
        if self._cipher is None:
            target[:] = body
        else:
            self._cipher.encrypt_block(self._at, size, codec_id, body, target)
        self._at += length


class BlockReader:
    """Decodes stored blocks of one project and data key. Thread-safe.

    :param data_key: None if the bank is not encrypted
    """

    def __init__(self, project_id: str, data_key: DataKey | None) -> None:
        self._packs = layout.packs_prefix(project_id)
        self._data_key = data_key
        self._hash_block = codec.sha256 if data_key is None else data_key.block_hash
        self._cipher = functools.lru_cache(maxsize=1024)(self._new_cipher)

    def open(
        self, place: Place, stored: memoryview, target: memoryview, block_hash: bytes, scratch: memoryview
    ) -> None:
        """Decrypt, decompress and check a stored block.

        Allocates no memory for it: the system would have to provide new memory for every block.

        :param stored: the bytes at *place*
        :param target: receives the block, whose size it has
        :param scratch: overwritten; at least as long as *stored*
        :raises Corrupted: it is not the block with this hash. The error names the pack; the contents of *target* are
            undefined
        """
        what = f"{self._packs}{place.pack.id.hex()}, block at {place.offset}"
        mismatch = f"{what}: is not the block that the manifest names"
        size = len(stored) - (TAG_BYTES if self._data_key else 0)
        if size < 0 or (place.codec == codec.RAW and size != len(target)):
            raise errors.Corrupted(mismatch)
        body = stored
        if self._data_key is not None:
            body = target if place.codec == codec.RAW else scratch[:size]
            self._cipher(place.pack.id).decrypt_block(what, place.offset, len(target), place.codec, stored, body)
        if place.codec == codec.ZSTD:
            codec.decompress_into(body, target, what)
        elif body is stored:
            target[:] = stored
        if self._hash_block(target) != block_hash:
            raise errors.Corrupted(mismatch)

    def _new_cipher(self, pack_id: bytes) -> PackCipher:
        assert self._data_key is not None
        return PackCipher(self._data_key, pack_id, _header(pack_id, self._data_key))


class Contents(NamedTuple):
    """The frame of a pack whose checksum is right.

    :param pack: id, 16 bytes
    :param data_key: id, 32 hexadecimal digits, or None if the pack is not encrypted
    :param blocks: number of blocks
    :param table: offset and length of the table of contents as stored
    """

    pack: bytes
    data_key: str | None
    blocks: int
    table: tuple[int, int]


def check(key: str, data: codec.Buffer) -> Contents:
    """Compare the pack *data*, stored under *key*, with its own checksum. Needs no encryption key.

    :raises Corrupted: it was altered, or is not this pack
    :raises UnsupportedVersion: it was written by a later version
    """
    project_id, pack_id = layout.parse_pack_key(key)
    if len(data) < _HEADER.size + _TRAILER.size + _CHECKSUM_BYTES:
        raise errors.Corrupted(f"{key}: has only {len(data)} bytes, which cannot be a pack")
    view = memoryview(data)
    magic, version, protection, _, data_key, stated_id = _HEADER.unpack_from(view)
    if magic != MAGIC:
        raise errors.Corrupted(f"{key}: is not a pack")
    if version != VERSION:
        raise errors.UnsupportedVersion(f"{key}: has version {version} of the format; this reader supports {VERSION}")
    if codec.checksum(view[:-_CHECKSUM_BYTES]) != view[-_CHECKSUM_BYTES:]:
        raise errors.Corrupted(f"{key}: the checksum is wrong; some of its {len(data)} bytes were altered or lost")
    if stated_id.hex() != pack_id:
        raise errors.Corrupted(f"{key}: is another pack, {stated_id.hex()}")
    trailer_at = len(data) - _TRAILER.size - _CHECKSUM_BYTES
    at, length, count = _TRAILER.unpack_from(view, trailer_at)
    overhead = TAG_BYTES if protection == AES_GCM else 0
    if protection not in (PLAIN, AES_GCM) or at + length != trailer_at or length != count * ROW_BYTES + overhead:
        raise errors.Corrupted(f"{key}: the frame of the pack has impossible values")
    return Contents(stated_id, data_key.hex() if protection == AES_GCM else None, count, (at, length))


def _header(pack_id: bytes, data_key: DataKey | None) -> bytes:
    if data_key is None:
        return _HEADER.pack(MAGIC, VERSION, PLAIN, 0, bytes(16), pack_id)
    return _HEADER.pack(MAGIC, VERSION, AES_GCM, 0, bytes.fromhex(data_key.id), pack_id)
