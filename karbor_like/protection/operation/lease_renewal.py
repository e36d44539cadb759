"""Renewal of an operation's lease."""

from sqlalchemy import orm

from karbor_like.clock import Clock
from karbor_like.db import operations
from karbor_like.db.session import Database
from karbor_like.protection.operation.claim import ActiveClaim


def renew(database: Database, clock: Clock, claim: ActiveClaim) -> None:
    """Renew the lease of *claim*, or abandon the claim if another service holds the operation.

    The same transaction reads whether the operation was cancelled.
    """
    began = clock.monotonic()

    def write(session: orm.Session) -> tuple[bool, bool]:
        if not operations.renew(session, claim.record, claim.lease):
            return False, False
        return True, operations.check(session, claim.record).cancel_requested

    renewed, cancelled = database.write(write)
    if not renewed:
        claim.abandon("another service has taken it over, or it has ended")
        return
    claim.extend(began)
    if cancelled:
        claim.cancel()
