"""One check at a time, whose answer is shared: many callers, and a check that hangs, occupy no threads for long."""

import threading
from concurrent import futures

import pytest
from oslo_middleware.healthcheck.pluginbase import HealthcheckResult

from karbor_like.api.health import SharedCheck
from karbor_like.clock import ManualClock

GOOD = [HealthcheckResult(True, "database: OK")]
LONG = 60.0


class Peer:
    """What the check waits for."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()
        self.calls = 0

    def ask(self) -> list[HealthcheckResult]:
        self.calls += 1
        self.entered.release()
        assert self.gate.wait(LONG)
        return GOOD


@pytest.fixture
def peer():
    found = Peer()
    yield found
    found.gate.set()


def test_concurrent_callers_share_one_check(peer: Peer):
    shared = SharedCheck(peer.ask, 0.5, ManualClock())
    with futures.ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda _: shared.results(), range(64)))
    assert peer.calls == 1
    assert not any(result.available for answer in answers for result in answer)


def test_while_a_check_is_running_others_get_the_latest_answer_at_once(peer: Peer):
    clock = ManualClock()
    shared = SharedCheck(peer.ask, LONG, clock)
    peer.gate.set()
    assert shared.results() is GOOD
    peer.gate.clear()
    peer.entered.acquire()
    with futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(shared.results)
        assert peer.entered.acquire(timeout=LONG)
        assert [shared.results() for _ in range(100)] == [GOOD] * 100
        assert not first.done()
        peer.gate.set()
        assert first.result(LONG) is GOOD
    assert peer.calls == 2


def test_a_check_that_hangs_is_an_answer_and_is_not_repeated(peer: Peer):
    shared = SharedCheck(peer.ask, 0.01, ManualClock())
    for _ in range(100):
        (result,) = shared.results()
        assert not result.available
        assert "has lasted longer than 0.01 s" in result.reason
    assert peer.calls == 1


def test_an_answer_that_is_too_old_is_not_given(peer: Peer):
    clock = ManualClock()
    shared = SharedCheck(peer.ask, 0.01, clock)
    peer.gate.set()
    while not shared.results()[0].available:
        continue  # a busy machine takes longer
    peer.gate.clear()
    shared.results()  # hangs
    clock.advance(1000)
    (result,) = shared.results()
    assert not result.available


def test_a_check_that_fails_unexpectedly_is_an_answer():
    def fail() -> list[HealthcheckResult]:
        raise ZeroDivisionError

    (result,) = SharedCheck(fail, LONG, ManualClock()).results()
    assert (result.available, result.reason) == (False, "health: unexpected ZeroDivisionError")
