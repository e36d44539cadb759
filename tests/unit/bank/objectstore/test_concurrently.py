"""Requests that are sent at the same time."""

import threading

import pytest

from karbor_like.bank.objectstore import concurrently
from karbor_like.bank.objectstore.memory import MemoryStore
from tests.fixtures import rounds


def test_results_are_in_the_order_of_the_items():
    assert concurrently.each(lambda item: item * 2, range(30)) == [item * 2 for item in range(30)]
    assert concurrently.each(str, []) == []


def test_eight_run_at_once():
    meeting = threading.Barrier(8, timeout=60)
    assert len(concurrently.each(lambda _: meeting.wait(), range(8))) == 8


def test_both_run_at_once():
    meeting = threading.Barrier(2, timeout=60)
    assert sorted(concurrently.both(meeting.wait, meeting.wait)) == [0, 1]


def test_the_error_of_the_first_item_that_failed_is_raised_when_all_have_ended():
    ended = []

    def fail(item: int) -> None:
        ended.append(item)
        raise ValueError(item)

    with pytest.raises(ValueError, match="^0$"):
        concurrently.each(fail, range(8))
    seen = len(ended)
    with pytest.raises(ValueError, match="^1$"):
        concurrently.both(lambda: fail(1), lambda: fail(2))
    assert len(ended) == seen + 2


def test_requests_at_the_same_time_are_one_round():
    store = MemoryStore()
    with rounds.counting() as chains:

        def put(key: str) -> None:
            chains.request()
            store.put(key, b"")

        concurrently.each(put, "abcdefgh")
        assert chains.here == 1
        put("i")
        concurrently.both(lambda: put("j"), lambda: concurrently.each(put, "kl"))
        assert chains.here == 3
        for key in "mn":
            put(key)
        assert chains.here == 5
