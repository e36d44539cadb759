"""Selection of calls by faults, and the log of calls."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor_like.sandbox import errors
from karbor_like.sandbox.faults import CUT, DELAY, Switchboard


def test_a_fault_strikes_every_so_many_calls() -> None:
    board = Switchboard()
    board.add({"kind": CUT, "nth": 2, "every": 3, "times": 2})
    struck = [board.enter("image", "GET", "/v2/images", "")[1].find(CUT) is not None for _ in range(10)]
    assert struck == [number in (2, 5) for number in range(1, 11)]
    with pytest.raises(errors.ApiError, match="every"):
        board.add({"every": 0})


@given(nth=st.integers(1, 6), times=st.integers(0, 4), calls=st.integers(0, 12))
def test_a_fault_strikes_a_number_of_calls_from_the_nth_on(nth: int, times: int, calls: int) -> None:
    board = Switchboard()
    fault = board.add({"service": "image", "kind": CUT, "nth": nth, "times": times})
    struck = [board.enter("image", "GET", "/", "")[1].find(CUT) is not None for _ in range(calls)]

    last = nth + times if times else calls + 1
    assert struck == [nth <= number < last for number in range(1, calls + 1)]
    assert (fault.matched, fault.struck) == (calls, sum(struck))


@pytest.mark.parametrize(
    ("service", "method", "path", "matches"),
    [
        ("image", "GET", "/v2/images/1/file", True),
        ("volume", "GET", "/v2/images/1/file", False),
        ("image", "PUT", "/v2/images/1/file", False),
        ("image", "GET", "/v2/images/1", False),
    ],
)
def test_a_fault_matches_by_service_method_and_path(service: str, method: str, path: str, matches: bool) -> None:
    board = Switchboard()
    fault = board.add({"service": "image", "method": "get", "path": "/file$"})
    board.enter(service, method, path, "")
    assert fault.matched == matches


def test_several_faults_strike_one_call() -> None:
    board = Switchboard()
    board.add({"kind": DELAY, "seconds": 1})
    board.add({"kind": CUT, "where": "request"})
    board.add({"kind": CUT, "where": "response"})
    strikes = board.enter("volume", "GET", "/", "")[1]

    assert strikes.find(DELAY)
    assert [strikes.find(CUT, where).id for where in ("request", "response")] == [2, 3]


def test_clearing_a_fault_releases_waiting_calls() -> None:
    board = Switchboard()
    first, second = board.add({}), board.add({})
    board.clear(first.id)
    assert (first.cleared.is_set(), second.cleared.is_set()) == (True, False)
    board.clear(99)
    board.clear()
    assert second.cleared.is_set()
    assert board.all() == []


def test_the_log_is_searched_like_faults_match() -> None:
    board = Switchboard()
    call, _ = board.enter("image", "PUT", "/v2/images/1/file", "a=b")
    board.enter("volume", "GET", "/v3/volumes", "")
    call.status = 204

    assert board.calls("image", "PUT", r"images/\d") == [call]
    assert len(board.calls()) == 2
    board.forget_calls()
    assert board.calls() == []


@pytest.mark.parametrize("values", [{"kind": "x"}, {"path": "("}, {"nope": 1}, {"where": "x"}, {"matched": 3}])
def test_invalid_input_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(errors.ApiError) as error:
        Switchboard().add(values)
    assert error.value.status == 400
