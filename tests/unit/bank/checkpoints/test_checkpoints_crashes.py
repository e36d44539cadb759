"""A checkpoint is available completely or not at all, wherever its writer, its deletion or the store stops."""

import contextlib
import itertools

import pytest

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.leases.safety import TEST
from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.clock import ManualClock
from tests.fixtures import stores
from tests.unit.bank import banks
from tests.unit.bank.checkpoints.helpers import DATA, NEXT, another, keys


def calls_of(shared, clock, work) -> int:
    """Count the calls to the store that *work* makes."""
    bank, store = another(shared, clock)
    start = store.calls
    work(bank, store)
    return store.calls - start


def snapshot(store: MemoryStore, clock: ManualClock) -> MemoryStore:
    """Copy a store."""
    copy = MemoryStore(clock)
    for info in store.list("", limit=10**6):
        copy.put(info.key, store.get(info.key))
    return copy


def protect_c2(bank, store=None):
    banks.protect(bank, "c2", NEXT, bases=("c1",))


def assert_whole_or_absent(shared, clock, data=NEXT, checkpoint_id="c2"):
    """Check that a new reader sees an available checkpoint only with all its bytes; return the status."""
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
        # Another process finishes the operation from any state that the first one left.
        banks.make_bank(copy, clock=clock)
        if assert_whole_or_absent(copy, clock) != "available":
            protect_c2(banks.make_bank(copy, clock=clock))
        assert assert_whole_or_absent(copy, clock) == "available"
    assert seen == {"absent", "protecting", "available"}


@pytest.mark.parametrize("late", ["before", "after"])
@pytest.mark.parametrize("suspended", [False, True], ids=["slow store", "suspended machine"])
def test_a_writer_whose_lease_runs_out_at_any_call_does_not_commit(clock, shared, suspended, late):
    """The process stops for longer than a lease lasts, before or after any call between its first one and the commit."""
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
