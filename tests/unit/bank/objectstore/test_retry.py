import pytest

from karbor_like.bank import errors
from karbor_like.bank.objectstore import base, memory, retry
from karbor_like.clock import ManualClock
from tests.fixtures import stores


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def faulty(clock: ManualClock) -> stores.FaultyStore:
    return stores.FaultyStore(memory.MemoryStore(), clock)


def retrying(faulty: stores.FaultyStore, clock: ManualClock, **policy: float) -> retry.RetryingStore:
    return retry.RetryingStore(faulty, base.RetryPolicy(**policy), clock)


def test_a_failed_call_is_retried(faulty: stores.FaultyStore, clock: ManualClock) -> None:
    faulty.inject(stores.FAIL, times=2)
    retrying(faulty, clock, attempts=3).put("k", b"x")
    assert faulty.inner.get("k") == b"x"
    assert faulty.calls == 3


def test_a_failed_read_into_a_buffer_is_retried(faulty: stores.FaultyStore, clock: ManualClock) -> None:
    faulty.inner.put("k", b"0123")
    faulty.inject(stores.FAIL, times=2)
    memory = bytearray(2)
    assert retrying(faulty, clock, attempts=3).get_into("k", 1, memoryview(memory)) == 2
    assert memory == b"12"
    assert faulty.calls == 3


def test_a_read_into_a_buffer_reads_no_more_than_requested(faulty: stores.FaultyStore) -> None:
    faulty.inner.put("k", b"0123")
    faulty.inject(stores.Fault("more", change=lambda data: data + b"4"))
    with pytest.raises(errors.Corrupted, match="k: the store returned 3 bytes; requested were 2"):
        faulty.get_into("k", 1, memoryview(bytearray(2)))


def test_the_last_error_is_raised(faulty: stores.FaultyStore, clock: ManualClock) -> None:
    faulty.inject(stores.FAIL, times=9)
    with pytest.raises(errors.ConnectionFailed, match="put k"):
        retrying(faulty, clock, attempts=3).put("k", b"x")
    assert faulty.calls == 3


def test_backoff_grows_up_to_a_limit(faulty: stores.FaultyStore, clock: ManualClock) -> None:
    faulty.inject(stores.FAIL, times=99)
    pauses: list[float] = []
    clock.sleep = pauses.append  # type: ignore
    with pytest.raises(errors.ConnectionFailed):
        retrying(faulty, clock, attempts=10, backoff=1.0, total=1e9).get("k")
    assert len(pauses) == 9
    for number, pause in enumerate(pauses):
        assert min(2.0**number, retry.MAX_WAIT) <= pause <= min(2.0**number + 1.0, retry.MAX_WAIT)


def test_total_time_is_limited(faulty: stores.FaultyStore, clock: ManualClock) -> None:
    faulty.inject(stores.Fault("hang", before=errors.ConnectionFailed, delay=50), times=99)
    with pytest.raises(errors.ConnectionFailed):
        retrying(faulty, clock, attempts=99, total=120).stat("k")
    assert faulty.calls == 3  # begun at 0, after 51 and after 103 seconds
    assert clock.monotonic() < 160


@pytest.mark.parametrize("fault", [stores.FULL, stores.DENY])
def test_permanent_errors_are_not_retried(faulty: stores.FaultyStore, clock: ManualClock, fault: stores.Fault) -> None:
    faulty.inject(fault, times=9)
    with pytest.raises((errors.BankFull, errors.AccessDenied)):
        retrying(faulty, clock).put("k", b"x")
    assert faulty.calls == 1
    assert clock.monotonic() == 0


def test_a_crash_is_not_retried(faulty: stores.FaultyStore, clock: ManualClock) -> None:
    faulty.inject(stores.CRASH)
    with pytest.raises(stores.Crashed):
        retrying(faulty, clock).put("k", b"x")
    assert faulty.calls == 1


def test_a_put_whose_response_was_lost(faulty: stores.FaultyStore, clock: ManualClock) -> None:
    faulty.inject(stores.LOSE)
    retrying(faulty, clock).put("k", [b"x", b"y"])
    assert faulty.inner.get("k") == b"xy"


def test_a_delete_whose_response_was_lost(faulty: stores.FaultyStore, clock: ManualClock) -> None:
    faulty.inner.put("k", b"x")
    faulty.inject(stores.LOSE)
    store = retrying(faulty, clock)
    store.delete("k")
    with pytest.raises(errors.ObjectNotFound):
        store.delete("k")


def test_close_closes_the_wrapped_store(clock: ManualClock) -> None:
    class Inner(memory.MemoryStore):
        closed = False

        def close(self) -> None:
            self.closed = True

    inner = Inner()
    retry.RetryingStore(inner, base.RetryPolicy(), clock).close()
    assert inner.closed
