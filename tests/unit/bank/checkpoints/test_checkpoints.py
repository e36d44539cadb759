"""A checkpoint is available whole or not at all, wherever its writer, its deleter or the store stops."""

import contextlib
import dataclasses
import itertools
import json
import random
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.checkpoints import events
from karbor_like.bank.checkpoints.index import IndexEntry
from karbor_like.bank.collector.gc import Collector
from karbor_like.bank.format import jsonobject, seal
from karbor_like.bank.leases.safety import TEST
from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.clock import ManualClock
from tests.fixtures import stores
from tests.unit.bank import banks
from tests.unit.bank.hosts import HostClock
from tests.unit.bank.reader import Reader

DATA = random.Random(1).randbytes(3000)
NEXT = DATA[:2000] + random.Random(2).randbytes(1500)


@pytest.fixture(params=[True, False], ids=["encrypted", "plain"])
def encrypted(request):
    return request.param


@pytest.fixture
def bank(shared, clock, encrypted):
    return banks.make_bank(shared, clock=clock, encrypted=encrypted)


def another(shared, clock, encrypted=True):
    """The same bank, as another process sees it, and the store that can be told to fail it."""
    store = stores.FaultyStore(shared, clock)
    return banks.make_bank(store, clock=clock, encrypted=encrypted, threads=1), store


def keys(store, prefix=""):
    return [info.key for info in store.list(prefix, limit=10**6)]


# Making.


def test_a_checkpoint_is_found_as_it_was_made(bank, clock):
    record = dataclasses.replace(
        banks.record("c1"),
        extra_info={"created_by": "ünïcode \ud800"},
        created_at=clock.now(),
        resource_graph="[{}, []]",
    )
    with bank.leases.acquire(holder="one") as lease:
        bank.checkpoints.create(record, lease)
        bank.checkpoints.create(record, lease)
    found = bank.checkpoints.get("c1")
    assert found == record
    assert [event.status for event in found.events] == ["protecting"]
    assert bank.checkpoints.index.list() == [IndexEntry("c1", banks.PROJECT, "provider-1", "plan-1", clock.now())]


def test_another_checkpoint_of_the_same_id_is_refused(bank):
    with bank.leases.acquire(holder="one") as lease:
        bank.checkpoints.create(banks.record("c1"), lease)
        with pytest.raises(exception.Conflict, match="checkpoint c1: the bank already has another checkpoint"):
            bank.checkpoints.create(banks.record("c1", "project-2"), lease)


def test_a_copy_begins_with_its_own_status(bank):
    with bank.leases.acquire(holder="one") as lease:
        bank.checkpoints.create(dataclasses.replace(banks.record("c1"), status="wait_copying"), lease)
        assert bank.checkpoints.get("c1").status == "wait_copying"
        bank.checkpoints.event("c1", "copying")
        bank.checkpoints.commit("c1", lease, {"copied_from": "c0"})
    record = bank.checkpoints.get("c1")
    assert record.status == "available"
    assert record.events[-1].detail == {"copied_from": "c0"}


def test_a_lease_that_ran_out_makes_no_checkpoint(bank, clock, shared):
    lease = bank.leases.acquire(holder="one")
    clock.advance(TEST.lease_duration)
    with pytest.raises(errors.LeaseLost):
        bank.checkpoints.create(banks.record("c1"), lease)
    assert not keys(shared, "checkpoints/")


def test_there_is_no_checkpoint_that_nobody_made(bank):
    with pytest.raises(exception.CheckpointNotFound, match="no checkpoint c1 in the bank"):
        bank.checkpoints.get("c1")
    bank.checkpoints.delete("c1")
    assert list(bank.checkpoints.ids()) == []


# Events.


def test_the_last_event_says_the_status_also_when_the_clock_is_set_back(bank, clock):
    banks.protect(bank, "c1", DATA)
    for status in ("error", "available", "deleting", "error-deleting", "deleting"):
        clock.step(-3600)
        bank.checkpoints.event("c1", status, {"reason": status})
        record = bank.checkpoints.get("c1")
        assert record.status == status
        assert record.events[-1].detail == {"reason": status}
    seqs = [event.seq for event in record.events]
    assert seqs == sorted(set(seqs))


@pytest.mark.parametrize("status", ["deleted", "restoring", ""])
def test_a_status_that_cannot_be_given_is_refused(bank, status):
    banks.protect(bank, "c1", DATA)
    with pytest.raises(exception.InvalidInput):
        bank.checkpoints.event("c1", status)


def test_what_was_never_completed_cannot_be_made_available(bank):
    with bank.leases.acquire(holder="one") as lease:
        banks.new_section(bank, "c1", lease).write("data", [DATA])
        bank.checkpoints.event("c1", "error")
    with pytest.raises(exception.Conflict, match="never completed"):
        bank.checkpoints.event("c1", "available")


@pytest.mark.parametrize("gone", ["data/", "checkpoints/c1/resources/"])
def test_what_is_not_whole_any_more_cannot_be_made_available(bank, shared, gone):
    banks.protect(bank, "c1", DATA)
    bank.checkpoints.event("c1", "error-deleting")
    shared.delete(keys(shared, gone)[0])
    with pytest.raises(errors.Corrupted, match="is missing"):
        bank.checkpoints.event("c1", "available")
    assert bank.checkpoints.get("c1").status == "error-deleting"


def test_a_listing_that_lags_makes_nothing_available_whose_packs_are_gone(shared, clock):
    eventual = stores.EventualStore(shared, clock, TEST.listing_lag)
    bank = banks.make_bank(eventual, clock=clock)
    banks.protect(bank, "c1", DATA)
    eventual.settle()
    gone = keys(shared, "data/")[0]
    bank.checkpoints.event("c1", "error")
    with bank.leases.acquire(holder="one", bases=["c1"]) as lease:
        section = banks.new_section(bank, "c2", lease)
        # The same data: whichever pack goes is one that it needs.
        section.write("data", [DATA], bases=[bank.section("c1", banks.PROJECT, banks.VOLUME)])
        eventual.delete(gone)
        assert gone in keys(eventual, "data/")
        with pytest.raises(errors.Corrupted, match=f"{gone} is missing"):
            bank.checkpoints.commit("c2", lease)
        with pytest.raises(errors.Corrupted, match=f"{gone} is missing"):
            bank.checkpoints.event("c1", "available")
    eventual.settle()
    assert [bank.checkpoints.get(name).status for name in ("c1", "c2")] == ["error", "protecting"]


def test_what_a_writer_finds_of_the_one_before_it_is_committed_though_no_listing_shows_it(shared, clock):
    class Slow(stores.EventualStore):
        def _later(self):
            return self._clock.monotonic() + TEST.listing_lag

    slow = Slow(shared, clock, TEST.listing_lag)
    bank = banks.make_bank(slow, clock=clock)
    with bank.leases.acquire(holder="one") as lease:
        section = banks.new_section(bank, "c1", lease)
        section.write("data", [DATA])
        section.put("metadata", {"size": 1})
    with bank.leases.acquire(holder="two") as lease:
        bank.checkpoints.create(banks.record("c1"), lease)
        section = bank.section("c1", banks.PROJECT, banks.VOLUME, lease=lease)
        assert section.stats("data").logical == len(DATA)
        assert section.get("metadata") == {"size": 1}
        section.put("more", {})
        assert section.names() == [], "the test is about what listings do not show"
        bank.checkpoints.commit("c1", lease)
    slow.settle()
    assert bank.section("c1", banks.PROJECT, banks.VOLUME).names() == ["data", "metadata", "more"]


def test_a_commit_asks_for_packs_that_are_older_than_its_lease_and_lists_its_own(shared, clock):
    banks.protect(banks.make_bank(shared, clock=clock), "c1", DATA)
    old = set(keys(shared, "data/"))
    asked = []

    class Watched(stores.FaultyStore):
        def stat(self, key):
            asked.append(key)
            return super().stat(key)

    bank = banks.make_bank(Watched(shared, clock), clock=clock)
    with bank.leases.acquire(holder="one", bases=["c1"]) as lease:
        clock.advance(1)
        section = banks.new_section(bank, "c2", lease)
        base = bank.section("c1", banks.PROJECT, banks.VOLUME)
        section.write("data", [DATA + NEXT], bases=[base])
        asked.clear()
        bank.checkpoints.commit("c2", lease)
    assert set(keys(shared, "data/")) > old
    assert sorted(key for key in asked if key.startswith("data/")) == sorted(old)


@pytest.mark.parametrize("part", ["plan.json", "events/"])
def test_objects_of_a_checkpoint_are_bound_to_it(shared, clock, encrypted, part):
    bank = banks.make_bank(shared, clock=clock, encrypted=encrypted)
    banks.protect(bank, "c1", DATA)
    banks.protect(bank, "c2", NEXT)
    one, two = keys(shared, f"checkpoints/c1/{part}")[-1], keys(shared, f"checkpoints/c2/{part}")[-1]
    shared.put(one, shared.get(two))
    with pytest.raises(errors.Corrupted, match=one):
        bank.checkpoints.get("c1")
    assert bank.checkpoints.get("c2").status == "available"


@pytest.mark.parametrize("part", ["plan.json", "events/"])
def test_a_checkpoint_cannot_be_signed_with_another_projects_key(shared, clock, part):
    bank = banks.make_bank(shared, clock=clock)
    banks.protect(bank, "c1", DATA, project_id="mallory")
    forged = {key: shared.get(key) for key in keys(shared, f"checkpoints/c1/{part}")}
    other = MemoryStore(clock)
    for key in keys(shared, "keys/"):
        other.put(key, shared.get(key))
    bank = banks.make_bank(other, clock=clock)
    banks.protect(bank, "c1", DATA, project_id="alice")
    for key, data in forged.items():
        other.put(key, data)
    with pytest.raises(errors.Corrupted, match="sealed with the key|of project"):
        bank.checkpoints.get("c1")


# Committing.


def test_a_commit_pins_every_document_and_stream(bank):
    with bank.leases.acquire(holder="one") as lease:
        section = banks.new_section(bank, "c1", lease)
        section.put("metadata", {"n": 1})
        section.put("metadata", {"n": 2})
        section.write("data", [DATA])
        bank.checkpoints.commit("c1", lease)
        bank.checkpoints.commit("c1", lease)
    record = bank.checkpoints.get("c1")
    assert [event.status for event in record.events] == ["protecting", "available"]
    pins = events.pins_of(record.events)
    assert sorted(layout.parse_resource_key(key).name for key in pins.values()) == ["data", "metadata"]
    section = bank.section("c1", banks.PROJECT, banks.VOLUME)
    assert section.get("metadata") == {"n": 2}
    assert banks.read(section) == DATA


def test_after_the_commit_nothing_else_is_valid(bank, shared):
    one = bank.leases.acquire(holder="one")
    stale = banks.new_section(bank, "c1", one)
    stale.write("data", [DATA])
    bank.checkpoints.commit("c1", one)
    # Whatever else comes: the commit stands for what it was made for.
    two = bank.leases.acquire(holder="two")
    bank.section("c1", banks.PROJECT, banks.VOLUME, lease=two).write("data", [NEXT])
    assert banks.read(bank.section("c1", banks.PROJECT, banks.VOLUME)) == DATA


@pytest.mark.parametrize("gone", ["/data/project-1/", "/segments/"])
def test_what_is_not_there_is_not_committed(bank, shared, gone):
    with bank.leases.acquire(holder="one") as lease:
        banks.new_section(bank, "c1", lease).write("data", [DATA])
        missing = next(key for key in keys(shared) if gone in f"/{key}")
        shared.delete(missing)
        with pytest.raises(errors.Corrupted, match=missing):
            bank.checkpoints.commit("c1", lease)
    assert bank.checkpoints.get("c1").status == "protecting"


def test_a_truncated_pack_is_not_committed(bank, shared):
    with bank.leases.acquire(holder="one") as lease:
        banks.new_section(bank, "c1", lease).write("data", [DATA])
        pack = keys(shared, "data/")[0]
        shared.put(pack, shared.get(pack)[:-1])
        with pytest.raises(errors.Corrupted, match=f"{pack} has"):
            bank.checkpoints.commit("c1", lease)


@pytest.mark.parametrize("status", ["error", "deleting"])
def test_what_somebody_gave_up_is_not_committed(bank, status):
    with bank.leases.acquire(holder="one") as lease:
        banks.new_section(bank, "c1", lease).write("data", [DATA])
        bank.checkpoints.event("c1", status)
        with pytest.raises(exception.Conflict, match=f"is '{status}'; only a running one"):
            bank.checkpoints.commit("c1", lease)


def test_who_was_taken_over_cannot_commit_or_write(bank):
    one = bank.leases.acquire(holder="one")
    stale = banks.new_section(bank, "c1", one)
    stale.write("data", [DATA])
    two = bank.leases.acquire(holder="two")
    fresh = bank.section("c1", banks.PROJECT, banks.VOLUME, lease=two)
    fresh.put("metadata", {})
    for attempt in (
        lambda: stale.write("data", [NEXT]),
        lambda: stale.put("metadata", {"stale": True}),
        lambda: bank.checkpoints.commit("c1", one),
    ):
        with pytest.raises(errors.LeaseLost, match="taken over from the write lease .* of one"):
            attempt()
    bank.checkpoints.commit("c1", two)
    section = bank.section("c1", banks.PROJECT, banks.VOLUME)
    assert section.get("metadata") == {}
    assert banks.read(section) == DATA  # what the first one finished is kept


def test_a_stream_that_arrived_after_its_writers_lease_is_not_committed_by_another(bank, clock, shared):
    one = bank.leases.acquire(holder="one")
    banks.new_section(bank, "c1", one).write("data", [DATA])
    clock.advance(TEST.lease_duration + 1)
    late = next(key for key in keys(shared) if "/manifests/" in key)
    shared.put(late, shared.get(late))
    with bank.leases.acquire(holder="two") as two:
        with pytest.raises(errors.Corrupted, match=f"{late}: reached the bank at .* has to be written again"):
            bank.checkpoints.commit("c1", two)
        bank.section("c1", banks.PROJECT, banks.VOLUME, lease=two).write("data", [NEXT])
        bank.checkpoints.commit("c1", two)
    assert banks.read(bank.section("c1", banks.PROJECT, banks.VOLUME)) == NEXT


class Held(stores.FaultyStore):
    """The commit event is on its way when its writer stops: it may arrive at any time."""

    def __init__(self, inner, clock):
        super().__init__(inner, clock)
        self.late = None

    def put(self, key, data):
        if key.endswith("-available.json"):
            self.late = partial(self.inner.put, key, data)
            raise stores.Crashed(key)
        super().put(key, data)


def late_commit(shared, clock, encrypted, *, ahead=0.0):
    """Checkpoint c1 with DATA, of which only the commit has not arrived. Returns what lets it arrive.

    :param ahead: seconds by which its writer's clock was ahead
    """
    store, host = Held(shared, clock), HostClock(clock)
    host.step(ahead)
    bank = banks.make_bank(store, clock=host, encrypted=encrypted)
    lease = bank.leases.acquire(holder="late")
    banks.new_section(bank, "c1", lease).write("data", [DATA])
    with pytest.raises(stores.Crashed):
        bank.checkpoints.commit("c1", lease)
    clock.advance(TEST.lease_duration)
    return store.late


@pytest.mark.parametrize("ahead", [-100_000.0, 0.0, 100_000.0])
def test_a_commit_that_arrives_after_another_took_over_and_committed_changes_nothing(
    shared, clock, bank, encrypted, ahead
):
    arrive = late_commit(shared, clock, encrypted, ahead=ahead)
    with bank.leases.acquire(holder="two") as two:
        bank.section("c1", banks.PROJECT, banks.VOLUME, lease=two).write("data", [NEXT])
        bank.checkpoints.commit("c1", two)
    before = bank.checkpoints.get("c1")
    for _ in range(3):
        clock.advance(TEST.leftovers + TEST.quarantine + TEST.grace.total_seconds() + 1)
        Collector(bank).run()
    assert len([key for key in keys(shared) if "/manifests/" in key]) == 1
    arrive()
    record = bank.checkpoints.get("c1")
    assert (record.status, events.pins_of(record.events)) == ("available", events.pins_of(before.events))
    assert banks.read(bank.section("c1", banks.PROJECT, banks.VOLUME)) == NEXT
    masters = {"m1": bytes([7]) * 32} if encrypted else {}
    assert Reader({key: shared.get(key) for key in keys(shared)}, masters).stream("c1", banks.VOLUME, "data") == NEXT
    bank.checkpoints.event("c1", "error-deleting")
    assert bank.checkpoints.get("c1").status == "error-deleting"
    bank.checkpoints.event("c1", "available")
    assert banks.read(bank.section("c1", banks.PROJECT, banks.VOLUME)) == NEXT


def test_a_late_commit_that_nobody_takes_back_is_of_a_whole_checkpoint(shared, clock, bank, encrypted):
    """What it pins was stored under a good lease, and is kept while the checkpoint is there."""
    arrive = late_commit(shared, clock, encrypted)
    for _ in range(3):
        clock.advance(TEST.quarantine + TEST.grace.total_seconds() + 1)
        Collector(bank).run()
    arrive()
    assert read_available(bank) == DATA


def test_who_takes_over_does_not_rely_on_a_commit_that_may_be_taken_back(shared, clock, bank, encrypted):
    class TakenOver(stores.FaultyStore):
        """Its process stops when its commit was put, until another one took over and has seen the commit."""

        def put(self, key, data):
            super().put(key, data)
            if key.endswith("-available.json"):
                clock.advance(TEST.lease_duration)
                with bank.leases.acquire(holder="two") as two:
                    bank.checkpoints.commit("c1", two)
                    bank.checkpoints.commit("c1", two)

    one = banks.make_bank(TakenOver(shared, clock), clock=clock, encrypted=encrypted)
    with one.leases.acquire(holder="one") as lease:
        banks.new_section(one, "c1", lease).write("data", [DATA])
        with pytest.raises(errors.LeaseLost):
            one.checkpoints.commit("c1", lease)
    record = bank.checkpoints.get("c1")
    assert [event.status for event in record.events] == ["protecting", "available"]
    assert banks.read(bank.section("c1", banks.PROJECT, banks.VOLUME)) == DATA


def test_a_commit_of_which_nobody_knows_when_it_arrived_is_taken_back(shared, clock):
    bank, store = another(shared, clock)
    with bank.leases.acquire(holder="one") as lease:
        banks.new_section(bank, "c1", lease).write("data", [DATA])
        store.inject(stores.FAIL, op="stat", prefix="checkpoints/c1/events/")
        with pytest.raises(errors.ConnectionFailed):
            bank.checkpoints.commit("c1", lease)
        assert bank.checkpoints.get("c1").status == "protecting"
        bank.checkpoints.commit("c1", lease)
    assert bank.checkpoints.get("c1").status == "available"


def test_a_commit_that_does_not_say_its_claim_is_valid_where_it_is_the_only_one(shared, clock):
    """Early versions wrote none."""
    bank = banks.make_bank(shared, clock=clock, encrypted=False)
    banks.protect(bank, "c1", DATA)

    def without_claim(body):
        assert body.pop("claim") == 0
        return body

    alter(shared, keys(shared, "checkpoints/c1/events/")[-1], without_claim)
    assert bank.checkpoints.get("c1").events[-1].claim == -1
    assert read_available(bank) == DATA
    assert Reader({key: shared.get(key) for key in keys(shared)}, {}).stream("c1", banks.VOLUME, "data") == DATA


@pytest.mark.parametrize(
    "change",
    [
        lambda pins: [*pins],
        lambda pins: {**pins, "checkpoints/c1/resources/r/documents/d/": "checkpoints/c1/plan.json"},
        lambda pins: dict.fromkeys(pins, 1),
        lambda pins: {prefix: key.replace("c1", "c2") for prefix, key in pins.items()},
        lambda pins: {prefix.replace("c1", "c2"): key.replace("c1", "c2") for prefix, key in pins.items()},
        lambda pins: {prefix: key + "0" for prefix, key in pins.items()},
        lambda pins: {prefix + "more/": key for prefix, key in pins.items()},
    ],
)
def test_a_commit_that_pins_what_it_cannot_is_damaged(shared, clock, change):
    bank = banks.make_bank(shared, clock=clock, encrypted=False)
    banks.protect(bank, "c1", DATA)
    alter(shared, keys(shared, "checkpoints/c1/events/")[-1], lambda body: {**body, "pins": change(body["pins"])})
    with pytest.raises(errors.Corrupted, match="members of the event are missing or of the wrong type"):
        bank.checkpoints.get("c1")


@pytest.mark.parametrize("value", ["2026-01-01T00:00:00", "yesterday", "", 1, None])
@pytest.mark.parametrize(("name", "member"), [("plan.json", "created_at"), ("events/", "at")])
def test_a_time_that_is_none_is_damage(shared, clock, name, member, value):
    bank = banks.make_bank(shared, clock=clock, encrypted=False)
    banks.protect(bank, "c1", DATA)
    alter(shared, keys(shared, f"checkpoints/c1/{name}")[-1], lambda body: {**body, member: value})
    with pytest.raises(errors.Corrupted, match=f"^checkpoints/c1/{name}"):
        bank.checkpoints.get("c1")


def test_what_somebody_else_put_among_the_events_is_left_alone(shared, clock):
    bank = banks.make_bank(shared, clock=clock, encrypted=False)
    banks.protect(bank, "c1", DATA)
    shared.put("checkpoints/c1/events/zzz", b"not ours")
    assert read_available(bank) == DATA


def alter(store, key, change):
    """Put what *change* makes of a sealed JSON object in its place, as whoever can write to an unencrypted bank may."""
    store.put(key, seal.seal(key, jsonobject.dump(change(json.loads(seal.unseal(key, store.get(key), None)))), None))


def read_available(bank):
    assert bank.checkpoints.get("c1").status == "available"
    return banks.read(bank.section("c1", banks.PROJECT, banks.VOLUME))


def calls_of(shared, clock, work) -> int:
    """How many calls to the store *work* makes."""
    bank, store = another(shared, clock)
    start = store.calls
    work(bank, store)
    return store.calls - start


def snapshot(store: MemoryStore, clock: ManualClock) -> MemoryStore:
    """A store with the same objects."""
    copy = MemoryStore(clock)
    for info in store.list("", limit=10**6):
        copy.put(info.key, store.get(info.key))
    return copy


def protect_c2(bank, store=None):
    banks.protect(bank, "c2", NEXT, bases=("c1",))


def assert_whole_or_absent(shared, clock, data=NEXT, checkpoint_id="c2"):
    """A reader with fresh eyes sees an available checkpoint only with all its bytes."""
    bank = banks.make_bank(shared, clock=clock)
    try:
        record = bank.checkpoints.get(checkpoint_id)
    except exception.CheckpointNotFound:
        return "absent"
    if record.status == "available":
        assert banks.read(bank.section(checkpoint_id, banks.PROJECT, banks.VOLUME)) == data
    return record.status


@pytest.mark.parametrize("fault", [stores.CRASH, stores.CRASH_AFTER, stores.FAIL, stores.LOSE], ids=repr)
def test_a_writer_that_stops_at_any_call_leaves_no_half_checkpoint(clock, shared, fault):
    banks.protect(banks.make_bank(shared, clock=clock), "c1", DATA)
    calls = calls_of(snapshot(shared, clock), clock, protect_c2)
    assert calls > 40
    seen = set()
    for nth in range(1, calls + 1):
        copy = snapshot(shared, clock)
        bank, store = another(copy, clock)
        store.inject(fault, nth=nth)
        with contextlib.suppress(stores.Crashed, errors.BankError):
            protect_c2(bank)
        seen.add(assert_whole_or_absent(copy, clock))
        assert_whole_or_absent(copy, clock, DATA, "c1")
        # Another process finishes the job, whatever the first one left behind.
        banks.make_bank(copy, clock=clock)
        if assert_whole_or_absent(copy, clock) != "available":
            protect_c2(banks.make_bank(copy, clock=clock))
        assert assert_whole_or_absent(copy, clock) == "available"
    assert seen == {"absent", "protecting", "available"}


@pytest.mark.parametrize("late", ["before", "after"])
@pytest.mark.parametrize("suspended", [False, True], ids=["slow store", "suspended machine"])
def test_a_writer_whose_lease_runs_out_at_any_call_does_not_commit(clock, shared, suspended, late):
    """Before or after any call between taking its lease and committing, the process stops for longer than a lease lasts."""
    banks.protect(banks.make_bank(shared, clock=clock), "c1", DATA)
    statuses = set()
    for nth in itertools.count(1):
        true = ManualClock(clock.now())
        copy = snapshot(shared, true)
        store = Sleeper(copy, true)
        bank = banks.make_bank(store, clock=store, threads=1)
        with bank.leases.acquire(holder="one", bases=["c1"]) as lease:
            store.sleep_at(nth, late, suspended=suspended)
            try:
                banks.new_section(bank, "c2", lease).write(
                    "data", [NEXT], bases=[bank.section("c1", banks.PROJECT, banks.VOLUME)]
                )
                bank.checkpoints.commit("c2", lease)
                committed = True
            except errors.LeaseLost:
                committed = False
            store.stay_awake()
        status = assert_whole_or_absent(copy, true)
        statuses.add(status)
        assert (status == "available") == committed == (not store.slept), store.slept
        if not store.slept:
            break
    assert nth > 40
    assert statuses == {"absent", "protecting", "available"}


class Sleeper(stores.FaultyStore):
    """A process that stops at one of its calls of the store for longer than a lease lasts. Also its clock."""

    def __init__(self, inner, true):
        super().__init__(inner, true)
        self._true = true
        self._missed = 0.0
        self._wait = 0
        self.slept = ""

    def sleep_at(self, nth, late, *, suspended):
        """Sleep *late* (before or after) the *nth* call from now on.

        :param suspended: its monotonic clock stops meanwhile
        """
        self._wait, self._late, self._suspended = nth, late, suspended

    def stay_awake(self):
        self._wait = 0

    def _call(self, op, key, function):
        self._wait -= 1
        mine = self._wait == 0
        if mine and self._late == "before":
            self._oversleep(op, key)
        try:
            return super()._call(op, key, function)
        finally:
            if mine and self._late == "after":
                self._oversleep(op, key)

    def _oversleep(self, op, key):
        self.slept = f"{op} {key}"
        self._true.advance(TEST.lease_duration + 1)
        if self._suspended:
            self._missed += TEST.lease_duration + 1

    def now(self):
        return self._true.now()

    def monotonic(self):
        return self._true.monotonic() - self._missed

    def wait(self, event, seconds):
        return self._true.wait(event, seconds)


# Deleting.


def test_deleting_leaves_a_tombstone_and_what_the_collector_owns(bank, shared):
    banks.protect(bank, "c1", DATA)
    bank.checkpoints.delete("c1")
    assert {key.split("/")[0] for key in keys(shared)} <= {"checkpoints", "data", "keys", "leases"}
    assert keys(shared, "checkpoints/") == [layout.tombstone_key("c1")]
    with pytest.raises(exception.CheckpointNotFound):
        bank.checkpoints.get("c1")
    assert bank.checkpoints.index.list() == []
    bank.checkpoints.delete("c1")


@pytest.mark.parametrize("fault", [stores.CRASH, stores.CRASH_AFTER, stores.FAIL, stores.LOSE], ids=repr)
def test_a_deletion_that_stops_at_any_call_leaves_no_half_checkpoint(clock, shared, fault):
    first = banks.make_bank(shared, clock=clock)
    banks.protect(first, "c1", DATA)
    banks.protect(first, "c2", NEXT, bases=("c1",))
    calls = calls_of(snapshot(shared, clock), clock, lambda bank, store: bank.checkpoints.delete("c2"))
    seen = set()
    for nth in range(1, calls + 1):
        copy = snapshot(shared, clock)
        bank, store = another(copy, clock)
        store.inject(fault, nth=nth)
        with contextlib.suppress(stores.Crashed, errors.BankError):
            bank.checkpoints.delete("c2")
        status = assert_whole_or_absent(copy, clock)
        seen.add(status)
        fresh = banks.make_bank(copy, clock=clock)
        if status == "deleted":
            with pytest.raises(exception.CheckpointNotFound):
                fresh.section("c2", banks.PROJECT, banks.VOLUME)
            with pytest.raises(exception.Conflict):
                fresh.checkpoints.event("c2", "available")
        if status == "available":
            assert [entry.id for entry in fresh.checkpoints.index.list()] == [
                "c2",
                "c1",
            ] or fresh.checkpoints.index.list()
        fresh.checkpoints.delete("c2")
        assert keys(copy, "checkpoints/c2/") == [layout.tombstone_key("c2")]
        assert [entry.id for entry in fresh.checkpoints.index.list()] == ["c1"]
        assert_whole_or_absent(copy, clock, DATA, "c1")
    assert {"available", "deleted"} <= seen <= {"available", "deleted", "absent"}


def test_a_checkpoint_whose_plan_cannot_be_read_can_be_deleted(bank, shared):
    banks.protect(bank, "c1", DATA)
    shared.put(layout.plan_key("c1"), b"rubbish")
    with pytest.raises(errors.Corrupted, match="checkpoints/c1/plan.json"):
        bank.checkpoints.get("c1")
    bank.checkpoints.delete("c1")
    assert keys(shared, "checkpoints/") == [layout.tombstone_key("c1")]


def test_what_was_deleted_while_it_was_made_stays_deleted(bank, shared):
    with bank.leases.acquire(holder="one") as lease:
        section = banks.new_section(bank, "c1", lease)
        section.write("data", [DATA])
        shared.put(layout.tombstone_key("c1"), b"")
        for attempt in (
            lambda: bank.checkpoints.commit("c1", lease),
            lambda: bank.checkpoints.create(banks.record("c1"), lease),
            lambda: bank.checkpoints.event("c1", "error"),
        ):
            with pytest.raises(exception.Conflict):
                attempt()


# Listing.


def entries(bank, count, rng):
    """*count* checkpoints of some projects, providers and plans, without anything in them."""
    made = []
    start = datetime(2030, 1, 1, tzinfo=UTC)
    with bank.leases.acquire(holder="one"):
        for number in range(count):
            record = dataclasses.replace(
                banks.record(f"c{number:03d}", rng.choice(["p1", "p2"])),
                provider_id=rng.choice(["a", "b"]),
                plan={"id": rng.choice(["x", "y"])},
                created_at=start + timedelta(hours=rng.randrange(50)),
            )
            bank.checkpoints.index.put(record)
            made.append(
                IndexEntry(record.id, record.project_id, record.provider_id, record.plan["id"], record.created_at)
            )
    return made


FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "project_id": st.sampled_from(["p1", "p2", "p3"]),
        "provider_id": st.sampled_from(["a", "b"]),
        "plan_id": st.sampled_from(["x", "y"]),
        "start_date": st.datetimes(datetime(2029, 12, 31), datetime(2030, 1, 4)).map(lambda d: d.replace(tzinfo=UTC)),
        "end_date": st.datetimes(datetime(2029, 12, 31), datetime(2030, 1, 4)).map(lambda d: d.replace(tzinfo=UTC)),
        "newest_first": st.booleans(),
    },
)


@given(FILTERS, st.integers(1, 7), st.integers(0, 30), st.randoms(use_true_random=False))
def test_pages_together_are_all_that_fits_in_order(filters, limit, count, rng):
    bank = banks.make_bank(encrypted=False)
    made = entries(bank, count, rng)
    newest = filters.get("newest_first", True)
    expected = [
        entry
        for entry in sorted(made, key=lambda entry: entry.created_at, reverse=newest)
        if all(getattr(entry, name) == filters[name] for name in filters if name.endswith("_id"))
        and filters.get("start_date", entry.created_at) <= entry.created_at <= filters.get("end_date", entry.created_at)
    ]
    found = []
    while page := bank.checkpoints.index.list(**filters, limit=limit, marker=found[-1] if found else None):
        assert len(page) <= limit
        found += page
        if len(page) < limit:
            break
    assert [entry.created_at for entry in found] == [entry.created_at for entry in expected]
    assert sorted(found, key=lambda entry: entry.id) == sorted(expected, key=lambda entry: entry.id)


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("filters", [{}, {"provider_id": "a"}, {"project_id": "p1"}, {"plan_id": "x"}])
def test_a_page_costs_one_listing(clock, shared, filters, newest_first):
    made = entries(banks.make_bank(shared, clock=clock), 60, random.Random(3))
    bank, store = another(shared, clock)
    first = bank.checkpoints.index.list(limit=5, newest_first=newest_first, **filters)
    assert store.calls == 1
    middle = sorted(entry.created_at for entry in made)[20]
    bank.checkpoints.index.list(limit=5, newest_first=newest_first, marker=first[-1], start_date=middle, **filters)
    assert store.calls == 2


def test_a_marker_may_be_an_id(bank):
    for name in ("c1", "c2", "c3"):
        banks.protect(bank, name, DATA)
    assert [entry.id for entry in bank.checkpoints.index.list(marker="c2", newest_first=False)] == ["c3"]
    with pytest.raises(exception.CheckpointNotFound):
        bank.checkpoints.index.list(marker="c9")


def test_what_is_no_index_key_is_left_out(bank, shared):
    banks.protect(bank, "c1", DATA)
    shared.put("indices/by-date/newest/0-strange", b"")
    assert [entry.id for entry in bank.checkpoints.index.list()] == ["c1"]


def test_every_checkpoint_is_found_without_index(bank, shared):
    ids = ["c1", "c1.x", "c10", "c1 ä", "c2"]
    with bank.leases.acquire(holder="one") as lease:
        for name in ids:
            banks.new_section(bank, name, lease).put("metadata", {})
    for key in keys(shared, "indices/"):
        shared.delete(key)
    assert sorted(bank.checkpoints.ids()) == sorted(ids)


def test_an_index_that_is_gone_is_made_anew(bank, shared, caplog):
    for name in ("c1", "c2", "c3", "c4"):
        banks.protect(bank, name, DATA)
    before = [key for key in keys(shared, "indices/") if not key.endswith(("@c3", "@c4"))]
    assert bank.checkpoints.index.rebuild() == 0
    shared.put(layout.tombstone_key("c3"), b"")
    shared.put(layout.plan_key("c4"), b"no plan")
    shared.put("checkpoints/=stranger/plan.json", b"{}")
    for key in keys(shared, "indices/"):
        if not key.endswith("@c1") or "/by-plan/" in key:
            shared.delete(key)
    assert bank.checkpoints.index.rebuild() == 2
    assert keys(shared, "indices/") == before
    assert bank.checkpoints.index.rebuild() == 0
    assert "Checkpoint c4 is not indexed" in caplog.text
    assert "checkpoints/=stranger: somebody else put it there" in caplog.text
