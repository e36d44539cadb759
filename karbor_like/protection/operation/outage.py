"""Outages of the database and of banks while an operation runs.

They are no failure of the operation: what needs the database or the bank is repeated for as long as the claim is good. An
outage that lasts longer interrupts the attempt. Nothing is undone, and the attempt is not one of ``max_attempts``.
"""

import logging
from collections.abc import Callable
from typing import Any, Final, TypeVar

import tenacity
from oslo_db import exception as db_exception
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.db import operations
from karbor_like.db import session as db_session
from karbor_like.db.session import Database
from karbor_like.protection.operation.claim import ActiveClaim

LOG = logging.getLogger(__name__)

T = TypeVar("T")

#: Longest pause between two calls, seconds.
_PAUSE: Final = 1.0
#: How many outages of a bank one call outlasts. If it meets more, one of its requests may fail every time: the pauses between
#: attempts, which grow, are the better wait.
_OUTAGES: Final = 5


class _Outages:
    """The outages that one call meets. A bank may answer between two of them for hours."""

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._number = 0
        self._began = 0.0
        self._failed = 0.0

    def __bool__(self) -> bool:
        return self._number > 0

    def add(self, error: Exception, now: float) -> float:
        """Add a failure of the call at *now*, monotonic seconds. Return how long the outage has lasted."""
        if not self or self._was_over(error):
            self._number += 1
            self._began = now
        self._failed = now
        return now - self._began

    def _was_over(self, error: Exception) -> bool:
        """Return whether the bank answered when an outage that began at the previous failure would have been too long.

        An earlier answer does not end an outage: a bank may fail every second request, or every put.
        """
        answered = error.answered if isinstance(error, errors.ConnectionFailed) else None
        return answered is not None and answered >= self._failed + self._lease

    def are_too_long(self, now: float) -> bool:
        return self._number > _OUTAGES or (self._number > 0 and now - self._began >= self._lease)


def outlast(
    claim: ActiveClaim,
    call: Callable[[], T],
    failed: Callable[[Exception, float], object] = lambda error, seconds: None,
) -> T:
    """Return the result of *call*, which is repeated while the database or the bank is unavailable.

    :param call: idempotent
    :param failed: called with each error that means an outage, and the seconds that the outage has lasted
    :raises LeaseLost: the claim is lost, perhaps because the database was unavailable for too long
    :raises ConnectionFailed: the bank was unavailable for as long as a lease lasts, or repeatedly
    """
    outages = _Outages(claim.lease)

    def attempt() -> T:
        claim.ensure_held()
        try:
            return call()
        except Exception as error:
            if _is_outage(error):
                seconds = outages.add(error, claim.clock.monotonic())
                if not seconds:
                    LOG.warning("Operation %s waits: %s", claim.operation_id, error)
                failed(error, seconds)
            raise

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_outage),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=_PAUSE),
        stop=lambda state: outages.are_too_long(claim.clock.monotonic()),
        sleep=claim.clock.sleep,
        reraise=True,
    )
    try:
        result = retrying(attempt)
    except exception.LeaseLost:
        if outages:
            claim.interrupt("the database or the bank is unavailable")
        raise
    except db_exception.DBError as error:
        if db_session.unavailable(error) is not None:
            claim.interrupt("the database is unavailable")
            claim.ensure_held()
        raise
    if outages:
        LOG.info("Operation %s continues", claim.operation_id)
    return result


def _is_outage(error: BaseException) -> bool:
    if isinstance(error, errors.ConnectionFailed):
        return True
    return isinstance(error, Exception) and db_session.unavailable(error) is not None


def record(database: Database, claim: ActiveClaim, is_stopped: Callable[[], bool]) -> None:
    """Record an interrupted attempt, as soon as the database is available. Does nothing if it was not interrupted.

    :param is_stopped: whether to give up: the attempt then counts like one whose process died
    """
    if not claim.is_interrupted:
        return
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_outage),
        wait=tenacity.wait_fixed(_PAUSE),
        stop=lambda state: is_stopped(),
        sleep=claim.clock.sleep,
        reraise=True,
    )
    try:
        retrying(_once, database, lambda session: operations.interrupt(session, claim.record, claim.pause))
    except db_exception.DBError as error:
        LOG.warning("Operation %s: its interruption is not recorded: %s", claim.operation_id, error)


class OperationDatabase:
    """The database as one operation uses it: outages shorter than its claim are waited for."""

    def __init__(self, database: Database, claim: ActiveClaim) -> None:
        self._database = database
        self.claim = claim

    def read(self, work: Callable[[orm.Session], T]) -> T:
        """Return ``work(session)``, run in a read-only transaction. Raises LeaseLost."""

        return outlast(self.claim, lambda: self.peek(work))

    def peek(self, work: Callable[[orm.Session], T]) -> T:
        """Return ``work(session)``, run in a read-only transaction, even if the claim is lost. Raises DBError."""
        with self._database.reader() as session:
            return work(session)

    def write(self, work: Callable[[orm.Session], T]) -> T:
        """Return ``work(session)``, run in a transaction that is fenced by the claim.

        :param work: idempotent, because a commit whose response was lost is repeated

        Raises LeaseLost.
        """

        def fenced(session: orm.Session) -> T:
            operations.check(session, self.claim.record)
            return work(session)

        return outlast(self.claim, lambda: _once(self._database, fenced))

    def try_write(self, work: Callable[[orm.Session], Any]) -> bool:
        """Run ``work(session)`` in a transaction, without a fence. Return False if the database is unavailable."""
        try:
            _once(self._database, work)
        except db_exception.DBError as error:
            LOG.debug("Operation %s: not recorded: %s", self.claim.operation_id, error)
            return False
        return True


def _once(database: Database, work: Callable[[orm.Session], T]) -> T:
    with database.writer() as session:
        return work(session)
