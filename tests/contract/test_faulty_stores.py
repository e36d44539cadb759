"""The stores that fail on purpose fail as they say: other tests rest on it."""

import pytest

from karbor_like.bank import errors
from karbor_like.bank.objectstore import base, memory
from karbor_like.clock import ManualClock
from tests.fixtures import stores


def keys(store: base.ObjectStore, prefix: str = "", **kwargs: object) -> list[str]:
    return [info.key for info in store.list(prefix, **kwargs)]


def test_faults_come_at_the_call_they_were_ordered_for() -> None:
    store = stores.FaultyStore(memory.MemoryStore())
    store.inject(stores.FAIL, op="put", prefix="b/", nth=2, times=2)
    store.put("b/1", b"")
    store.put("a/1", b"")
    for key in ("b/2", "b/3"):
        with pytest.raises(errors.ConnectionFailed):
            store.put(key, b"")
    store.put("b/4", b"")
    assert keys(store) == ["a/1", "b/1", "b/4"]


def test_a_lost_answer_had_its_effect() -> None:
    store = stores.FaultyStore(memory.MemoryStore())
    store.inject(stores.LOSE)
    with pytest.raises(errors.ConnectionFailed):
        store.put("k", b"x")
    assert store.get("k") == b"x"


def test_bytes_are_changed_on_the_way_out_only() -> None:
    store = stores.FaultyStore(memory.MemoryStore())
    store.put("k", b"0123456789")
    store.inject(stores.SHORT, op="get")
    assert store.get("k") == b"01234"
    store.inject(stores.CORRUPT, op="get")
    assert store.get("k") == b"01234%6789"
    assert store.get("k") == b"0123456789"


@pytest.mark.parametrize(("fault", "stored"), [(stores.CRASH, []), (stores.CRASH_AFTER, ["k"])])
def test_after_a_crash_nothing_works_and_no_handler_hides_it(fault: stores.Fault, stored: list[str]) -> None:
    store = stores.FaultyStore(memory.MemoryStore())
    store.inject(fault)
    assert not issubclass(stores.Crashed, Exception)
    with pytest.raises(stores.Crashed):
        store.put("k", b"x")
    with pytest.raises(stores.Crashed):
        store.get("k")
    assert store.crashed
    assert keys(store.inner) == stored


def test_the_same_seed_gives_the_same_faults() -> None:
    def run(seed: int) -> list[bool]:
        store = stores.FaultyStore(memory.MemoryStore())
        store.randomly(0.3, [stores.FAIL, stores.LOSE], seed=seed)
        results = []
        for number in range(50):
            try:
                store.put(f"k{number}", b"")
                results.append(True)
            except errors.ConnectionFailed:
                results.append(False)
        return results

    assert run(1) == run(1) != run(2)
    assert 5 < run(1).count(False) < 25


def test_slow_calls_take_the_time_of_the_clock() -> None:
    clock = ManualClock()
    store = stores.FaultyStore(memory.MemoryStore(), clock)
    store.inject(stores.slow(7))
    store.put("k", b"")
    assert clock.monotonic() == 7


def test_healed() -> None:
    store = stores.FaultyStore(memory.MemoryStore())
    store.inject(stores.FAIL, times=100)
    store.randomly(1.0, [stores.FAIL])
    store.heal()
    store.put("k", b"x")


def test_listings_lag_behind_puts_and_deletes() -> None:
    clock = ManualClock()
    store = stores.EventualStore(memory.MemoryStore(clock), clock, lag=10)
    for key in ("a/1", "a/2", "a/3", "b"):
        store.put(key, b"")
    assert store.get("a/1") == b""
    assert len(keys(store)) < 4
    clock.advance(10)
    assert keys(store) == ["a/1", "a/2", "a/3", "b"]
    store.delete("a/2")
    with pytest.raises(errors.ObjectNotFound):
        store.get("a/2")
    assert keys(store, "a/") == ["a/1", "a/2", "a/3"]
    assert keys(store, "a/", limit=2) == ["a/1", "a/2"]
    assert keys(store, "a/", marker="a/1") == ["a/2", "a/3"]
    clock.advance(10)
    assert keys(store, "a/") == ["a/1", "a/3"]
    store.put("a/2", b"")
    store.settle()
    assert keys(store, "a/") == ["a/1", "a/2", "a/3"]


def test_a_store_is_full_to_the_byte() -> None:
    store = stores.BoundedStore(memory.MemoryStore())
    store.put("a", b"12345")
    store.fill()
    store.put("a", b"54321")
    store.put("empty", b"")
    for key, data in (("b", b"1"), ("a", b"123456")):
        with pytest.raises(errors.BankFull):
            store.put(key, data)
    store.delete("a")
    store.put("b", b"12345")
    assert keys(store) == ["b", "empty"]


def test_a_store_is_read_only() -> None:
    store = stores.BoundedStore(memory.MemoryStore())
    store.put("a", b"1")
    store.read_only = True
    with pytest.raises(errors.AccessDenied):
        store.put("a", b"1")
    with pytest.raises(errors.AccessDenied):
        store.delete("a")
    assert store.get("a") == b"1"
    assert keys(store) == ["a"]
