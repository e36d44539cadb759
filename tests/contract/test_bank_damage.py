"""Damaged and foreign objects stop neither the collector, nor verification, nor new checkpoints."""

import random

import pytest

from karbor_like.bank import errors, layout, verify
from karbor_like.bank.collector import stats
from karbor_like.bank.collector.gc import Collector
from karbor_like.bank.format import seal
from karbor_like.bank.leases.safety import TEST
from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.clock import ManualClock
from tests.unit.bank import banks

DATA = random.Random(1).randbytes(4000)
LONG = TEST.lease_duration + TEST.quarantine + TEST.grace.total_seconds() + 1

#: Names that a copy, a crashed tool or an attacker may leave: valid in a store, but not keys of a bank.
FOREIGN = [
    "data/project-1/packs/00000000000000000000000000000000.partial",
    "data/project-1/packs/README",
    "data/project-1/lost+found",
    "data/a@b/packs/1",
    "keys/project-1/README",
    "keys/a,b/c",
    "checkpoints/a@b/plan.json",
    "checkpoints/README",
    "checkpoints/c1/resources/README",
    "checkpoints/c1/resources/OS::Cinder::Volume=23v1/manifests/data/copy",
    "checkpoints/c1/writers.old",
    "indices/by-date/newest/README",
    "leases/README",
    "quarantine/a@b/1.json",
    "refresh/README",
]


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def bank(clock):
    return banks.make_bank(MemoryStore(clock), clock=clock)


@pytest.mark.parametrize("mask", [0x01, 0x04, 0x20, 0x80, 0xFF])
def test_each_damaged_byte_of_a_header_is_damage(bank, mask):
    banks.protect(bank, "c1", DATA)
    key = layout.plan_key("c1")
    good = bank.store.get(key)
    for at in range(seal.read_header(key, good).length):
        bad = bytearray(good)
        bad[at] ^= mask
        for resolve_key in (bank.keyring.resolve_key, bank.keyring.resolver_for(banks.PROJECT)):
            with pytest.raises((errors.Corrupted, errors.UnsupportedVersion, errors.KeyUnavailable), match="c1/plan"):
                seal.unseal(key, bytes(bad), resolve_key)


@pytest.mark.parametrize("kind", ["plan.json", "manifests", "segments"])
def test_a_header_that_names_no_key_stops_nothing_else(bank, clock, kind):
    banks.protect(bank, "c1", DATA)
    key = next(info.key for info in bank.store.list("checkpoints/") if kind in info.key)
    bad = bytearray(bank.store.get(key))
    bad[8] = ord("@")  # the project's name in the id of the key
    bank.store.put(key, bytes(bad))
    clock.advance(LONG)
    Collector(bank).run()
    assert list(verify.quick(bank))
    assert list(verify.full(bank))
    banks.protect(bank, "c2", DATA, bases=("c1",))
    assert banks.read(bank.section("c2", banks.PROJECT, banks.VOLUME)) == DATA


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_objects_are_left_alone(bank, clock, name):
    banks.protect(bank, "c0", DATA[::-1])
    with bank.leases.acquire(holder="test") as lease:
        section = banks.new_section(bank, "c1", lease)
        section.write("data", [DATA])
        bank.store.put(name, b"foreign")
        bank.checkpoints.commit("c1", lease)
    assert not [finding for finding in verify.scrub(bank) if name not in finding.problem]
    assert not list(verify.quick(bank))
    assert not list(verify.full(bank))
    stats.collect(bank)
    assert bank.keyring.rotate().failed == []
    bank.checkpoints.delete("c0")
    for _ in range(4):
        clock.advance(LONG)
        Collector(bank).run()
    assert not list(bank.store.list("checkpoints/c0/"))
    assert bank.store.get(name) == b"foreign"
    banks.protect(bank, "c2", DATA, bases=("c1",))
    assert banks.read(bank.section("c2", banks.PROJECT, banks.VOLUME)) == DATA
