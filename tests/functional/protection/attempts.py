"""Attempts at operations as calls in the test's thread, on a clock that the test moves."""

import dataclasses
import itertools
import sqlite3
from contextlib import suppress
from typing import Any

import sqlalchemy as sa

from karbor_like import exception
from karbor_like.clock import ManualClock
from karbor_like.protection import runner
from karbor_like.protection.operation import outage
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


def run(site: Site, *, survives: bool = False) -> bool:
    """Let a new process run the operation that is due. Returns whether the operation ended.

    :param survives: whether the process lives on if the operation did not end; otherwise it died
    """
    env = dataclasses.replace(site.env, owner=f"process {next(_PROCESSES)}")
    ended = False
    for claim in Takeover(env, LEASE).claim(1, ()):
        with suppress(exception.LeaseLost):
            ended = runner.run(env, claim)
        claim.abandon("its run has ended")
        assert claim.wait_idle(60), "a task still acts for the operation"
        if survives:
            outage.record(env.database, claim, lambda: False)
    return ended
