"""The claim of one operation inside this process: shared by all threads that run the operation."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from karbor_like import exception
from karbor_like.clock import Clock
from karbor_like.db.operations import Claim

#: Fraction of the lease that must remain before a thread may act outside the database, which no fence protects.
_MARGIN = 0.1


class ActiveClaim:
    """A claim and the reasons to stop. :mod:`.lease_renewal` extends it; hooks call :meth:`check` in every loop.

    :param record: the claim in the database
    :param began: monotonic seconds just before the claim was made
    :param lease: seconds for which a claim or a renewal is valid
    """

    def __init__(self, record: Claim, clock: Clock, began: float, lease: float) -> None:
        self.record = record
        self.lease = lease
        self.clock = clock
        self._deadline = began + lease * (1 - _MARGIN)
        self._condition = threading.Condition()
        self._abandoned: str | None = None
        self._interrupted = False
        #: See :meth:`interrupt`.
        self.pause: float | None = None
        self._cancelled = False
        self._failed: str | None = None
        self._active = 0

    @property
    def operation_id(self) -> str:
        """Id of the claimed operation."""
        return self.record.operation_id

    def extend(self, began: float) -> None:
        """Extend the deadline after a renewal whose transaction began at *began*, monotonic seconds."""
        self._deadline = began + self.lease * (1 - _MARGIN)

    def abandon(self, reason: str) -> None:
        """Forbid all further work for the operation: the claim was lost, or is about to be released."""
        self._abandoned = self._abandoned or reason

    def interrupt(self, reason: str, *, pause: float | None = None) -> None:
        """Like :meth:`abandon`, for a reason outside of the operation: the attempt then does not count.

        :param pause: seconds until the next attempt, more after repeated interruptions; None: when the lease has expired
        """
        self._interrupted = True
        self.pause = pause
        self.abandon(reason)

    @property
    def is_interrupted(self) -> bool:
        """Whether :meth:`interrupt` was called."""
        return self._interrupted

    def cancel(self) -> None:
        """Stop the operation and undo it, at the tenant's request."""
        self._cancelled = True

    def fail(self, what: str) -> None:
        """Stop the tasks that run in parallel because *what* failed and everything will be undone."""
        self._failed = self._failed or what

    def check(self) -> None:
        """Check that the caller may continue.

        :raises LeaseLost: the claim is lost
        :raises Cancelled: the operation was cancelled, or a part of it failed
        """
        self.ensure_held()
        if self._cancelled:
            raise exception.Cancelled("cancelled")
        if self._failed is not None:
            raise exception.Cancelled(f"stopped because {self._failed} failed")

    def is_lost(self) -> bool:
        """Whether all work for the operation must stop.

        A later renewal does not revive a lost claim: a thread may already have seen the loss and stopped halfway.
        """
        if self._abandoned is None and self.clock.monotonic() >= self._deadline:
            # The process lives, so the cause is outside of the operation: the database, or a machine that stood still.
            self.interrupt(f"the lease could not be renewed for {self.lease:g} seconds")
        return self._abandoned is not None

    def ensure_held(self) -> None:
        """Raise LeaseLost if the claim is lost. For undoing, which neither a cancellation nor a failure stops."""
        if self.is_lost():
            raise exception.LeaseLost(f"operation {self.operation_id}: {self._abandoned}")

    @contextmanager
    def activity(self) -> Iterator[None]:
        """Count the caller as active for the operation within the block; :meth:`wait_idle` waits for its end."""
        with self._condition:
            self._active += 1
        try:
            yield
        finally:
            with self._condition:
                self._active -= 1
                self._condition.notify_all()

    def wait_idle(self, seconds: float) -> bool:
        """Wait at most *seconds* until no thread of this process acts for the operation. Returns whether that is so."""
        with self._condition:
            return self._condition.wait_for(lambda: self._active == 0, seconds)
