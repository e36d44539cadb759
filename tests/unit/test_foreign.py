import logging

import pytest

from karbor_like import exception, foreign


@pytest.mark.parametrize("error", [ValueError("hunter2"), OverflowError(), RecursionError(), KeyError(1), Exception()])
def test_any_error_refuses_the_value(error, caplog):
    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(exception.InvalidInput, match="^plan.x: cannot be interpreted") as caught,
        foreign.refused("plan.x"),
    ):
        raise error
    assert "hunter2" not in caught.value.message
    assert caplog.records[0].exc_info[1] is error


@pytest.mark.parametrize("error", [exception.InvalidInput("why"), exception.Unavailable("later")])
def test_errors_of_the_tree_pass(error):
    with pytest.raises(type(error)) as caught, foreign.refused("x"):
        raise error
    assert caught.value is error


def test_the_end_of_the_process_passes():
    with pytest.raises(KeyboardInterrupt), foreign.refused("x"):
        raise KeyboardInterrupt
