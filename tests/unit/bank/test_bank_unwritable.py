"""Banks that can be read and cannot be written, and full banks: what frees room in them works."""

import random

import pytest

from karbor_like.bank import copy_section, errors, layout, verify
from karbor_like.bank.collector.gc import Collector
from karbor_like.bank.leases.lease import find_counting
from karbor_like.bank.leases.safety import TEST
from tests.fixtures import stores
from tests.unit.bank import banks

DATA = random.Random(1).randbytes(4000)
OTHER = random.Random(2).randbytes(4000)
LONG = TEST.lease_duration + TEST.quarantine + TEST.grace.total_seconds() + 1


@pytest.fixture
def store(shared):
    return stores.BoundedStore(shared)


@pytest.fixture
def bank(store, clock):
    bank = banks.make_bank(store, clock=clock)
    banks.protect(bank, "c1", DATA)
    bank.reserve.fill()
    return bank


@pytest.fixture(params=["read-only", "full"])
def unwritable(request, bank, store):
    """The bank, with nothing in it that makes room."""
    bank.reserve.remove()
    store.read_only = request.param == "read-only"
    store.fill()
    return bank


def keys(store, prefix=""):
    return [info.key for info in store.list(prefix, limit=10**6)]


def test_everything_that_reads_works(unwritable, store, clock):
    before = keys(store)
    assert [entry.id for entry in unwritable.checkpoints.index.list()] == ["c1"]
    assert unwritable.checkpoints.get("c1").status == "available"
    with unwritable.leases.acquire(holder="restore", bases=["c1"], kind="read") as lease:
        section = unwritable.section("c1", banks.PROJECT, banks.VOLUME)
        with section.read("data", check=lease.check) as reader:
            assert b"".join(map(bytes, reader)) == DATA
    assert list(verify.full(unwritable)) == list(verify.quick(unwritable)) == list(verify.scrub(unwritable)) == []
    assert Collector(unwritable).plan().live.objects
    assert keys(store) == before


def test_a_checkpoint_is_copied_from_it(unwritable, clock):
    target = banks.make_bank(clock=clock)
    with (
        unwritable.leases.acquire(holder="copy", bases=["c1"], kind="read") as read,
        target.leases.acquire(holder="copy") as lease,
    ):
        section = banks.new_section(target, "c2", lease)
        copy_section(unwritable.section("c1", banks.PROJECT, banks.VOLUME), section, check=read.check)
        target.checkpoints.commit("c2", lease)
    assert banks.read(target.section("c2", banks.PROJECT, banks.VOLUME)) == DATA


def test_nothing_can_be_written_to_it_and_the_error_says_why(unwritable):
    with pytest.raises(errors.UNWRITABLE, match="leases/"):
        banks.protect(unwritable, "c2", DATA)


def test_what_the_collector_of_another_writer_removed_is_missed(bank, store, shared, clock):
    store.read_only = True
    with bank.leases.acquire(holder="restore", bases=["c1"], kind="read") as lease:
        section = bank.section("c1", banks.PROJECT, banks.VOLUME)
        for key in keys(shared, layout.DATA):
            shared.delete(key)
        with pytest.raises(errors.Corrupted, match="this pack is missing"):
            banks.read(section)
        lease.check()


# Full banks.


def test_a_full_bank_is_thinned_out_and_protects_again(bank, store, clock):
    banks.protect(bank, "c2", OTHER)
    store.fill()
    with pytest.raises(errors.BankFull):
        banks.protect(bank, "c3", DATA)
    bank.checkpoints.event("c1", "deleting")
    bank.checkpoints.delete("c1")
    store.fill()  # others take what was freed
    reclaimed = 0
    for _ in range(4):
        clock.advance(LONG)
        reclaimed += Collector(bank).run().reclaimed.objects
    assert reclaimed
    assert len(keys(store, layout.RESERVE)) == 4
    assert banks.read(banks.protect(bank, "c3", DATA[:2000])) == DATA[:2000]
    assert banks.read(bank.section("c2", banks.PROJECT, banks.VOLUME)) == OTHER


def test_a_reader_of_a_full_bank_is_protected(bank, store, clock):
    store.fill()
    before = keys(store)
    with bank.leases.acquire(holder="restore", bases=["c1"], kind="read") as lease:
        assert lease.unprotected is None
        assert lease.id in [each.id for each in find_counting(bank.leases.list(), clock.now(), TEST)]
        bank.checkpoints.event("c1", "deleting")
        bank.checkpoints.delete("c1")
        for _ in range(8):
            clock.advance(TEST.lease_duration / 2)
            lease.renew()
            Collector(bank).run()
        assert keys(store, layout.DATA) == [key for key in before if key.startswith(layout.DATA)]


def test_a_restore_leaves_a_full_bank_as_it_was(bank, store):
    store.fill()
    before = keys(store)
    for _ in range(10):
        with bank.leases.acquire(holder="restore", bases=["c1"], kind="read"):
            assert banks.read(bank.section("c1", banks.PROJECT, banks.VOLUME)) == DATA
    assert keys(store) == before


def test_a_writer_takes_nothing_from_the_reserve(bank, store):
    store.fill()
    before = keys(store)
    with pytest.raises(errors.BankFull):
        banks.protect(bank, "c2", OTHER)
    with pytest.raises(errors.BankFull):
        bank.checkpoints.event("c1", "error")
    assert keys(store) == before


def test_a_bank_of_an_early_version_gets_its_reserve_from_the_collector(bank, store):
    bank.reserve.remove()
    Collector(bank).run()
    assert len(keys(store, layout.RESERVE)) == 4
