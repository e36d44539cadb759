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


def test_a_claim_lasts_as_long_as_its_lease_less_a_margin(claim, clock):
    clock.advance(53)
    claim.check()
    clock.advance(2)
    for check in (claim.check, claim.ensure_held):
        with pytest.raises(exception.LeaseLost, match="o1: the lease could not be renewed for 60 seconds"):
            check()


def test_a_renewal_counts_from_its_start(claim, clock):
    clock.advance(50)
    claim.extend(clock.monotonic() - 10)
    clock.advance(43)
    claim.check()
    clock.advance(2)
    with pytest.raises(exception.LeaseLost):
        claim.check()


def test_a_renewal_does_not_revive_a_lost_claim(claim, clock):
    assert not claim.is_lost()
    clock.advance(55)
    assert claim.is_lost()
    claim.extend(clock.monotonic())
    assert claim.is_lost()
    for check in (claim.check, claim.ensure_held):
        with pytest.raises(exception.LeaseLost, match="o1: the lease could not be renewed for 60 seconds"):
            check()


def test_an_abandoned_claim_stays_abandoned(claim, clock):
    claim.abandon("another process has it")
    claim.abandon("a later reason")
    claim.extend(clock.monotonic())
    with pytest.raises(exception.LeaseLost, match="another process has it"):
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


def test_a_loss_is_reported_before_a_cancellation(claim):
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
