"""Attempts at operations as calls in the test's thread, on a clock that the test moves."""

import dataclasses
import itertools
import sqlite3
from contextlib import suppress
from typing import Any

import sqlalchemy as sa

from karbor_like import exception
from karbor_like.clock import Clock, ManualClock
from karbor_like.db.session import Database
from karbor_like.protection import runner
from karbor_like.protection.operation import lease_renewal, outage
from karbor_like.protection.operation.claim import ActiveClaim
from karbor_like.protection.takeover import Takeover
from tests.functional.protection.site import LEASE, Site


def follow(engine: sa.Engine, clock: ManualClock) -> None:
    """Set the database's clock to *clock*."""

    def now(form: str, when: str) -> str:
        assert (form, when) == ("%Y-%m-%d %H:%M:%f", "now")
        return clock.now().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]

    def connect(connection: sqlite3.Connection, record: Any) -> None:
        connection.create_function("strftime", 2, now)

    sa.event.listen(engine, "connect", connect)
    engine.dispose()


_PROCESSES = itertools.count()


class _RenewingClock(ManualClock):
    """A clock of which each pause renews the lease of *claim*, as a thread of the service does meanwhile."""

    def __init__(self, clock: Clock, database: Database) -> None:
        super().__init__()
        self._clock = clock
        self._database = database
        self.claim: ActiveClaim | None = None
        self.now, self.monotonic, self.wait = clock.now, clock.monotonic, clock.wait  # type: ignore[method-assign]

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)
        if self.claim is not None and not self.claim.is_lost():
            lease_renewal.renew(self._database, self.claim)


def run(site: Site, *, survives: bool = False, renews: bool = False) -> bool:
    """Let a new process run the operation that is due. Returns whether the operation ended.

    :param survives: whether the process lives on if the operation did not end; otherwise it died
    :param renews: whether its lease is renewed during the pauses of an outage
    """
    clock = _RenewingClock(site.env.clock, site.env.database)
    env = dataclasses.replace(site.env, owner=f"process {next(_PROCESSES)}", clock=clock if renews else site.env.clock)
    ended = False
    for claim in Takeover(env, LEASE).claim(1, ()):
        clock.claim = claim
        with suppress(exception.LeaseLost):
            ended = runner.run(env, claim)
        claim.abandon("its run has ended")
        assert claim.wait_idle(60), "a task still acts for the operation"
        if survives:
            outage.record(env.database, claim, lambda: False)
    return ended
