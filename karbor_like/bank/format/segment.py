"""Segments of manifests: where the blocks of up to 1 GiB of a stream are stored, in memory and as bytes.

The bytes are described in ``doc/source/contributor/bank-format.rst``, section *Manifests*. Everything that is decoded here is
checked against limits before memory is allocated for it.
"""

import array
import hashlib
import re
import struct
import sys
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
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
#: Bytes of the columns of one block that is not zero.
_ENTRY_BYTES: Final = 3 * _COUNT.size + 1 + codec.HASH_BYTES
#: Byte -> the numbers of the bits that are set.
_ONES: Final = [[bit for bit in range(8) if byte >> bit & 1] for byte in range(256)]


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

    Time and memory follow the blocks that are not zero, which are the rows of the columns.

    :param blocks: number of blocks, zero or not
    :param entries: the payload that was decoded
    :param stored: the blocks that are not zero, in ascending order
    :param columns: pack, offset, length and codec
    """

    def __init__(
        self,
        blocks: int,
        packs: Sequence[PackUse],
        entries: bytes,
        stored: Sequence[int],
        columns: tuple[Sequence[int], Sequence[int], Sequence[int], bytes],
    ) -> None:
        self.packs = packs
        self.entries = entries
        self._refs = [PackRef(bytes.fromhex(use.pack), use.size) for use in packs]
        self._blocks = blocks
        self._stored = stored
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
        return self._blocks

    def place(self, block: int) -> Place | None:
        """Return where block *block*, counted within the segment, is stored. None for a zero block."""
        row = self._row(block)
        return None if row is None else self._place(row)

    def hash(self, block: int) -> bytes:
        """Return the hash of a block. Empty for a zero block."""
        row = self._row(block)
        return b"" if row is None else self._hash(row)

    def between(self, first: int, end: int) -> Iterator[tuple[int, Place, bytes]]:
        """Yield number, place and hash of each block from *first* to before *end* that is not zero, in order."""
        for row in range(bisect_left(self._stored, first), bisect_left(self._stored, end)):
            yield self._stored[row], self._place(row), self._hash(row)

    def _row(self, block: int) -> int | None:
        # If no block is zero, each one is its own row.
        row = block if self.stored == self._blocks else bisect_left(self._stored, block)
        return row if row < self.stored and self._stored[row] == block else None

    def _place(self, row: int) -> Place:
        return Place(self._refs[self._pack[row]], self._offset[row], self._length[row], self._codec[row])

    def _hash(self, row: int) -> bytes:
        at = self._hashes_at + row * codec.HASH_BYTES
        return self.entries[at : at + codec.HASH_BYTES]


class SegmentBuilder:
    """Collector of the places of a segment's blocks, in any order. Thread-safe."""

    def __init__(self) -> None:
        self._rows: dict[int, tuple[Place, bytes]] = {}
        #: After encode: the packs in use, and those of them whose size was unknown, so that the head must contain it.
        self.packs: Sequence[PackRef] = ()
        self.unsized: Sequence[PackRef] = ()

    @property
    def stored(self) -> int:
        """Number of blocks so far that are not zero."""
        return len(self._rows)

    def set(self, block: int, place: Place, block_hash: bytes) -> None:
        """Record that block *block* is not zero and is stored at *place*."""
        self._rows[block] = place, block_hash

    def encode(self, blocks: int) -> tuple[bytes, bytes, int]:
        """Encode the segment. Returns the payloads of table and entries, and the number of blocks that are not zero.

        :param blocks: number of blocks of the segment
        """
        stored = sorted(self._rows)
        places = [self._rows[block][0] for block in stored]
        rows: dict[bytes, int] = {}
        packs: list[PackRef] = []
        live: list[dict[int, int]] = []
        for place in places:
            if place.pack.id not in rows:
                rows[place.pack.id] = len(rows)
                packs.append(place.pack)
                live.append({})
            live[rows[place.pack.id]][place.offset] = place.length
        self.packs = packs
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
                *(self._rows[block][1] for block in stored),
            )
        )
        return table, entries, len(stored)


def segment_bytes(blocks: int, stored: int) -> int:
    """Return how many bytes of memory a segment needs about: its entries, both as payload and sealed.

    :param blocks: number of its blocks
    :param stored: number of its blocks that are not zero
    """
    return 2 * (blocks // 8 + stored * _ENTRY_BYTES)


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
    if len(payload) != columns_at + stored * _ENTRY_BYTES or stored > blocks:
        raise errors.Corrupted(f"{key}: the entries do not have the length of {stored} stored of {blocks} blocks")
    rows = _find_ones(payload[bitmap_at:columns_at], blocks)
    if _COUNT.unpack_from(payload)[0] != blocks or len(rows) != stored:
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
    return Segment(blocks, packs, payload, rows, (pack, offset, length, codecs))


def _find_ones(bitmap: bytes, count: int) -> Sequence[int]:
    """Return the numbers of the bits that are set among the first *count*."""
    ones = array.array("H")
    for at in re.finditer(rb"[^\0]", bitmap):
        first = 8 * at.start()
        ones.extend([first + bit for bit in _ONES[at[0][0]]])
    while ones and ones[-1] >= count:
        ones.pop()
    return ones


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
