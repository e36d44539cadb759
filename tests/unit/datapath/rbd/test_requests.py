"""Requests whose answers may never come."""

import threading

import pytest

from karbor_like.datapath.errors import SourceFailed
from karbor_like.datapath.rbd.requests import Requests


def overdue() -> SourceFailed:
    return SourceFailed("overdue")


def test_results_and_errors() -> None:
    requests = Requests[int](2, 60, overdue)
    first, second = requests.begin(), requests.begin()
    requests.end(second, 2)
    requests.fail(first, SourceFailed("broken"))
    assert second.result() == 2
    with pytest.raises(SourceFailed, match="broken"):
        first.result()
    requests.check()
    requests.abandon(SourceFailed("closed"))


def test_one_too_many_waits() -> None:
    requests = Requests[int](1, 60, overdue)
    first = requests.begin()
    begun = threading.Event()

    def begin() -> None:
        requests.end(requests.begin(), 2)
        begun.set()

    threading.Thread(target=begin).start()
    assert not begun.is_set()
    requests.end(first, 1)
    assert begun.wait(60)
    requests.abandon(SourceFailed("closed"))


@pytest.mark.parametrize("idle_before", [False, True])
def test_all_fail_when_one_is_overdue(idle_before: bool) -> None:
    requests = Requests[int](3, 0.05, overdue)
    if idle_before:
        requests.end(requests.begin(), 1)
    futures = [requests.begin(), requests.begin()]
    for future in [*futures, requests.begin()]:
        with pytest.raises(SourceFailed, match="overdue"):
            future.result(60)
    with pytest.raises(SourceFailed, match="overdue"):
        requests.check()
    requests.end(futures[0], 1)


def test_all_answers_are_waited_for() -> None:
    requests = Requests[int](2, 60, overdue)
    requests.drain()
    future, drained = requests.begin(), threading.Event()

    def drain() -> None:
        requests.drain()
        assert future.done()
        drained.set()

    threading.Thread(target=drain).start()
    assert not drained.is_set()
    requests.end(future, 1)
    assert drained.wait(60)
    requests.begin()
    requests.abandon(SourceFailed("closed"))
    with pytest.raises(SourceFailed, match="closed"):
        requests.drain()


def test_abandoned_requests_fail() -> None:
    requests = Requests[int](1, 60, overdue)
    future = requests.begin()
    requests.abandon(SourceFailed("closed"))
    for each in (future, requests.begin()):
        with pytest.raises(SourceFailed, match="closed"):
            each.result()
    requests.fail(future, SourceFailed("too late"))
