"""Checkpoints: creation, commit, status and deletion.

The rules of ordering and their reasons are in ``doc/source/contributor/bank-concurrency.rst``, section *Checkpoints*.
"""

import contextlib
import dataclasses
import logging
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.checkpoints import commit
from karbor_like.bank.checkpoints.claims import WriterClaims
from karbor_like.bank.checkpoints.events import (
    AVAILABLE,
    DELETED,
    DELETING,
    ERROR,
    ERROR_DELETING,
    STATUSES,
    UNFINISHED,
    Events,
    commit_of,
    pins_of,
    status_of,
)
from karbor_like.bank.checkpoints.index import Index
from karbor_like.bank.checkpoints.plans import CheckpointRecord, Plans
from karbor_like.bank.checkpoints.versions import Contents, ObjectVersions
from karbor_like.bank.format import manifest
from karbor_like.bank.format.datakey import DataKey
from karbor_like.bank.keys.keyring import Keyring
from karbor_like.bank.leases.lease import Lease
from karbor_like.bank.leases.safety import Safety
from karbor_like.bank.objectstore import concurrently, listing
from karbor_like.bank.objectstore.base import ObjectStore
from karbor_like.bank.objectstore.reserve import Reserve
from karbor_like.clock import Clock

LOG = logging.getLogger(__name__)

_OF_DELETIONS = frozenset({DELETING, ERROR_DELETING})


class Checkpoints:
    """The checkpoints of one bank.

    :param reserve: room for what a deletion must store before it frees any
    :param keyring: None if the bank is not encrypted
    """

    def __init__(
        self, store: ObjectStore, reserve: Reserve, clock: Clock, keyring: Keyring | None, safety: Safety
    ) -> None:
        self._store = store
        self._reserve = reserve
        self._keyring = keyring
        self._listings_lag = safety.listing_lag > 0
        self._events = Events(store, clock)
        self._plans = Plans(store, keyring)
        self.index = Index(store, self._plans)
        self._lock = threading.Lock()
        #: What an operation wrote or read under its lease, by checkpoint: so that none of its hooks asks again.
        self._known: weakref.WeakKeyDictionary[Lease, dict[str, ObjectVersions]] = weakref.WeakKeyDictionary()

    # Creation.

    def begin(self, record: CheckpointRecord, lease: Lease) -> DataKey | None:
        """Put the plan of a checkpoint into the bank. Idempotent.

        From then on the checkpoint exists. It is listed, and can be written to, when :meth:`create` has run.

        :param lease: a write lease
        :returns: the key that the plan is encrypted with
        :raises Conflict: the bank has another checkpoint of this id, or had one that was deleted
        """
        # The key for new objects is needed in any case: for the plan, or for what this writer stores next.
        found, _ = concurrently.both(
            lambda: self._find_begun(record.id), lambda: self._plans.choose_key(record.project_id, lease)
        )
        if found is None:
            return self._plans.put(record, lease)
        existing, data_key = found
        if dataclasses.replace(existing, status=record.status) != record:
            raise exception.Conflict(f"checkpoint {record.id}: the bank already has another checkpoint of this id")
        return data_key

    def _find_begun(self, checkpoint_id: str) -> tuple[CheckpointRecord, DataKey | None] | None:
        deleted, found = concurrently.both(
            lambda: self._store.exists(layout.tombstone_key(checkpoint_id)), lambda: self._plans.find(checkpoint_id)
        )
        if deleted:
            raise exception.Conflict(f"checkpoint {checkpoint_id} was deleted and cannot be created again")
        return found

    def create(self, record: CheckpointRecord, lease: Lease) -> None:
        """Put a checkpoint into the bank: its plan, the claim of its writer, its first event, its index keys. Idempotent.

        :param lease: a write lease; from now on it is the only one that may write to the checkpoint
        :raises Conflict: as :meth:`begin`
        :raises LeaseLost: the lease expired, or another process took the checkpoint over
        """
        data_key = self.begin(record, lease)
        claims = WriterClaims(self._store, record.id)
        claims.enter(lease)
        _, fetched = concurrently.both(lambda: claims.confirm(lease), lambda: self._events.fetch(record.id))
        events = self._events.decode(fetched, self._resolver_for(record.project_id))
        self._remember(lease, record.id, self._versions_of(record.id, pins_of(events), claims))
        if not events:
            self._events.append(record.id, (), record.status, data_key)
        self.index.put(record)

    def versions(
        self, checkpoint_id: str, project_id: str, lease: Lease | None = None, *, under: Lease | None = None
    ) -> ObjectVersions:
        """Return the versions of the objects of a checkpoint.

        :param lease: the writer that asks, if it is one: then the bank is asked once per lease
        :param under: lease of the operation that reads the checkpoint: then the bank is asked once per lease if the
            checkpoint is complete
        :raises CheckpointNotFound: the checkpoint was deleted
        """
        known = self._find(lease or under, checkpoint_id)
        if known is not None:
            return known
        # In this order, as in _get.
        events = self._events.decode(self._events.fetch(checkpoint_id), self._resolver_for(project_id))
        if self._store.exists(layout.tombstone_key(checkpoint_id)):
            raise exception.CheckpointNotFound(f"checkpoint {checkpoint_id} was deleted from the bank")
        pins = pins_of(events)
        if lease is not None:
            return self._remember(lease, checkpoint_id, self._versions_of(checkpoint_id, pins))
        return self._read(checkpoint_id, pins, under)

    def _read(self, checkpoint_id: str, pins: Mapping[str, str] | None, under: Lease | None) -> ObjectVersions:
        """Return the versions for a reader. Those of a checkpoint without a commit may change, and are not kept."""
        if under is None or pins is None:
            return ObjectVersions(self._store, checkpoint_id, pins)
        return self._remember(under, checkpoint_id, self._versions_of(checkpoint_id, pins))

    def _versions_of(
        self, checkpoint_id: str, pins: Mapping[str, str] | None = None, claims: WriterClaims | None = None
    ) -> ObjectVersions:
        return ObjectVersions(self._store, checkpoint_id, pins, claims, contents=Contents())

    def _find(self, lease: Lease | None, checkpoint_id: str) -> ObjectVersions | None:
        """Return what was kept under *lease*."""
        with self._lock:
            return self._known.get(lease, {}).get(checkpoint_id) if lease is not None else None

    def _remember(self, lease: Lease, checkpoint_id: str, versions: ObjectVersions) -> ObjectVersions:
        """Keep *versions* for the other sections of an operation; return those that are kept."""
        with self._lock:
            return self._known.setdefault(lease, {}).setdefault(checkpoint_id, versions)

    def commit(self, checkpoint_id: str, lease: Lease, detail: Mapping[str, Any] | None = None) -> None:
        """Make a checkpoint available if everything it needs is stored and *lease* is valid. Idempotent.

        :raises LeaseLost: the lease expired, or another process took the checkpoint over; it was not committed
        :raises Corrupted: an object that it needs is missing or wrong; it was not committed
        :raises Conflict: it has failed or was deleted meanwhile
        """
        known = self._find(lease, checkpoint_id)

        def list_names() -> Set[str] | None:
            # Only a writer that has claimed the checkpoint may rely on what is listed now, and only a running one is claimed.
            if known is None or known.claims.number(lease) is None:
                return None
            known.claims.check(lease)
            return commit.listed_names(self._store, checkpoint_id)

        (record, data_key), listed = concurrently.both(lambda: self._get(checkpoint_id), list_names)
        if record.status not in (*UNFINISHED, AVAILABLE):
            raise exception.Conflict(
                f"checkpoint {checkpoint_id} is {record.status!r}; only a running one is completed"
            )
        versions = self._remember(lease, checkpoint_id, known or self._versions_of(checkpoint_id))
        claim = versions.claims.number(lease)
        if claim is None:
            claim = versions.claims.claim(lease)
        valid = commit_of(record.events) if record.status == AVAILABLE else None
        if valid is not None and valid.claim == claim:
            return
        resolve_key = self._resolver_for(record.project_id)
        committer = commit.Committer(self._store, resolve_key, record, lease, versions, listings_lag=self._listings_lag)
        # The writer of an earlier commit may find that it came too late and remove it, so this commit pins the same again.
        pins = committer.collect(listed) if valid is None else committer.adopt(valid)
        lease.renew()
        versions.claims.confirm(lease)
        event = self._events.append(
            checkpoint_id, record.events, AVAILABLE, data_key, detail=detail, pins=pins, claim=claim
        )
        committer.confirm(event)
        with self._lock:
            self._known.get(lease, {}).pop(checkpoint_id, None)

    # Reading.

    def get(self, checkpoint_id: str, *, under: Lease | None = None) -> CheckpointRecord:
        """Read a checkpoint with its events.

        One whose deletion has begun to remove data has the status ``deleted`` until nothing is left of it.

        :param under: lease of the operation that reads the checkpoint: sections that it opens under it do not read the
            events again
        :raises CheckpointNotFound: it is not in the bank
        :raises Corrupted: it cannot be read
        """
        record = self._get(checkpoint_id)[0]
        if record.status != DELETED:
            self._read(checkpoint_id, pins_of(record.events), under)
        return record

    def _get(self, checkpoint_id: str) -> tuple[CheckpointRecord, DataKey | None]:
        # In this order: if there is no tombstone after the events were read, and still a plan after that, no deletion had
        # begun when the events were read. So a checkpoint that reads as available is complete.
        fetched = self._events.fetch(checkpoint_id)
        deleted = self._store.exists(layout.tombstone_key(checkpoint_id))
        record, data_key = self._plans.get(checkpoint_id)
        events = self._events.decode(fetched, self._resolver_for(record.project_id))
        status = DELETED if deleted else status_of(events)
        return dataclasses.replace(record, status=status, events=events), data_key

    def has_trace(self, checkpoint_id: str) -> bool:
        """Whether the bank has the checkpoint or its tombstone, which the collector removes after a while."""
        return self._store.exists(layout.plan_key(checkpoint_id)) or self._store.exists(
            layout.tombstone_key(checkpoint_id)
        )

    def streams(self, record: CheckpointRecord) -> Sequence[tuple[str, str]]:
        """Return resource key and name of every stream that the commit of *record* pinned."""
        pinned = (layout.parse_resource_key(key) for key in (pins_of(record.events) or {}).values())
        return sorted((what.resource_key, what.name) for what in pinned if what.kind == "manifests")

    def ids(self) -> Iterator[str]:
        """Go through the ids of all checkpoints of which a listing shows an object, whether indexed or not."""
        return listing.segments(self._store, layout.CHECKPOINTS)

    def _resolver_for(self, project_id: str) -> manifest.KeyResolver:
        return self._keyring.resolver_for(project_id) if self._keyring else None

    # Status.

    def event(self, checkpoint_id: str, status: str, detail: Mapping[str, Any] | None = None) -> None:
        """Append an event: the checkpoint has *status* from now on.

        Only a checkpoint that was committed before, and that is complete, can become ``available``. ``deleted`` is set by
        :meth:`delete` alone.

        :raises InvalidInput: *status* is not one that an event can set
        :raises Conflict: the checkpoint cannot have this status
        :raises Corrupted: it cannot become available, because an object that it needs is missing or wrong
        """
        if status not in STATUSES:
            raise exception.InvalidInput(f"status {status!r}: cannot be given to a checkpoint")
        record, data_key = self._get(checkpoint_id)
        if record.status == DELETED:
            raise exception.Conflict(f"checkpoint {checkpoint_id} was deleted and cannot become {status!r}")
        pins, claim = None, -1
        if status == AVAILABLE:
            valid = commit_of(record.events)
            if valid is None or valid.pins is None:
                raise exception.Conflict(
                    f"checkpoint {checkpoint_id} was never completed, so it cannot become {AVAILABLE!r}"
                )
            pins, claim = valid.pins, valid.claim
            resolve_key = self._resolver_for(record.project_id)
            verifier = commit.PinVerifier(self._store, resolve_key, record.project_id, listings_lag=self._listings_lag)
            verifier.verify(pins)
        put = self._reserve.put if status in _OF_DELETIONS else self._store.put
        self._events.append(
            checkpoint_id, record.events, status, data_key, detail=detail, pins=pins, claim=claim, put=put
        )

    def abandon(self, checkpoint_id: str, reason: str) -> None:
        """Give an unfinished checkpoint that nothing writes any more an ``error`` event, so that it can be deleted.

        :param reason: why it has failed
        :raises CheckpointNotFound: it is not in the bank
        :raises Conflict: it was deleted
        """
        self.event(checkpoint_id, ERROR, {"reason": reason})
        # Its writer may have been killed before it put the index keys. Only a listed checkpoint can be deleted.
        self.index.put(self.get(checkpoint_id))

    # Deletion.

    def delete(self, checkpoint_id: str) -> None:
        """Remove a checkpoint in any state. Idempotent, also after a crash; does nothing if it does not exist.

        The collector removes the rest: packs, the tombstone, and objects that a listing does not show yet.
        """
        tombstone, plan = layout.tombstone_key(checkpoint_id), layout.plan_key(checkpoint_id)
        if self._store.exists(plan):
            self._reserve.put(tombstone, b"")
        keys = [info.key for info in listing.objects(self._store, layout.checkpoint_prefix(checkpoint_id))]
        commits = [key for key in keys if key.endswith(f"-{AVAILABLE}.json")]
        heads = [key for key in keys if layout.kind_of(key) == "manifests"]
        for key in commits:
            self._remove(key)
        self._remove_index(checkpoint_id)
        for key in [*heads, *(key for key in keys if key not in {plan, tombstone, *commits, *heads})]:
            self._remove(key)
        self._remove(plan)
        self._reserve.refill()

    def _remove_index(self, checkpoint_id: str) -> None:
        try:
            self.index.remove(self._plans.get(checkpoint_id)[0])
        except (exception.CheckpointNotFound, errors.InvalidKey):
            return  # the ids in a foreign plan may be such that it never had index keys
        except errors.UNREADABLE as error:
            LOG.warning("Checkpoint %s: the collector will remove its index keys: %s", checkpoint_id, error)

    def _remove(self, key: str) -> None:
        with contextlib.suppress(errors.ObjectNotFound):
            self._store.delete(key)
