import threading
import time
from collections.abc import Callable

import hypothesis
import pytest
from hypothesis import strategies as st

from karbor_like import exception
from karbor_like.clock import ManualClock
from karbor_like.rate import BURST_SECONDS, Rate

RATE = 1000


class HeldClock(ManualClock):
    """A clock that threads only wait for: the test moves it."""

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(0.001)


def until(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(0.001)


def test_bytes_pass_at_the_rate_after_one_second_of_them_passed_at_once():
    clock = ManualClock()
    rate = Rate(lambda: RATE, clock)
    for _ in range(100):
        rate.take(100)
    assert clock.monotonic() == pytest.approx(100 * 100 / RATE - BURST_SECONDS)


def test_a_piece_of_more_than_a_second_passes_whole_and_what_follows_waits_for_all_of_it():
    clock = ManualClock()
    rate = Rate(lambda: RATE, clock)
    rate.take(5 * RATE)
    assert clock.monotonic() == 0
    rate.take(1)
    assert clock.monotonic() == pytest.approx(4, abs=0.01)


def test_a_pause_saves_up_at_most_one_second():
    clock = ManualClock()
    rate = Rate(lambda: RATE, clock)
    clock.advance(3600)
    rate.take(RATE)
    assert clock.monotonic() == 3600
    rate.take(RATE)
    assert clock.monotonic() == pytest.approx(3601)


@hypothesis.settings(max_examples=50)
@hypothesis.given(st.integers(1, 10**9), st.lists(st.tuples(st.floats(0, 4), st.floats(0, 5)), min_size=1, max_size=20))
def test_no_time_has_more_bytes_than_the_rate_and_one_burst(limit, calls):
    clock = ManualClock()
    rate = Rate(lambda: limit, clock)
    passed: list[tuple[float, int]] = []
    for seconds, pause in calls:
        count = int(seconds * limit)
        rate.take(count)
        passed.append((clock.monotonic(), count))
        clock.advance(pause)
    for first, (begin, _) in enumerate(passed):
        total = 0
        for end, count in passed[first:]:
            total += count
            burst = max(limit * BURST_SECONDS, *(count for _, count in passed))
            assert total <= (end - begin) * limit * (1 + 1e-9) + burst + len(passed)


def test_threads_pass_in_the_order_in_which_they_came():
    clock = HeldClock()
    rate = Rate(lambda: RATE, clock)
    rate.take(RATE)
    order: list[int] = []

    def pass_one(number: int, count: int) -> None:
        rate.take(count)
        order.append(number)

    threads = []
    for number, count in enumerate((500, 1, 300, 1)):  # a small piece does not overtake a large one
        threads.append(threading.Thread(target=pass_one, args=(number, count), daemon=True))
        threads[-1].start()
        until(lambda: rate.waiting == len(threads))
    for left in (3, 2, 1, 0):
        clock.advance(0.51)
        until(lambda left=left: rate.waiting <= left)
    for thread in threads:
        thread.join(10)
    assert order == [0, 1, 2, 3]


def test_who_must_stop_stops_without_taking_anything_and_lets_others_pass():
    clock = HeldClock()
    rate = Rate(lambda: RATE, clock)
    rate.take(RATE)
    cancelled = threading.Event()
    errors: list[Exception] = []

    def check() -> None:
        if cancelled.is_set():
            raise exception.Cancelled("cancelled")

    def first() -> None:
        try:
            rate.take(1000 * RATE, check)
        except exception.Cancelled as error:
            errors.append(error)

    threads = [threading.Thread(target=first, daemon=True)]
    threads[0].start()
    until(lambda: rate.waiting == 1)
    threads.append(threading.Thread(target=rate.take, args=(100,), daemon=True))
    threads[1].start()
    until(lambda: rate.waiting == 2)
    cancelled.set()
    threads[0].join(10)
    assert len(errors) == 1
    clock.advance(0.1)
    threads[1].join(10)
    assert not rate.waiting


def test_another_limit_holds_at_once_also_for_those_who_wait():
    limit = 1
    clock = HeldClock()
    rate = Rate(lambda: limit, clock)
    rate.take(10_000)
    waiting = threading.Thread(target=rate.take, args=(1,), daemon=True)
    waiting.start()
    until(lambda: rate.waiting)
    limit = 0
    waiting.join(10)
    assert not waiting.is_alive()
    assert not rate.is_limited


def test_without_a_limit_nothing_waits():
    clock = ManualClock()
    rate = Rate(lambda: 0, clock)
    for _ in range(100):
        rate.take(10**12)
    assert clock.monotonic() == 0
