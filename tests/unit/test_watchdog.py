"""Threads that hang are reported, and end the process after a longer time; healthy ones never do."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from karbor_like import service, watchdog
from karbor_like.clock import ManualClock, SystemClock
from karbor_like.watchdog import Watchdog

LIMIT = 60


class Site:
    """A watchdog whose clock tests advance, and the number of times that it would have ended the process."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.ended = 0
        self.dog = Watchdog(self.clock, LIMIT, self._end)

    def _end(self) -> None:
        self.ended += 1

    def run(self, seconds: int) -> None:
        """Let time pass, with the checks of a process that runs."""
        for _ in range(seconds):
            self.clock.advance(watchdog.CHECK_SECONDS)
            self.dog.check()

    @property
    def hung(self) -> list[str]:
        return [hang.name for hang in self.dog.hangs()]


@pytest.fixture
def site() -> Site:
    return Site()


def test_a_thread_that_does_not_come_back_is_reported_and_ends_the_process_later(site: Site, caplog):
    watch = site.dog.watch("the poll")
    with watch.working():
        site.run(LIMIT - 1)
        assert site.hung == []
        site.run(2)
        assert site.hung == ["the poll"]
        site.run(100)
        assert site.ended == 0
        assert len(caplog.messages) == 1, "once per change of state"
        assert "the poll has made no progress for 60 seconds; it is in " in caplog.messages[0]
        assert "test_a_thread_that_does_not_come_back" in caplog.messages[0]
        site.run(watchdog.FATAL_FACTOR * LIMIT)
        assert site.ended
    assert site.hung == []


def test_a_thread_that_comes_back_is_reported_no_longer(site: Site, caplog):
    caplog.set_level("INFO")
    watch = site.dog.watch("the poll")
    with watch.working():
        site.run(LIMIT + 1)
    site.run(1000)
    assert (site.hung, site.ended) == ([], 0)
    assert caplog.messages[-1] == "the poll makes progress again"


def test_waiting_between_two_calls_is_no_hang(site: Site):
    watch = site.dog.watch("the poll")
    for _ in range(10):
        with watch.working():
            site.run(LIMIT - 1)
        site.run(100 * LIMIT)
    assert (site.hung, site.ended) == ([], 0)


def test_progress_in_small_steps_is_no_hang(site: Site):
    with site.dog.watch("the collection").working():
        for _ in range(50):
            site.run(LIMIT - 1)
            watchdog.tick()
    assert (site.hung, site.ended) == ([], 0)
    watchdog.tick()  # means nothing in a thread that is not watched


def test_work_that_may_be_long_has_its_own_limit(site: Site):
    with site.dog.watch("the collection", 3600).working():
        site.run(3500)
        assert site.hung == []
        site.run(200)
        assert site.hung == ["the collection"]
        site.run(3600)
        assert site.ended == 0


def test_a_hang_that_is_not_fatal_never_ends_the_process(site: Site):
    with site.dog.watch("the notifications", fatal=False).working():
        site.run(100 * LIMIT)
        assert (site.hung, site.ended) == (["the notifications"], 0)


def test_the_time_of_a_process_that_was_stopped_does_not_count(site: Site):
    with site.dog.watch("the poll").working():
        site.run(10)
        site.clock.advance(10_000)  # as SIGSTOP, or the pause of a virtual machine
        site.run(10)
    assert (site.hung, site.ended) == ([], 0)


@contextmanager
def _periodic(site: Site, interval: float, limit: float = 0.0) -> Iterator[service.Periodic]:
    entered, gate = threading.Event(), threading.Event()

    def call() -> None:
        entered.set()
        gate.wait(60)

    found = service.Periodic("the poll", interval, call, SystemClock(), site.dog, limit=limit)
    found.start()
    assert entered.wait(60)
    try:
        yield found
    finally:
        gate.set()
        assert found.stop(60)


def test_a_periodic_call_hangs_after_three_intervals(site: Site):
    with _periodic(site, 100):
        site.run(299)
        assert site.hung == []
        site.run(2)
        assert site.hung == ["the poll"]
    assert site.hung == []


def test_a_periodic_call_may_last_for_the_general_limit_or_its_own(site: Site):
    with _periodic(site, 1):
        site.run(LIMIT - 1)
        assert site.hung == []
        site.run(2)
        assert site.hung == ["the poll"]
    with _periodic(site, 1, limit=500):
        site.run(499)
        assert site.hung == []


def test_stopping_does_not_wait_for_a_call_that_hangs(site: Site):
    with _periodic(site, 1) as periodic:
        assert not periodic.stop(0.01)
