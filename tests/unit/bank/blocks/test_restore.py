"""Streams that are restored in the order of packs."""

import os
import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor_like import exception
from karbor_like.bank import Bank, Extent, errors
from karbor_like.bank.objectstore.memory import MemoryStore
from tests.fixtures.stores import CORRUPT, FAIL, SHORT, FaultyStore
from tests.unit.bank import banks
from tests.unit.bank.sources import MemoryTarget

BLOCK = banks.BLOCK
SEGMENT = BLOCK * banks.SMALL.segment_blocks

pieces = st.one_of(
    st.builds(bytes, st.integers(1, 3 * SEGMENT)),
    st.builds(lambda seed, size: random.Random(seed).randbytes(size), st.integers(0, 99), st.integers(1, 900)),
    st.sampled_from([b"A" * BLOCK, b"as text " * 50]),
)


@settings(max_examples=40)
@given(
    data=st.lists(pieces, max_size=10).map(b"".join),
    changes=st.lists(st.integers(0, 10_000), max_size=6),
    encrypted=st.booleans(),
    version_1=st.booleans(),
    empty=st.booleans(),
    larger=st.sampled_from([0, 1, 1000]),
)
def test_a_target_has_the_bytes_of_the_stream(data, changes, encrypted, version_1, empty, larger):
    bank = banks.make_bank(encrypted=encrypted)
    banks.protect(bank, "c0", data)
    changed = bytearray(data)
    for at in changes:
        changed[at : at + 1] = b"!" * len(changed[at : at + 1])
    section = banks.protect(bank, "c1", bytes(changed), bases=("c0",))
    if version_1:
        banks.make_version_1(bank, section)
    target, done = MemoryTarget(len(data) + larger, 0 if empty else 7), []
    section.restore("data", target, empty=empty, progress=done.append)
    assert target.data == changed + bytes([0 if empty else 7]) * larger
    assert done == sorted(done)
    assert done[-1:] == ([len(data)] if data else [])


def test_zeros_are_not_written_to_an_empty_target():
    bank = banks.make_bank()
    section = banks.protect(bank, "c0", bytes(40 * SEGMENT) + b"x" * BLOCK + bytes(40 * SEGMENT))
    target = MemoryTarget(81 * SEGMENT)
    section.restore("data", target, empty=True)
    assert target.writes == [Extent(40 * SEGMENT, BLOCK)]


class Counting(FaultyStore):
    """Notes the ranges of packs that are read."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.ranges: list[str] = []

    def get_into(self, key: str, start: int, target: memoryview) -> int:
        self.ranges.append(key)
        return super().get_into(key, start, target)


def test_a_pack_is_read_with_one_request_for_a_segment():
    store = Counting()
    bank = banks.make_bank(store, segment_blocks=1024, pack_size=16 * 1024)
    data = os.urandom(1024 * BLOCK)
    section = banks.protect(bank, "c0", data)
    store.ranges.clear()
    target = MemoryTarget(len(data))
    section.restore("data", target)
    assert target.data == data
    packs = {info.key for info in store.list("data/")}
    assert len(packs) > 3
    assert sorted(store.ranges) == sorted(packs)


def test_a_target_that_is_too_small_is_left_alone():
    bank = banks.make_bank()
    section = banks.protect(bank, "c0", b"x" * 1000)
    target = MemoryTarget(999)
    with pytest.raises(exception.ResourceFailed, match="has 999 bytes; the stream needs 1000"):
        section.restore("data", target)
    assert target.writes == []


@pytest.mark.parametrize("kind", ["missing", "cut", "changed"])
def test_what_cannot_be_restored_is_named(kind):
    bank = banks.make_bank()
    section = banks.protect(bank, "c0", os.urandom(3 * SEGMENT))
    key = bank.store.list("data/")[0].key
    raw = bytearray(bank.store.get(key))
    bank.store.delete(key)
    if kind != "missing":
        raw[50] ^= 1
        bank.store.put(key, bytes(raw[:60] if kind == "cut" else raw))
    target = MemoryTarget(3 * SEGMENT)
    with pytest.raises(errors.Corrupted, match=rf"manifests/data/, bytes \d+ to \d+: {key}"):
        section.restore("data", target, empty=True)
    assert not bank_threads()


def test_a_wrong_digest_is_found():
    bank = banks.make_bank()
    section = banks.protect(bank, "c0", os.urandom(1000))
    banks.replace_head(bank, banks.head_keys(bank, "c0")[0], digest="0" * 64)
    with pytest.raises(errors.Corrupted, match="the digest of the blocks"):
        section.restore("data", MemoryTarget(1000))


@pytest.mark.parametrize("fault", [FAIL, SHORT, CORRUPT])
@pytest.mark.parametrize("nth", [1, 4])
def test_a_store_that_fails_stops_it(fault, nth):
    store = FaultyStore(MemoryStore())
    bank = banks.make_bank(store)
    data = os.urandom(5 * SEGMENT)
    section = banks.protect(bank, "c0", data)
    target = MemoryTarget(len(data))
    store.inject(fault, op="get", prefix="data/", nth=nth, times=100_000)
    with pytest.raises(errors.BankError):
        section.restore("data", target, empty=True)
    for written in target.writes:
        assert target.data[written.offset : written.end] == data[written.offset : written.end]
    assert not bank_threads()


def test_a_target_that_fails_stops_it():
    class Full(MemoryTarget):
        def write(self, offset: int, data: memoryview) -> None:
            raise exception.Unavailable("no space left")

    section = banks.protect(banks.make_bank(), "c0", os.urandom(5 * SEGMENT))
    with pytest.raises(exception.Unavailable, match="no space left"):
        section.restore("data", Full(5 * SEGMENT))
    assert not bank_threads()


def test_it_can_be_stopped_while_it_writes_zeros():
    section = banks.protect(banks.make_bank(), "c0", bytes(100))

    def stop() -> None:
        raise exception.Cancelled("enough")

    target = MemoryTarget(100, 7)
    with pytest.raises(exception.Cancelled):
        section.restore("data", target, check=stop)
    assert target.writes == []


def test_concurrent_restores_stay_within_the_budget_and_do_not_block_each_other():
    bank = banks.make_bank(block_size=4096, pack_size=1 << 20, memory_budget=48 << 20)
    data = os.urandom(2 << 20)
    section = banks.protect(bank, "c0", data, chunk=1 << 20)
    targets = [MemoryTarget(len(data)) for _ in range(8)]
    threads = [threading.Thread(target=restore, args=(section, target), daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    assert all(banks.read(section) == data for _ in range(2))
    for thread in threads:
        thread.join(120)
    assert all(target.data == data for target in targets)
    assert read_budget(bank)._free == read_budget(bank).total


def restore(section, target):
    section.restore("data", target, empty=True)


def read_budget(bank: Bank):
    return bank._blocks._read_budget


def bank_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("bank-")]
