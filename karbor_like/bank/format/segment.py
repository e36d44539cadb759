"""Segments of manifests: where the blocks of up to 1 GiB of a stream are stored, in memory and as bytes.

The bytes are described in ``doc/source/contributor/bank-format.rst``, section *Manifests*. Everything that is decoded here is
checked against limits before memory is allocated for it.
"""

import array
import hashlib
import struct
import sys
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from karbor_like.bank import errors
from karbor_like.bank.format import codec
from karbor_like.bank.objectstore.base import MAX_OBJECT_BYTES

#: Offset of the first block in a pack, after the header.
MIN_OFFSET: Final = 40
#: Bytes that encryption adds to a block.
MAX_OVERHEAD: Final = 16
MAX_BLOCKS: Final = 65536

_PACK_ROW = struct.Struct("<16sII")
_COUNT = struct.Struct("<I")


class PackUse(NamedTuple):
    """The use of a pack by one segment.

    :param pack: id, 32 hexadecimal digits
    :param size: bytes of the pack object
    :param live: bytes of the stored blocks that the segment refers to, each block counted once
    """

    pack: str
    size: int
    live: int


class PackRef:
    """A pack that holds blocks.

    :param id: 16 bytes
    :param size: bytes of the object; 0 while the pack is being filled and the size is unknown
    """

    __slots__ = ("id", "size")

    def __init__(self, pack_id: bytes, size: int = 0) -> None:
        self.id = pack_id
        self.size = size


class Place(NamedTuple):
    """Where a block is stored.

    :param offset: in the pack, bytes
    :param length: as stored, bytes
    :param codec: codec.RAW or codec.ZSTD
    """

    pack: PackRef
    offset: int
    length: int
    codec: int


class Segment:
    """A decoded segment: the places and hashes of its blocks, in columns.

    :param entries: the payload that was decoded
    :param rows: block -> row of the columns, -1 for a zero block
    :param columns: pack, offset, length and codec
    """

    def __init__(
        self,
        packs: Sequence[PackUse],
        entries: bytes,
        rows: Sequence[int],
        columns: tuple[Sequence[int], Sequence[int], Sequence[int], bytes],
    ) -> None:
        self.packs = packs
        self.entries = entries
        self._refs = [PackRef(bytes.fromhex(use.pack), use.size) for use in packs]
        self._row = rows
        self._pack, self._offset, self._length, self._codec = columns
        self._hashes_at = len(entries) - len(self._pack) * codec.HASH_BYTES

    @property
    def stored(self) -> int:
        """Number of blocks that are not zero."""
        return len(self._pack)

    def digest(self) -> bytes:
        """Return the digest of the segment's content: see :func:`digest`."""
        return digest(self.entries, len(self), self.stored)

    def __len__(self) -> int:
        """Number of blocks, zero or not."""
        return len(self._row)

    def place(self, block: int) -> Place | None:
        """Return where block *block*, counted within the segment, is stored. None for a zero block."""
        row = self._row[block]
        if row < 0:
            return None
        return Place(self._refs[self._pack[row]], self._offset[row], self._length[row], self._codec[row])

    def hash(self, block: int) -> bytes:
        """Return the hash of a block. Empty for a zero block."""
        row = self._row[block]
        at = self._hashes_at + row * codec.HASH_BYTES
        return b"" if row < 0 else self.entries[at : at + codec.HASH_BYTES]


class SegmentBuilder:
    """Collector of the places of a segment's blocks, in any order. Thread-safe.

    :param blocks: maximum number of blocks of a segment
    """

    def __init__(self, blocks: int) -> None:
        self.empty = True
        self._places: list[Place | None] = [None] * blocks
        self._hashes: list[bytes] = [b""] * blocks
        #: After encode: packs whose size was unknown, so that the head must contain it.
        self.unsized: Sequence[PackRef] = ()

    def set(self, block: int, place: Place, block_hash: bytes) -> None:
        """Record that block *block* is not zero and is stored at *place*."""
        self.empty = False
        self._places[block] = place
        self._hashes[block] = block_hash

    def encode(self, blocks: int) -> tuple[bytes, bytes, int]:
        """Encode the segment. Returns the payloads of table and entries, and the number of blocks that are not zero.

        :param blocks: number of blocks of the segment
        """
        stored = [block for block, place in enumerate(self._places) if place is not None]
        places = [place for place in self._places if place is not None]
        rows: dict[bytes, int] = {}
        packs: list[PackRef] = []
        live: list[dict[int, int]] = []
        for place in places:
            if place.pack.id not in rows:
                rows[place.pack.id] = len(rows)
                packs.append(place.pack)
                live.append({})
            live[rows[place.pack.id]][place.offset] = place.length
        self.unsized = [pack for pack in packs if not pack.size]
        table = b"".join(
            _PACK_ROW.pack(pack.id, pack.size, sum(lengths.values())) for pack, lengths in zip(packs, live, strict=True)
        )
        bitmap = bytearray(-(-blocks // 8))
        for block in stored:
            bitmap[block >> 3] |= 1 << (block & 7)
        entries = b"".join(
            (
                _COUNT.pack(blocks),
                bitmap,
                _u32([rows[place.pack.id] for place in places]),
                _u32([place.offset for place in places]),
                _u32([place.length for place in places]),
                bytes(place.codec for place in places),
                *(self._hashes[block] for block in stored),
            )
        )
        return table, entries, len(stored)


def encode_table(packs: Sequence[PackUse]) -> bytes:
    """Encode the packs that a segment refers to, in their order: the reverse of :func:`decode_table`."""
    return b"".join(_PACK_ROW.pack(bytes.fromhex(use.pack), use.size, use.live) for use in packs)


def decode_table(key: str, payload: bytes, late: Mapping[str, int]) -> list[PackUse]:
    """Decode the packs that a segment refers to. Raises Corrupted.

    :param key: of the segment, for errors
    :param late: sizes of packs that were unknown when the segment was written
    """
    if len(payload) % _PACK_ROW.size or len(payload) > MAX_BLOCKS * _PACK_ROW.size:
        raise errors.Corrupted(f"{key}: the table of packs has an impossible length")
    uses = [
        PackUse(pack.hex(), size or late.get(pack.hex(), 0), live)
        for pack, size, live in _PACK_ROW.iter_unpack(payload)
    ]
    if any(use.size > MAX_OBJECT_BYTES or use.live > use.size for use in uses):
        raise errors.Corrupted(f"{key}: the table of packs has impossible sizes")
    return uses


def decode_entries(
    key: str, packs: Sequence[PackUse], payload: bytes, blocks: int, stored: int, block_size: int
) -> Segment:
    """Decode the blocks of a segment. Raises Corrupted.

    :param key: of the segment, for errors
    :param packs: the result of :func:`decode_table`
    :param blocks: expected number of blocks
    :param stored: expected number of blocks that are not zero
    """
    bitmap_at = _COUNT.size
    columns_at = bitmap_at + -(-blocks // 8)
    if len(payload) != columns_at + stored * (3 * _COUNT.size + 1 + codec.HASH_BYTES) or stored > blocks:
        raise errors.Corrupted(f"{key}: the entries do not have the length of {stored} stored of {blocks} blocks")
    rows = array.array("i", bytes(4 * blocks))
    row = 0
    for block in range(blocks):
        if payload[bitmap_at + (block >> 3)] >> (block & 7) & 1:
            rows[block] = row
            row += 1
        else:
            rows[block] = -1
    if _COUNT.unpack_from(payload)[0] != blocks or row != stored:
        raise errors.Corrupted(f"{key}: the entries do not describe {stored} stored of {blocks} blocks")
    pack, offset, length = (
        _from_u32(payload[columns_at + column * 4 * stored : columns_at + (column + 1) * 4 * stored])
        for column in range(3)
    )
    codecs_at = columns_at + 12 * stored
    codecs = payload[codecs_at : codecs_at + stored]
    limits = [use.size for use in packs]
    if (
        max(pack, default=-1) >= len(packs)
        or min(offset, default=MIN_OFFSET) < MIN_OFFSET
        or min(length, default=1) < 1
        or max(length, default=0) > block_size + MAX_OVERHEAD
        or max(codecs, default=0) > codec.ZSTD
        or any(at + size > limits[row] for row, at, size in zip(pack, offset, length, strict=True))
    ):
        raise errors.Corrupted(f"{key}: an entry refers to an impossible place")
    return Segment(packs, payload, rows, (pack, offset, length, codecs))


def digest(entries: bytes, blocks: int, stored: int) -> bytes:
    """Return the digest of the content of a segment: which blocks are not zero, and their hashes.

    :param entries: the payload of its entries
    :param blocks: number of its blocks
    :param stored: number of its blocks that are not zero
    """
    view = memoryview(entries)
    content = hashlib.sha256(view[: _COUNT.size + -(-blocks // 8)])
    content.update(view[len(view) - stored * codec.HASH_BYTES :])
    return content.digest()


def _u32(values: Sequence[int]) -> bytes:
    column = array.array("I", values)
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def _from_u32(data: bytes) -> Sequence[int]:
    column = array.array("I")
    column.frombytes(data)
    if sys.byteorder == "big":
        column.byteswap()
    return column
