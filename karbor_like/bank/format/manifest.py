"""Manifests: where each block of a stream is stored.

A manifest is a head (:class:`Head`) and segments (:mod:`karbor_like.bank.format.segment`). A segment is an object of two
sealed parts: the table of the packs in use, and the entries. Manifests are written and read segment by segment, so that
memory does not grow with the stream. The bytes are described in ``doc/source/contributor/bank-format.rst``, section
*Manifests*.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

from karbor_like.bank import errors, layout
from karbor_like.bank.format import jsonobject, seal, segment
from karbor_like.bank.format.segment import PackUse, Segment
from karbor_like.bank.objectstore.base import MAX_OBJECT_BYTES, ObjectStore

#: The version of heads that is written.
FORMAT: Final = 2
#: The versions of heads that are read. In version 1, the digest is the SHA-256 of the whole stream.
FORMATS: Final = (1, FORMAT)
MAX_BLOCK_SIZE: Final = 4 * 1024 * 1024
MAX_STREAM_BYTES: Final = 1 << 60

SHA256: Final = "sha256"
BLAKE3_KEYED: Final = "blake3-keyed"

_TABLE_PART: Final = "table"
_ENTRIES_PART: Final = "entries"
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")

#: Function that returns the secret of a seal id, for opening sealed objects. None if the bank is not encrypted.
KeyResolver = Callable[[str], seal.Secret] | None


class SegmentRef(NamedTuple):
    """The description of a segment in a head.

    :param number: of the segment in the stream
    :param table: bytes of its first part
    :param size: bytes of the object
    :param blocks: number of its blocks that are not zero
    """

    number: int
    table: int
    size: int
    blocks: int


@dataclass(frozen=True)
class Head:
    """The head of a manifest. Sizes in bytes.

    :param digest: of the content (:mod:`karbor_like.bank.format.content`); in version 1 of heads SHA-256 of the whole stream
    :param hash: the block hash: SHA256 or BLAKE3_KEYED
    :param data_key: id of the data key, or None
    :param lease: id of the lease under which it was written
    :param lease_until: when that lease would have expired, as of then, in the store's time, ISO 8601
    :param attempt: id in the keys of the segments
    :param new: bytes of the stream that had to be stored
    :param stored: bytes of the packs and segments that were written for it
    :param packs: id -> bytes of the packs whose size was unknown when a segment that refers to them was written
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
    format: int = FORMAT

    @property
    def states_content(self) -> bool:
        """Whether the digest is that of the content, which can be computed from the manifest alone."""
        return self.format != 1

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the whole stream, hexadecimal; None if the head does not state it."""
        return None if self.states_content else self.digest

    @property
    def blocks(self) -> int:
        """Number of blocks of the stream, zero or not."""
        return -(-self.size // self.block_size)

    @property
    def prefix(self) -> str:
        """The prefix of the keys of all heads of this name, which names the stream in errors."""
        return layout.manifest_prefix(self.checkpoint_id, self.resource_key, self.name)

    def blocks_of(self, index: int) -> int:
        """Return the number of blocks that segment *index* covers."""
        return min(self.segment_blocks, self.blocks - index * self.segment_blocks)

    def segment_key(self, index: int) -> str:
        """Return the key of segment *index*."""
        return layout.segment_key(self.checkpoint_id, self.resource_key, self.name, self.attempt, index)


def seal_segment(key: str, table: bytes, entries: bytes, secret: seal.Secret | None) -> tuple[bytes, bytes]:
    """Seal the two parts of a segment, which are stored one after the other under *key*."""
    return seal.seal(key, table, secret, part=_TABLE_PART), seal.seal(key, entries, secret, part=_ENTRIES_PART)


def read_segment(store: ObjectStore, head: Head, ref: SegmentRef, resolve_key: KeyResolver) -> Segment:
    """Read one segment. Raises Corrupted if it is missing or damaged."""
    return decode_segment(head, ref, get_segment(store, head, ref), resolve_key)


def get_segment(store: ObjectStore, head: Head, ref: SegmentRef) -> bytes:
    """Get the object of one segment, for :func:`decode_segment`. Raises Corrupted if it is missing."""
    return _get(store, head.segment_key(ref.number))


def decode_segment(head: Head, ref: SegmentRef, data: bytes, resolve_key: KeyResolver) -> Segment:
    """Decode the object of one segment. Raises Corrupted if it is damaged."""
    key = head.segment_key(ref.number)
    if len(data) != ref.size:
        raise errors.Corrupted(f"{key}: has {len(data)} bytes; its manifest expects {ref.size}")
    view = memoryview(data)
    packs = segment.decode_table(key, seal.unseal(key, view[: ref.table], resolve_key, part=_TABLE_PART), head.packs)
    entries = seal.unseal(key, view[ref.table :], resolve_key, part=_ENTRIES_PART)
    return segment.decode_entries(key, packs, entries, head.blocks_of(ref.number), ref.blocks, head.block_size)


def pack_uses(store: ObjectStore, head: Head, resolve_key: KeyResolver) -> Iterator[PackUse]:
    """Yield the packs that a manifest needs. Reads only the tables of its segments.

    The packs come segment by segment, so a pack may come several times, and memory is limited to one table. Raises Corrupted
    if a segment is missing or damaged.
    """
    for ref in head.segments:
        yield from read_table(store, head, ref, resolve_key)


def read_table(store: ObjectStore, head: Head, ref: SegmentRef, resolve_key: KeyResolver) -> Sequence[PackUse]:
    """Read the packs that one segment needs. Raises Corrupted if it is missing or damaged."""
    return decode_table(head, ref, _get(store, head.segment_key(ref.number), ref.table), resolve_key)


def decode_table(head: Head, ref: SegmentRef, data: bytes, resolve_key: KeyResolver) -> Sequence[PackUse]:
    """Decode the packs that one segment needs. Raises Corrupted if their table is damaged.

    :param data: the object of the segment, or its first part
    """
    key = head.segment_key(ref.number)
    table = memoryview(data)[: ref.table]
    return segment.decode_table(key, seal.unseal(key, table, resolve_key, part=_TABLE_PART), head.packs)


def _get(store: ObjectStore, key: str, length: int | None = None) -> bytes:
    try:
        return store.get(key, 0, length)
    except errors.ObjectNotFound:
        raise errors.Corrupted(f"{key}: this segment of a manifest is missing") from None


def seal_head(key: str, head: Head, secret: seal.Secret | None) -> bytes:
    """Encode and seal a head, for storing under *key*."""
    return seal.seal(key, jsonobject.dump(asdict(head)), secret)


def read_head(store: ObjectStore, key: str, resolve_key: KeyResolver) -> Head:
    """Read the head under *key*.

    :raises ObjectNotFound: there is no such object
    :raises Corrupted: it was altered, or is not a head
    """
    return decode_head(key, seal.unseal(key, store.get(key), resolve_key))


def decode_head(key: str, payload: bytes) -> Head:
    """Decode and check the payload of a head. Raises Corrupted or UnsupportedVersion."""
    value = jsonobject.load(key, payload)
    # JSON's true and 1.0 are equal to 1.
    if type(value.get("format")) is not int or value["format"] not in FORMATS:
        raise errors.UnsupportedVersion(
            f"{key}: has version {value.get('format')!r} of the format; this reader supports"
            f" {' and '.join(map(str, FORMATS))}"
        )
    try:
        value["segments"] = [SegmentRef(*ref) for ref in value["segments"]]
        head = Head(**value)
        problem = _find_problem(head)
    except (AttributeError, TypeError, KeyError, ZeroDivisionError):
        raise errors.Corrupted(f"{key}: members of the manifest are missing or have the wrong type") from None
    if problem:
        raise errors.Corrupted(f"{key}: {problem}")
    owner = layout.parse_resource_key(key)
    if (owner.checkpoint_id, owner.resource_key, owner.name) != (head.checkpoint_id, head.resource_key, head.name):
        raise errors.Corrupted(f"{key}: is the manifest of {head.resource_key} {head.name!r} of {head.checkpoint_id}")
    return head


def _find_problem(head: Head) -> str:
    """Check the members of a decoded head. Returns what is wrong, or an empty string."""
    texts = [head.project_id, head.checkpoint_id, head.resource_key, head.name, head.digest, head.hash]
    texts += (head.attempt, head.lease, head.lease_until)
    numbers: list[Any] = [head.size, head.block_size, head.segment_blocks, head.new, head.stored, *head.packs.values()]
    numbers.extend(number for ref in head.segments for number in ref)
    if not all(isinstance(text, str) for text in texts) or not all(
        type(number) is int and number >= 0 for number in numbers
    ):
        return "members of the manifest have the wrong type"
    if not 1 <= head.block_size <= MAX_BLOCK_SIZE or not 1 <= head.segment_blocks <= segment.MAX_BLOCKS:
        return f"block_size {head.block_size} or segment_blocks {head.segment_blocks} is outside the limits"
    if (
        head.size > MAX_STREAM_BYTES
        or not _HEX_DIGEST.fullmatch(head.digest)
        or not layout.HEX_ID.fullmatch(head.attempt)
    ):
        return "size, digest or attempt is not valid"
    if head.hash != (SHA256 if head.data_key is None else BLAKE3_KEYED):
        return f"the hash {head.hash[:50]!r} does not match the data key {head.data_key!r}"
    if head.data_key is not None and not (isinstance(head.data_key, str) and layout.HEX_ID.fullmatch(head.data_key)):
        return "data_key is not the id of a data key"
    previous = -1
    for ref in head.segments:
        if (
            ref.number <= previous
            or head.blocks_of(ref.number) < 1
            or not 1 <= ref.blocks <= head.blocks_of(ref.number)
        ):
            return f"the list of segments has impossible values at segment {ref.number}"
        if not 0 < ref.table < ref.size <= MAX_OBJECT_BYTES:
            return f"the sizes of segment {ref.number} are impossible"
        previous = ref.number
    return ""
