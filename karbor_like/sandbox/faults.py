"""The failure switch: which calls go wrong and how, how often each fault was met, and a log of all calls.

Deterministic: a fault counts the calls that match it and strikes at the n-th, for as many times as it was told to.
"""

import itertools
import re
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from karbor_like.sandbox import errors

STATUS, DELAY, CUT, STALL, ERROR, HOLD = KINDS = ("status", "delay", "cut", "stall", "error", "hold")
LOG_LENGTH = 100_000


@dataclass
class Fault:
    """One instruction to fail.

    :param service: ``identity``, ``image``, ``volume``, ``object-store`` or ``compute``; empty means each
    :param method: HTTP method; empty means each
    :param path: regular expression that is searched in the path below the service's prefix, without the query
    :param nth: the first matching call that is struck, counted from 1
    :param times: how many matching calls in a row are struck; 0 means all from the nth on
    :param kind: ``status``: answer with *status* and *body*, do nothing. ``delay``: wait *seconds* first. ``cut``: close the
        connection. ``stall``: keep the connection open and silent until the fault is cleared. ``error``: accept, but let
        the resource go to its error state with *reason*. ``hold``: accept, but keep the resource in its passing state
        until the fault is cleared
    :param where: ``cut`` and ``stall`` in the ``request`` (before anything is done, or in the middle of the body that comes
        in) or in the ``response`` (after it is done: with no *after_bytes* the answer is lost)
    :param after_bytes: bytes of the body that pass before ``cut`` and ``stall``
    :param seconds: how long ``delay`` waits
    """

    service: str = ""
    method: str = ""
    path: str = ""
    nth: int = 1
    times: int = 1
    kind: str = STATUS
    status: int = 503
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    where: str = "response"
    after_bytes: int = 0
    seconds: float = 0.0
    reason: str = "the sandbox was told to fail"
    id: int = 0
    matched: int = 0
    struck: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise errors.bad_request(f"kind is {self.kind!r}: must be one of {', '.join(KINDS)}")
        if self.where not in ("request", "response"):
            raise errors.bad_request(f"where is {self.where!r}: must be request or response")
        self._pattern = re.compile(self.path)
        self.cleared = threading.Event()

    def meets(self, service: str, method: str, path: str) -> bool:
        """Whether the call matches; does not count it."""
        return (
            self.service in ("", service)
            and self.method.upper() in ("", method)
            and self._pattern.search(path) is not None
        )

    def count(self) -> bool:
        """Count a call that matches. Returns whether it is struck."""
        self.matched += 1
        strikes = self.matched >= self.nth and (not self.times or self.matched < self.nth + self.times)
        self.struck += strikes
        return strikes

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class LoggedCall:
    """A call as it came and how it ended; status 0 while it runs and when the connection was cut."""

    service: str
    method: str
    path: str
    query: str = ""
    status: int = 0
    project_id: str | None = None


class Strikes:
    """The faults that strike one call, by kind; the first of each kind counts."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._faults = list(faults)

    def find(self, kind: str, where: str | None = None) -> Fault | None:
        return next((f for f in self._faults if f.kind == kind and where in (None, f.where)), None)


class Switchboard:
    """All faults and the log of calls. Nothing of it outlives the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: dict[int, Fault] = {}
        self._ids = itertools.count(1)
        self._log: deque[LoggedCall] = deque(maxlen=LOG_LENGTH)

    def add(self, values: dict[str, Any]) -> Fault:
        """:raises ApiError: 400 with a sentence, when the description is wrong"""
        known = set(Fault.__dataclass_fields__) - {"id", "matched", "struck"}
        if unknown := sorted(set(values) - known):
            raise errors.bad_request(f"unknown fields {', '.join(unknown)}: known are {', '.join(sorted(known))}")
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
        """Forget one fault or all; what stalls or is held because of it goes on."""
        with self._lock:
            for key in list(self._faults) if fault_id is None else [fault_id]:
                if fault := self._faults.pop(key, None):
                    fault.cleared.set()

    def enter(self, service: str, method: str, path: str, query: str) -> tuple[LoggedCall, Strikes]:
        """Log a call that begins and say what strikes it."""
        call = LoggedCall(service, method, path, query)
        with self._lock:
            self._log.append(call)
            struck = [f for f in self._faults.values() if f.meets(service, method, path) and f.count()]
        return call, Strikes(struck)

    def calls(self, service: str = "", method: str = "", path: str = "") -> list[LoggedCall]:
        """Logged calls that match, oldest first; the parameters are those of a fault."""
        pattern = Fault(service=service, method=method, path=path)
        with self._lock:
            return [call for call in self._log if pattern.meets(call.service, call.method, call.path)]

    def forget_calls(self) -> None:
        with self._lock:
            self._log.clear()
