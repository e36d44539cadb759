"""How long an operation waits for the database or its bank, and what its attempt then counts."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from oslo_db import exception as db_exception

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.bank.objectstore import base, memory, retry
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


class Bank(memory.MemoryStore):
    """Fails a request if *fails* says so."""

    def __init__(self, fails: Callable[[str], bool]) -> None:
        super().__init__()
        self._fails = fails

    def stat(self, key: str) -> base.ObjectInfo:
        if self._fails(key):
            raise errors.ConnectionFailed("no answer")
        return base.ObjectInfo(key, 0, datetime.now(UTC))


def stored(clock: ManualClock, fails: Callable[[str], bool]) -> retry.RetryingStore:
    return retry.RetryingStore(Bank(fails), base.RetryPolicy(attempts=1), clock)


def copying(
    claim: ActiveClaim, clock: ManualClock, store: retry.RetryingStore, seconds: int, last: str = "last"
) -> Callable[[], str]:
    """A call that makes a request each second, under a claim that is renewed. *last* is the key of the last one."""

    def call() -> str:
        for number in range(seconds):
            claim.extend(clock.monotonic())
            store.stat(str(number))
            clock.advance(1)
        store.stat(last)
        return "answer"

    return call


def test_an_outage_long_after_another_one_is_waited_for(claim: ActiveClaim, clock: ManualClock):
    outages = [(0, 40), (500, 540), (900, 940)]
    store = stored(clock, lambda key: any(begin <= clock.monotonic() < end for begin, end in outages))
    seen: list[float] = []
    assert outlast(claim, copying(claim, clock, store, 600), lambda error, seconds: seen.append(seconds)) == "answer"
    assert 1540 <= clock.monotonic() <= 1550
    assert seen.count(0) == 3
    assert max(seen) < 41


def test_a_later_outage_is_too_long_after_a_lease(claim: ActiveClaim, clock: ManualClock):
    store = stored(clock, lambda key: clock.monotonic() < 40 or clock.monotonic() >= 500)
    with pytest.raises(errors.ConnectionFailed):
        outlast(claim, copying(claim, clock, store, 600))
    assert 500 + LEASE <= clock.monotonic() <= 503 + LEASE


@pytest.mark.parametrize("fails", [lambda key: key == "9", lambda key: key == "last"], ids=["soon", "late"])
def test_a_request_that_always_fails_is_an_outage_that_ends(claim: ActiveClaim, clock: ManualClock, fails):
    with pytest.raises(errors.ConnectionFailed):
        outlast(claim, copying(claim, clock, stored(clock, fails), 3 * LEASE))
    assert clock.monotonic() < 1500


def test_answers_to_others_while_a_request_hangs_do_not_prolong_an_outage(claim: ActiveClaim, clock: ManualClock):
    def hangs(key: str) -> bool:
        if key != "last":
            return False
        claim.extend(clock.monotonic())
        clock.advance(2 * LEASE)
        claim.extend(clock.monotonic())
        store.stat("of another thread")
        return True

    store = stored(clock, hangs)
    with pytest.raises(errors.ConnectionFailed):
        outlast(claim, copying(claim, clock, store, 9))
    assert clock.monotonic() < 5 * LEASE


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
