"""Processes that advance by single calls to the store, each with its own clock, for tests of concurrency."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

from karbor_like.bank import errors
from karbor_like.bank.bank import Bank
from karbor_like.bank.leases.lease import Lease
from karbor_like.bank.objectstore.base import ObjectStore
from karbor_like.clock import ManualClock
from tests.fixtures.stores import Crashed, FaultyStore
from tests.unit.bank import banks

_T = TypeVar("_T")

#: Seconds of real time after which a process that neither ends nor calls the store is treated as hung.
_PATIENCE = 60


class HostClock:
    """A clock that runs as fast as the true one, but may show another time."""

    def __init__(self, true: ManualClock) -> None:
        self._true = true
        self._offset = timedelta(0)

    def now(self) -> datetime:
        return self._true.now() + self._offset

    def monotonic(self) -> float:
        return self._true.monotonic()

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing in a bank sleeps")

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait()

    def step(self, seconds: float) -> None:
        """Set the clock by *seconds*."""
        self._offset += timedelta(seconds=seconds)


class Gate(FaultyStore):
    """Lets calls of all threads of a process through one by one, as allowed.

    :param log: called with every call that is let through
    :param true: every call takes a millisecond
    """

    def __init__(self, inner: ObjectStore, true: ManualClock, log: Callable[[str, str], None]) -> None:
        super().__init__(inner)
        self._true = true
        self._log = log
        self._turn = threading.Condition()
        self._allowed = 0
        self._waiting = 0
        self._inside = 0
        self._ended = True
        self._crash_after = False
        self._free = threading.local()

    @contextlib.contextmanager
    def free(self) -> Iterator[None]:
        """Let all calls of this thread through meanwhile."""
        self._free.now = True
        try:
            yield
        finally:
            self._free.now = False

    def _call(self, op: str, key: str, function: Callable[[], _T]) -> _T:
        if getattr(self._free, "now", False):
            return function()
        with self._turn:
            self._waiting += 1
            self._notify()
            while not self._allowed and not self.crashed:
                self._turn.wait()
            self._waiting -= 1
            if self.crashed:
                self._turn.notify_all()
                raise Crashed(f"{op} {key}")
            self._allowed -= 1
            self._inside += 1
            self.calls += 1
            self._log(op, key)
            self._true.advance(0.001)
        try:
            return function()
        finally:
            with self._turn:
                self._inside -= 1
                if self._crash_after:
                    self.crashed = True
                self._notify()
                if self.crashed:
                    raise Crashed(f"after {op} {key}")

    def _notify(self) -> None:
        """Wake the others if what they wait for may have happened. Otherwise, switching threads would take much time."""
        if not self._allowed or self.crashed:
            self._turn.notify_all()

    def begin(self) -> None:
        with self._turn:
            self._ended = False

    def end(self) -> None:
        with self._turn:
            self._ended = True
            self._turn.notify_all()

    def allow(self, calls: int) -> None:
        """Let *calls* calls through, and return when the process waits at the next one, or ended."""
        with self._turn:
            self._allowed = calls
            self._turn.notify_all()
            settled = self._turn.wait_for(
                lambda: self._ended or (self._waiting and not self._allowed and not self._inside), _PATIENCE
            )
            self._allowed = 0
        assert settled, "a process hangs"

    def kill(self, *, after_next: bool) -> None:
        """The process is no more; with *after_next*, its next call takes effect and it never learns of it."""
        with self._turn:
            self._crash_after = after_next
            self.crashed = not after_next
            self._allowed = 1 if after_next else 0
            self._turn.notify_all()
            dead = self._turn.wait_for(lambda: self._ended, _PATIENCE)
            self.crashed = True
        assert dead, "a process does not die"


class Noted(NamedTuple):
    """Something that a process did. It becomes a text when it is shown, which few are."""

    at: float
    who: str
    what: str
    about: object

    def __str__(self) -> str:
        return f"{self.at:7.0f} {self.who}: {self.what} {self.about}"


class Host:
    """A machine with one process, which does one thing at a time to the bank.

    :param history: gets a line for everything that happens
    """

    def __init__(self, name: str, store: ObjectStore, true: ManualClock, history: list[Noted]) -> None:
        self.name = name
        self._history = history
        self._true = true
        self._store = store
        self.clock = HostClock(true)
        self._start()

    def _start(self) -> None:
        self.gate = Gate(self._store, self._true, self.log)
        self.bank: Bank = banks.make_bank(self.gate, clock=self.clock, threads=1)
        # A thread for all that the process does, as it takes long to start one.
        self._thread = ThreadPoolExecutor(1, self.name)
        self.error: BaseException | None = None
        self._work: Future[None] | None = None
        #: The lease that it holds, if it holds one.
        self.lease: Lease | None = None

    def log(self, what: str, about: object = "") -> None:
        """Note something in the history."""
        self._history.append(Noted(self._true.monotonic(), self.name, what, about))

    @property
    def busy(self) -> bool:
        return self._work is not None

    def begin(self, work: Callable[[Bank], None]) -> None:
        """Begin *work*, up to its first call."""

        def run() -> None:
            try:
                work(self.bank)
            except BaseException as error:  # noqa: BLE001 - the test is given any error
                self.error = error
            finally:
                self.gate.end()

        assert not self.busy
        self.error = None
        self.gate.begin()
        self._work = self._thread.submit(run)
        self.go(0)

    def go(self, calls: int) -> BaseException | None:
        """Let the work continue for *calls* calls. Returns the error that ended it, if any."""
        assert self._work is not None
        self.gate.allow(calls)
        if not self.gate._ended:
            return None
        self._work.result(_PATIENCE)
        self._work = None
        self.log("ended with", repr(self.error))
        return self.error

    def renew(self) -> None:
        """Renew the lease, as its thread does independently of the rest of the process."""
        # The lock is held if the process was stopped while it acquired, renewed or released the lease.
        if self.lease is None or not self.lease._lock.acquire(blocking=False):
            return
        try:
            with self.gate.free(), contextlib.suppress(errors.LeaseLost):
                self.lease.renew()
        finally:
            self.lease._lock.release()

    def crash(self, *, after_next: bool) -> None:
        """Kill the process and start another one without any state."""
        if self._work is not None:
            self.log("is killed")
            self.gate.kill(after_next=after_next)
            self._work.result(_PATIENCE)
        self._thread.shutdown(wait=False)
        self._start()
