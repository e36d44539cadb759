import threading

import pytest

from karbor_like import exception
from karbor_like.clock import ManualClock
from karbor_like.db.operations import Claim
from karbor_like.protection.operation.claim import ActiveClaim


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def hold(clock: ManualClock) -> ActiveClaim:
    return ActiveClaim(Claim("o1", 1, "me"), clock, clock.monotonic(), lease=60)


def test_it_lasts_as_long_as_its_lease_less_a_margin(hold, clock):
    clock.advance(53)
    hold.check()
    clock.advance(2)
    for check in (hold.check, hold.ensure_held):
        with pytest.raises(exception.LeaseLost, match="o1: the lease could not be renewed for 60 seconds"):
            check()


def test_a_renewal_counts_from_when_it_was_begun(hold, clock):
    clock.advance(50)
    hold.renewed(clock.monotonic() - 10)
    clock.advance(43)
    hold.check()
    clock.advance(2)
    with pytest.raises(exception.LeaseLost):
        hold.check()


def test_one_that_was_found_lost_does_not_come_back_to_life(hold, clock):
    assert not hold.lost()
    clock.advance(55)
    assert hold.lost()
    hold.renewed(clock.monotonic())
    assert hold.lost()
    for check in (hold.check, hold.ensure_held):
        with pytest.raises(exception.LeaseLost, match="o1: the lease could not be renewed for 60 seconds"):
            check()


def test_what_was_let_go_stays_so(hold, clock):
    hold.abandon("somebody else has it")
    hold.abandon("a later reason")
    hold.renewed(clock.monotonic())
    with pytest.raises(exception.LeaseLost, match="somebody else has it"):
        hold.check()


def test_a_cancelled_operation_can_still_be_undone(hold):
    hold.cancel()
    with pytest.raises(exception.Cancelled, match="^cancelled$"):
        hold.check()
    hold.ensure_held()


def test_siblings_of_a_failure_stop_and_can_be_undone(hold):
    hold.fail("volume a")
    hold.fail("volume b")
    with pytest.raises(exception.Cancelled, match="stopped because volume a failed"):
        hold.check()
    hold.ensure_held()


def test_that_it_is_lost_comes_before_that_it_was_cancelled(hold):
    hold.cancel()
    hold.abandon("gone")
    with pytest.raises(exception.LeaseLost):
        hold.check()


def test_waiting_until_nothing_works_for_it(hold):
    begun, end = threading.Event(), threading.Event()

    def work() -> None:
        with hold.working():
            begun.set()
            end.wait(10)

    assert hold.wait_idle(0)
    thread = threading.Thread(target=work)
    thread.start()
    begun.wait(10)
    assert not hold.wait_idle(0)
    end.set()
    assert hold.wait_idle(10)
    thread.join()
