import json
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor_like.bank import errors, layout
from karbor_like.bank.format import manifest, seal
from karbor_like.bank.format import segment as segments
from karbor_like.bank.format.datakey import DataKey
from karbor_like.bank.objectstore.memory import MemoryStore

KEY = DataKey("p1", "0" * 31 + "1", bytes(range(32)))
PREFIX = layout.manifest_prefix("c1", "T#1", "data")
LEASE = "b" * 32
HEAD_KEY = layout.attempt_key(PREFIX, LEASE, 0)


def resolve_key(seal_id):
    assert seal_id == KEY.seal_id
    return KEY


def head(**changes):
    values = {
        "project_id": "p1",
        "checkpoint_id": "c1",
        "resource_key": "T#1",
        "name": "data",
        "size": 1000,
        "digest": "0" * 64,
        "block_size": 100,
        "segment_blocks": 8,
        "hash": manifest.BLAKE3_KEYED,
        "data_key": KEY.id,
        "attempt": "a" * 32,
        "lease": LEASE,
        "lease_until": "2030-01-01T00:00:00+00:00",
        "new": 5,
        "stored": 6,
        "packs": {},
        "segments": [],
    }
    return manifest.Head(**(values | changes))


PACK_SIZE = 10_000 * 116
packs = st.builds(segments.PackRef, st.binary(min_size=16, max_size=16), st.sampled_from([0, PACK_SIZE]))
places = st.builds(segments.Place, packs, st.integers(40, 5000), st.integers(1, 116), st.integers(0, 1))


def what(place):
    return place and (place.pack.id, *place[1:])


def write_segment(store, blocks, entries, of=None):
    """Store segment 0 with *blocks* blocks; *entries*: block -> (place, hash). Returns the head that lists it."""
    of = of or head()
    builder = segments.SegmentBuilder()
    for block, (place, block_hash) in entries.items():
        builder.set(block, place, block_hash)
    table, rows, stored = builder.encode(blocks)
    late = {pack.id.hex(): PACK_SIZE for pack in builder.unsized}
    first, second = manifest.seal_segment(of.segment_key(0), table, rows, KEY)
    store.put(of.segment_key(0), [first, second])
    return manifest.Head(
        **(
            vars(of)
            | {"packs": late, "segments": [manifest.SegmentRef(0, len(first), len(first) + len(second), stored)]}
        )
    )


@given(st.dictionaries(st.integers(0, 7), st.tuples(places, st.binary(min_size=32, max_size=32)), min_size=1))
def test_segments_read_back(entries):
    store = MemoryStore()
    of = write_segment(store, 8, entries)
    segment = manifest.read_segment(store, of, of.segments[0], resolve_key)
    assert len(segment) == 8
    for block in range(8):
        place, block_hash = entries.get(block, (None, b""))
        assert what(segment.place(block)) == what(place)
        assert segment.hash(block) == block_hash
    for first, end in ((0, 8), (2, 5), (3, 3), (6, 100)):
        expected = [
            (block, what(place), block_hash)
            for block, (place, block_hash) in sorted(entries.items())
            if first <= block < end
        ]
        assert [
            (block, what(place), block_hash) for block, place, block_hash in segment.between(first, end)
        ] == expected
    live = {}
    for _, (place, _) in sorted(entries.items()):
        live.setdefault(place.pack.id.hex(), {})[place.offset] = place.length
    uses = list(manifest.pack_uses(store, of, resolve_key))
    assert {use.size for use in uses} == {PACK_SIZE}
    assert {use.pack: use.live for use in uses} == {pack: sum(blocks.values()) for pack, blocks in live.items()}


def test_heads_read_back_and_are_bound_to_their_key():
    store = MemoryStore()
    of = head(segments=[manifest.SegmentRef(0, 10, 20, 3), manifest.SegmentRef(1, 10, 20, 2)])
    data = manifest.seal_head(HEAD_KEY, of, KEY)
    store.put(HEAD_KEY, data)
    assert manifest.read_head(store, HEAD_KEY, resolve_key) == of
    for other in (
        layout.attempt_key(PREFIX, LEASE, 1),
        layout.attempt_key(layout.manifest_prefix("c2", "T#1", "data"), LEASE, 0),
        layout.attempt_key(layout.manifest_prefix("c1", "T#2", "data"), LEASE, 0),
    ):
        store.put(other, data)
        with pytest.raises(errors.Corrupted, match=other):
            manifest.read_head(store, other, resolve_key)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": -1},
        {"size": 1 << 61},
        {"size": 1.5},
        {"size": True},
        {"size": None},
        {"block_size": 0},
        {"block_size": 1 << 40},
        {"segment_blocks": 0},
        {"segment_blocks": 1 << 20},
        {"hash": "sha256"},
        {"hash": ["sha256"]},
        {"data_key": 7},
        {"data_key": "../x"},
        {"attempt": "../../x"},
        {"digest": "zz"},
        {"digest": None},
        {"segments": [[0, 10, 20, 1], [0, 10, 20, 1]]},
        {"segments": [[1, 10, 20, 1], [0, 10, 20, 1]]},
        {"segments": [[2, 10, 20, 1]]},
        {"segments": [[1 << 50, 10, 20, 1]]},
        {"segments": [[0, 10, 20, 9]]},
        {"segments": [[0, 10, 20, 0]]},
        {"segments": [[0, 10, 1 << 40, 1]]},
        {"segments": [[0, 20, 10, 1]]},
        {"segments": [[0, 10, 20]]},
        {"segments": [["0", 10, 20, 1]]},
        {"segments": 5},
        {"packs": []},
        {"packs": {"00": -1}},
        {"packs": {"00": "x"}},
        {"segments": None},
        {"unknown": 1},
        {"name": "other"},
        {"checkpoint_id": "c2"},
        {"resource_key": "T#2"},
    ],
)
def test_hostile_heads_are_refused(changes):
    value = json.loads(seal.unseal(HEAD_KEY, manifest.seal_head(HEAD_KEY, head(), KEY), resolve_key)) | changes
    with pytest.raises(errors.Corrupted, match=HEAD_KEY):
        manifest.decode_head(HEAD_KEY, json.dumps(value).encode())


@pytest.mark.parametrize("version", [0, 3, None, "1", 1.0, True])
def test_heads_of_another_version_are_refused(version):
    value = json.loads(seal.unseal(HEAD_KEY, manifest.seal_head(HEAD_KEY, head(), KEY), resolve_key)) | {
        "format": version
    }
    with pytest.raises(errors.UnsupportedVersion):
        manifest.decode_head(HEAD_KEY, json.dumps(value).encode())


@pytest.mark.parametrize("payload", [b"", b"[]", b"nope", b"\xff", b"[" * 200_000])
def test_heads_that_are_not_objects_are_refused(payload):
    with pytest.raises(errors.Corrupted):
        manifest.decode_head(HEAD_KEY, payload)


def hostile_segment(table, entries, stored):
    store = MemoryStore()
    of = head()
    parts = manifest.seal_segment(of.segment_key(0), table, entries, KEY)
    store.put(of.segment_key(0), parts)
    ref = manifest.SegmentRef(0, len(parts[0]), len(parts[0]) + len(parts[1]), stored)
    return lambda: manifest.read_segment(store, of, ref, resolve_key)


def entry(pack=0, offset=40, length=100, codec=0, blocks=8, bitmap=1):
    return struct.pack("<IBIIIB", blocks, bitmap, pack, offset, length, codec) + bytes(32)


TABLE = struct.pack("<16sII", bytes(16), 500, 100)


def test_the_smallest_segment_is_accepted():
    assert what(hostile_segment(TABLE, entry(), 1)().place(0)) == (bytes(16), 40, 100, 0)


@pytest.mark.parametrize(
    ("table", "entries", "stored"),
    [
        (TABLE, entry(pack=1), 1),
        (TABLE, entry(offset=0), 1),
        (TABLE, entry(offset=401), 1),
        (TABLE, entry(offset=0xFFFFFFFF), 1),
        (TABLE, entry(length=0), 1),
        (TABLE, entry(length=117), 1),
        (TABLE, entry(codec=2), 1),
        (TABLE, entry(blocks=9), 1),
        (TABLE, entry(bitmap=3), 1),
        (TABLE, entry(), 2),
        (TABLE, entry() + b"x", 1),
        (TABLE, entry()[:-1], 1),
        (TABLE, b"", 1),
        (TABLE + b"x", entry(), 1),
        (struct.pack("<16sII", bytes(16), 500, 501), entry(), 1),
        (struct.pack("<16sII", bytes(16), 0xFFFFFFFF, 1), entry(), 1),
        (b"", entry(), 1),
        (struct.pack("<16sII", bytes(16), 0, 0), entry(), 1),
    ],
)
def test_hostile_segments_are_refused(table, entries, stored):
    with pytest.raises(errors.Corrupted, match="segments/data/"):
        hostile_segment(table, entries, stored)()


def test_random_entries_are_refused():
    noise = random.Random(1)
    for _ in range(300):
        payload = entry(*(noise.getrandbits(8 * noise.randrange(5)) for _ in range(3)))
        size = len(payload)
        payload = bytearray(payload)
        for _ in range(noise.randrange(3)):
            payload[noise.randrange(size)] = noise.randrange(256)
        try:
            segment = hostile_segment(TABLE, bytes(payload), 1)()
        except errors.Corrupted:
            continue
        place = next(place for place in map(segment.place, range(8)) if place)
        assert place.offset + place.length <= 500


def test_a_missing_or_truncated_segment_is_named():
    store = MemoryStore()
    of = write_segment(store, 8, {0: (segments.Place(segments.PackRef(bytes(16), 500), 40, 100, 0), bytes(32))})
    key = of.segment_key(0)
    data = store.get(key)
    for broken in (data[:-1], data + b"x", data[: of.segments[0].table]):
        store.put(key, broken)
        with pytest.raises(errors.Corrupted, match=key):
            manifest.read_segment(store, of, of.segments[0], resolve_key)
    store.delete(key)
    with pytest.raises(errors.Corrupted, match=key):
        manifest.read_segment(store, of, of.segments[0], resolve_key)
    with pytest.raises(errors.Corrupted, match=key):
        list(manifest.pack_uses(store, of, resolve_key))
