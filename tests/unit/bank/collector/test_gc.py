"""The collector deletes what no checkpoint needs, in time, and reports why it keeps the rest."""

import contextlib
import dataclasses
import random
from datetime import timedelta

import numpy as np
import pytest

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.collector.gc import Collector
from karbor_like.bank.collector.pack_map import PackTable
from karbor_like.bank.leases import exclusions
from karbor_like.bank.leases.safety import TEST
from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.clock import ManualClock
from tests.fixtures import stores
from tests.unit.bank import banks

DATA = random.Random(1).randbytes(4000)
OTHER = random.Random(2).randbytes(4000)
NEXT = DATA[:2000] + OTHER[:2000]
LONG = TEST.lease_duration + TEST.quarantine + TEST.grace.total_seconds() + 1


@pytest.fixture
def bank(shared, clock):
    return banks.make_bank(shared, clock=clock)


@pytest.fixture
def collector(bank):
    return Collector(bank)


def keys(store, prefix=""):
    return [info.key for info in store.list(prefix, limit=10**6)]


def until_quiet(bank, clock, *, rounds=12):
    """Run the collector until it finds nothing to do. Returns the keys that are left."""
    for _ in range(rounds):
        clock.advance(LONG)
        before = keys(bank.store)
        Collector(bank).run()
        if keys(bank.store) == before:
            return before
    raise AssertionError(f"the collector does not come to rest: {before}")


# What goes, and when.


def test_packs_go_a_quarantine_period_after_nobody_needs_them(bank, clock, collector, shared):
    banks.protect(bank, "c1", DATA)
    packs = keys(shared, "data/")
    clock.advance(LONG)
    bank.checkpoints.delete("c1")
    first = collector.run()
    assert first.quarantined.objects == len(packs)
    assert first.reclaimed.objects == 0
    clock.advance(TEST.quarantine - 0.1)
    assert collector.run().reclaimed.objects == 0
    assert keys(shared, "data/") == packs
    clock.advance(0.1)
    report = collector.run()
    assert report.reclaimed.objects == len(packs)
    assert keys(shared, "data/") == []
    until_quiet(bank, clock)
    assert keys(shared) == []


def test_what_others_share_stays(bank, clock, shared):
    banks.protect(bank, "c1", DATA)
    banks.protect(bank, "c2", NEXT, bases=("c1",))
    bank.checkpoints.delete("c1")
    until_quiet(bank, clock)
    assert banks.read(bank.section("c2", banks.PROJECT, banks.VOLUME)) == NEXT
    bank.checkpoints.delete("c2")
    assert until_quiet(bank, clock) == []


def test_projects_are_collected_apart(bank, clock, shared):
    banks.protect(bank, "c1", DATA, project_id="p1")
    banks.protect(bank, "c2", DATA, project_id="p2")
    bank.checkpoints.delete("c1")
    until_quiet(bank, clock)
    assert not keys(shared, "data/p1/")
    assert not keys(shared, "keys/p1/")
    assert keys(shared, "keys/p2/")
    assert banks.read(bank.section("c2", "p2", banks.VOLUME)) == DATA


@pytest.mark.parametrize("root", [layout.QUARANTINE, layout.REFRESH])
def test_a_damaged_list_stops_the_collection_of_no_other_project(bank, clock, collector, shared, root):
    banks.protect(bank, "c1", DATA, project_id="p1")
    banks.protect(bank, "c2", DATA, project_id="p2")
    damaged = layout.collector_key(root, "p1", "0" * 32)
    shared.put(damaged, b"damaged")
    for checkpoint_id in ("c1", "c2"):
        bank.checkpoints.delete(checkpoint_id)
    for _ in range(5):
        clock.advance(LONG)
        report = collector.run()
    assert keys(shared, "data/p2/") == []
    if root == layout.QUARANTINE:
        assert list(report.problems) == ["p1"]
        assert damaged in report.problems["p1"]
        assert keys(shared, "data/p1/")
        assert keys(shared, damaged)
    else:
        assert not report.problems
        assert keys(shared) == []


@pytest.mark.parametrize("deleted", [True, False])
def test_a_foreign_plan_that_cannot_be_indexed_stops_nothing(shared, clock, deleted):
    bank = banks.make_bank(shared, clock=clock, encrypted=False)
    with bank.leases.acquire(holder="test") as lease:
        bank.checkpoints.begin(dataclasses.replace(banks.record("foreign"), provider_id="x" * 250), lease)
    if deleted:
        shared.put(layout.tombstone_key("foreign"), b"")
    banks.protect(bank, "c1", DATA)
    bank.checkpoints.delete("c1")
    for _ in range(4):
        clock.advance(TEST.abandoned)
        Collector(bank).run()
    assert keys(shared, "data/") == []
    assert keys(shared, "checkpoints/c1/") == []
    bank.checkpoints.delete("foreign")
    assert until_quiet(bank, clock) == []


@pytest.mark.parametrize("encrypted", [True, False])
def test_a_bank_of_which_everything_was_deleted_is_empty(shared, clock, encrypted):
    bank = banks.make_bank(shared, clock=clock, encrypted=encrypted)
    for number in range(3):
        banks.protect(bank, f"c{number}", DATA, project_id=f"p{number % 2}")
    for number in range(3):
        bank.checkpoints.delete(f"c{number}")
    assert until_quiet(bank, clock) == []


def test_a_failed_checkpoint_keeps_its_packs_until_it_is_deleted(bank, clock, shared):
    with bank.leases.acquire(holder="one") as lease:
        banks.new_section(bank, "c1", lease).write("data", [DATA])
        bank.checkpoints.event("c1", "error", {"reason": "the other volume failed"})
    packs = keys(shared, "data/")
    until_quiet(bank, clock)
    assert keys(shared, "data/") == packs
    bank.checkpoints.delete("c1")
    assert until_quiet(bank, clock) == []


def test_what_was_written_before_a_take_over_can_still_be_committed(bank, clock, shared):
    lease = bank.leases.acquire(holder="killed")
    banks.new_section(bank, "c1", lease).write("data", [DATA])
    until_quiet(bank, clock)
    with bank.leases.acquire(holder="another") as lease:
        bank.checkpoints.commit("c1", lease)
    assert banks.read(bank.section("c1", banks.PROJECT, banks.VOLUME)) == DATA


# Leases.


def renewing(clock, lease, seconds):
    """Let time pass for a writer that renews its lease."""
    while seconds > 0:
        clock.advance(min(seconds, 40))
        seconds -= 40
        lease.renew()


def test_a_base_that_is_deleted_while_it_is_built_on_keeps_its_packs(bank, clock, shared, collector):
    banks.protect(bank, "c1", DATA)
    clock.advance(LONG)
    lease = bank.leases.acquire(holder="slow", bases=["c1"])
    section = banks.new_section(bank, "c2", lease)
    base = bank.section("c1", banks.PROJECT, banks.VOLUME)

    def source():
        yield NEXT[:1500]  # by now the first part of the base was read
        bank.checkpoints.delete("c1")
        for _ in range(10):
            renewing(clock, lease, TEST.quarantine)
            report = collector.run()
        assert report.waiting[0].reason.startswith("pinned by the write lease")
        assert "of slow" in report.waiting[0].reason
        yield NEXT[1500:]

    stats = section.write("data", source(), bases=[base])
    assert stats.new < len(NEXT)
    bank.checkpoints.commit("c2", lease)
    lease.release()
    until_quiet(bank, clock)
    assert banks.read(bank.section("c2", banks.PROJECT, banks.VOLUME)) == NEXT


def test_what_a_writer_at_work_stored_is_not_even_put_in_quarantine(bank, clock, collector, shared):
    with bank.leases.acquire(holder="slow") as lease:
        section = banks.new_section(bank, "c1", lease)

        def source():
            yield DATA
            yield DATA[:64]

        section.write("data", source())
        for key in keys(shared, "checkpoints/c1/resources/"):
            shared.delete(key)  # as if the head was not written yet
        renewing(clock, lease, 10 * TEST.quarantine)
        report = collector.run()
        assert report.quarantined.objects == report.reclaimed.objects == 0
        assert any("an active writer may have stored it" in item.reason for item in report.waiting)


def test_a_pack_in_quarantine_is_not_built_on(bank, clock, collector, shared):
    banks.protect(bank, "c1", DATA)
    packs = set(keys(shared, "data/"))
    ids = [bytes.fromhex(key.rpartition("/")[2]) for key in packs]
    exclusions.put_lists(shared.put, layout.QUARANTINE, banks.PROJECT, packs=ids)
    clock.advance(LONG)
    section = banks.protect(bank, "c2", DATA, bases=("c1",))
    assert section.stats("data").new == len(DATA)
    bank.checkpoints.delete("c1")
    until_quiet(bank, clock)
    assert not packs & set(keys(shared, "data/"))
    assert banks.read(section) == DATA


def test_a_pack_that_came_back_to_life_stays_and_may_be_built_on_again(bank, clock, collector, shared):
    banks.protect(bank, "c1", DATA)
    ids = [bytes.fromhex(key.rpartition("/")[2]) for key in keys(shared, "data/")]
    exclusions.put_lists(shared.put, layout.QUARANTINE, banks.PROJECT, packs=ids)
    clock.advance(LONG)
    collector.run()
    assert keys(shared, "quarantine/") == []
    assert banks.protect(bank, "c2", DATA, bases=("c1",)).stats("data").new == 0


def test_a_reader_pins_what_it_reads(bank, clock, collector, shared):
    banks.protect(bank, "c1", DATA)
    packs = keys(shared, "data/")
    clock.advance(LONG)
    with bank.leases.acquire(holder="restore", bases=["c1"], kind="read") as lease:
        bank.checkpoints.delete("c1")
        for _ in range(5):
            renewing(clock, lease, TEST.quarantine)
            report = collector.run()
        assert keys(shared, "data/") == packs
        assert report.waiting[0].reason.startswith("pinned by the read lease")
    assert until_quiet(bank, clock) == []


def test_a_new_data_key_is_made_where_the_old_one_is_about_to_go(bank, clock, shared):
    banks.protect(bank, "c1", DATA)
    bank.checkpoints.delete("c1")
    (old,) = keys(shared, "keys/")
    while not any(found.data_keys for found in exclusions.read_lists(shared, layout.QUARANTINE, banks.PROJECT)):
        clock.advance(LONG)
        Collector(bank).run()
    section = banks.protect(bank, "c2", DATA)
    assert len(keys(shared, "keys/")) == 2
    until_quiet(bank, clock)
    assert banks.read(section) == DATA
    bank.checkpoints.delete("c2")
    assert until_quiet(bank, clock) == []


# Mostly dead packs.


def test_packs_that_are_mostly_dead_empty_themselves(clock, shared):
    # One thread: the blocks stand in the packs in the order of the stream, so that each pack keeps one of them.
    bank = banks.make_bank(shared, clock=clock, threads=1)
    banks.protect(bank, "c1", DATA)
    old = set(keys(shared, "data/"))
    changed = bytearray(OTHER)
    for at in range(0, len(changed), 1024):
        changed[at : at + 64] = DATA[at : at + 64]
    data = bytes(changed)
    banks.protect(bank, "c2", data, bases=("c1",))
    bank.checkpoints.delete("c1")
    assert old & set(keys(shared, "data/"))
    until_quiet(bank, clock)
    assert old & set(keys(shared, "data/")), "c2 still needs a block of each"
    assert Collector(bank).plan().mostly_dead.objects >= 3
    stats = banks.protect(bank, "c3", data, bases=("c2",)).stats("data")
    assert 0 < stats.new <= 5 * 64
    bank.checkpoints.delete("c2")
    until_quiet(bank, clock)
    assert not old & set(keys(shared, "data/"))
    assert banks.read(bank.section("c3", banks.PROJECT, banks.VOLUME)) == data
    assert keys(shared, "refresh/") == []
    assert banks.protect(bank, "c4", data, bases=("c3",)).stats("data").new == 0


# What cannot be read.


@pytest.mark.parametrize("damage", ["head", "segment", "no segment", "key"])
def test_a_project_with_a_manifest_that_cannot_be_read_loses_nothing(bank, clock, shared, damage):
    banks.protect(bank, "c1", DATA)
    banks.protect(bank, "c2", OTHER)
    banks.protect(bank, "c3", OTHER, project_id="p2")
    bank.checkpoints.delete("c1")
    bank.checkpoints.delete("c3")
    kind = "manifests" if damage == "head" else "segments"
    broken = next(key for key in keys(shared, "checkpoints/c2/") if f"/{kind}/" in key)
    good = shared.get(broken)
    if damage == "no segment":
        shared.delete(broken)
    elif damage == "key":
        (wrapped,) = keys(shared, f"keys/{banks.PROJECT}/")
        good = shared.get(wrapped)
        shared.put(wrapped, good[:-1])
        bank = banks.make_bank(shared, clock=clock)
    else:
        shared.put(broken, bytes(reversed(good)))
    packs = keys(shared, f"data/{banks.PROJECT}/")
    for _ in range(5):
        clock.advance(LONG)
        report = Collector(bank).run()
        assert list(report.problems) == [banks.PROJECT]
    assert keys(shared, f"data/{banks.PROJECT}/") == packs
    assert not keys(shared, "data/p2/")
    assert any("cannot be read" in item.reason for item in report.waiting)
    shared.put(wrapped if damage == "key" else broken, good)
    until_quiet(banks.make_bank(shared, clock=clock), clock)
    assert 0 < len(keys(shared, f"data/{banks.PROJECT}/")) < len(packs)


def test_a_store_that_does_not_answer_ends_the_run(shared, clock):
    bank = banks.make_bank(shared, clock=clock)
    banks.protect(bank, "c1", DATA)
    clock.advance(LONG)
    kept = set(keys(shared))
    for nth in range(1, 200):
        store = stores.FaultyStore(shared, clock)
        store.inject(stores.FAIL, nth=nth)
        clock.advance(LONG)
        with contextlib.suppress(errors.ConnectionFailed):
            Collector(banks.make_bank(store, clock=clock)).run()
        assert {key for key in kept if not key.startswith("leases/")} <= set(keys(shared))
        if store.calls < nth:
            break
    assert nth > 10


# Crashes.


@pytest.mark.parametrize("fault", [stores.CRASH, stores.CRASH_AFTER], ids=repr)
def test_a_collector_that_is_killed_at_any_call_loses_nothing_and_leaves_nothing(clock, fault):
    for nth in range(1, 400):
        clock = ManualClock()
        shared = MemoryStore(clock)
        bank = banks.make_bank(shared, clock=clock)
        banks.protect(bank, "c1", DATA)
        banks.protect(bank, "c2", NEXT, bases=("c1",))
        bank.checkpoints.delete("c1")
        store = stores.FaultyStore(shared, clock)
        store.inject(fault, nth=nth)
        doomed = Collector(banks.make_bank(store, clock=clock))
        with contextlib.suppress(stores.Crashed):
            for _ in range(4):
                clock.advance(LONG)
                doomed.run()
        assert banks.read(bank.section("c2", banks.PROJECT, banks.VOLUME)) == NEXT
        if store.calls < nth:
            break
        bank.checkpoints.delete("c2")
        assert until_quiet(bank, clock) == []
    assert nth > 60


# Leftovers.


def test_an_abandoned_checkpoint_is_given_up(bank, clock, collector, shared):
    lease = bank.leases.acquire(holder="killed")
    banks.new_section(bank, "c1", lease).write("data", [DATA])
    for key in keys(shared, "indices/"):
        shared.delete(key)
    clock.advance(TEST.abandoned - 1)
    collector.run()
    assert bank.checkpoints.get("c1").status == "protecting"
    clock.advance(1)
    assert collector.run().leftovers["abandoned_checkpoints"] == 1
    record = bank.checkpoints.get("c1")
    assert record.status == "error"
    assert "it has not changed for" in record.events[-1].detail["reason"]
    assert [entry.id for entry in bank.checkpoints.index.list()] == ["c1"]
    bank.checkpoints.delete("c1")
    assert until_quiet(bank, clock) == []


def test_attempts_that_were_superseded_are_cleared_away(bank, clock, shared):
    with bank.leases.acquire(holder="one") as lease:
        section = banks.new_section(bank, "c1", lease)
        section.put("metadata", {"n": 1})
        section.write("data", [OTHER])
        section.put("metadata", {"n": 2})
        section.write("data", [DATA])
        shared.put(layout.segment_key("c1", banks.VOLUME, "data", "f" * 32, 0), b"left by a crash")
        before = len(keys(shared, "data/"))
        bank.checkpoints.commit("c1", lease)
    until_quiet(bank, clock)
    left = [layout.parse_resource_key(key) for key in keys(shared, "checkpoints/c1/resources/")]
    assert sorted(item.kind for item in left if item.kind != "segments") == ["documents", "manifests"]
    assert len({item.rest.split("/")[0] for item in left if item.kind == "segments"}) == 1
    assert len(keys(shared, "data/")) < before
    section = bank.section("c1", banks.PROJECT, banks.VOLUME)
    assert section.get("metadata") == {"n": 2}
    assert banks.read(section) == DATA


def test_attempts_of_a_writer_at_work_stay_whatever_another_committed(bank, clock, shared):
    """It took over before it could see the commit, and may still make its own the valid one."""
    with bank.leases.acquire(holder="one") as first:
        banks.new_section(bank, "c1", first).put("metadata", {"n": 1})
        bank.checkpoints.commit("c1", first)
    second = bank.leases.acquire(holder="two")
    key = layout.attempt_key(layout.document_prefix("c1", banks.VOLUME, "metadata"), second.id, 0)
    bank.section("c1", banks.PROJECT, banks.VOLUME, lease=second).put("metadata", {"n": 2})
    for _ in range(10):
        clock.advance(TEST.lease_duration / 2)
        second.renew()
    assert second.now() - second.started > timedelta(seconds=TEST.stale_after)
    Collector(bank).run()
    assert shared.exists(key)
    second.release()
    until_quiet(bank, clock)
    assert not shared.exists(key)
    assert bank.section("c1", banks.PROJECT, banks.VOLUME).get("metadata") == {"n": 1}


def test_strangers_are_left_alone(bank, clock, shared):
    for key in ("leases/x", "indices/by-date/x", "checkpoints/c9/x", "README"):
        shared.put(key, b"?")
    left = until_quiet(bank, clock)
    assert left == ["README", "indices/by-date/x", "leases/x"]


# Dry run, and one at a time.


def test_a_dry_run_says_what_it_would_do_and_changes_nothing(bank, clock, collector, shared):
    banks.protect(bank, "c1", DATA)
    banks.protect(bank, "c2", OTHER)
    clock.advance(LONG)
    bank.checkpoints.delete("c1")
    before = keys(shared)
    dry = collector.plan()
    assert keys(shared) == before
    assert dry.dry_run
    assert dry.quarantined.objects > 0
    (waiting,) = dry.waiting
    assert waiting.until == clock.now() + timedelta(seconds=TEST.quarantine)
    assert waiting.amount == dry.quarantined
    collector.run()
    clock.advance(TEST.quarantine)
    dry = collector.plan()
    assert dry.reclaimed.objects == waiting.amount.objects
    assert dry.waiting == []
    report = collector.run()
    assert report.reclaimed == dry.reclaimed
    assert not report.dry_run
    body = report.to_dict()
    assert body["reclaimed"] == {"objects": report.reclaimed.objects, "bytes": report.reclaimed.bytes}


def test_two_collectors_do_not_do_the_same_work(bank, clock, shared):
    first = bank.leases.acquire(holder="collector on host1", kind="gc")
    clock.advance(1)
    with pytest.raises(exception.Conflict, match="another collector is running in this bank: collector on host1"):
        Collector(bank).run()
    clock.advance(TEST.lease_duration)
    Collector(bank).run()
    first.release()


def test_progress_is_told(bank, clock, collector):
    banks.protect(bank, "c1", DATA)
    bank.checkpoints.delete("c1")
    seen = []
    for _ in range(3):
        clock.advance(LONG)
        collector.run(lambda *step: seen.append(step))
    assert {stage for stage, _, _ in seen} == {"mark", "sweep", "delete"}
    assert seen[-1][1] == seen[-1][2]


# The table of packs.


@pytest.mark.parametrize(("combine", "fold"), [(np.maximum, max), (np.add, lambda a, b: a + b)])
def test_a_table_of_packs_is_a_dictionary(combine, fold):
    rng = random.Random(5)
    known = [bytes(16), b"a" + bytes(15), b"a" + bytes(14) + b"\1"] + [rng.randbytes(16) for _ in range(500)]
    table, expected = PackTable(combine), {}
    for _ in range(70_000):
        pack, number = rng.choice(known), rng.randrange(2**33)
        table.add(pack, number)
        expected[pack] = fold(expected[pack], number) if pack in expected else number
    assert len(table) == len(expected)
    assert table.numbers([*known, b"b" * 16]) == [*(expected.get(pack) for pack in known), None]
    other = PackTable(combine)
    other.add(b"b" * 16, 7)
    table.add_all(other)
    assert table.numbers([b"b" * 16, known[0]]) == [7, expected[known[0]]]
    assert PackTable(combine).numbers([b"b" * 16]) == [None]
    assert table.numbers([]) == []
