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
def claim(clock: ManualClock) -> ActiveClaim:
    return ActiveClaim(Claim("o1", 1, "me"), clock, clock.monotonic(), lease=60)


def test_it_lasts_as_long_as_its_lease_less_a_margin(claim, clock):
    clock.advance(53)
    claim.check()
    clock.advance(2)
    for check in (claim.check, claim.ensure_held):
        with pytest.raises(exception.LeaseLost, match="o1: the lease could not be renewed for 60 seconds"):
            check()


def test_a_renewal_counts_from_when_it_was_begun(claim, clock):
    clock.advance(50)
    claim.extend(clock.monotonic() - 10)
    clock.advance(43)
    claim.check()
    clock.advance(2)
    with pytest.raises(exception.LeaseLost):
        claim.check()


def test_one_that_was_found_lost_does_not_come_back_to_life(claim, clock):
    assert not claim.is_lost()
    clock.advance(55)
    assert claim.is_lost()
    claim.extend(clock.monotonic())
    assert claim.is_lost()
    for check in (claim.check, claim.ensure_held):
        with pytest.raises(exception.LeaseLost, match="o1: the lease could not be renewed for 60 seconds"):
            check()


def test_what_was_let_go_stays_so(claim, clock):
    claim.abandon("somebody else has it")
    claim.abandon("a later reason")
    claim.extend(clock.monotonic())
    with pytest.raises(exception.LeaseLost, match="somebody else has it"):
        claim.check()


def test_a_cancelled_operation_can_still_be_undone(claim):
    claim.cancel()
    with pytest.raises(exception.Cancelled, match="^cancelled$"):
        claim.check()
    claim.ensure_held()


def test_siblings_of_a_failure_stop_and_can_be_undone(claim):
    claim.fail("volume a")
    claim.fail("volume b")
    with pytest.raises(exception.Cancelled, match="stopped because volume a failed"):
        claim.check()
    claim.ensure_held()


def test_that_it_is_lost_comes_before_that_it_was_cancelled(claim):
    claim.cancel()
    claim.abandon("gone")
    with pytest.raises(exception.LeaseLost):
        claim.check()


def test_waiting_until_nothing_works_for_it(claim):
    begun, end = threading.Event(), threading.Event()

    def work() -> None:
        with claim.activity():
            begun.set()
            end.wait(10)

    assert claim.wait_idle(0)
    thread = threading.Thread(target=work)
    thread.start()
    begun.wait(10)
    assert not claim.wait_idle(0)
    end.set()
    assert claim.wait_idle(10)
    thread.join()
