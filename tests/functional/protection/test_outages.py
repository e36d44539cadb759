"""An outage of the database or of a bank is no failure of an operation, at whichever request it begins.

No clean-up runs, the attempt does not count, and the result is that of an operation without an outage. Time is a clock that
the waiting moves.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from oslo_db import exception as db_exception

from karbor_like.api import views
from karbor_like.bank import errors, layout
from karbor_like.clock import ManualClock
from karbor_like.domain.operation import OperationType
from tests.functional.protection.attempts import follow, run
from tests.functional.protection.site import LEASE, OTHER_PROVIDER, PROVIDER, Site, write_provider

SHORT, LONG = LEASE / 3, LEASE * 3
REQUESTS = ("put", "get", "get_into", "stat", "list", "delete")
#: Of the requests of an operation, how many are the first of an outage, unless all are: that would take minutes.
SAMPLE = 2


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def site(tmp_path: Path, files: Path, clock: ManualClock) -> Iterator[Site]:
    """Answers calls and runs no operations. Two providers, and one resource with content."""
    write_provider(tmp_path, OTHER_PROVIDER, "other", "other-bank")
    site = Site(tmp_path, files)
    site.env = dataclasses.replace(site.env, clock=clock)
    follow(site.env.database.engine, clock)
    site.cloud.plant({"a": []})
    site.cloud.content("a", b"content " * 1000)
    yield site
    site.close()


class Outage:
    """Begins at the request number *first*, counted from 0, and lasts *seconds*."""

    def __init__(self, clock: ManualClock, first: float, seconds: float, error: Callable[[], Exception]) -> None:
        self._clock = clock
        self._first = first
        self._seconds = seconds
        self._error = error
        self._until: float | None = None
        #: Number of requests.
        self.met = 0

    def meet(self, *, counts: bool = True) -> None:
        """Fail a request if the outage has begun and not ended."""
        self.met += counts
        if self._until is None and self.met > self._first:
            self._until = self._clock.monotonic() + self._seconds
        if self._until is not None and self._clock.monotonic() < self._until:
            raise self._error()


@contextmanager
def database_outage(site: Site, outage: Outage) -> Iterator[None]:
    """Let *outage* begin at a write to the database."""
    claimed = False

    def execute(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        nonlocal claimed
        writes = statement.startswith(("INSERT", "UPDATE", "DELETE"))
        # The first claim belongs to no attempt.
        outage.meet(counts=writes and claimed)
        claimed |= writes

    engine = site.env.database.engine
    sa.event.listen(engine, "before_cursor_execute", execute)
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", execute)


@contextmanager
def bank_outage(site: Site, outage: Outage) -> Iterator[None]:
    """Let *outage* begin at a request to the store of either bank."""
    stores = [site.env.providers.get(provider_id).bank.store for provider_id in (PROVIDER, OTHER_PROVIDER)]

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            outage.meet()
            return real(*args, **kwargs)

        return call

    for store in stores:
        for name in REQUESTS:
            setattr(store, name, wrap(getattr(store, name)))
    try:
        yield
    finally:
        for store in stores:
            for name in REQUESTS:
                delattr(store, name)


def unreachable() -> Exception:
    return db_exception.DBConnectionError("can't connect to MySQL server on '192.0.2.7'")


def silent() -> Exception:
    return errors.ConnectionFailed("/srv/bank/karbor: leases: Input/output error")


@dataclasses.dataclass
class Source:
    """An available checkpoint and its plan."""

    plan_id: str
    checkpoint_id: str


@pytest.fixture
def source(site: Site) -> Source:
    return protected(site)


def protected(site: Site) -> Source:
    plan_id = site.plan("a")
    created = site.protect(plan_id=plan_id)["id"]
    assert run(site)
    return Source(plan_id, created)


#: The values by which an operation is found.
Started = Mapping[str, Any]
Begin = Callable[[Site, Source], Started]
Failing = Callable[[Site, Outage], AbstractContextManager[None]]
Error = Callable[[], Exception]


def protect(site: Site, source: Source) -> Started:
    return {"checkpoint_id": site.protect(plan_id=source.plan_id)["id"]}


def restore(site: Site, source: Source) -> Started:
    return {"restore_id": site.restore(source.checkpoint_id)}


def verify(site: Site, source: Source) -> Started:
    return {"verification_id": site.verify(source.checkpoint_id)}


def delete(site: Site, source: Source) -> Started:
    created = protected(site).checkpoint_id
    site.delete(created)
    return {"checkpoint_id": created, "operation_type": OperationType.DELETE}


def copy(site: Site, source: Source) -> Started:
    (created,) = site.copy(source.plan_id, checkpoint_ids=[source.checkpoint_id]).values()
    return {"checkpoint_id": created}


def shown(row: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def outcome(site: Site, started: Started) -> dict[str, Any]:
    """What tenants and operators see of an operation that has ended."""
    operation = site.operation(**started)
    requests = {"restore_id": site.restored, "verification_id": site.verified}
    key, value = next(iter(started.items()))
    row = requests.get(key, site.checkpoint)(value)
    checkpoint = site.checkpoint(operation.checkpoint_id)
    bank = site.env.providers.get(checkpoint.provider_id).bank
    in_bank = bank.store.exists(layout.plan_key(checkpoint.id))
    return {
        "operation": shown(operation, "status", "error_info", "queue_state", "credential"),
        "object": shown(row, "status", "reason"),
        "resources": {
            name: shown(resource, "status", "reason", "logical_bytes")
            for name, resource in site.resources(**started).items()
        },
        "checkpoint": shown(checkpoint, "status", "logical_bytes"),
        "in the bank": bank.checkpoints.get(checkpoint.id).status if in_bank else None,
        "in the cloud": [(site.cloud.things / name).read_bytes() for name in site.things() if operation.id in name],
        "undone": [call for call in site.cloud.calls() if ":cleanup:" in call],
        "deaths": operation.attempts - operation.interruptions,
    }


def attempt(
    site: Site, clock: ManualClock, work: Callable[[], Started], outage: Outage, failing: Failing
) -> tuple[Any, int]:
    """Run an operation to its end during *outage*. Return its outcome and the number of attempts."""
    started = work()
    with failing(site, outage):
        ends = [run(site, survives=True)]
        while not ends[-1] and len(ends) < 9:
            clock.advance(LEASE)
            ends.append(run(site, survives=True))
    return outcome(site, started), len(ends)


@pytest.mark.parametrize(
    ("failing", "error"), [(database_outage, unreachable), (bank_outage, silent)], ids=["database", "bank"]
)
@pytest.mark.parametrize("begin", [protect, restore, verify, delete, copy])
def test_an_outage_at_any_request_of_an_operation(
    request: pytest.FixtureRequest,
    site: Site,
    source: Source,
    clock: ManualClock,
    begin: Begin,
    failing: Failing,
    error: Error,
):
    work = functools.partial(begin, site, source)
    calm = Outage(clock, math.inf, 0, error)
    expected, _ = attempt(site, clock, work, calm, failing)
    assert (expected["operation"]["error_info"], expected["undone"], expected["deaths"]) == (None, [], 1)
    step = 1 if request.config.getoption("--every-outage") else math.ceil(calm.met / SAMPLE)
    # Both lengths begin at other requests if not at all of them.
    for seconds, offset in ((SHORT, 0), (LONG, step // 2)):
        for first in range(offset, calm.met, step):
            outage = Outage(clock, first, seconds, error)
            found, attempts = attempt(site, clock, work, outage, failing)
            where = f"an outage of {seconds} s at request {first} of {calm.met}"
            assert found == expected, where
            assert (attempts == 1) or (seconds == LONG), where


def no_key() -> Exception:
    return errors.KeyManagerUnavailable("master key 'm': the key manager does not answer: https://192.0.2.7: refused")


@pytest.mark.parametrize(
    ("error", "peer"), [(silent, "the bank of the provider"), (no_key, "the key manager of the bank")]
)
def test_an_operation_says_for_what_it_waits_until_it_is_cancelled(
    site: Site, clock: ManualClock, error: Error, peer: str
):
    created = site.protect("a")["id"]
    text = f"waiting for {peer} since {clock.now():%Y-%m-%d %H:%M:%S} UTC"
    with bank_outage(site, Outage(clock, 3, math.inf, error)):
        for _ in range(3):
            assert not run(site, survives=True, renews=True)
            operation = site.operation(checkpoint_id=created)
            assert (operation.error_info, views.progress(operation, [])["reason"]) == (text, text)
            clock.advance(3600)
        site.endpoint.cancel(site.context(), operation_id=operation.id)
        assert run(site, survives=True, renews=True)
    row, operation = site.checkpoint(created), site.operation(checkpoint_id=created)
    assert (row.status, row.reason, operation.error_info) == ("error", "cancelled", "cancelled")
