import pytest

from karbor_like.bank import errors, layout
from karbor_like.bank.objectstore.base import RetryPolicy
from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.bank.objectstore.reserve import Reserve
from karbor_like.bank.objectstore.retry import RetryingStore
from karbor_like.clock import ManualClock
from tests.fixtures.stores import BoundedStore, EventualStore

SIZE = 400


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> BoundedStore:
    return BoundedStore(MemoryStore(clock))


@pytest.fixture
def reserve(store: BoundedStore, clock: ManualClock) -> Reserve:
    reserve = Reserve(store, clock, SIZE)
    reserve.fill()
    store.fill()
    return reserve


def sizes(store: BoundedStore) -> list[int]:
    return [info.size for info in store.list(layout.RESERVE)]


def test_a_put_that_finds_no_room_takes_a_part_of_the_reserve(
    store: BoundedStore, reserve: Reserve, clock: ManualClock
):
    reserve.put("a", b"x" * 60)
    assert store.get("a") == b"x" * 60
    assert sizes(store) == [100, 100, 100]
    reserve.put("b", b"x" * 40)
    assert sizes(store) == [100, 100, 100]
    assert clock.monotonic() == 0


def test_a_put_takes_as_much_as_it_needs(store: BoundedStore, reserve: Reserve):
    reserve.put("a", b"x" * 301)
    assert sizes(store) == []
    assert store.used == SIZE - 99


def test_a_put_that_is_too_large_fails_and_what_it_took_comes_back(store: BoundedStore, reserve: Reserve):
    with pytest.raises(errors.BankFull, match="^a:"):
        reserve.put("a", b"x" * 401)
    reserve.refill()
    assert sizes(store) == [100, 100, 100, 100]
    with pytest.raises(errors.BankFull):
        store.put("a", b"x")


def test_it_is_filled_as_far_as_there_is_room(store: BoundedStore, reserve: Reserve):
    reserve.put("a", b"x")
    reserve.refill()
    assert sizes(store) == [100, 100, 100]
    store.delete("a")
    reserve.refill()
    assert sizes(store) == [100, 100, 100, 100]


def test_a_store_that_counts_late_is_asked_for_more_than_a_minute(
    store: BoundedStore, reserve: Reserve, clock: ManualClock
):
    class Late(BoundedStore):
        """Compares with its quota what it knew a minute ago."""

        frees_room_at_once = False

        def put(self, key, data):
            if clock.monotonic() < 60:
                raise errors.BankFull(f"{key}: the usage is not counted again yet")
            super().put(key, data)

    Reserve(Late(store.inner), clock, SIZE).put("a", b"x")
    assert store.get("a") == b"x"


def test_a_store_that_counts_at_once_is_not_waited_for(store: BoundedStore, reserve: Reserve, clock: ManualClock):
    with pytest.raises(errors.BankFull):
        reserve.put("a", b"x" * (SIZE + 1))
    assert clock.monotonic() == 0


@pytest.mark.parametrize("at_once", [True, False])
def test_a_store_that_is_retried_frees_room_as_the_one_inside(store: BoundedStore, clock: ManualClock, at_once: bool):
    store.frees_room_at_once = at_once
    assert RetryingStore(store, RetryPolicy(), clock).frees_room_at_once is at_once


def test_it_is_looked_for_once_and_after_each_use(store: BoundedStore, clock: ManualClock):
    reserve = Reserve(store, clock, SIZE)
    reserve.refill()
    assert sizes(store) == []
    reserve.ensure()
    assert sizes(store) == [100, 100, 100, 100]
    store.delete(layout.reserve_key(1))
    reserve.ensure()
    assert len(sizes(store)) == 3
    store.fill()
    reserve.put("a", b"x")
    store.limit = None
    reserve.ensure()
    assert len(sizes(store)) == 4


def test_a_listing_that_lags_does_no_harm(clock: ManualClock):
    inner = MemoryStore(clock)
    store = EventualStore(inner, clock, lag=10)
    for _ in range(3):
        Reserve(store, clock, SIZE).fill()
    assert len(inner.list(layout.RESERVE)) == 4
    clock.advance(10)
    Reserve(store, clock, SIZE).remove()
    assert inner.list("") == []


def test_no_reserve(store: BoundedStore, clock: ManualClock):
    none = Reserve(store, clock, 0)
    none.fill()
    store.fill()
    with pytest.raises(errors.BankFull):
        none.put("a", b"x")
    assert store.list("") == []
