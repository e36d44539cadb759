"""An outage of the database or of the bank is no failure of an operation, at whichever request it begins.

No clean-up runs, the attempt does not count, and the result is the same. Time is a clock that the waiting moves.
"""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from oslo_db import exception as db_exception

from karbor_like.bank import errors
from karbor_like.clock import ManualClock
from tests.functional.protection.attempts import follow, run
from tests.functional.protection.site import LEASE, PROVIDER, Site

SHORT, LONG = LEASE / 3, LEASE * 3
REQUESTS = ("put", "get", "get_into", "stat", "list", "delete")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def site(tmp_path: Path, files: Path, clock: ManualClock) -> Iterator[Site]:
    """Answers calls and runs no operations. One resource with content."""
    site = Site(tmp_path, files)
    site.env = dataclasses.replace(site.env, clock=clock)
    follow(site.env.database.engine, clock)
    site.cloud.plant({"a": []})
    site.cloud.content("a", b"content " * 1000)
    yield site
    site.close()


class Outage:
    """Begins at the request number *first* and lasts *seconds*."""

    def __init__(self, clock: ManualClock, first: int, seconds: float, error: Callable[[], Exception]) -> None:
        self._clock = clock
        self._left = first
        self._seconds = seconds
        self._error = error
        self._until: float | None = None

    def meet(self, *, counts: bool = True) -> None:
        """Fail a request if the outage has begun and not ended."""
        if self._until is None and counts:
            self._left -= 1
            if self._left < 0:
                self._until = self._clock.monotonic() + self._seconds
        if self._until is not None and self._clock.monotonic() < self._until:
            raise self._error()

    @property
    def began(self) -> bool:
        return self._until is not None


@contextmanager
def database_outage(site: Site, outage: Outage) -> Iterator[None]:
    """Let *outage* begin at a write to the database."""

    def execute(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        outage.meet(counts=statement.startswith(("INSERT", "UPDATE", "DELETE")))

    engine = site.env.database.engine
    sa.event.listen(engine, "before_cursor_execute", execute)
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", execute)


@contextmanager
def bank_outage(site: Site, outage: Outage) -> Iterator[None]:
    """Let *outage* begin at a request to the bank's store."""
    store = site.env.providers.get(PROVIDER).bank.store

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            outage.meet()
            return real(*args, **kwargs)

        return call

    for name in REQUESTS:
        setattr(store, name, wrap(getattr(store, name)))
    try:
        yield
    finally:
        for name in REQUESTS:
            delattr(store, name)


def unreachable() -> Exception:
    return db_exception.DBConnectionError("can't connect to MySQL server on '192.0.2.7'")


def silent() -> Exception:
    return errors.ConnectionFailed("/srv/bank/karbor: leases: Input/output error")


#: What is unavailable, how it fails, and of how many of its requests one is the first of an outage: all would take minutes.
KINDS = pytest.mark.parametrize(
    ("failing", "error", "step"),
    [(database_outage, unreachable, 8), (bank_outage, silent, 24)],
    ids=["database", "bank"],
)


def attempt(site: Site, clock: ManualClock, first: int, seconds: float, failing: Any, error: Any) -> bool:
    """Protect during an outage. Return whether there was one."""
    outage = Outage(clock, first, seconds, error)
    created = site.protect("a")["id"]
    with failing(site, outage):
        # The claim itself belongs to no attempt.
        outage._left += failing is database_outage
        ends = [run(site, survives=True)]
        while not ends[-1] and len(ends) < 9:
            clock.advance(LEASE)
            ends.append(run(site, survives=True))
    row, log, progress = site.checkpoint(created), site.operation(checkpoint_id=created), site.resources()["a"]
    where = f"an outage at request {first}: {row.reason} {log.error_info} {progress.reason}"
    assert (row.status, row.reason, log.error_info, progress.reason) == ("available", None, None, None), where
    assert (progress.status, row.logical_bytes, row.new_bytes, row.stored_bytes) == ("available", 100, 60, 30), where
    assert site.things() == [], where
    assert log.attempts - log.interruptions == 1, where
    if seconds == SHORT:
        assert len(ends) == 1, where
    assert site.env.providers.get(PROVIDER).bank.checkpoints.get(created).status == "available"
    return outage.began


@KINDS
@pytest.mark.parametrize("seconds", [SHORT, LONG], ids=["shorter", "longer"])
def test_an_outage_at_any_request_of_a_protect(
    site: Site, clock: ManualClock, seconds: float, failing: Any, error: Callable[[], Exception], step: int
):
    first, met = 1 if seconds == SHORT else 2, 0
    while attempt(site, clock, first, seconds, failing, error):
        first, met = first + step, met + 1
    assert met > 1, "there are more requests"
    assert not [call for call in site.cloud.calls() if ":cleanup:" in call], "something was undone"
