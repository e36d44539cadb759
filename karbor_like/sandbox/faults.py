"""Fault injection: faults, the number of calls that each matched, and a log of all calls.

It is deterministic: a fault counts the calls that match it, and strikes from the n-th one on, for a given number of calls.
"""

import itertools
import re
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from karbor_like.sandbox import errors

KINDS = ("status", "delay", "cut", "stall", "error", "hold", "short", "lose")
STATUS, DELAY, CUT, STALL, ERROR, HOLD, SHORT, LOSE = KINDS
LOG_LENGTH = 100_000


@dataclass
class Fault:
    """A fault.

    :param service: ``identity``, ``image``, ``volume``, ``share``, ``object-store``, ``compute``, ``network``,
        ``database`` or ``kubernetes``; empty: any
    :param method: HTTP method; empty means any
    :param path: regular expression that is searched in the path below the service's prefix, without the query
    :param nth: the first matching call that is struck, counted from 1
    :param times: number of matching calls that are struck; 0 means all from the nth on
    :param every: 1: consecutive calls are struck; otherwise every *every*-th one from the nth on
    :param kind: ``status``: respond with *status* and *body* without processing the call. ``delay``: wait *seconds* first.
        ``cut``: close the connection. ``stall``: keep the connection open and idle until the fault is cleared. ``error``:
        accept the call, but move the resource to its error state with *reason*. ``hold``: accept the call, but keep the
        resource in its transitional state until the fault is cleared. ``short``: accept the upload of a volume to an image,
        and report success although the image has the first *after_bytes* bytes only. ``lose``: lose the data of the backup
        that the call makes or restores; its status does not show it
    :param where: ``cut`` and ``stall`` either in the ``request`` (before processing, or in the middle of the body) or in the
        ``response`` (after processing; without *after_bytes*, the whole response is lost)
    :param after_bytes: bytes of the body to transfer before ``cut`` and ``stall``, which do not strike a response with fewer;
        bytes of a ``short`` image
    :param seconds: duration of ``delay``
    """

    service: str = ""
    method: str = ""
    path: str = ""
    nth: int = 1
    times: int = 1
    every: int = 1
    kind: str = STATUS
    status: int = 503
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    where: str = "response"
    after_bytes: int = 0
    seconds: float = 0.0
    reason: str = "fault injected by the sandbox"
    id: int = 0
    matched: int = 0
    struck: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise errors.bad_request(f"kind: {self.kind!r} is not one of {', '.join(KINDS)}")
        if self.where not in ("request", "response"):
            raise errors.bad_request(f"where: {self.where!r} is not request or response")
        if self.every < 1:
            raise errors.bad_request(f"every: {self.every} is less than 1")
        self._pattern = re.compile(self.path)
        self.cleared = threading.Event()

    def matches(self, service: str, method: str, path: str) -> bool:
        """Return whether the call matches, without counting it."""
        return (
            self.service in ("", service)
            and self.method.upper() in ("", method)
            and self._pattern.search(path) is not None
        )

    def count(self) -> bool:
        """Count a matching call.

        :returns: whether the fault strikes it
        """
        self.matched += 1
        turn, rest = divmod(self.matched - self.nth, self.every)
        strikes = turn >= 0 and rest == 0 and (not self.times or turn < self.times)
        self.struck += strikes
        return strikes

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class LoggedCall:
    """A call and the status of its response: 0 while it runs, or if the connection was cut."""

    service: str
    method: str
    path: str
    query: str = ""
    status: int = 0
    project_id: str | None = None


class Strikes:
    """The faults that strike one call. Of several of a kind, the first one applies."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._faults = list(faults)

    def find(self, kind: str, where: str | None = None) -> Fault | None:
        return next((f for f in self._faults if f.kind == kind and where in (None, f.where)), None)


class Switchboard:
    """All faults and the log of calls, in memory only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: dict[int, Fault] = {}
        self._ids = itertools.count(1)
        self._log: deque[LoggedCall] = deque(maxlen=LOG_LENGTH)

    def add(self, values: dict[str, Any]) -> Fault:
        """Add a fault with the fields of :class:`Fault`.

        :raises ApiError: 400, if a field is unknown or invalid
        """
        known = set(Fault.__dataclass_fields__) - {"id", "matched", "struck"}
        if unknown := sorted(set(values) - known):
            raise errors.bad_request(
                f"unknown fields {', '.join(unknown)}; expected some of {', '.join(sorted(known))}"
            )
        try:
            fault = Fault(**values)
        except re.error as error:
            raise errors.bad_request(f"path {values.get('path')!r} is not a regular expression: {error}") from None
        with self._lock:
            fault.id = next(self._ids)
            self._faults[fault.id] = fault
        return fault

    def all(self) -> list[Fault]:
        with self._lock:
            return list(self._faults.values())

    def clear(self, fault_id: int | None = None) -> None:
        """Remove one fault or all, and resume the calls and jobs that they stall or hold."""
        with self._lock:
            for key in list(self._faults) if fault_id is None else [fault_id]:
                if fault := self._faults.pop(key, None):
                    fault.cleared.set()

    def enter(self, service: str, method: str, path: str, query: str) -> tuple[LoggedCall, Strikes]:
        """Log a new call and return the faults that strike it."""
        call = LoggedCall(service, method, path, query)
        with self._lock:
            self._log.append(call)
            struck = [f for f in self._faults.values() if f.matches(service, method, path) and f.count()]
        return call, Strikes(struck)

    def calls(self, service: str = "", method: str = "", path: str = "") -> list[LoggedCall]:
        """List the logged calls that match, oldest first; the parameters are those of a fault."""
        pattern = Fault(service=service, method=method, path=path)
        with self._lock:
            return [call for call in self._log if pattern.matches(call.service, call.method, call.path)]

    def forget_calls(self) -> None:
        with self._lock:
            self._log.clear()
