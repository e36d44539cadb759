"""How long an operation waits for the database or its bank, and what its attempt then counts."""

from collections.abc import Callable

import pytest
from oslo_db import exception as db_exception

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.clock import ManualClock
from karbor_like.db.operations import Claim
from karbor_like.db.session import DatabaseBusy
from karbor_like.protection.operation.claim import ActiveClaim
from karbor_like.protection.operation.outage import outlast

LEASE = 60


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def claim(clock: ManualClock) -> ActiveClaim:
    return ActiveClaim(Claim("o1", 1, "me"), clock, clock.monotonic(), lease=LEASE)


def away(clock: ManualClock, seconds: float, error: Exception, each: Callable[[], None] = lambda: None):
    """A call that fails for the first *seconds*."""

    def call() -> str:
        each()
        if clock.monotonic() < seconds:
            raise error
        return "answer"

    return call


OUTAGES = pytest.mark.parametrize(
    "error",
    [
        db_exception.DBConnectionError("gone away"),
        db_exception.DBDeadlock("deadlock"),
        DatabaseBusy("locked"),
        db_exception.DBError(ConnectionResetError()),
        errors.ConnectionFailed("no answer"),
    ],
    ids=lambda error: type(error).__name__,
)


@OUTAGES
def test_an_outage_shorter_than_the_claim_is_waited_for(claim: ActiveClaim, clock: ManualClock, error: Exception):
    assert outlast(claim, away(clock, 40, error)) == "answer"
    assert 40 <= clock.monotonic() <= 41
    assert not claim.is_interrupted


@OUTAGES
def test_a_longer_one_interrupts_the_attempt(claim: ActiveClaim, clock: ManualClock, error: Exception):
    with pytest.raises(exception.LeaseLost):
        outlast(claim, away(clock, 1000, error))
    assert clock.monotonic() <= LEASE
    assert claim.is_interrupted


def renewed(claim: ActiveClaim, clock: ManualClock) -> Callable[[], None]:
    return lambda: claim.extend(clock.monotonic())


def test_a_bank_is_waited_for_as_long_as_a_lease_lasts_if_the_claim_is_renewed(claim: ActiveClaim, clock: ManualClock):
    with pytest.raises(errors.ConnectionFailed):
        outlast(claim, away(clock, 1000, errors.ConnectionFailed("no answer"), renewed(claim, clock)))
    assert LEASE <= clock.monotonic() <= LEASE + 1
    claim.check()


def test_a_database_that_refuses_only_this_interrupts_too(claim: ActiveClaim, clock: ManualClock):
    with pytest.raises(exception.LeaseLost):
        outlast(claim, away(clock, 1000, DatabaseBusy("locked"), renewed(claim, clock)))
    assert claim.is_interrupted


def test_an_outage_after_long_work_is_waited_for(claim: ActiveClaim, clock: ManualClock):
    calls = []

    def work() -> str:
        calls.append(clock.monotonic())
        if len(calls) == 1:
            clock.advance(10 * LEASE)
            claim.extend(clock.monotonic())
            raise errors.ConnectionFailed("no answer")
        return "answer"

    assert outlast(claim, work) == "answer"


@pytest.mark.parametrize(
    "error",
    [
        exception.ResourceFailed("no"),
        errors.BankFull("no room"),
        errors.AccessDenied("read-only"),
        db_exception.DBDuplicateEntry(),
        db_exception.DBError(ValueError("a bug")),
        exception.LeaseLost("taken over"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_other_errors_are_none(claim: ActiveClaim, clock: ManualClock, error: Exception):
    with pytest.raises(type(error)):
        outlast(claim, away(clock, 1, error))
    assert clock.monotonic() == 0
    assert not claim.is_interrupted
