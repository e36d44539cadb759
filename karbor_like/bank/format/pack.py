"""Packs: objects that hold many blocks of one project, each with its own table of contents and checksum at the end.

The bytes are described in ``doc/source/contributor/bank-format.rst``, section *Packs*. A pack has a key of its own,
derived from its random id, and the nonce of a block is its offset: so no nonce is ever used twice under one key.
"""

import functools
import mmap
import os
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from karbor_like.bank import errors, layout
from karbor_like.bank.format import codec
from karbor_like.bank.format.datakey import DataKey
from karbor_like.bank.format.segment import PackRef, Place

MAGIC: Final = b"KLPK"
VERSION: Final = 1
PLAIN: Final = 0
AES_GCM: Final = 1

_HEADER = struct.Struct("<4sBBH16s16s")
_ROW = struct.Struct("<IIIB32s")
_TRAILER = struct.Struct("<III")
_NONCE = struct.Struct("<IQ")
_AAD = struct.Struct("<IB")
_TAG_BYTES: Final = 16
_CHECKSUM_BYTES: Final = 32
#: In the place of a codec: marks the table in what it is authenticated with.
_TABLE: Final = 255

#: What a pack takes beside its stored blocks: bytes of each one's row, and of everything else.
ROW_BYTES: Final = _ROW.size
FRAME_BYTES: Final = _HEADER.size + _TAG_BYTES + _TRAILER.size + _CHECKSUM_BYTES


def encode(block: codec.Buffer, level: int, block_hash: bytes, hash_of: codec.Hash) -> tuple[int, codec.Buffer]:
    """*block* as it goes into a pack, but for encryption: its codec, and its bytes.

    What was compressed is opened again and compared with its hash, while the source still has it: memory that flips bits,
    and compressors with mistakes, have made backups that nobody could read. Raises Corrupted.
    """
    compressed = codec.compress(block, level)
    if len(compressed) >= len(block):
        return codec.RAW, block
    if hash_of(codec.decompress(compressed, len(block), "a block")) != block_hash:
        raise errors.Corrupted(
            "a block that was compressed does not come back: memory or processor of this host are faulty"
        )
    return codec.ZSTD, compressed


class OpenPack:
    """A pack that is being filled. For one thread at a time.

    :param buffer: where it is built; its length is the most the pack may have
    :param data_key: None: it is not encrypted
    """

    def __init__(self, buffer: bytearray | mmap.mmap, data_key: DataKey | None) -> None:
        self.ref: Final = PackRef(os.urandom(16))
        self.buffer: Final = buffer
        self._view = memoryview(buffer)
        self._cipher = None if data_key is None else AESGCM(data_key.pack_key(self.ref.id))
        self._header = _header(self.ref.id, data_key)
        self._view[: len(self._header)] = self._header
        self._at = len(self._header)
        self._rows: list[bytes] = []

    def add(self, codec_id: int, body: codec.Buffer, size: int, block_hash: bytes) -> Place | None:
        """Add what :func:`encode` made of a block of *size* bytes. None where there is no room for it any more."""
        length = len(body) + (_TAG_BYTES if self._cipher else 0)
        if self._at + length + (len(self._rows) + 1) * ROW_BYTES + FRAME_BYTES - _HEADER.size > len(self.buffer):
            return None
        place = Place(self.ref, self._at, length, codec_id)
        self._rows.append(_ROW.pack(self._at, length, size, codec_id, block_hash))
        self._store(body, length, size, codec_id)
        return place

    def finish(self) -> memoryview:
        """Close the pack. Returns its bytes, which stand in the buffer."""
        table, table_at = b"".join(self._rows), self._at
        self._store(table, len(table) + (_TAG_BYTES if self._cipher else 0), len(self._rows), _TABLE)
        trailer = _TRAILER.pack(table_at, self._at - table_at, len(self._rows))
        self._view[self._at : self._at + len(trailer)] = trailer
        self._at += len(trailer)
        self._view[self._at : self._at + _CHECKSUM_BYTES] = codec.checksum(self._view[: self._at])
        self._at += _CHECKSUM_BYTES
        return self._view[: self._at]

    def _store(self, body: codec.Buffer, length: int, size: int, codec_id: int) -> None:
        target = self._view[self._at : self._at + length]
        if self._cipher is None:
            target[:] = body
        else:
            nonce = _NONCE.pack(0, self._at)
            self._cipher.encrypt_into(nonce, body, self._header + _AAD.pack(size, codec_id), target)
        self._at += length


class BlockReader:
    """Opens stored blocks of one project and data key. Safe to use from several threads.

    :param data_key: None: the bank is not encrypted
    """

    def __init__(self, project_id: str, data_key: DataKey | None) -> None:
        self._packs = layout.packs_prefix(project_id)
        self._data_key = data_key
        self._hash = codec.sha256 if data_key is None else data_key.block_hash
        self._cipher = functools.lru_cache(maxsize=1024)(self._make_cipher)

    def open(
        self, place: Place, stored: memoryview, target: memoryview, block_hash: bytes, scratch: memoryview
    ) -> None:
        """Put the block that is stored at *place* as *stored* into *target*, which has its size.

        Takes no memory for it, which the system would have to give anew for every block.

        :param scratch: may be written over; has room for *stored*
        :raises Corrupted: it is not the block with this hash; names the pack. What *target* holds is of no use then
        """
        what = f"{self._packs}{place.pack.id.hex()}, block at {place.offset}"
        wrong = f"{what}: is not the block that the manifest names"
        size = len(stored) - (_TAG_BYTES if self._data_key else 0)
        if size < 0 or (place.codec == codec.RAW and size != len(target)):
            raise errors.Corrupted(wrong)
        body = stored
        if self._data_key is not None:
            body = target if place.codec == codec.RAW else scratch[:size]
            cipher, header = self._cipher(place.pack.id)
            aad = header + _AAD.pack(len(target), place.codec)
            try:
                cipher.decrypt_into(_NONCE.pack(0, place.offset), stored, aad, body)
            except InvalidTag:
                raise errors.Corrupted(f"{what}: was altered, or is not of this pack and project") from None
        if place.codec == codec.ZSTD:
            codec.decompress_into(body, target, what)
        elif body is stored:
            target[:] = stored
        if self._hash(target) != block_hash:
            raise errors.Corrupted(wrong)

    def _make_cipher(self, pack_id: bytes) -> tuple[AESGCM, bytes]:
        assert self._data_key is not None
        return AESGCM(self._data_key.pack_key(pack_id)), _header(pack_id, self._data_key)


class Contents(NamedTuple):
    """What the frame of a pack says, after its checksum was found right.

    :param pack: id, 16 bytes
    :param data_key: id, 32 hexadecimal digits, or None where the pack is not encrypted
    :param blocks: how many there are
    :param table: offset and length of the table of contents as stored
    """

    pack: bytes
    data_key: str | None
    blocks: int
    table: tuple[int, int]


class Row(NamedTuple):
    """One row of a table of contents: see the format."""

    offset: int
    length: int
    size: int
    codec: int
    hash: bytes


def check(key: str, data: codec.Buffer) -> Contents:
    """Compare the pack *data*, stored under *key*, with its own checksum: needs no key. Raises Corrupted or
    UnsupportedVersion.
    """
    project_id, pack_id = layout.parse_pack_key(key)
    if len(data) < _HEADER.size + _TRAILER.size + _CHECKSUM_BYTES:
        raise errors.Corrupted(f"{key}: {len(data)} bytes are no pack")
    view = memoryview(data)
    magic, version, protection, _, data_key, stated_id = _HEADER.unpack_from(view)
    if magic != MAGIC:
        raise errors.Corrupted(f"{key}: is not a pack")
    if version != VERSION:
        raise errors.UnsupportedVersion(f"{key}: has version {version} of the format, this reader knows {VERSION}")
    if codec.checksum(view[:-_CHECKSUM_BYTES]) != view[-_CHECKSUM_BYTES:]:
        raise errors.Corrupted(
            f"{key}: the checksum does not fit, so some of its {len(data)} bytes were altered or lost"
        )
    if stated_id.hex() != pack_id:
        raise errors.Corrupted(f"{key}: is another pack, {stated_id.hex()}")
    trailer_at = len(data) - _TRAILER.size - _CHECKSUM_BYTES
    at, length, count = _TRAILER.unpack_from(view, trailer_at)
    overhead = _TAG_BYTES if protection == AES_GCM else 0
    if protection not in (PLAIN, AES_GCM) or at + length != trailer_at or length != count * ROW_BYTES + overhead:
        raise errors.Corrupted(f"{key}: the frame of the pack holds impossible values")
    return Contents(stated_id, data_key.hex() if protection == AES_GCM else None, count, (at, length))


def table(key: str, data: codec.Buffer, data_key: DataKey | None) -> Sequence[Row]:
    """The table of contents of the pack *data*, stored under *key*. Raises Corrupted or UnsupportedVersion."""
    contents = check(key, data)
    at, length = contents.table
    payload: codec.Buffer = memoryview(data)[at : at + length]
    if data_key is not None:
        aad = _header(contents.pack, data_key) + _AAD.pack(contents.blocks, _TABLE)
        try:
            payload = AESGCM(data_key.pack_key(contents.pack)).decrypt(_NONCE.pack(0, at), payload, aad)
        except InvalidTag:
            raise errors.Corrupted(f"{key}: the table of contents was altered, or is not of this project") from None
    if len(payload) != contents.blocks * ROW_BYTES:
        raise errors.Corrupted(f"{key}: the table of contents does not have the length of {contents.blocks} rows")
    return [Row(*row) for row in _ROW.iter_unpack(payload)]


def _header(pack_id: bytes, data_key: DataKey | None) -> bytes:
    if data_key is None:
        return _HEADER.pack(MAGIC, VERSION, PLAIN, 0, bytes(16), pack_id)
    return _HEADER.pack(MAGIC, VERSION, AES_GCM, 0, bytes.fromhex(data_key.id), pack_id)
