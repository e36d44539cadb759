"""What the verification of a whole bank finds, and that it means the same as that of one stream."""

import random

import pytest

from karbor_like.bank import errors, verify
from tests.fixtures import stores
from tests.unit.bank import banks

DATA = random.Random(1).randbytes(3000)


@pytest.fixture
def bank(shared, clock):
    return banks.make_bank(shared, clock=clock)


def keys(bank, part):
    return [info.key for info in bank.store.list("", limit=10**6) if part in info.key]


def test_quick_names_every_missing_pack(bank):
    banks.protect(bank, "c1", DATA)
    packs = keys(bank, "/packs/")
    assert len(packs) > 1
    for key in packs:
        bank.store.delete(key)
    findings = list(verify.quick(bank))
    assert {(each.checkpoint_id, each.resource_key, each.name) for each in findings} == {("c1", banks.VOLUME, "data")}
    assert [key for key in packs if any(key in finding.problem for finding in findings)] == packs


@pytest.mark.parametrize("part", ["/segments/", "/manifests/", "/documents/", "plan.json", "-available.json"])
def test_quick_finds_damage_of_everything_but_blocks(bank, part):
    with bank.leases.acquire(holder="test") as lease:
        section = banks.new_section(bank, "c1", lease)
        section.write("data", [DATA])
        section.put("metadata", {"n": 1})
        bank.checkpoints.commit("c1", lease)
    for key in keys(bank, part):
        good = bank.store.get(key)
        # Near the end: for a segment, in the entries, which only a reader of the whole manifest sees.
        bank.store.put(key, good[:-20] + bytes([good[-20] ^ 1]) + good[-19:])
        (finding,) = verify.quick(bank)
        assert key in finding.problem
        if part in ("/segments/", "/manifests/"):
            with pytest.raises(errors.Corrupted, match=key):
                bank.section("c1", banks.PROJECT, banks.VOLUME).verify("data", "quick")
        bank.store.put(key, good)
    assert list(verify.quick(bank)) == []


def test_full_finds_a_damaged_block_and_counts_bytes(bank):
    for name in ("c1", "c2"):
        banks.protect(bank, name, DATA)
    done = []
    assert list(verify.full(bank, progress=lambda count, total: done.append(count))) == []
    assert done == sorted(done)
    assert done[-1] == 2 * len(DATA)
    key = keys(bank, "/packs/")[0]
    good = bank.store.get(key)
    bank.store.put(key, good[:100] + bytes([good[100] ^ 1]) + good[101:])
    assert list(verify.quick(bank)) == []
    assert all(key in finding.problem for finding in verify.full(bank))


def test_a_whole_bank_is_verified_with_few_requests(shared, clock):
    banks.protect(banks.make_bank(shared, clock=clock), "c1", DATA)
    store = stores.FaultyStore(shared, clock)
    bank = banks.make_bank(store, clock=clock)
    segments, packs = len(keys(bank, "/segments/")), len(keys(bank, "/packs/"))
    before = store.calls
    assert list(verify.quick(bank)) == []
    # Index twice, two events and their list, tombstone, plan, key, head.
    assert store.calls - before <= 9 + segments + packs
