"""Calls in flight, and their order."""

from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from karbor_like.bank.blocks.parallel import Window, ahead


def done(value: int) -> Future[int]:
    future: Future[int] = Future()
    future.set_result(value)
    return future


def test_a_window_limits_calls_and_bytes():
    window = Window[int](3, 100)
    assert window.has_room(1000), "one alone may need more"
    window.add(done(1), 60)
    assert not window.has_room(41)
    assert window.has_room(40)
    window.add(done(2), 40)
    window.add(done(3), 0)
    assert not window.has_room(0), "no more than three"
    assert [window.take() for _ in range(len(window))] == [1, 2, 3]
    assert window.has_room(1000)


def test_a_window_raises_the_error_of_a_call_that_failed():
    window = Window[int](3, 100)
    failed: Future[int] = Future()
    failed.set_exception(OSError("no"))
    for call in (done(1), failed, Future[int]()):
        window.add(call, 10)
    with pytest.raises(OSError, match="no"):
        window.take_done()
    window.take_done()
    assert len(window) == 1, "that which has not ended"


@pytest.mark.parametrize(("count", "room", "most"), [(0, 0, 1), (2, 10, 3), (9, 3, 4), (9, 0, 1)])
def test_results_are_in_order_and_no_more_items_are_in_flight_than_fit(count, room, most):
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        return item

    with ThreadPoolExecutor(1) as pool:
        for number, result in enumerate(ahead(pool, work, range(20), count, size=lambda _: 1, room=room)):
            assert result == number
            assert len(begun) - number <= most
    assert begun == list(range(20))
