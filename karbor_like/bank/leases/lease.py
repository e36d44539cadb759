"""Leases: tell the collector which processes are active in a bank, so that it keeps what they rely on.

A lease is a series of small objects, ``leases/<id>/<seq>``. A renewal is a new object. The older ones are removed when the
new one is old enough to be in every listing. A lease is valid until the store's date of its newest object
(``ObjectInfo.modified``) plus its duration. The clocks of writers and collectors need not agree. The owner measures the same
span on its own monotonic clock, from before the request. It regards the lease as lost a margin earlier, or when the wall
clock, which also runs while a machine is suspended, has passed its end.

A write lease that was released counts for a grace period, until what was written under it is in every listing. Later its
objects are removed: by the process that owned it, when it acquires another one, or by the collector.

A reader verifies what it reads, so it does not depend on its lease. If the store can be read and cannot be written, a
read lease is *unprotected*: its owner continues, and the collector does not know of it until a renewal is stored.
"""

import logging
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, Self

from karbor_like.bank import errors, layout
from karbor_like.bank.format import jsonobject
from karbor_like.bank.leases import exclusions
from karbor_like.bank.leases.released import Released
from karbor_like.bank.leases.safety import Safety
from karbor_like.bank.objectstore import concurrently, listing
from karbor_like.bank.objectstore.base import ObjectInfo, ObjectStore
from karbor_like.bank.objectstore.reserve import Reserve
from karbor_like.clock import Clock

LOG = logging.getLogger(__name__)

VERSION: Final = 1
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
#: Longest duration of a lease, in seconds. Added to any date of this century or the next, it gives a valid date.
_LONGEST: Final = 1e9
#: Maximum bytes of an object of a lease. It names 25,000 bases in that.
_MAX_BYTES: Final = 1024 * 1024

Kind = Literal["write", "read", "gc"]


@dataclass(frozen=True)
class LeaseInfo:
    """A lease as other processes see it. Times are the store's.

    :param started: when it was acquired
    :param ends: when it expires unless it is renewed, or when it was released
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
        """Whether the collector must respect it at *now*, in the store's time."""
        grace = timedelta(0) if self.kind == "gc" else safety.grace
        return now <= self.ends + grace


class _Until(NamedTuple):
    """The end of a lease on the two clocks of its owner and on that of the store."""

    monotonic: float
    wall: datetime
    store: datetime


class Lease:
    """A lease of this process. A context manager that releases the lease at its end.

    :meth:`Leases.acquire` creates it. Safe to use from several threads.
    """

    def __init__(
        self,
        store: ObjectStore,
        reserve: Reserve,
        clock: Clock,
        safety: Safety,
        *,
        holder: str,
        bases: Sequence[str],
        kind: Kind,
        released: Released,
    ) -> None:
        self.id: Final = uuid.uuid4().hex
        self.holder: Final = holder
        self.bases: Final = tuple(bases)
        self.kind: Final[Kind] = kind
        #: Prefixes of the names that were written or found under this lease. A listing may not show them yet.
        self.names: Final[set[str]] = set()
        #: Prefix of a name -> objects stored there under this lease. None after a put that was not acknowledged.
        self.versions: Final[dict[str, int | None]] = {}
        #: Key of a manifest head that was written under this lease -> id and bytes of every pack that the manifest needs.
        #: Large manifests are left out.
        self.packs: Final[dict[str, Mapping[str, int]]] = {}
        self._store = store
        self._reserve = reserve
        self._put = store.put if kind == "write" else reserve.put
        self._clock = clock
        self._safety = safety
        self._lock = threading.RLock()  # held during requests to the store; check() does not take it
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lost: str | None = None
        self._released = False
        self._left = released
        self._unprotected: errors.BankError | None = None
        self._excluded: dict[tuple[str, str], exclusions.Exclusions] = {}  # (root of the lists, project)
        # seq -> monotonic time at which it was known to be stored; None if its put failed, and may have stored it
        self._objects: dict[int, float | None] = {}
        self._until: _Until | None = None
        self._started: datetime | None = None
        self._renew_now()

    @property
    def started(self) -> datetime:
        """When it was acquired, in the store's time."""
        assert self._started is not None
        return self._started

    @property
    def ends(self) -> datetime:
        """When it expires unless it is renewed, in the store's time. What was stored later was not stored under it."""
        return self._good_until.store

    @property
    def _good_until(self) -> "_Until":
        assert self._until is not None
        return self._until

    def now(self) -> datetime:
        """Return the current time of the store, counted from the last renewal."""
        until = self._good_until
        return until.store - timedelta(seconds=until.monotonic - self._clock.monotonic())

    @property
    def unprotected(self) -> errors.BankError | None:
        """Why a reader's lease is not stored, so that the collector does not know of it; None if it is stored."""
        return self._unprotected

    def check(self) -> None:
        """Check that the lease is valid for at least the margin, or unprotected. Sends no request. Raises LeaseLost."""
        if self._released:
            raise errors.LeaseLost(f"{self} was released")
        if self._lost is None:
            self._lost = self._expiry()
        if self._lost is not None:
            raise errors.LeaseLost(f"{self} was lost: {self._lost}")

    def _expiry(self) -> str | None:
        margin, until = self._safety.lease_margin, self._until
        if until is None:
            return None  # unprotected
        if self._clock.monotonic() >= until.monotonic - margin:
            return f"it was not renewed within {self._safety.lease_duration:g} seconds"
        if self._clock.now() >= until.wall - timedelta(seconds=margin):
            return "the wall clock passed its end (the machine was suspended, or its clock was set)"
        return None

    def renew(self) -> None:
        """Renew the lease.

        :raises LeaseLost: it has expired
        :raises BankError: the store failed; the caller may retry
        """
        with self._lock:
            self.check()
            self._renew_now()

    def _renew_now(self) -> None:
        seq = self._next_seq()
        before, wall = self._clock.monotonic(), self._clock.now()
        key = layout.lease_key(self.id, seq)
        self._objects[seq] = None
        try:
            self._put(key, self._make_body(wall, released=False))
        except errors.UNWRITABLE as error:
            if self.kind != "read":
                raise
            self._go_unprotected(error)
            return
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
        self._unprotected = None
        self._forget_old()

    def _go_unprotected(self, error: errors.BankError) -> None:
        if self._unprotected is None:
            LOG.warning(
                "%s cannot be stored: %s. Its owner reads without it: what a checkpoint that another site deletes meanwhile"
                " needed may be removed by garbage collection before it is read",
                self,
                error,
            )
        self._unprotected = error
        self._until = None  # a lease that is stored later does not renew one that may have expired by then

    def _warn_of_skew(self, put: datetime, wall: datetime) -> None:
        skew = abs(put - wall).total_seconds()
        if skew > 2 * self._safety.clock_skew:
            LOG.warning(
                "The clocks of this host and of the bank differ by %.0f seconds; the bank does not depend on it", skew
            )

    def _next_seq(self) -> int:
        return max(self._objects, default=-1) + 1

    def _forget_old(self) -> None:
        """Remove the objects before the newest one that is known to be stored, and that every listing shows by now.

        What the store does not remove now is left to the next renewal, as the lease is renewed all the same.
        """
        visible = self._clock.monotonic() - self._safety.grace.total_seconds()
        shown = max((seq for seq, since in self._objects.items() if since is not None and since < visible), default=0)
        for seq in [seq for seq in self._objects if seq < shown]:
            try:
                _delete(self._store, layout.lease_key(self.id, seq))
            except errors.BankError as error:
                LOG.info("%s: an object that a renewal replaced was not removed: %s", self, error)
                return
            del self._objects[seq]

    def _make_body(self, wall: datetime, *, released: bool) -> bytes:
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
        """Return what a writer under this lease must not refer to. Call it before reading any base.

        The lists are read once per lease: the collector keeps what it lists later while this lease lasts.
        """
        listed = self._exclude((layout.QUARANTINE, layout.REFRESH), project_id)
        return exclusions.Exclusions(
            frozenset().union(*(each.packs for each in listed)),
            frozenset().union(*(each.data_keys for each in listed)),
        )

    def avoid_data_keys(self, project_id: str) -> frozenset[str]:
        """Return the ids of the data keys that a writer under this lease must not use.

        Reads the quarantine lists only: refresh lists name packs, never data keys.
        """
        return self._exclude((layout.QUARANTINE,), project_id)[0].data_keys

    def _exclude(self, roots: Sequence[str], project_id: str) -> Sequence[exclusions.Exclusions]:
        with self._lock:
            unread = [root for root in roots if (root, project_id) not in self._excluded]
            found = concurrently.each(lambda root: exclusions.read_exclusions(self._store, root, project_id), unread)
            self._excluded.update({(root, project_id): each for root, each in zip(unread, found, strict=True)})
            return [self._excluded[root, project_id] for root in roots]

    def keep_alive(self) -> None:
        """Start the thread that renews the lease."""
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
            except Exception:  # noqa: BLE001 - top of a thread; after any error the renewal must be retried
                LOG.exception("Could not renew %s", self)
                pause = self._safety.lease_renewal / 5

    def release(self) -> None:
        """Release the lease. Idempotent. From then on, what was written under it is kept because listings show it."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        with self._lock:
            if self._released:
                return
            self._released = True
            if self.kind == "write":
                key = layout.lease_key(self.id, self._next_seq())
                self._put(key, self._make_body(self._clock.now(), released=True))
                self._left.add([*(layout.lease_key(self.id, seq) for seq in sorted(self._objects)), key])
                return
            try:
                for seq in self._objects:
                    _delete(self._store, layout.lease_key(self.id, seq))
                self._reserve.refill()
            except errors.AccessDenied:
                # An unprotected lease has most likely no object, and a store that refuses writes may refuse to say so.
                if self._unprotected is None:
                    raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            self.release()
        except errors.BankError as failure:
            # The lease will expire. An error inside the block must not be hidden by this one.
            LOG.warning("Could not release %s: %s", self, failure)

    def __str__(self) -> str:
        return f"the {self.kind} lease {self.id} of {self.holder}"


class Leases:
    """The leases of one bank."""

    def __init__(self, store: ObjectStore, reserve: Reserve, clock: Clock, safety: Safety) -> None:
        self._store = store
        self._reserve = reserve
        self._clock = clock
        self._safety = safety
        self._released = Released(store, clock, safety)

    def acquire(self, *, holder: str, bases: Sequence[str] = (), kind: Kind = "write") -> Lease:
        """Acquire a lease and start to renew it. Raises BankError, except that a reader's lease may be unprotected.

        :param holder: host, process and operation; informational
        :param bases: ids of the checkpoints that are built on or read
        """
        lease = Lease(
            self._store,
            self._reserve,
            self._clock,
            self._safety,
            holder=holder,
            bases=bases,
            kind=kind,
            released=self._released,
        )
        lease.keep_alive()
        self._released.remove_due()
        return lease

    def list(self) -> Sequence[LeaseInfo]:
        """Return every lease of which a listing shows an object, whether it counts or not."""
        objects: dict[str, list[ObjectInfo]] = {}
        for info, (lease_id, _) in listing.parsed(self._store, layout.LEASES, layout.parse_lease_key):
            objects.setdefault(lease_id, []).append(info)
        return [self._read(lease_id, infos) for lease_id, infos in objects.items()]

    def _read(self, lease_id: str, infos: Sequence[ObjectInfo]) -> LeaseInfo:
        objects = [info.key for info in infos]
        for info in reversed(infos):
            body = self._read_body(info.key)
            if body is None:
                continue
            duration = timedelta(seconds=body["duration"])
            started = datetime.fromisoformat(body["started"]) if body["started"] else info.modified
            ends = info.modified if body["released"] else max(i.modified for i in infos) + duration
            return LeaseInfo(
                lease_id, body["holder"], body["kind"], body["bases"], started, ends, body["released"], objects
            )
        # All listed objects were removed since, or cannot be read: the lease may have started at any time.
        ends = max(info.modified for info in infos) + timedelta(seconds=self._safety.lease_duration)
        return LeaseInfo(lease_id, "unknown", "write", (), _EPOCH, ends, False, objects)

    def _read_body(self, key: str) -> dict[str, Any] | None:
        try:
            body = jsonobject.load(key, jsonobject.get(self._store, key, _MAX_BYTES), VERSION)
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
            LOG.warning("%s: cannot be understood as a lease; it counts as a write lease", key)
            return None

    def remove(self, lease: LeaseInfo) -> None:
        """Remove the objects of a lease that no longer counts."""
        for key in lease.objects:
            _delete(self._store, key)


def find_counting(leases: Iterable[LeaseInfo], now: datetime, safety: Safety) -> Sequence[LeaseInfo]:
    """Return those of *leases* that pin something at *now*: all that count, except for those of collectors."""
    return [lease for lease in leases if lease.kind != "gc" and lease.counts(now, safety)]


def _delete(store: ObjectStore, key: str) -> None:
    try:
        store.delete(key)
    except errors.ObjectNotFound:
        LOG.debug("%s was already deleted", key)
