"""The kinds of faults: how each begins and ends, and the points at which it makes a difference."""

import contextlib
import dataclasses
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from karbor_like import exception
from tests.faults.points import AFTER, BEFORE, Point, Visit
from tests.faults.system import LEASE, System

Heal = Callable[[], None]
_HOUR: Final = 3600.0
#: Requests that create a server, or a stack with all that it has.
_MAKES: Final = ("POST /compute/v2.1/servers", "POST /orchestration/v1/*/stacks")
#: Seconds for which a database is unreachable: as short as others may take operations over meanwhile.
OUTAGE: Final = LEASE + 1.0
#: The same where time is no matter.
LONG_OUTAGE: Final = 60.0


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    :param about: for the table
    :param applies: whether it makes a difference at a point
    :param strike: begins it while the process is at the point, and returns what ends it
    :param seconds: until its end; None: it ends when the operation has ended
    :param step: seconds by which to step the clock of the process
    :param survives: whether the operation must succeed nevertheless
    :param in_request: whether it strikes the request that starts the operation, which may then not exist
    """

    name: str
    about: str
    applies: Callable[[Point], bool]
    strike: Callable[[System, Visit], Heal]
    seconds: float | None = None
    step: float = 0.0
    survives: bool = True
    in_request: bool = False

    def strikes(self, point: Point) -> bool:
        """Whether it has a cell at a point."""
        return point.in_request == self.in_request and self.applies(point)


def _nothing() -> None:
    """A fault that needs no end."""


def _kill(system: System, visit: Visit) -> Heal:
    system.kill(visit.pid)
    return _nothing


def _cancel(system: System, visit: Visit) -> Heal:
    with contextlib.suppress(exception.OperationEnded):
        system.endpoint.cancel(system.context(), operation_id=system.operation().id)
    return _nothing


def _cancel_and_kill(system: System, visit: Visit) -> Heal:
    def kill(visit: Visit) -> float:
        _kill(system, visit)
        return 0.0

    system.watch.expect_next(lambda point: point.what == "revert", kill)
    return _cancel(system, visit)


def _lock_database(system: System, visit: Visit) -> Heal:
    """Lock SQLite for all others, for which it is unreachable."""
    lock = sqlite3.connect(system.directory / "db.sqlite", isolation_level=None, check_same_thread=False)
    lock.execute("BEGIN IMMEDIATE")

    def heal() -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):  # it was healed before
            lock.execute("ROLLBACK")
            lock.close()

    return heal


def _sandbox_fault(**fault: Any) -> Callable[[System, Visit], Heal]:
    """Add a fault of the sandbox."""

    def strike(system: System, visit: Visit) -> Heal:
        number = system.sandbox.fault(**fault)
        return lambda: system.sandbox.clear_faults(number)

    return strike


def _next_call(**fault: Any) -> Callable[[System, Visit], Heal]:
    """Add a fault that strikes the call before which the process is."""

    def strike(system: System, visit: Visit) -> Heal:
        method, path = visit.point.what.split(" ")[:2]
        pattern = path.split("/", 2)[2].replace("*", "[^/]+")
        return _sandbox_fault(method=method, path=f"{pattern}$", **fault)(system, visit)

    return strike


def _cut_content(system: System, visit: Visit) -> Heal:
    where = "response" if visit.point.what.startswith("GET") else "request"
    return _next_call(kind="cut", service="image", where=where, after_bytes=100_000)(system, visit)


def _expire_tokens(system: System, visit: Visit) -> Heal:
    for user in ("alice", "karbor"):
        system.sandbox.expire_tokens_of(system.user_id(user))
    return _nothing


def _is_before(point: Point) -> bool:
    return point.when == BEFORE


def _needs_bank(point: Point) -> bool:
    return point.when == BEFORE and (point.is_stored or point.what == "execute")


def outage(seconds: float) -> dict[str, Kind]:
    """Return all kinds, with a database that is unreachable for so long."""
    return {**KINDS, "database": dataclasses.replace(KINDS["database"], seconds=seconds)}


KINDS: Final[dict[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("kill", "kill -9 of the protection service", lambda point: point.when in (BEFORE, AFTER), _kill),
        Kind(
            "kill-request",
            "kill -9 of the services that take the request",
            lambda point: point.when in (BEFORE, AFTER),
            _kill,
            in_request=True,
        ),
        Kind("cancel", "cancelled", _is_before, _cancel, survives=False),
        Kind(
            "cancel-kill",
            "cancelled, and kill -9 while it is rolled back",
            lambda point: point.when == BEFORE and (point.is_request or point.what == "execute"),
            _cancel_and_kill,
            survives=False,
        ),
        Kind(
            "database",
            "database unreachable for longer than a lease",
            _is_before,
            _lock_database,
            seconds=OUTAGE,
        ),
        Kind(
            "store-503",
            "object store answers 503 for longer than a lease",
            _needs_bank,
            _sandbox_fault(service="object-store", kind="status", status=503, times=0),
            seconds=LEASE + 1,
        ),
        Kind(
            "store-cut",
            "object store loses the answers to three requests",
            _needs_bank,
            _sandbox_fault(service="object-store", kind="cut", where="response", times=3),
        ),
        Kind(
            "store-full",
            "object store full until the operation has ended",
            _needs_bank,
            _sandbox_fault(service="object-store", method="PUT", kind="status", status=507, times=0),
            survives=False,
        ),
        Kind(
            "volume-error",
            "Cinder's resource goes to error",
            lambda point: point.when == BEFORE and point.is_request and " /volume/" in point.what,
            _next_call(kind="error", service="volume"),
            survives=False,
        ),
        Kind(
            "server-error",
            "Nova's server or Heat's stack goes to error",
            lambda point: point.when == BEFORE and point.is_request and point.what.startswith(_MAKES),
            _next_call(kind="error"),
            survives=False,
        ),
        Kind(
            "image-cut",
            "Glance cuts the stream",
            lambda point: point.when == BEFORE and point.what.endswith("/file"),
            _cut_content,
        ),
        Kind(
            "silent",
            "a call is never answered",
            lambda point: point.when == BEFORE and point.is_request,
            _next_call(kind="stall", where="request"),
            survives=False,
        ),
        Kind("token", "all tokens expired", _is_before, _expire_tokens),
        Kind("clock-forward", "clock stepped forward by an hour", _is_before, lambda *_: _nothing, step=_HOUR),
        Kind("clock-back", "clock stepped back by an hour", _is_before, lambda *_: _nothing, step=-_HOUR),
    )
}
