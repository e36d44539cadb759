import pytest

from karbor_like import exception
from karbor_like.domain import states
from karbor_like.domain.operation import OperationType

LIFECYCLES = [states.CHECKPOINT, states.RESTORE, states.VERIFICATION, states.PLAN]


@pytest.mark.parametrize("lifecycle", LIFECYCLES, ids=lambda lifecycle: lifecycle.noun)
def test_every_state_that_can_be_reached_has_a_row(lifecycle):
    assert {target for targets in lifecycle.changes.values() for target in targets} <= set(lifecycle.changes)


@pytest.mark.parametrize("lifecycle", LIFECYCLES, ids=lambda lifecycle: lifecycle.noun)
def test_sources_and_check_agree(lifecycle):
    for old in lifecycle.changes:
        for new in lifecycle.changes:
            if old in lifecycle.sources(new):
                lifecycle.check("x", old, new)
            else:
                with pytest.raises(exception.Conflict, match=f"{lifecycle.noun} x is '{old}'"):
                    lifecycle.check("x", old, new)


def test_what_a_failed_deletion_leads_to():
    assert states.CHECKPOINT.changes["error-deleting"] == {"deleting", "available", "error"}


def test_nothing_leads_out_of_deleted():
    assert not states.CHECKPOINT.changes["deleted"]


def test_a_message_says_from_where_it_would_be_possible():
    with pytest.raises(exception.Conflict, match="available, error, error-deleting"):
        states.CHECKPOINT.check("c1", "protecting", "deleting")


def test_every_kind_of_operation_has_its_words():
    assert set(states.OPERATION) == set(OperationType)


def test_words_of_operations_on_checkpoints_are_states_of_checkpoints():
    for kind in ("protect", "delete", "copy"):
        words = states.OPERATION[kind]
        assert {words.done, words.failed} <= states.CHECKPOINT.changes[words.running]
