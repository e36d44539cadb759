"""Streams that are written from extents, and taken over from a base."""

import itertools
import os
import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor_like import exception
from karbor_like.bank import Bank, Extent, ResourceSection, errors, layout
from karbor_like.bank.blocks import writer
from karbor_like.bank.blocks.dedup import Base
from karbor_like.bank.blocks.extents import Blocks, by_segment, merged
from karbor_like.bank.format import manifest
from karbor_like.bank.leases import exclusions
from karbor_like.bank.objectstore.base import Buffer, ObjectInfo
from karbor_like.bank.objectstore.memory import MemoryStore
from tests.fixtures.stores import FAIL, FaultyStore
from tests.unit.bank import banks
from tests.unit.bank.sources import MemorySource, MemoryTarget

BLOCK = banks.BLOCK
SEGMENT = BLOCK * banks.SMALL.segment_blocks


def protect(
    bank: Bank,
    checkpoint_id: str,
    source: MemorySource,
    *,
    base: str | None = None,
    before: bytes = b"",
    bases: Sequence[str] = (),
    changed: Sequence[Extent] | None = None,
) -> ResourceSection:
    """Write *source* as stream ``data`` of a new checkpoint, and commit it.

    :param base: a checkpoint with the bytes *before*, whose blocks are taken over
    """
    named = [*bases, *([base] if base else ())]
    with bank.leases.acquire(holder="test", bases=named) as lease:
        section = banks.new_section(bank, checkpoint_id, lease)
        section.write_extents(
            "data",
            source,
            base=section_of(bank, base) if base else None,
            changed=(changed or source.changed(before)) if base else None,
            bases=[section_of(bank, each) for each in bases],
        )
        bank.checkpoints.commit(checkpoint_id, lease)
    return section_of(bank, checkpoint_id)


def section_of(bank: Bank, checkpoint_id: str) -> ResourceSection:
    return bank.section(checkpoint_id, banks.PROJECT, banks.VOLUME)


def packs(bank: Bank) -> list[str]:
    return [info.key for info in bank.store.list("data/")]


# The division into segments and blocks.


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 60)), max_size=8),
    st.integers(1, 20),
    st.integers(1, 6),
    st.integers(0, 15),
)
def test_blocks_of_extents(gaps, block_size, segment_blocks, rest):
    extents, at = [], 0
    for gap, length in gaps:
        extents.append(Extent(at + gap, length))
        at += gap + length
    expected = {byte // block_size for extent in extents for byte in range(extent.offset, extent.end)}
    found, last = [], -1
    for number, ranges in by_segment(extents, at + rest, block_size, segment_blocks):
        assert number > last
        last = number
        for first, end in ranges:
            assert 0 <= first < end <= segment_blocks
            found += range(number * segment_blocks + first, number * segment_blocks + end)
        assert all(one.end < two.first for one, two in zip(ranges, ranges[1:], strict=False))
    assert found == sorted(expected)


@pytest.mark.parametrize(
    "extents",
    [
        [Extent(0, 0)],
        [Extent(0, -1)],
        [Extent(-1, 5)],
        [Extent(0, 101)],
        [Extent(100, 1)],
        [Extent(50, 10), Extent(0, 10)],
        [Extent(0, 10), Extent(9, 10)],
    ],
)
def test_extents_that_are_empty_out_of_order_or_out_of_bounds_are_refused(extents):
    with pytest.raises(exception.ResourceFailed, match="out of bounds"):
        list(by_segment(extents, 100, 10, 4))
    bank = banks.make_bank()
    with bank.leases.acquire(holder="test") as lease:
        section = banks.new_section(bank, "c0", lease)
        with pytest.raises(exception.ResourceFailed, match="data source of 100 bytes"):
            section.write_extents("data", MemorySource(bytes(100), extents))
        assert section.streams() == []


def test_merged():
    assert merged([Blocks(2, 4), Blocks(6, 7)], [0, 1, 4, 9]) == [Blocks(0, 5), Blocks(6, 7), Blocks(9, 10)]
    assert merged([], []) == []


# What is written.

contents = st.lists(
    st.one_of(
        st.builds(bytes, st.integers(1, 2 * SEGMENT)),
        st.builds(lambda seed, size: random.Random(seed).randbytes(size), st.integers(0, 99), st.integers(1, 900)),
        st.sampled_from([b"A" * BLOCK, b"as text " * 50]),
    ),
    max_size=8,
).map(b"".join)
patches = st.one_of(st.binary(min_size=1, max_size=BLOCK), st.just(bytes(BLOCK)))
edits = st.lists(st.tuples(st.floats(0, 1), patches), max_size=4)
steps = st.tuples(edits, st.integers(-3 * BLOCK, SEGMENT), st.booleans())


def edited(data: bytes, changes: Sequence[tuple[float, bytes]], growth: int) -> bytes:
    """*data* with some places overwritten, longer or shorter."""
    new = bytearray(data)
    for where, what in changes:
        at = int(where * len(new))
        new[at : at + len(what)] = what
    return bytes(new[:growth]) if growth < 0 else bytes(new) + bytes(growth)


@settings(max_examples=40)
@given(
    data=contents,
    chain=st.lists(steps, min_size=1, max_size=3),
    encrypted=st.booleans(),
    version_1=st.booleans(),
    lose=st.randoms(use_true_random=False),
    grain=st.sampled_from([1, 16, 100, 1000]),
    block_size=st.sampled_from([32, 64, 100]),
)
def test_a_stream_of_extents_is_the_same_as_one_of_all_bytes(
    data, chain, encrypted, version_1, lose, grain, block_size
):
    """Also when packs are lost on the way, and when the volume grows or shrinks."""
    bank = banks.make_bank(encrypted=encrypted, block_size=block_size)
    first = protect(bank, "c0", MemorySource(data, grain=grain))
    if version_1:
        banks.make_version_1(bank, first)
    before = data
    for number, (changes, growth, lost) in enumerate(chain, 1):
        data = edited(before, changes, growth)
        if lost and packs(bank):
            bank.store.delete(lose.choice(packs(bank)))
        source = MemorySource(data, grain=grain)
        section = protect(bank, f"c{number}", source, base=f"c{number - 1}", before=before)
        assert source.confirmed == 1
        section.verify("data", "full")
        target = MemoryTarget(len(data))
        section.restore("data", target, empty=True)
        assert target.data == data
        whole = banks.protect(bank, f"w{number}", data, bases=(f"c{number}",))
        assert whole.stats("data").digest == section.stats("data").digest
        before = data


def test_only_what_changed_is_read():
    bank = banks.make_bank()
    before = os.urandom(5 * SEGMENT)
    protect(bank, "c0", MemorySource(before))
    data = before[:100] + b"!" + before[101 : 3 * SEGMENT] + bytes(BLOCK) + before[3 * SEGMENT + BLOCK :]
    source = MemorySource(data, grain=1)
    section = protect(bank, "c1", source, base="c0", before=before)
    assert source.bytes_read == 2 * BLOCK
    assert section.stats("data").new == BLOCK
    assert banks.read(section) == data


def test_only_what_is_allocated_is_read_without_a_base():
    source = MemorySource(bytes(20 * SEGMENT) + os.urandom(BLOCK) + bytes(20 * SEGMENT), grain=BLOCK)
    section = protect(banks.make_bank(), "c0", source)
    assert source.bytes_read == BLOCK
    assert banks.read(section) == source.data


def test_what_did_not_change_is_not_stored_again():
    bank = banks.make_bank()
    data = os.urandom(3 * SEGMENT + 5)
    first = protect(bank, "c0", MemorySource(data))
    before = packs(bank)
    source = MemorySource(data)
    section = protect(bank, "c1", source, base="c0", before=data)
    assert (source.reads, packs(bank)) == ([], before)
    assert section.stats("data").digest == first.stats("data").digest
    bank.checkpoints.delete("c0")
    assert banks.read(section) == data


@pytest.mark.parametrize("root", [layout.REFRESH, layout.QUARANTINE])
def test_blocks_in_packs_on_a_list_are_read_and_stored_again(root):
    bank = banks.make_bank()
    data = os.urandom(5 * SEGMENT)
    protect(bank, "c0", MemorySource(data))
    listed = packs(bank)[:2]
    exclusions.put_lists(
        bank.store.put, root, banks.PROJECT, packs=[bytes.fromhex(layout.parse_pack_key(key)[1]) for key in listed]
    )
    source = MemorySource(data)
    section = protect(bank, "c1", source, base="c0", before=data)
    assert 0 < source.bytes_read == section.stats("data").new < len(data)
    for key in listed:
        bank.store.delete(key)
    assert banks.read(section) == data


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_blocks_in_a_damaged_pack_of_the_base_are_read_and_stored_again(damage):
    bank = banks.make_bank()
    data = os.urandom(5 * SEGMENT)
    protect(bank, "c0", MemorySource(data))
    key = packs(bank)[1]
    raw = bank.store.get(key)
    bank.store.delete(key)
    if damage == "cut":
        bank.store.put(key, raw[:-1])
    source = MemorySource(data)
    section = protect(bank, "c1", source, base="c0", before=data)
    assert 0 < source.bytes_read == section.stats("data").new < len(data)
    assert banks.read(section) == data


def test_a_segment_of_the_base_that_cannot_be_read_is_read_from_the_source():
    bank = banks.make_bank()
    data = os.urandom(3 * SEGMENT)
    protect(bank, "c0", MemorySource(data))
    key = next(info.key for info in bank.store.list("checkpoints/c0/") if layout.kind_of(info.key) == "segments")
    bank.store.put(key, b"damaged")
    source = MemorySource(data)
    section = protect(bank, "c1", source, base="c0", before=data)
    assert source.bytes_read == SEGMENT
    assert banks.read(section) == data


def other_block_size(bank: Bank) -> Bank:
    return banks.make_bank(bank.store, block_size=100)


def other_key(bank: Bank) -> Bank:
    with bank.leases.acquire(holder="test") as lease:
        data_key = bank.keyring.current(banks.PROJECT, lease).id
    exclusions.put_lists(bank.store.put, layout.QUARANTINE, banks.PROJECT, packs=[], data_keys=[data_key])
    return banks.make_bank(bank.store)


def damaged(bank: Bank) -> Bank:
    bank.store.put(banks.head_keys(bank, "c0")[0], b"damaged")
    return bank


@pytest.mark.parametrize("change", [other_block_size, other_key, damaged])
def test_what_is_allocated_is_read_when_the_base_cannot_be_used(change):
    bank = banks.make_bank()
    data = os.urandom(2 * SEGMENT) + bytes(2 * SEGMENT)
    protect(bank, "c0", MemorySource(data))
    bank = change(bank)
    source = MemorySource(data, grain=BLOCK)
    section = protect(bank, "c1", source, base="c0", before=data)
    assert 2 * SEGMENT <= source.bytes_read < 2 * SEGMENT + 200
    assert banks.read(section) == data


def test_a_base_of_another_bank_takes_nothing_wrong_over():
    """Its packs and segments are looked for in this bank, where they are not."""
    other, bank = banks.make_bank(encrypted=False), banks.make_bank(encrypted=False)
    data = os.urandom(2 * SEGMENT)
    protect(other, "c0", MemorySource(data))
    with bank.leases.acquire(holder="test", bases=["c0"]) as lease:
        section = banks.new_section(bank, "c1", lease)
        source = MemorySource(data)
        section.write_extents("data", source, base=section_of(other, "c0"), changed=[])
        assert source.bytes_read == len(data)
        assert banks.read(section) == data


def test_equal_blocks_of_further_bases_are_referred_to():
    bank = banks.make_bank()
    data = os.urandom(2 * SEGMENT)
    protect(bank, "c0", MemorySource(data))
    section = protect(bank, "c1", MemorySource(data), bases=["c0"])
    assert section.stats("data").new == 0


def test_a_base_that_the_lease_does_not_name_is_refused():
    bank = banks.make_bank()
    base = protect(bank, "c0", MemorySource(os.urandom(1000)))
    with bank.leases.acquire(holder="test") as lease:
        section = banks.new_section(bank, "c1", lease)
        with pytest.raises(ValueError, match="does not name the checkpoint c0"):
            section.write_extents("data", MemorySource(b"x"), base=base, changed=[])


def test_base_and_changes_come_together():
    bank = banks.make_bank()
    base = protect(bank, "c0", MemorySource(b"x"))
    with bank.leases.acquire(holder="test", bases=["c0"]) as lease:
        section = banks.new_section(bank, "c1", lease)
        for arguments in ({"base": base}, {"changed": []}):
            with pytest.raises(ValueError, match="together"):
                section.write_extents("data", MemorySource(b"x"), **arguments)


def test_many_segments_that_did_not_change_keep_their_sizes():
    """The head of the base has sizes of packs that its segments do not have; deleting the base must not lose them."""
    bank = banks.make_bank(pack_size=100_000)
    data = os.urandom(10 * SEGMENT)
    protect(bank, "c0", MemorySource(data))
    protect(bank, "c1", MemorySource(data), base="c0", before=data)
    section = protect(bank, "c2", MemorySource(data), base="c1", before=data)
    bank.checkpoints.delete("c0")
    bank.checkpoints.delete("c1")
    section.verify("data", "quick")
    assert banks.read(section) == data


class Counting(FaultyStore):
    """Counts the requests about packs."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.requests = Counter[str]()

    def stat(self, key: str) -> ObjectInfo:
        self.requests["stat"] += key.startswith("data/")
        return super().stat(key)

    def list(self, prefix: str, marker: str = "", limit: int = 1000) -> Sequence[ObjectInfo]:
        self.requests["list"] += prefix.startswith("data/")
        return super().list(prefix, marker, limit)


@pytest.mark.parametrize("by_extents", [True, False])
def test_the_packs_of_a_base_are_looked_up_in_a_listing(by_extents):
    store = Counting()
    bank = banks.make_bank(store)
    data = os.urandom(8 * SEGMENT)
    protect(bank, "c0", MemorySource(data))
    assert len(packs(bank)) > 8
    with bank.leases.acquire(holder="test", bases=["c0"]) as lease:
        section, base = banks.new_section(bank, "c1", lease), section_of(bank, "c0")
        store.requests.clear()
        if by_extents:
            section.write_extents("data", MemorySource(data), base=base, changed=[])
        else:
            section.write("data", [data], bases=[base])
        assert store.requests == Counter(list=1)


class Requests(FaultyStore):
    """Counts the requests about segments and packs, by method; reads of a part of an object apart."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.counts = Counter[str]()

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        self._count("get" if length is None else "get part of", key)
        return super().get(key, start, length)

    def put(self, key: str, data: Buffer | Sequence[bytes | memoryview]) -> None:
        self._count("put", key)
        super().put(key, data)

    def stat(self, key: str) -> ObjectInfo:
        self._count("stat", key)
        return super().stat(key)

    def list(self, prefix: str, marker: str = "", limit: int = 1000) -> Sequence[ObjectInfo]:
        self._count("list", prefix)
        return super().list(prefix, marker, limit)

    def _count(self, method: str, key: str) -> None:
        for kind in ("packs", "segments"):
            if f"/{kind}/" in key:
                self.counts[f"{method} {kind}"] += 1


@pytest.mark.parametrize("changes", [0, 1])
def test_small_segments_are_read_once_and_the_commit_reads_none(changes):
    store = Requests()
    bank = banks.make_bank(store)
    before = b"".join(os.urandom(BLOCK) + bytes(SEGMENT - BLOCK) for _ in range(40))
    protect(bank, "c0", MemorySource(before, grain=BLOCK))
    data = before if not changes else b"!" * BLOCK + before[BLOCK:]
    store.counts.clear()
    section = protect(bank, "c1", MemorySource(data, grain=BLOCK), base="c0", before=before)
    expected = {"get segments": 40, "put segments": 40, "list segments": 1, "list packs": 2, "put packs": changes}
    assert +store.counts == +Counter(expected)
    assert banks.read(section) == data


def test_the_map_of_changes_is_made_while_the_base_is_read():
    mapping, reading = threading.Event(), threading.Event()

    class Waiting(FaultyStore):
        """A store that answers only if the map has begun."""

        def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
            if "/segments/" in key and begun:
                reading.set()
                assert mapping.wait(60)
            return super().get(key, start, length)

    def changes() -> Iterator[Extent]:
        mapping.set()
        assert reading.wait(60)
        yield Extent(0, 1)
        yield Extent(3 * SEGMENT, 1)

    begun = False
    bank = banks.make_bank(Waiting(MemoryStore()))
    before = os.urandom(5 * SEGMENT)
    protect(bank, "c0", MemorySource(before))
    data = b"!" + before[1 : 3 * SEGMENT] + b"!" + before[3 * SEGMENT + 1 :]
    begun = True
    with bank.leases.acquire(holder="test", bases=["c0"]) as lease:
        section = banks.new_section(bank, "c1", lease)
        section.write_extents("data", MemorySource(data), base=section_of(bank, "c0"), changed=changes())
        bank.checkpoints.commit("c1", lease)
    assert banks.read(section_of(bank, "c1")) == data


def test_a_map_that_fails_stops_the_writer():
    def changes() -> Iterator[Extent]:
        raise exception.ResourceFailed("no map")
        yield

    bank = banks.make_bank()
    data = os.urandom(2 * SEGMENT)
    protect(bank, "c0", MemorySource(data))
    with bank.leases.acquire(holder="test", bases=["c0"]) as lease:
        section = banks.new_section(bank, "c1", lease)
        with pytest.raises(exception.ResourceFailed, match="no map"):
            section.write_extents("data", MemorySource(data), base=section_of(bank, "c0"), changed=changes())
        assert section.streams() == []


def test_large_segments_are_not_kept_after_their_table_was_read():
    store = Requests()
    bank = banks.make_bank(store)
    data = os.urandom(8 * SEGMENT)
    protect(bank, "c0", MemorySource(data))
    head = manifest.read_head(store, banks.head_keys(bank, "c0")[0], bank.keyring.resolve_key)
    base = Base(store, head, bank.keyring.resolve_key, frozenset())
    store.counts.clear()
    assert base.check_packs(head.segments[0].size + head.segments[1].size + 1, None) == 1
    assert store.counts == Counter({"get segments": 2, "get part of segments": 6, "list packs": 1})
    for ref in head.segments:
        assert base.load(ref.number) is not None
    assert store.counts["get segments"] == 8
    assert base.load(0) is not None, "it can be loaded again"
    assert base.load(9) is None


def test_a_commit_that_knows_no_packs_reads_the_tables():
    """That of a writer that took over from another process."""
    store = Requests()
    bank = banks.make_bank(store)
    data = os.urandom(8 * SEGMENT)
    with bank.leases.acquire(holder="one") as lease:
        banks.new_section(bank, "c1", lease).write_extents("data", MemorySource(data))
    with bank.leases.acquire(holder="two") as lease:
        bank.checkpoints.create(banks.record("c1"), lease)
        store.counts.clear()
        bank.checkpoints.commit("c1", lease)
    assert store.counts["get part of segments"] == 8
    assert store.counts["stat packs"] == len(packs(bank)), "they are older than the second lease"
    assert banks.read(section_of(bank, "c1")) == data


def test_a_large_manifest_is_not_remembered_for_the_commit(monkeypatch):
    monkeypatch.setattr(writer, "MOST_REMEMBERED", 3)
    bank = banks.make_bank()
    with bank.leases.acquire(holder="one") as lease:
        banks.new_section(bank, "c1", lease).write_extents("data", MemorySource(os.urandom(8 * SEGMENT)))
        assert len(packs(bank)) > 3
        assert not lease.packs
        bank.checkpoints.commit("c1", lease)


def test_progress_covers_what_is_not_read():
    bank = banks.make_bank()
    data = os.urandom(5 * SEGMENT)
    protect(bank, "c0", MemorySource(data))
    done = []
    with bank.leases.acquire(holder="test", bases=["c0"]) as lease:
        banks.new_section(bank, "c1", lease).write_extents(
            "data",
            MemorySource(data),
            base=section_of(bank, "c0"),
            changed=[Extent(SEGMENT, BLOCK), Extent(2 * SEGMENT, BLOCK)],
            progress=done.append,
        )
    assert done == sorted(done)
    assert done[-1] == len(data)


# Failures.


class BadSource(MemorySource):
    """Reads too little or too much, fails, or finds at the end that it was removed."""

    def __init__(self, data: bytes, kind: str) -> None:
        super().__init__(data)
        self.kind = kind

    def read(self, offset: int, length: int) -> Future[bytes]:
        if self.kind in ("short", "long"):
            length += {"short": -1, "long": 1}[self.kind]
            return super().read(offset, length)
        future: Future[bytes] = Future()
        if self.kind == "fails":
            future.set_exception(exception.Unavailable("the source is cut off"))
            return future
        return super().read(offset, length)

    def confirm(self) -> None:
        if self.kind == "removed":
            raise exception.ResourceFailed("the snapshot was removed")


@pytest.mark.parametrize(
    ("kind", "error", "match"),
    [
        ("short", exception.ResourceFailed, "bytes read at offset 0 instead of"),
        ("long", exception.ResourceFailed, "bytes read at offset 0 instead of"),
        ("fails", exception.Unavailable, "cut off"),
        ("removed", exception.ResourceFailed, "was removed"),
    ],
)
def test_a_source_that_fails_leaves_nothing_to_read(kind, error, match):
    bank = banks.make_bank()
    data = os.urandom(SEGMENT)
    source = BadSource(data + b"x", kind)
    source._allocated = [Extent(0, len(data))]
    with bank.leases.acquire(holder="test") as lease:
        section = banks.new_section(bank, "c0", lease)
        with pytest.raises(error, match=match):
            section.write_extents("data", source)
        with pytest.raises(errors.ObjectNotFound):
            section.stats("data")


@pytest.mark.parametrize("nth", [1, 3, 10])
@pytest.mark.parametrize("op", ["put", "get", "list"])
def test_a_store_that_fails_leaves_nothing_to_read(op, nth):
    store = FaultyStore(MemoryStore())
    bank = banks.make_bank(store)
    data = os.urandom(8 * SEGMENT)
    protect(bank, "c0", MemorySource(data))
    with bank.leases.acquire(holder="test", bases=["c0"]) as lease:
        section = banks.new_section(bank, "c1", lease)
        source = MemorySource(data[::-1])
        prefix = "data/" if op == "list" else "checkpoints/c0/" if op == "get" else ""
        store.inject(FAIL, op=op, prefix=prefix, nth=1 if op == "list" else nth, times=100_000)
        with pytest.raises(errors.ConnectionFailed):
            section.write_extents("data", source, base=section_of(bank, "c0"), changed=source.changed(data))
        store.heal()
        assert section.streams() == []


def test_it_can_be_stopped():
    bank = banks.make_bank()
    data = os.urandom(20 * SEGMENT)
    protect(bank, "c0", MemorySource(data))
    checks = itertools.count()

    def check() -> None:
        if next(checks) == 30:
            raise exception.Cancelled("enough")

    with bank.leases.acquire(holder="test", bases=["c0"]) as lease:
        section = banks.new_section(bank, "c1", lease)
        with pytest.raises(exception.Cancelled):
            section.write_extents("data", MemorySource(data), base=section_of(bank, "c0"), changed=[], check=check)


def test_a_writer_without_its_lease_stores_no_head():
    bank = banks.make_bank()
    data = os.urandom(4 * SEGMENT)

    class Slow(MemorySource):
        def read(self, offset: int, length: int) -> Future[bytes]:
            bank.clock.advance(1000)
            return super().read(offset, length)

    with bank.leases.acquire(holder="test") as lease:
        section = banks.new_section(bank, "c0", lease)
        with pytest.raises(errors.LeaseLost):
            section.write_extents("data", Slow(data))
    assert not banks.head_keys(bank, "c0")
