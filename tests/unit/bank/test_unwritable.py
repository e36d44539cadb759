"""Banks that can be read and cannot be written: read-only for this reader, or full."""

import random

import pytest

from karbor_like.bank import copy_section, errors, layout, verify
from karbor_like.bank.collector.gc import Collector
from tests.fixtures import stores
from tests.unit.bank import banks

DATA = random.Random(1).randbytes(4000)


@pytest.fixture
def store(shared):
    return stores.BoundedStore(shared)


@pytest.fixture
def bank(store, clock):
    bank = banks.make_bank(store, clock=clock)
    banks.protect(bank, "c1", DATA)
    return bank


@pytest.fixture(params=["read-only", "full"])
def unwritable(request, bank, store):
    """The bank, with nothing in it that makes room."""
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
