"""Leases: who is at work in a bank, so that the collector leaves alone what they rely on.

A lease is a series of small objects, ``leases/<id>/<seq>``: a renewal is a new object, and the older ones are removed
when the new one is old enough to be in every listing. How long a lease is good for is counted in *the store's* time
(``ObjectInfo.modified`` of its newest object, plus its duration): the clocks of the machines that write and of those
that collect need not agree. The owner counts the same span on its own monotonic clock, from before the request, and
takes the lease for lost a margin earlier, or when the wall clock (which also runs while a machine is suspended) says
that it ran out.

A write lease that was released still counts for a grace period, until what was written under it is in every listing.
"""

import logging
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, Self

from karbor_like.bank import errors, layout
from karbor_like.bank.format import jsonobject
from karbor_like.bank.leases import exclusions
from karbor_like.bank.leases.safety import Safety
from karbor_like.bank.objectstore import listing
from karbor_like.bank.objectstore.base import ObjectInfo, ObjectStore
from karbor_like.clock import Clock

LOG = logging.getLogger(__name__)

VERSION: Final = 1
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
#: Seconds that a lease can be good for: added to any date of this century or the next it is still a date.
_LONGEST: Final = 1e9

Kind = Literal["write", "read", "gc"]


@dataclass(frozen=True)
class LeaseInfo:
    """A lease as others see it. Times are the store's.

    :param started: when it was taken
    :param ends: when it ends unless it is renewed, or when it was released
    :param objects: keys of its objects that a listing shows
    """

    id: str
    holder: str
    kind: Kind
    bases: Sequence[str]
    started: datetime
    ends: datetime
    released: bool
    objects: Sequence[str]

    def counts(self, now: datetime, safety: Safety) -> bool:
        """Whether the collector must still reckon with it at *now*, of the store's time."""
        grace = timedelta(0) if self.kind == "gc" else safety.grace
        return now <= self.ends + grace


class _Until(NamedTuple):
    """The end of a lease on the owner's two clocks and on the store's."""

    monotonic: float
    wall: datetime
    store: datetime


class Lease:
    """One lease of this process. A context manager: leaving it releases the lease.

    Made by :meth:`Leases.acquire`. Any number of threads may use it.
    """

    def __init__(
        self, store: ObjectStore, clock: Clock, safety: Safety, *, holder: str, bases: Sequence[str], kind: Kind
    ) -> None:
        self.id: Final = uuid.uuid4().hex
        self.holder: Final = holder
        self.bases: Final = tuple(bases)
        self.kind: Final[Kind] = kind
        #: Prefixes of the names that were written or found under it: a listing may not show them yet.
        self.names: Final[set[str]] = set()
        self._store = store
        self._clock = clock
        self._safety = safety
        self._lock = threading.RLock()  # held while the store is talked to; check() does without
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lost: str | None = None
        self._released = False
        self._avoid: dict[str, exclusions.Exclusions] = {}
        # seq -> monotonic time at which it was known to be stored; None where its put failed, which may have stored it
        self._objects: dict[int, float | None] = {}
        self._until: _Until | None = None
        self._started: datetime | None = None
        self._renew_now()

    @property
    def started(self) -> datetime:
        """When it was taken, in the store's time."""
        assert self._started is not None
        return self._started

    @property
    def ends(self) -> datetime:
        """Until when it is good as it stands, in the store's time. What was stored later was not stored under it."""
        return self._good_until.store

    @property
    def _good_until(self) -> "_Until":
        assert self._until is not None
        return self._until

    def now(self) -> datetime:
        """The store's time now, counted on from the last renewal."""
        until = self._good_until
        return until.store - timedelta(seconds=until.monotonic - self._clock.monotonic())

    def check(self) -> None:
        """Raises LeaseLost when the lease ran out, or is too near its end for what comes next to be sure. Asks nobody."""
        if self._released:
            raise errors.LeaseLost(f"{self} was released")
        if self._lost is None:
            self._lost = self._expiry()
        if self._lost is not None:
            raise errors.LeaseLost(f"{self} was lost: {self._lost}")

    def _expiry(self) -> str | None:
        margin, until = self._safety.lease_margin, self._good_until
        if self._clock.monotonic() >= until.monotonic - margin:
            return f"it was not renewed within {self._safety.lease_duration:g} seconds"
        if self._clock.now() >= until.wall - timedelta(seconds=margin):
            return "the wall clock went past its end (the machine slept, or its clock was set)"
        return None

    def renew(self) -> None:
        """Renew it. Raises LeaseLost when it is too late for that, or what the store raises: then it may be tried again."""
        with self._lock:
            self.check()
            self._renew_now()

    def _renew_now(self) -> None:
        seq = self._next()
        before, wall = self._clock.monotonic(), self._clock.now()
        key = layout.lease_key(self.id, seq)
        self._objects[seq] = None
        self._store.put(key, self._body(wall, released=False))
        put = self._store.stat(key).modified
        self._objects[seq] = self._clock.monotonic()
        if self._until is not None and put > self._until.store:
            self._lost = f"the store received its renewal at {put.isoformat()}, after its end"
            self.check()
        if self._started is None:
            self._started = put
            self._warn_of_skew(put, wall)
        span = timedelta(seconds=self._safety.lease_duration)
        self._until = _Until(before + self._safety.lease_duration, wall + span, put + span)
        self._forget_old()

    def _warn_of_skew(self, put: datetime, wall: datetime) -> None:
        skew = abs(put - wall).total_seconds()
        if skew > 2 * self._safety.clock_skew:
            LOG.warning("this machine's clock and the bank's are %.0f seconds apart; nothing rests on it", skew)

    def _next(self) -> int:
        return max(self._objects, default=-1) + 1

    def _forget_old(self) -> None:
        """Remove the objects before the newest one that is surely there, and for so long that every listing shows it."""
        visible = self._clock.monotonic() - self._safety.grace.total_seconds()
        shown = max((seq for seq, since in self._objects.items() if since is not None and since < visible), default=0)
        for seq in [seq for seq in self._objects if seq < shown]:
            _delete(self._store, layout.lease_key(self.id, seq))
            del self._objects[seq]

    def _body(self, wall: datetime, *, released: bool) -> bytes:
        body = {
            "version": VERSION,
            "holder": self.holder,
            "kind": self.kind,
            "bases": self.bases,
            "duration": self._safety.lease_duration,
            "started": self._started.isoformat() if self._started else None,
            "expires": (wall + timedelta(seconds=self._safety.lease_duration)).isoformat(),
            "released": released,
        }
        return jsonobject.dump(body)

    def avoid(self, project_id: str) -> exclusions.Exclusions:
        """What a writer under this lease must not refer to. Call it before reading what is built on.

        Read from the store once: what the collector lists later, it keeps while this lease lasts.
        """
        with self._lock:
            if project_id not in self._avoid:
                self._avoid[project_id] = exclusions.to_avoid(self._store, project_id)
            return self._avoid[project_id]

    def keep_alive(self) -> None:
        """Start the thread that renews."""
        if self._safety.lease_renewal is not None:
            self._thread = threading.Thread(target=self._renew_often, name=f"lease-{self.id[:8]}", daemon=True)
            self._thread.start()

    def _renew_often(self) -> None:
        assert self._safety.lease_renewal is not None
        pause = self._safety.lease_renewal
        while not self._clock.wait(self._stop, pause):
            try:
                self.renew()
                pause = self._safety.lease_renewal
            except errors.LeaseLost as error:
                LOG.error("%s", error)
                return
            except Exception:  # noqa: BLE001 - the border of a thread: whatever it is, the lease must be tried for again
                LOG.exception("%s could not be renewed", self)
                pause = self._safety.lease_renewal / 5

    def release(self) -> None:
        """Give it back. May be called twice. What was written under it is safe from then on because it can be seen."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        with self._lock:
            if self._released:
                return
            self._released = True
            if self.kind == "write":
                key = layout.lease_key(self.id, self._next())
                self._store.put(key, self._body(self._clock.now(), released=True))
                return
            for seq in self._objects:
                _delete(self._store, layout.lease_key(self.id, seq))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            self.release()
        except errors.BankError as failure:
            # It runs out by itself; what happened inside matters more than this.
            LOG.warning("%s could not be released: %s", self, failure)

    def __str__(self) -> str:
        return f"the {self.kind} lease {self.id} of {self.holder}"


class Leases:
    """The leases of one bank."""

    def __init__(self, store: ObjectStore, clock: Clock, safety: Safety) -> None:
        self._store = store
        self._clock = clock
        self._safety = safety

    def acquire(self, *, holder: str, bases: Sequence[str] = (), kind: Kind = "write") -> Lease:
        """Take a lease.

        :param holder: who, for people: host, process and operation
        :param bases: ids of the checkpoints that are built on, or read
        """
        lease = Lease(self._store, self._clock, self._safety, holder=holder, bases=bases, kind=kind)
        lease.keep_alive()
        return lease

    def list(self) -> Sequence[LeaseInfo]:
        """Every lease of which a listing shows an object, whether it still counts or not."""
        found: dict[str, list[ObjectInfo]] = {}
        for info, (lease_id, _) in listing.parsed(self._store, layout.LEASES, layout.parse_lease_key):
            found.setdefault(lease_id, []).append(info)
        return [self._read(lease_id, infos) for lease_id, infos in found.items()]

    def _read(self, lease_id: str, infos: Sequence[ObjectInfo]) -> LeaseInfo:
        objects = [info.key for info in infos]
        for info in reversed(infos):
            body = self._body(info.key)
            if body is None:
                continue
            duration = timedelta(seconds=body["duration"])
            started = datetime.fromisoformat(body["started"]) if body["started"] else info.modified
            ends = info.modified if body["released"] else max(i.modified for i in infos) + duration
            return LeaseInfo(
                lease_id, body["holder"], body["kind"], body["bases"], started, ends, body["released"], objects
            )
        # All that the listing shows was removed since, or cannot be read: whoever it is may have started at any time.
        ends = max(info.modified for info in infos) + timedelta(seconds=self._safety.lease_duration)
        return LeaseInfo(lease_id, "somebody", "write", (), _EPOCH, ends, False, objects)

    def _body(self, key: str) -> dict[str, Any] | None:
        try:
            body = jsonobject.load(key, self._store.get(key), VERSION)
            checks: dict[str, Callable[[Any], bool]] = {
                "holder": lambda value: isinstance(value, str),
                "kind": lambda value: value in ("write", "read", "gc"),
                "bases": lambda value: isinstance(value, list) and all(isinstance(base, str) for base in value),
                "duration": lambda value: isinstance(value, int | float) and 0 < value <= _LONGEST,
                "started": lambda value: value is None or bool(jsonobject.moment(key, value)),
                "released": lambda value: isinstance(value, bool),
            }
            return body if all(check(body[name]) for name, check in checks.items()) else None
        except errors.ObjectNotFound:
            return None
        except (errors.Corrupted, errors.UnsupportedVersion, KeyError):
            LOG.warning("%s is not a lease that this program understands", key)
            return None

    def remove(self, lease: LeaseInfo) -> None:
        """Remove the objects of a lease that no longer counts."""
        for key in lease.objects:
            _delete(self._store, key)


def standing(leases: Iterable[LeaseInfo], now: datetime, safety: Safety) -> Sequence[LeaseInfo]:
    """Those of *leases* that pin something at *now*: everybody's but the collectors' own."""
    return [lease for lease in leases if lease.kind != "gc" and lease.counts(now, safety)]


def _delete(store: ObjectStore, key: str) -> None:
    try:
        store.delete(key)
    except errors.ObjectNotFound:
        LOG.debug("%s was already gone", key)
