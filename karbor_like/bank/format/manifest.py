"""Manifests: for every block of a stream, where it is. Written and read segment by segment, so that memory does not grow.

A manifest is a head (:class:`Head`) and segments (:mod:`karbor_like.bank.format.segment`), objects of two sealed parts: the
table of the packs in use, and the entries. The bytes are described in ``doc/source/contributor/bank-format.rst``, section
*Manifests*.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

from karbor_like.bank import errors, layout
from karbor_like.bank.format import jsonobject, seal, segment
from karbor_like.bank.format.segment import PackUse, Segment
from karbor_like.bank.objectstore import listing
from karbor_like.bank.objectstore.base import MAX_OBJECT_BYTES, ObjectStore

FORMAT: Final = 1
MAX_BLOCK_SIZE: Final = 4 * 1024 * 1024
MAX_STREAM_BYTES: Final = 1 << 60

SHA256: Final = "sha256"
BLAKE3_KEYED: Final = "blake3-keyed"

_TABLE_PART: Final = "table"
_ENTRIES_PART: Final = "entries"
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")

#: What opens sealed objects: gives the secret of a seal id. None where the bank is not encrypted.
KeyResolver = Callable[[str], seal.Secret] | None


class SegmentRef(NamedTuple):
    """What a head says of a segment.

    :param number: of the segment in the stream
    :param table: bytes of its first part
    :param size: bytes of the object
    :param blocks: number of blocks in it that are not zero
    """

    number: int
    table: int
    size: int
    blocks: int


@dataclass(frozen=True)
class Head:
    """The head of a manifest. Sizes in bytes.

    :param digest: SHA-256 of the stream, hexadecimal
    :param hash: how blocks are hashed: SHA256 or BLAKE3_KEYED
    :param data_key: id of the data key, or None
    :param lease: id of the lease under which it was written
    :param lease_until: until when that lease was good then, in the store's time, ISO 8601
    :param attempt: id in the keys of the segments
    :param new: bytes of the stream that had to be stored
    :param stored: bytes of the packs and segments that were written for it
    :param packs: id -> bytes of the packs whose size was not known yet when a segment that refers to them was written
    """

    project_id: str
    checkpoint_id: str
    resource_key: str
    name: str
    size: int
    digest: str
    block_size: int
    segment_blocks: int
    hash: str
    data_key: str | None
    lease: str
    lease_until: str
    attempt: str
    new: int
    stored: int
    packs: Mapping[str, int]
    segments: Sequence[SegmentRef]

    @property
    def blocks(self) -> int:
        """Number of blocks of the stream, zero or not."""
        return -(-self.size // self.block_size)

    def blocks_of(self, index: int) -> int:
        """Number of blocks that segment *index* covers."""
        return min(self.segment_blocks, self.blocks - index * self.segment_blocks)

    def segment_key(self, index: int) -> str:
        """Key of the object of segment *index*."""
        return layout.segment_key(self.checkpoint_id, self.resource_key, self.name, self.attempt, index)


def seal_segment(key: str, table: bytes, entries: bytes, secret: seal.Secret | None) -> tuple[bytes, bytes]:
    """The two parts of a segment's object, to be stored one after the other under *key*."""
    return seal.seal(key, table, secret, part=_TABLE_PART), seal.seal(key, entries, secret, part=_ENTRIES_PART)


def read_segment(store: ObjectStore, head: Head, ref: SegmentRef, resolve_key: KeyResolver) -> Segment:
    """Read one segment. Raises Corrupted where it is missing or wrong."""
    key = head.segment_key(ref.number)
    data = _get(store, key)
    if len(data) != ref.size:
        raise errors.Corrupted(f"{key}: has {len(data)} bytes, its manifest says {ref.size}")
    view = memoryview(data)
    packs = segment.decode_table(key, seal.unseal(key, view[: ref.table], resolve_key, part=_TABLE_PART), head.packs)
    entries = seal.unseal(key, view[ref.table :], resolve_key, part=_ENTRIES_PART)
    return segment.decode_entries(key, packs, entries, head.blocks_of(ref.number), ref.blocks, head.block_size)


def pack_uses(store: ObjectStore, head: Head, resolve_key: KeyResolver) -> Iterator[PackUse]:
    """The packs that a manifest needs, segment by segment (so a pack may come more than once), reading the tables only.

    Memory is bounded by one segment's table. Raises Corrupted where a segment is missing or wrong.
    """
    for ref in head.segments:
        key = head.segment_key(ref.number)
        data = _get(store, key, ref.table)
        yield from segment.decode_table(key, seal.unseal(key, data, resolve_key, part=_TABLE_PART), head.packs)


def _get(store: ObjectStore, key: str, length: int | None = None) -> bytes:
    try:
        return store.get(key, 0, length)
    except errors.ObjectNotFound:
        raise errors.Corrupted(f"{key}: this segment of a manifest is missing") from None


def seal_head(key: str, head: Head, secret: seal.Secret | None) -> bytes:
    """The object to be stored under *key*."""
    return seal.seal(key, jsonobject.dump({"format": FORMAT, **asdict(head)}), secret)


def read_head(store: ObjectStore, key: str, resolve_key: KeyResolver) -> Head:
    """The head that is stored under *key*.

    :raises ObjectNotFound: there is none
    :raises Corrupted: it is not what was written there
    """
    return decode_head(key, seal.unseal(key, store.get(key), resolve_key))


def decode_head(key: str, payload: bytes) -> Head:
    """Take the payload of a head apart and check it. Raises Corrupted or UnsupportedVersion."""
    value = jsonobject.load(key, payload)
    if value.get("format") != FORMAT:
        raise errors.UnsupportedVersion(
            f"{key}: has version {value.get('format')!r} of the format, this reader knows {FORMAT}"
        )
    value.pop("format")
    try:
        value["segments"] = [SegmentRef(*ref) for ref in value["segments"]]
        head = Head(**value)
        problem = _problem(head)
    except (AttributeError, TypeError, KeyError, ZeroDivisionError):
        raise errors.Corrupted(f"{key}: members of the manifest are missing or of the wrong type") from None
    if problem:
        raise errors.Corrupted(f"{key}: {problem}")
    where = layout.parse_resource_key(key)
    if (where.checkpoint_id, where.resource_key, where.name) != (head.checkpoint_id, head.resource_key, head.name):
        raise errors.Corrupted(f"{key}: is the manifest of {head.resource_key} {head.name!r} of {head.checkpoint_id}")
    return head


def head_keys(store: ObjectStore, checkpoint_id: str) -> Iterator[str]:
    """Keys of all manifest heads in a checkpoint, of every attempt, from a listing."""
    for info in listing.objects(store, layout.resources_prefix(checkpoint_id)):
        if layout.kind_of(info.key) == "manifests":
            yield info.key


def _problem(head: Head) -> str:
    """What is wrong with a head that was just decoded; empty where nothing is."""
    texts = [head.project_id, head.checkpoint_id, head.resource_key, head.name, head.digest, head.hash]
    texts += (head.attempt, head.lease, head.lease_until)
    numbers: list[Any] = [head.size, head.block_size, head.segment_blocks, head.new, head.stored, *head.packs.values()]
    numbers.extend(number for ref in head.segments for number in ref)
    if not all(isinstance(text, str) for text in texts) or not all(
        type(number) is int and number >= 0 for number in numbers
    ):
        return "members of the manifest are of the wrong type"
    if not 1 <= head.block_size <= MAX_BLOCK_SIZE or not 1 <= head.segment_blocks <= segment.MAX_BLOCKS:
        return f"block_size {head.block_size} or segment_blocks {head.segment_blocks} is outside of the limits"
    if (
        head.size > MAX_STREAM_BYTES
        or not _HEX_DIGEST.fullmatch(head.digest)
        or not layout.HEX_ID.fullmatch(head.attempt)
    ):
        return "size, digest or attempt is not one"
    if head.hash != (SHA256 if head.data_key is None else BLAKE3_KEYED):
        return f"the hash is {head.hash[:50]!r}, which does not go with data key {head.data_key!r}"
    if head.data_key is not None and not (isinstance(head.data_key, str) and layout.HEX_ID.fullmatch(head.data_key)):
        return "data_key is not the id of a key"
    previous = -1
    for ref in head.segments:
        if (
            ref.number <= previous
            or head.blocks_of(ref.number) < 1
            or not 1 <= ref.blocks <= head.blocks_of(ref.number)
        ):
            return f"the list of segments is impossible at segment {ref.number}"
        if not 0 < ref.table < ref.size <= MAX_OBJECT_BYTES:
            return f"the sizes of segment {ref.number} are impossible"
        previous = ref.number
    return ""
