"""This process's grip on one operation, seen by all its threads: whether to go on, and if not, why."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from karbor_like import exception
from karbor_like.clock import Clock
from karbor_like.db.operations import Claim

#: The part of a lease that must be left for anybody to begin something outside the database, which nothing fences.
_MARGIN = 0.1


class ActiveClaim:
    """A claim with its flags. The heart of the executor renews it; hooks ask :meth:`check` in every loop.

    :param began: monotonic seconds just before the claim was made
    :param lease: seconds for which a claim or renewal is good
    """

    def __init__(self, claim: Claim, clock: Clock, began: float, lease: float) -> None:
        self.claim = claim
        self._clock = clock
        self._lease = lease
        self._deadline = began + lease * (1 - _MARGIN)
        self._condition = threading.Condition()
        self._gone: str | None = None
        self._cancelled = False
        self._failed: str | None = None
        self._active = 0

    def renewed(self, began: float) -> None:
        """The lease was renewed by a transaction that began at *began*, monotonic seconds."""
        self._deadline = began + self._lease * (1 - _MARGIN)

    def abandon(self, reason: str) -> None:
        """From now on nothing may be done for the operation: it was lost, or is being given back."""
        self._gone = self._gone or reason

    def cancel(self) -> None:
        """The tenant does not want it any more: stop and undo."""
        self._cancelled = True

    def fail(self, what: str) -> None:
        """*what* failed, so that its siblings need not go on: all will be undone."""
        self._failed = self._failed or what

    def check(self) -> None:
        """Raises LeaseLost or Cancelled where whoever asks must stop."""
        self.ensure_held()
        if self._cancelled:
            raise exception.Cancelled("cancelled")
        if self._failed is not None:
            raise exception.Cancelled(f"stopped because {self._failed} failed")

    def lost(self) -> bool:
        """Whether nothing may be done for the operation any more. Once that is so it stays so, whatever is renewed later:
        somebody may have been told already, and have stopped in the middle.
        """
        if self._clock.monotonic() >= self._deadline:
            self.abandon(f"the lease could not be renewed for {self._lease:g} seconds")
        return self._gone is not None

    def ensure_held(self) -> None:
        """Raises LeaseLost where the operation is :meth:`lost`; for undoing, which nothing else stops."""
        if self.lost():
            raise exception.LeaseLost(f"operation {self.claim.operation_id}: {self._gone}")

    @contextmanager
    def working(self) -> Iterator[None]:
        """Around whatever acts for the operation, so that :meth:`wait_idle` knows."""
        with self._condition:
            self._active += 1
        try:
            yield
        finally:
            with self._condition:
                self._active -= 1
                self._condition.notify_all()

    def wait_idle(self, seconds: float) -> bool:
        """Wait until nothing acts for the operation in this process. Returns whether that is so."""
        with self._condition:
            return self._condition.wait_for(lambda: self._active == 0, seconds)
