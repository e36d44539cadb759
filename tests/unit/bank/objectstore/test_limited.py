import pytest

from karbor_like import exception
from karbor_like.bank import layout
from karbor_like.bank.objectstore.limited import LimitedStore, limited
from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.clock import ManualClock
from karbor_like.rate import Rate

PACK = layout.pack_key("p", "0" * 32)
LEASE = layout.lease_key("l", 0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_both_directions_of_packs_count_and_nothing_else(clock):
    store = limited(MemoryStore(), [Rate(lambda: 100, clock)])
    store.put(LEASE, bytes(10_000))
    assert len(store.get(LEASE)) == 10_000
    store.put(PACK, [bytes(50), bytes(50)])  # the burst
    assert clock.monotonic() == 0
    store.put(PACK, bytes(100))
    assert clock.monotonic() == pytest.approx(1)
    store.get(PACK, 10, 50)
    assert clock.monotonic() == pytest.approx(1.5)
    store.get_into(PACK, 0, memoryview(bytearray(50)))
    assert clock.monotonic() == pytest.approx(2)
    store.get(PACK)
    assert clock.monotonic() == pytest.approx(3)


def test_without_a_limit_nothing_is_wrapped(clock):
    store = MemoryStore()
    assert limited(store, []) is store
    assert limited(store, [Rate(lambda: 0, clock)]) is store


def test_limits_of_a_limited_store_hold_too_and_count_once(clock):
    own, more = Rate(lambda: 100, clock), Rate(lambda: 1000, clock)
    store = MemoryStore()
    both = limited(limited(store, [own]), [more])
    assert isinstance(both, LimitedStore)
    assert (both.inner, both.rates) == (store, [more, own])
    for _ in range(11):
        both.put(PACK, bytes(100))
    assert clock.monotonic() == pytest.approx(10)


def test_who_waits_can_be_stopped_and_has_sent_nothing(clock):
    def cancelled() -> None:
        raise exception.Cancelled("cancelled")

    inner = MemoryStore()
    store = limited(inner, [Rate(lambda: 1, clock)], cancelled)
    store.put(PACK, bytes(1))
    with pytest.raises(exception.Cancelled):
        store.put(PACK, bytes(2))
    assert inner.get(PACK) == bytes(1)
