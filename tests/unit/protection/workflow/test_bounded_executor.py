import threading
from concurrent import futures

import pytest

from karbor_like.protection.workflow.bounded_executor import BoundedExecutor


@pytest.fixture
def pool():
    with futures.ThreadPoolExecutor(8) as found:
        yield found


def test_results_and_errors_come_through(pool):
    lane = BoundedExecutor(pool, 2)
    assert list(lane.map(lambda n: n * n, range(20))) == [n * n for n in range(20)]
    with pytest.raises(ZeroDivisionError):
        lane.submit(lambda: 1 / 0).result(10)


def test_no_more_than_its_width_run_at_once(pool):
    lane, gate, lock = BoundedExecutor(pool, 3), threading.Event(), threading.Lock()
    running, most = 0, 0

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait(10)
        with lock:
            running -= 1

    submitted = [lane.submit(work) for _ in range(12)]
    gate.set()
    futures.wait(submitted)
    assert most <= 3


def test_another_lane_does_not_wait_for_what_is_queued_here(pool):
    gate = threading.Event()
    crowded = BoundedExecutor(pool, 4)
    submitted = [crowded.submit(gate.wait, 10) for _ in range(100)]
    assert BoundedExecutor(pool, 4).submit(lambda: "done").result(10) == "done"
    gate.set()
    futures.wait(submitted)


def test_after_a_shutdown_nothing_more_begins(pool):
    lane, gate = BoundedExecutor(pool, 1), threading.Event()
    first = lane.submit(gate.wait, 10)
    second = lane.submit(pytest.fail)
    lane.shutdown(cancel_futures=True)
    gate.set()
    assert first.result(10)
    assert second.cancelled()
    with pytest.raises(RuntimeError):
        lane.submit(print)


def test_a_cancelled_piece_is_skipped(pool):
    lane, gate = BoundedExecutor(pool, 1), threading.Event()
    lane.submit(gate.wait, 10)
    skipped = lane.submit(pytest.fail)
    third = lane.submit(lambda: "done")
    assert skipped.cancel()
    gate.set()
    assert third.result(10) == "done"


def test_a_pool_that_is_closed_cancels_what_waits():
    pool = futures.ThreadPoolExecutor(1)
    pool.shutdown()
    assert BoundedExecutor(pool, 1).submit(print).cancelled()
