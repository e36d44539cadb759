import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from karbor_like.bank.blocks.budget import Budget, Buffers, Stopped


class Cancelled(Exception):
    pass


def nothing():
    pass


def test_free_memory_is_borrowed_and_released():
    budget = Budget(100)
    with budget.reserve(40, nothing) as share:
        assert share.borrow(60)
        assert not share.borrow(1)
        share.release(10)
        assert share.borrow(10)
    with budget.reserve(100, nothing) as share:
        assert not share.borrow(1)


def test_a_reservation_above_the_total_takes_all_of_it():
    budget = Budget(100)
    with budget.reserve(1000, nothing) as share:
        assert not share.borrow(1)
    assert budget.borrow(100)


def test_a_waiting_stream_gets_released_memory_before_borrowers():
    budget = Budget(100)
    waiting = threading.Event()
    with ThreadPoolExecutor(1) as pool, budget.reserve(50, nothing) as share:
        assert share.borrow(30)
        second = pool.submit(budget.reserve, 50, waiting.set)
        assert waiting.wait(10)
        assert share.has_waiters
        assert not share.borrow(1)
        share.release(30)
        with second.result(10):
            assert not share.has_waiters


def test_waiting_can_be_stopped():
    budget = Budget(100)

    def stop():
        raise Cancelled

    with budget.reserve(100, nothing):
        with pytest.raises(Cancelled):
            budget.reserve(1, stop)
        assert not budget.has_waiters


def test_buffers_are_reused_and_limited():
    budget = Budget(100)
    with budget.reserve(10, nothing) as share:
        buffers = Buffers(share, 10, 3)
        taken = [buffers.get() for _ in range(3)]
        assert all(len(buffer) == 10 for buffer in taken)
        assert budget.borrow(70)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(buffers.get)
            buffers.release(taken[0])
            assert waiting.result(10) is taken[0]


def test_try_get_prefers_the_most_recently_used_buffer():
    budget = Budget(50)
    with budget.reserve(20, nothing) as share:
        buffers = Buffers(share, 10, 4, reserved=2)
        first, second, third = (buffers.try_get() for _ in range(3))
        assert budget.borrow(20)
        assert buffers.try_get() is None
        buffers.release(second)
        buffers.release(third)
        assert buffers.try_get() is third
        assert buffers.try_get() is second
        assert first is not None
        assert buffers.try_get() is None


def test_one_buffer_is_enough_if_nothing_can_be_borrowed():
    budget = Budget(10)
    with budget.reserve(10, nothing) as share:
        buffers = Buffers(share, 10, 3)
        buffer = buffers.get()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(buffers.get)
            buffers.release(buffer)
            assert waiting.result(10) is buffer


def test_a_borrowed_buffer_is_released_if_another_stream_waits():
    budget = Budget(30)
    waiting = threading.Event()
    with ThreadPoolExecutor(1) as pool, budget.reserve(10, nothing) as share:
        buffers = Buffers(share, 10, 3)
        taken = [buffers.get() for _ in range(3)]
        second = pool.submit(budget.reserve, 20, waiting.set)
        assert waiting.wait(10)
        for buffer in taken:
            buffers.release(buffer)
        with second.result(10):
            pass


def test_stop_ends_every_wait():
    with Budget(10).reserve(10, nothing) as share:
        buffers = Buffers(share, 10, 1)
        buffers.get()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(buffers.get)
            buffers.stop()
            with pytest.raises(Stopped):
                waiting.result(10)
