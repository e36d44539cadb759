"""Renewal of an operation's lease."""

import contextlib

from karbor_like import exception
from karbor_like.db import operations
from karbor_like.db.session import Database
from karbor_like.protection.operation import outage
from karbor_like.protection.operation.claim import ActiveClaim


def renew(database: Database, claim: ActiveClaim) -> None:
    """Renew the lease of *claim*, or abandon the claim if another service holds the operation.

    The same transaction reads whether the operation was cancelled. An outage of the database is waited for.
    """

    def attempt() -> None:
        began = claim.clock.monotonic()
        with database.writer() as session:
            renewed = operations.renew(session, claim.record, claim.lease)
            cancelled = renewed and operations.check(session, claim.record).cancel_requested
        if not renewed:
            claim.abandon("another service has taken it over, or it has ended")
            return
        claim.extend(began)
        if cancelled:
            claim.cancel()

    with contextlib.suppress(exception.LeaseLost):
        outage.outlast(claim, attempt)
