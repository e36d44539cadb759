"""Which calls to other services may wait, and for how long."""

import contextlib

import pytest

from karbor_like import exception
from karbor_like.api.bulkhead import Bulkhead
from karbor_like.clock import ManualClock
from karbor_like.context import RequestContext


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def bulkhead(clock) -> Bulkhead:
    return Bulkhead(threads=8, seconds=60, clock=clock)


def of(project: str) -> RequestContext:
    return RequestContext(project_id=project, overwrite=False)


def take(bulkhead: Bulkhead, places: contextlib.ExitStack, project: str, count: int) -> None:
    for _ in range(count):
        places.enter_context(bulkhead.place(of(project)))


@pytest.mark.parametrize(("threads", "places", "share"), [(1, 1, 1), (2, 1, 1), (4, 3, 1), (16, 12, 6), (64, 48, 24)])
def test_threads_are_left(threads, places, share):
    bulkhead = Bulkhead(threads, 60, ManualClock())
    assert (bulkhead.places, bulkhead.share) == (places, share)


def test_one_project_leaves_places_to_others(bulkhead):
    with contextlib.ExitStack() as places:
        take(bulkhead, places, "a", 3)
        with pytest.raises(exception.Busy, match="of project a"), bulkhead.place(of("a")):
            pass
        take(bulkhead, places, "b", 3)
        with pytest.raises(exception.Busy, match="too many requests wait"), bulkhead.place(of("c")):
            pass
    # All places are free again.
    with contextlib.ExitStack() as places:
        take(bulkhead, places, "a", 3)
        take(bulkhead, places, "c", 3)


def test_a_place_is_left_after_an_error(bulkhead):
    for _ in range(10):
        with pytest.raises(ValueError, match="any"), bulkhead.place(of("a")):
            raise ValueError("any")


def test_calls_of_a_request_share_its_time(bulkhead, clock):
    bulkhead.begin()
    clock.advance(20)
    with bulkhead.place(of("a")) as seconds:
        assert seconds == 40
        clock.advance(39)
    with bulkhead.place(of("a")) as seconds:
        assert seconds == 1
    clock.advance(1)
    with pytest.raises(exception.Busy, match="longer than 60 seconds"), bulkhead.place(of("a")):
        pass
    bulkhead.begin()
    with bulkhead.place(of("a")) as seconds:
        assert seconds == 60
