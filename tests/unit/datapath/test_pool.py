"""Calls that hang, fail, or are too many at once."""

import errno
import threading
from collections.abc import Iterator

import pytest

from karbor_like.datapath.errors import SourceFailed
from karbor_like.datapath.pool import Pool, limited

GENEROUS = 60.0
SHORT = 0.2


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    """Calls wait for it until the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def test_calls_run_at_once() -> None:
    pool, barrier = Pool("volume", timeout=GENEROUS, failed=SourceFailed, threads=4), threading.Barrier(4)
    calls = [pool.submit(1, "read", lambda: barrier.wait(GENEROUS)) for _ in range(4)]
    assert sorted(call.result() for call in calls) == [0, 1, 2, 3]
    assert pool.close()


def test_a_call_that_hangs_fails_all(hang: threading.Event) -> None:
    pool = Pool("volume", timeout=SHORT, failed=SourceFailed, threads=1)
    calls = [pool.submit(1, f"read {number}", lambda: hang.wait(GENEROUS)) for number in range(2)]
    for number, call in enumerate(calls):
        with pytest.raises(SourceFailed, match=f"^volume: read {number}: no answer within 0.2 s$"):
            call.result()
    with pytest.raises(SourceFailed, match="^volume: no answer within"):
        pool.submit(1, "read", lambda: None)
    assert not pool.close(), "the thread still waits"


def test_errors_of_the_system_and_of_this_project() -> None:
    def fail(error: Exception) -> None:
        raise error

    pool = Pool("volume", timeout=GENEROUS, failed=SourceFailed, threads=1)
    with pytest.raises(SourceFailed, match="^volume: write: no space left on device$"):
        pool.submit(1, "write", lambda: fail(OSError(errno.ENOSPC, "No space left on device"))).result()
    with pytest.raises(ZeroDivisionError):
        pool.submit(1, "write", lambda: fail(ZeroDivisionError())).result()
    assert pool.submit(1, "read", lambda: 7).result() == 7
    assert pool.close()
    with pytest.raises(SourceFailed, match="^volume: closed$"):
        pool.submit(1, "read", lambda: 7)


def test_calls_in_progress_fail_when_the_pool_is_closed(hang: threading.Event) -> None:
    pool = Pool("volume", timeout=GENEROUS, failed=SourceFailed, threads=1)
    begun = threading.Event()

    def wait(begun: threading.Event) -> None:
        begun.set()
        hang.wait(GENEROUS)

    call = pool.submit(1, "read", lambda: wait(begun))
    begun.wait(GENEROUS)
    closing = threading.Thread(target=pool.close)
    closing.start()
    with pytest.raises(SourceFailed, match="^volume: read: closed$"):
        call.result()
    hang.set()
    closing.join()


def test_bytes_in_flight_are_limited(hang: threading.Event) -> None:
    pool = Pool("volume", timeout=GENEROUS, failed=SourceFailed, threads=2)
    first = pool.submit(30 << 20, "read", lambda: hang.wait(GENEROUS))
    begun = threading.Event()

    def more() -> None:
        begun.set()
        results.append(pool.submit(3 << 20, "read", hang.is_set).result())

    results = list[bool]()
    second = threading.Thread(target=more)
    second.start()
    begun.wait(GENEROUS)
    assert not first.done()
    hang.set()
    second.join()
    pool.close()
    assert results == [True], "it began after the first one ended"


def test_one_call(hang: threading.Event) -> None:
    def fail() -> None:
        raise OSError(errno.EIO, "Input/output error")

    assert limited(lambda: 7, "volume", "open", timeout=GENEROUS, failed=SourceFailed) == 7
    with pytest.raises(SourceFailed, match="^volume: open: input/output error$"):
        limited(fail, "volume", "open", timeout=GENEROUS, failed=SourceFailed)
    with pytest.raises(SourceFailed, match="^volume: open: no answer within 0.2 s$"):
        limited(lambda: hang.wait(GENEROUS), "volume", "open", timeout=SHORT, failed=SourceFailed)
