"""What a commit pins, what it refuses, and which of several commits is valid."""

import dataclasses
from functools import partial

import pytest

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.checkpoints import events
from karbor_like.bank.collector.gc import Collector
from karbor_like.bank.leases.safety import TEST
from tests.fixtures import stores
from tests.unit.bank import banks
from tests.unit.bank.checkpoints.helpers import DATA, NEXT, another, keys, read_available
from tests.unit.bank.hosts import HostClock
from tests.unit.bank.reader import Reader


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
    # Later writes do not matter: the commit pins the objects that it was made for.
    two = bank.leases.acquire(holder="two")
    bank.section("c1", banks.PROJECT, banks.VOLUME, lease=two).write("data", [NEXT])
    assert banks.read(bank.section("c1", banks.PROJECT, banks.VOLUME)) == DATA


@pytest.mark.parametrize("gone", ["/data/project-1/", "/segments/"])
def test_a_checkpoint_with_a_missing_object_is_not_committed(bank, shared, gone):
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


def test_a_truncated_segment_is_not_committed(bank, shared):
    with bank.leases.acquire(holder="one") as lease:
        banks.new_section(bank, "c1", lease).write("data", [DATA])
        segment = next(key for key in keys(shared) if "/segments/" in key)
        shared.put(segment, shared.get(segment)[:-1])
        with pytest.raises(errors.Corrupted, match=f"segment {segment} has"):
            bank.checkpoints.commit("c1", lease)


@pytest.mark.parametrize("status", ["error", "deleting"])
def test_a_checkpoint_that_was_given_up_is_not_committed(bank, status):
    with bank.leases.acquire(holder="one") as lease:
        banks.new_section(bank, "c1", lease).write("data", [DATA])
        bank.checkpoints.event("c1", status)
        with pytest.raises(exception.Conflict, match=f"is '{status}'; only a running one"):
            bank.checkpoints.commit("c1", lease)


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
    # Another writer looked up no packs of bases.
    with bank.leases.acquire(holder="two", bases=["c1"]) as lease:
        bank.checkpoints.create(banks.record("c2"), lease)
        assert bank.section("c2", banks.PROJECT, banks.VOLUME, lease=lease).stats("data").logical == len(DATA)
        with pytest.raises(errors.Corrupted, match=f"{gone} is missing"):
            bank.checkpoints.commit("c2", lease)
        with pytest.raises(errors.Corrupted, match=f"{gone} is missing"):
            bank.checkpoints.event("c1", "available")
    eventual.settle()
    assert [bank.checkpoints.get(name).status for name in ("c1", "c2")] == ["error", "protecting"]


def test_what_a_writer_finds_of_the_one_before_it_is_committed_though_no_listing_shows_it(shared, clock):
    slow = stores.EventualStore(shared, clock, TEST.listing_lag, always=True)
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


def test_a_commit_does_not_depend_on_listings_of_what_its_writer_stored(shared, clock):
    slow = stores.EventualStore(shared, clock, TEST.listing_lag, always=True)
    bank = banks.make_bank(slow, clock=clock)
    with bank.leases.acquire(holder="one") as lease:
        section = banks.new_section(bank, "c1", lease)
        section.write("data", [DATA])
        assert not keys(slow, "data/"), "the test is about what listings do not show"
        clock.advance(1)  # the event must be later than the one that no listing shows
        bank.checkpoints.commit("c1", lease)
    assert read_available(banks.make_bank(shared, clock=clock)) == DATA


@pytest.mark.parametrize("remembered", [True, False])
@pytest.mark.parametrize(
    ("lag", "took_over", "asks"),
    [(TEST.listing_lag, False, False), (TEST.listing_lag, True, True), (0, False, False), (0, True, False)],
)
def test_a_commit_asks_for_packs_that_are_older_than_its_lease_if_it_did_not_look_them_up(
    shared, clock, lag, took_over, asks, remembered
):
    """If listings are never late, it asks for none: they are in as many listings as its own."""
    banks.protect(banks.make_bank(shared, clock=clock), "c1", DATA)
    old = set(keys(shared, "data/"))
    asked, listed = [], []

    class Watched(stores.FaultyStore):
        def stat(self, key):
            asked.append(key)
            return super().stat(key)

        def list(self, prefix, *arguments):
            listed.append(prefix)
            return super().list(prefix, *arguments)

    margins = dataclasses.replace(TEST, listing_lag=lag)
    bank = banks.make_bank(Watched(shared, clock), clock=clock, margins=margins)
    with bank.leases.acquire(holder="one", bases=["c1"]) as lease:
        clock.advance(1)
        section = banks.new_section(bank, "c2", lease)
        base = bank.section("c1", banks.PROJECT, banks.VOLUME)
        section.write("data", [DATA + NEXT], bases=[base])
        if not remembered:
            lease.packs.clear()
        asked.clear()
        listed.clear()
        if not took_over:
            bank.checkpoints.commit("c2", lease)
    if took_over:
        with bank.leases.acquire(holder="two") as lease:
            bank.checkpoints.create(banks.record("c2"), lease)
            old = set(keys(shared, "data/"))
            bank.checkpoints.commit("c2", lease)
    else:
        assert set(keys(shared, "data/")) > old
    assert len(old) > 1
    assert sorted(key for key in asked if key.startswith("data/")) == (sorted(old) if asks else [])
    assert len([prefix for prefix in listed if prefix.startswith("data/")]) == 1


def test_without_lag_a_listing_finds_that_a_base_lost_a_pack(shared, clock):
    bank = banks.make_bank(shared, clock=clock, margins=dataclasses.replace(TEST, listing_lag=0))
    banks.protect(bank, "c1", DATA)
    gone = keys(shared, "data/")[0]
    with bank.leases.acquire(holder="one", bases=["c1"]) as lease:
        section = banks.new_section(bank, "c2", lease)
        section.write("data", [DATA], bases=[bank.section("c1", banks.PROJECT, banks.VOLUME)])
        shared.delete(gone)
        with pytest.raises(errors.Corrupted, match=f"{gone} is missing"):
            bank.checkpoints.commit("c2", lease)


def test_a_writer_that_was_taken_over_cannot_commit_or_write(bank):
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
    """Holds back the commit event when its writer stops, so that it can arrive at any time."""

    def __init__(self, inner, clock):
        super().__init__(inner, clock)
        self.late = None

    def put(self, key, data):
        if key.endswith("-available.json"):
            self.late = partial(self.inner.put, key, data)
            raise stores.Crashed(key)
        super().put(key, data)


def late_commit(shared, clock, encrypted, *, ahead=0.0):
    """Write checkpoint c1 with DATA, all but its commit. Returns a function that lets the commit arrive.

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
        clock.advance(TEST.stale_after + TEST.quarantine + TEST.grace.total_seconds() + 1)
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


def test_a_late_commit_that_is_not_removed_is_of_a_complete_checkpoint(shared, clock, bank, encrypted):
    """What it pins was stored under a valid lease, and is kept as long as the checkpoint exists."""
    arrive = late_commit(shared, clock, encrypted)
    for _ in range(3):
        clock.advance(TEST.quarantine + TEST.grace.total_seconds() + 1)
        Collector(bank).run()
    arrive()
    assert read_available(bank) == DATA


def test_a_writer_that_takes_over_does_not_rely_on_a_commit_that_may_be_removed(shared, clock, bank, encrypted):
    class TakenOver(stores.FaultyStore):
        """Its process stops after the put of its commit, until another process has taken over and seen the commit."""

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


def test_a_commit_whose_date_is_unknown_is_removed(shared, clock):
    bank, store = another(shared, clock)
    with bank.leases.acquire(holder="one") as lease:
        banks.new_section(bank, "c1", lease).write("data", [DATA])
        store.inject(stores.FAIL, op="stat", prefix="checkpoints/c1/events/")
        with pytest.raises(errors.ConnectionFailed):
            bank.checkpoints.commit("c1", lease)
        assert bank.checkpoints.get("c1").status == "protecting"
        bank.checkpoints.commit("c1", lease)
    assert bank.checkpoints.get("c1").status == "available"
