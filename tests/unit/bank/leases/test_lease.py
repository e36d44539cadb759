"""The owner of a lease regards it as lost before other processes regard it as expired."""

import dataclasses
import json
import threading
from datetime import datetime, timedelta

import pytest

from karbor_like.bank import errors, layout
from karbor_like.bank.leases import exclusions
from karbor_like.bank.leases.lease import Leases, find_counting
from karbor_like.bank.leases.safety import TEST, Safety
from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.bank.objectstore.reserve import Reserve
from karbor_like.clock import ManualClock, SystemClock
from tests.fixtures import stores

SECONDS = TEST.lease_duration


class Host:
    """A host whose clock runs as fast as the store's, but may show any time."""

    def __init__(self, true: ManualClock, store, offset: float = 0.0) -> None:
        self._true = true
        self._offset = timedelta(seconds=offset)
        self.store = stores.FaultyStore(store, true)
        self.leases = Leases(self.store, Reserve(self.store, self, 0), self, TEST)

    def now(self) -> datetime:
        return self._true.now() + self._offset

    def monotonic(self) -> float:
        return self._true.monotonic() + 1000

    def sleep(self, seconds: float) -> None:
        self._true.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return self._true.wait(event, seconds)

    def step(self, seconds: float) -> None:
        self._offset += timedelta(seconds=seconds)


class Grudging(stores.EventualStore):
    """The worst that listings may do: what is put they show *lag* seconds late, what is deleted they hide at once."""

    def __init__(self, inner: MemoryStore, clock: ManualClock, lag: float) -> None:
        super().__init__(inner, clock, lag, always=True)

    def delete(self, key: str) -> None:
        super().delete(key)
        self._ghosts.pop(key, None)


@pytest.fixture
def host(clock, shared):
    return Host(clock, shared)


def counting(host: Host, clock: ManualClock) -> list[str]:
    return [lease.holder for lease in find_counting(host.leases.list(), clock.now(), TEST)]


def test_a_lease_is_seen_by_others_as_it_is(clock, shared, host):
    taken = clock.now()
    lease = host.leases.acquire(holder="one", bases=["b1", "b2"])
    (info,) = Host(clock, shared).leases.list()
    assert (info.id, info.holder, info.kind, list(info.bases)) == (lease.id, "one", "write", ["b1", "b2"])
    assert (info.started, info.ends) == (taken, taken + timedelta(seconds=SECONDS))
    assert (lease.started, lease.ends) == (info.started, info.ends)


def test_a_lease_ends_a_margin_early_for_its_owner_and_a_grace_period_late_for_the_collector(clock, host):
    lease = host.leases.acquire(holder="one")
    clock.advance(SECONDS - TEST.lease_margin - 0.1)
    lease.check()
    clock.advance(0.1)
    with pytest.raises(errors.LeaseLost, match="was not renewed within 60 seconds"):
        lease.check()
    clock.advance(TEST.lease_margin + TEST.listing_lag + TEST.clock_skew)
    assert counting(host, clock) == ["one"]
    clock.advance(0.1)
    assert counting(host, clock) == []


def test_a_renewal_prolongs_and_is_a_new_object(clock, shared, host):
    lease = host.leases.acquire(holder="one")
    started = lease.started
    clock.advance(50)
    lease.renew()
    clock.advance(50)
    lease.check()
    (info,) = host.leases.list()
    assert info.started == started
    assert info.ends == started + timedelta(seconds=50 + SECONDS)
    assert len(shared.list(layout.LEASES)) == 2


def test_a_lost_lease_stays_lost(clock, host):
    lease = host.leases.acquire(holder="one")
    clock.advance(SECONDS)
    for attempt in (lease.renew, lease.check, lease.check):
        with pytest.raises(errors.LeaseLost):
            attempt()


def test_old_objects_go_when_the_new_one_is_in_every_listing(clock, shared, host):
    lease = host.leases.acquire(holder="one")
    for _ in range(20):
        clock.advance(10)
        lease.renew()
    ages = [clock.now() - info.modified for info in shared.list(layout.LEASES)]
    assert max(ages[1:]) <= timedelta(seconds=30)
    assert len(ages) <= 5


@pytest.mark.parametrize("seed", range(20))
def test_a_lagging_listing_never_hides_a_good_lease_for_long(clock, shared, seed):
    eventual = stores.EventualStore(shared, clock, TEST.listing_lag, seed)
    host = Host(clock, eventual)
    lease = host.leases.acquire(holder="one")
    started = clock.now()
    for _ in range(30):
        clock.advance(7)
        lease.renew()
        if clock.now() - started > TEST.grace:
            assert counting(host, clock) == ["one"]
    lease.release()
    for _ in range(int(TEST.listing_lag)):
        assert counting(host, clock) == ["one"]
        clock.advance(1)
    clock.advance(TEST.clock_skew + 0.1)
    eventual.settle()
    assert counting(host, clock) == []


@pytest.mark.parametrize(
    ("fault", "op"),
    [(stores.FAIL, "put"), (stores.LOSE, "put"), (stores.FAIL, "stat")],
    ids=["failed", "lost", "unseen"],
)
def test_a_renewal_that_failed_does_not_take_the_place_of_one_that_listings_show(clock, shared, fault, op):
    host = Host(clock, Grudging(shared, clock, TEST.listing_lag))
    lease = host.leases.acquire(holder="one")
    clock.advance(TEST.grace.total_seconds())
    assert counting(host, clock) == ["one"]
    host.store.inject(fault, op=op, prefix=layout.LEASES)
    with pytest.raises(errors.ConnectionFailed):
        lease.renew()
    clock.advance(TEST.grace.total_seconds() + 1)
    lease.renew()
    assert counting(host, clock) == ["one"]
    # What may have been stored goes with the rest, when one that surely was is in every listing.
    clock.advance(TEST.grace.total_seconds() + 1)
    lease.renew()
    assert [info.key for info in shared.list(layout.LEASES)] == [layout.lease_key(lease.id, seq) for seq in (2, 3)]


@pytest.mark.parametrize("offset", [-86400.0, -3.0, 0.0, 3.0, 86400.0])
def test_wrong_clocks_do_not_matter(clock, shared, offset):
    writer, other = Host(clock, shared, offset), Host(clock, shared, -offset)
    lease = writer.leases.acquire(holder="one")
    clock.advance(30)
    lease.renew()
    (info,) = other.leases.list()
    assert (info.started, info.ends) == (lease.started, lease.ends)
    assert info.ends == clock.now() + timedelta(seconds=SECONDS)
    assert lease.now() == clock.now()


def test_a_wall_clock_that_runs_past_the_end_loses_the_lease(host):
    lease = host.leases.acquire(holder="one")
    host.step(SECONDS)
    with pytest.raises(errors.LeaseLost, match="wall clock"):
        lease.check()


def test_a_wall_clock_that_is_set_back_changes_nothing(clock, host):
    lease = host.leases.acquire(holder="one")
    host.step(-86400)
    lease.check()
    clock.advance(SECONDS - TEST.lease_margin)
    with pytest.raises(errors.LeaseLost):
        lease.check()


def test_a_renewal_that_arrives_after_the_end_loses_the_lease(clock, shared, host):
    lease = host.leases.acquire(holder="one")
    clock.advance(50)
    host.store.inject(stores.slow(20), op="put")
    with pytest.raises(errors.LeaseLost, match="after its end"):
        lease.renew()
    with pytest.raises(errors.LeaseLost):
        lease.check()


@pytest.mark.parametrize("fault", [stores.FAIL, stores.LOSE])
@pytest.mark.parametrize("op", ["put", "stat"])
def test_a_renewal_that_fails_may_be_tried_again(clock, host, fault, op):
    lease = host.leases.acquire(holder="one")
    clock.advance(30)
    host.store.inject(fault, op=op, prefix=layout.LEASES)
    with pytest.raises(errors.ConnectionFailed):
        lease.renew()
    lease.check()
    lease.renew()
    clock.advance(50)
    lease.check()


@pytest.mark.parametrize("fault", [stores.FAIL, stores.DENY])
def test_a_renewal_succeeds_if_only_what_it_replaces_cannot_be_removed(clock, shared, host, fault):
    lease = host.leases.acquire(holder="one")
    host.store.inject(fault, op="delete", times=3)
    for _ in range(6):
        clock.advance(20)
        lease.renew()
    assert counting(host, clock) == ["one"]
    assert len(shared.list(layout.LEASES)) <= 3


@pytest.mark.parametrize("op", ["put", "stat"])
def test_a_lease_that_cannot_be_stored_is_not_had(host, op):
    host.store.inject(stores.DENY, op=op)
    with pytest.raises(errors.AccessDenied):
        host.leases.acquire(holder="one")


@pytest.mark.parametrize("refusal", [stores.DENY, stores.FULL])
def test_a_reader_needs_no_lease_that_the_store_refuses(clock, shared, host, caplog, refusal):
    host.store.inject(refusal, op="put", times=3)
    with host.leases.acquire(holder="one", kind="read") as lease:
        for _ in range(2):
            clock.advance(SECONDS)
            lease.renew()
            lease.check()
        assert isinstance(lease.unprotected, refusal.before)
        assert len([found for found in caplog.records if "reads without it" in found.message]) == 1
        assert shared.list(layout.LEASES) == []

        lease.renew()
        assert lease.unprotected is None
        assert counting(host, clock) == ["one"]
        clock.advance(SECONDS)
        with pytest.raises(errors.LeaseLost, match="was not renewed"):
            lease.check()
    assert shared.list(layout.LEASES) == []


def test_a_store_that_becomes_read_only_does_not_stop_a_reader(clock, shared, caplog):
    store = stores.BoundedStore(shared)
    host = Host(clock, store)
    with host.leases.acquire(holder="one", kind="read") as lease:
        store.read_only = True
        clock.advance(30)
        lease.renew()
        clock.advance(SECONDS)
        lease.check()
    assert "Could not release" not in caplog.text
    with pytest.raises(errors.LeaseLost, match="released"):
        lease.check()


def test_a_reader_does_not_go_on_without_a_store_that_answers(clock, host):
    host.store.inject(stores.FAIL, op="put")
    with pytest.raises(errors.ConnectionFailed):
        host.leases.acquire(holder="one", kind="read")


@pytest.mark.parametrize("kind", ["write", "gc"])
@pytest.mark.parametrize("refusal", [stores.DENY, stores.FULL])
def test_writers_and_collectors_need_their_lease(host, kind, refusal):
    host.store.inject(refusal, op="put")
    with pytest.raises(refusal.before):
        host.leases.acquire(holder="one", kind=kind)


def test_a_released_write_lease_counts_until_its_work_is_in_listings(clock, host):
    with host.leases.acquire(holder="one") as lease:
        clock.advance(10)
    with pytest.raises(errors.LeaseLost, match="released"):
        lease.check()
    (info,) = host.leases.list()
    assert info.released
    assert info.ends == clock.now()
    clock.advance(TEST.grace.total_seconds())
    assert counting(host, clock) == ["one"]
    clock.advance(0.1)
    assert counting(host, clock) == []
    host.leases.remove(info)
    assert host.leases.list() == []


def test_the_owner_removes_the_objects_of_a_released_write_lease(clock, shared, host):
    """When it acquires another one, and when no collector needs them any more."""
    lease = host.leases.acquire(holder="one")
    lease.renew()
    lease.release()
    assert len(shared.list("leases/")) == 3
    clock.advance(SECONDS + TEST.grace.total_seconds() - 0.001)
    host.leases.acquire(holder="two", kind="read").release()
    assert len(shared.list("leases/")) == 3
    clock.advance(0.001)
    host.leases.acquire(holder="three", kind="read").release()
    assert shared.list("leases/") == []


def test_a_listing_that_lags_behind_the_removal_of_a_released_lease_pins_nothing(clock, shared):
    store = stores.EventualStore(shared, clock, TEST.listing_lag)
    host = Host(clock, store)
    host.leases.acquire(holder="one").release()
    clock.advance(SECONDS + TEST.grace.total_seconds())
    host.leases.acquire(holder="two", kind="gc")
    (ghost,) = [lease for lease in host.leases.list() if lease.holder == "unknown"]
    assert ghost.objects
    assert shared.list(f"leases/{ghost.id}/") == []
    assert not ghost.counts(clock.now() + timedelta(seconds=0.001), TEST)


def test_a_store_that_fails_leaves_released_leases_to_the_collector(clock, shared, host):
    host.leases.acquire(holder="one").release()
    clock.advance(SECONDS + TEST.grace.total_seconds())
    host.store.inject(stores.DENY, op="delete", times=2)
    host.leases.acquire(holder="two")
    assert len(shared.list("leases/")) == 3
    (lease,) = [lease for lease in host.leases.list() if lease.holder == "one"]
    host.leases.remove(lease)
    assert len(shared.list("leases/")) == 1


def test_operations_one_after_another_leave_few_leases(clock, shared, host):
    counts = []
    for _ in range(100):
        with host.leases.acquire(holder="creates"):
            pass
        with host.leases.acquire(holder="protects") as lease:
            lease.renew()
        host.leases.acquire(holder="deletes", kind="read").release()
        clock.advance(30)
        counts.append(len(shared.list("leases/")))
    assert counts[0] == 5
    assert max(counts) == counts[-1] == 15


@pytest.mark.parametrize("kind", ["read", "gc"])
def test_a_released_lease_of_a_reader_or_collector_is_gone(shared, host, kind):
    with host.leases.acquire(holder="one", kind=kind) as lease:
        lease.renew()
        assert len(shared.list(layout.LEASES)) == 2
    lease.release()
    assert shared.list(layout.LEASES) == []


def test_a_collectors_lease_pins_nothing(clock, host):
    host.leases.acquire(holder="one", kind="gc")
    assert counting(host, clock) == []


def test_leaving_the_context_does_not_hide_what_happened_inside(host):
    def work():
        with host.leases.acquire(holder="one"):
            host.store.inject(stores.FAIL, op="put")
            raise KeyError("what happened")

    with pytest.raises(KeyError):
        work()


LEASE = {"version": 1, "holder": "x", "kind": "read", "bases": [], "duration": 9, "started": None, "released": False}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'{"version": 2}',
        b"[" * 200_000,
        json.dumps({}).encode("utf-16"),
        *(
            json.dumps({**LEASE, **change}).encode()
            for change in (
                {"version": 2},
                {"holder": 1},
                {"kind": "other"},
                {"bases": "a"},
                {"bases": [1]},
                {"duration": 0},
                {"duration": -1},
                {"duration": "9"},
                {"duration": 1e300},
                {"duration": 10**400},
                {"duration": float("nan")},
                {"duration": float("inf")},
                {"started": "today"},
                {"started": "2026-01-01T00:00:00"},
                {"released": 1},
            )
        ),
        pytest.param(json.dumps({**LEASE, "more": "x" * 1024 * 1024}).encode(), id="large"),
    ],
)
def test_a_lease_that_cannot_be_understood_pins_everything_until_it_ends(clock, shared, host, raw):
    shared.put(layout.lease_key("e" * 32, 0), json.dumps(LEASE).encode())
    assert [info.holder for info in host.leases.list()] == ["x"], "as it is, it is understood"
    shared.delete(layout.lease_key("e" * 32, 0))
    shared.put(layout.lease_key("f" * 32, 0), raw)
    shared.put("leases/strange", b"")
    (info,) = find_counting(host.leases.list(), clock.now(), TEST)
    assert info.started < clock.now() - timedelta(days=365)
    clock.advance(SECONDS + TEST.grace.total_seconds() + 1)
    assert counting(host, clock) == []


def test_lists_are_read_once_per_lease(shared, host):
    lease = host.leases.acquire(holder="one")
    assert lease.avoid("p") == exclusions.Exclusions()
    exclusions.put_lists(shared.put, layout.QUARANTINE, "p", packs=[b"a" * 16])
    exclusions.put_lists(shared.put, layout.QUARANTINE, "p", packs=[], data_keys=["d" * 32])
    exclusions.put_lists(shared.put, layout.REFRESH, "p", packs=[b"b" * 16])
    assert lease.avoid("p") == exclusions.Exclusions()
    later = host.leases.acquire(holder="two").avoid("p")
    assert later == exclusions.Exclusions(frozenset([b"a" * 16, b"b" * 16]), frozenset(["d" * 32]))
    assert host.leases.acquire(holder="three").avoid("other project") == exclusions.Exclusions()


def test_the_thread_renews_until_the_lease_is_released():
    renewed = threading.Event()

    class Watched(MemoryStore):
        def put(self, key, data):
            super().put(key, data)
            if key.endswith("/00000003"):
                renewed.set()

    clock = SystemClock()
    store = stores.FaultyStore(Watched(clock))
    store.inject(stores.FAIL, op="put", nth=2)
    safety = Safety(lease_duration=30, lease_renewal=0.01, lease_margin=1)
    lease = Leases(store, Reserve(store, clock, 0), clock, safety).acquire(holder="one", kind="read")
    name = f"lease-{lease.id[:8]}"
    assert renewed.wait(20)
    lease.check()
    assert name in {thread.name for thread in threading.enumerate()}
    lease.release()
    assert name not in {thread.name for thread in threading.enumerate()}
    assert store.inner.list(layout.LEASES) == []


@pytest.mark.parametrize(
    ("changes", "option"),
    [({"quarantine": 41}, "quarantine"), ({"lease_duration": 10}, "lease_duration")],
)
def test_margins_that_do_not_fit_together_are_refused(changes, option):
    with pytest.raises(Exception, match=rf"\[bank\] {option} is"):
        dataclasses.replace(TEST, **changes)
