import pytest

from karbor_like import exception
from karbor_like.bank.checkpoints import events
from karbor_like.domain import states
from karbor_like.domain.operation import OperationType

LIFECYCLES = [states.CHECKPOINT, states.RESTORE, states.VERIFICATION]


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
                with pytest.raises(
                    exception.Conflict, match=f"{lifecycle.noun} x: cannot change from '{old}' to '{new}'"
                ):
                    lifecycle.check("x", old, new)


def test_a_failed_deletion_can_be_retried_or_abandoned():
    assert states.CHECKPOINT.changes["error-deleting"] == {"deleting", "available", "error"}


def test_nothing_leads_out_of_deleted():
    assert not states.CHECKPOINT.changes["deleted"]


def test_the_error_names_the_statuses_from_which_the_change_is_possible():
    with pytest.raises(exception.Conflict, match="'deleting' can follow available, error, error-deleting"):
        states.CHECKPOINT.check("c1", "protecting", "deleting")


def test_every_type_of_operation_has_statuses():
    assert set(states.OPERATION) == set(OperationType)


def test_statuses_of_operations_on_checkpoints_are_statuses_of_checkpoints():
    for kind in ("protect", "delete", "copy"):
        statuses = states.OPERATION[kind]
        assert {statuses.done, statuses.failed} <= states.CHECKPOINT.changes[statuses.running]


def test_the_bank_uses_the_same_statuses_of_checkpoints():
    # The bank does not import the domain, so it has constants of its own.
    names = [
        name for name, value in vars(events).items() if isinstance(value, str) and value in states.CHECKPOINT.changes
    ]
    assert {name: getattr(events, name) for name in names} == {name: getattr(states, name) for name in names}
    assert {*events.STATUSES, events.DELETED} == set(states.CHECKPOINT.changes)
