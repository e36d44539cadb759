"""Checkpoints: what was protected, what became of it, and finding it again without a database.

Ordering rules and their reasons: ``doc/source/contributor/bank-concurrency.rst``, section *Checkpoints*.
"""

import contextlib
import dataclasses
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.checkpoints.commit import Committer
from karbor_like.bank.checkpoints.events import (
    AVAILABLE,
    DELETED,
    PROTECTING,
    STATUSES,
    UNFINISHED,
    Event,
    Events,
    commit_of,
    micros,
    pins_of,
    status_of,
)
from karbor_like.bank.checkpoints.versions import ObjectVersions
from karbor_like.bank.format import jsonobject, manifest, seal
from karbor_like.bank.format.datakey import DataKey
from karbor_like.bank.keys.keyring import Keyring
from karbor_like.bank.leases.lease import Lease
from karbor_like.bank.objectstore import listing
from karbor_like.bank.objectstore.base import ObjectStore
from karbor_like.clock import Clock

LOG = logging.getLogger(__name__)

VERSION: Final = 1
_PAGE: Final = 1000


@dataclass(frozen=True)
class CheckpointRecord:
    """A checkpoint.

    :param plan: id, name, provider_id and resources, as the API's ``protection_plan``
    :param resource_graph: JSON text of the API
    :param created_at: timezone-aware
    :param status: that of the last event; when it is created, the first one
    """

    id: str
    project_id: str
    provider_id: str
    plan: dict[str, Any]
    resource_graph: str
    extra_info: dict[str, Any]
    created_at: datetime
    status: str = PROTECTING
    events: Sequence[Event] = field(default=(), compare=False)


@dataclass(frozen=True)
class IndexEntry:
    """What a listing says of a checkpoint."""

    id: str
    project_id: str
    provider_id: str
    plan_id: str
    created_at: datetime


class Checkpoints:
    """The checkpoints of one bank.

    :param keyring: None where the bank is not encrypted
    """

    def __init__(self, store: ObjectStore, clock: Clock, keyring: Keyring | None) -> None:
        self._store = store
        self._keyring = keyring
        self._events = Events(store, clock)

    # Making one.

    def create(self, record: CheckpointRecord, lease: Lease) -> None:
        """Put a checkpoint into the bank: its plan, its first event, then its index keys. May be done again.

        :param lease: a write lease; from now on this is the one that may write here
        :raises Conflict: there is another checkpoint of this id, or it was deleted
        """
        key = layout.plan_key(record.id)
        if self._store.exists(layout.tombstone_key(record.id)):
            raise exception.Conflict(f"checkpoint {record.id} was deleted and cannot be made again")
        try:
            there = self._read(record.id)
        except exception.CheckpointNotFound:
            secret = self._keyring.current(record.project_id, lease) if self._keyring else None
            lease.check()
            self._store.put(key, seal.seal(key, jsonobject.dump(_to_json(record)), secret))
        else:
            if dataclasses.replace(there, status=record.status) != record:
                raise exception.Conflict(f"there is another checkpoint {record.id} in the bank already")
        ObjectVersions(self._store, record.id).claim(lease)
        if not self._events.fetch(record.id):
            self._events.append(record.id, (), record.status, self._secret_of(record.id))
        self.index(record)

    def index(self, record: CheckpointRecord) -> None:
        """Put the index keys of a checkpoint. May be done again."""
        for key in layout.index_keys(_index_name(record)):
            self._store.put(key, b"")

    def attempts(self, checkpoint_id: str, project_id: str) -> ObjectVersions:
        """Finds the valid ones among the objects of a checkpoint. Raises CheckpointNotFound where it was deleted."""
        events = self._events.decode(self._events.fetch(checkpoint_id), self._resolver_for(project_id))
        if self._store.exists(layout.tombstone_key(checkpoint_id)):
            raise exception.CheckpointNotFound(f"checkpoint {checkpoint_id} was deleted from the bank")
        return ObjectVersions(self._store, checkpoint_id, pins_of(events))

    def commit(self, checkpoint_id: str, lease: Lease, detail: Mapping[str, Any] | None = None) -> None:
        """Make a checkpoint available, if everything that it needs is there and *lease* is good. May be done again.

        :raises LeaseLost: the lease ran out, or another process took the checkpoint over; it was not committed
        :raises Corrupted: something that it needs is missing or wrong; it was not committed
        :raises Conflict: it failed or was deleted meanwhile
        """
        attempts = ObjectVersions(self._store, checkpoint_id)
        record = self.get(checkpoint_id)
        if record.status not in (*UNFINISHED, AVAILABLE):
            raise exception.Conflict(f"checkpoint {checkpoint_id} is {record.status!r} by now and cannot be completed")
        claim = attempts.claim(lease)
        made = commit_of(record.events) if record.status == AVAILABLE else None
        if made is not None and made.claim == claim:
            return
        committer = Committer(self._store, self._resolver_for(record.project_id), checkpoint_id, lease, attempts)
        # Who made the commit that there is may find that it came too late and take it back: this one stands for itself.
        pins = committer.collect(record.project_id) if made is None else committer.adopt(record.project_id, made)
        lease.renew()
        attempts.check(lease)
        event = self._events.append(
            checkpoint_id,
            record.events,
            AVAILABLE,
            self._secret_of(checkpoint_id),
            detail=detail,
            pins=pins,
            claim=claim,
        )
        committer.confirm(event)

    # Finding one.

    def get(self, checkpoint_id: str) -> CheckpointRecord:
        """A checkpoint with its events. Raises CheckpointNotFound, or Corrupted where it cannot be read.

        One whose deletion has begun to remove data is found with status ``deleted`` until nothing is left of it.
        """
        # In this order: where there is no tombstone after the events were read, and still a plan after that, no deletion
        # had begun when the events were read. So what reads as available is whole.
        fetched = self._events.fetch(checkpoint_id)
        deleted = self._store.exists(layout.tombstone_key(checkpoint_id))
        record = self._read(checkpoint_id)
        events = self._events.decode(fetched, self._resolver_for(record.project_id))
        return dataclasses.replace(record, status=DELETED if deleted else status_of(events), events=events)

    def has_trace(self, checkpoint_id: str) -> bool:
        """Whether a checkpoint is there, or its tombstone, which the collector removes after a while."""
        return self._store.exists(layout.plan_key(checkpoint_id)) or self._store.exists(
            layout.tombstone_key(checkpoint_id)
        )

    def streams(self, record: CheckpointRecord) -> Sequence[tuple[str, str]]:
        """Resource key and name of every stream that the commit of *record* pinned."""
        found = (layout.parse_resource_key(key) for key in (pins_of(record.events) or {}).values())
        return sorted((what.resource_key, what.name) for what in found if what.kind == "manifests")

    def list(
        self,
        *,
        provider_id: str | None = None,
        plan_id: str | None = None,
        project_id: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        marker: IndexEntry | str | None = None,
        limit: int = _PAGE,
        newest_first: bool = True,
    ) -> Sequence[IndexEntry]:
        """One page of the checkpoints that fit all that is given, in order of creation. Costs one listing of the store where
        at most one of provider, project and plan is given; more of them narrow a page's listing down one after the other.

        :param start_date: first moment of creation, timezone-aware
        :param end_date: last moment of creation, timezone-aware
        :param marker: the last entry of the page before; its id will do, at the cost of reading the checkpoint
        :param limit: at most so many entries; fewer mean that there are no more
        """
        order = layout.NEWEST if newest_first else layout.OLDEST
        if plan_id is not None:
            prefix = layout.index_prefix("by-plan", plan_id, order)
        elif project_id is not None:
            prefix = layout.index_prefix("by-project", project_id, order)
        elif provider_id is not None:
            prefix = layout.index_prefix("by-provider", provider_id, order)
        else:
            prefix = layout.index_prefix("by-date", None, order)
        first, last = (end_date, start_date) if newest_first else (start_date, end_date)
        after = layout.index_marker(prefix, order, micros(first)) if first else ""
        if marker is not None:
            entry = _entry_of(self._read(marker)) if isinstance(marker, str) else marker
            after = max(after, layout.index_key(prefix, order, _index_name(entry)))
        found: list[IndexEntry] = []
        for entry in self._entries(prefix, after, limit):
            if last and (entry.created_at < last if newest_first else entry.created_at > last):
                break
            if (plan_id, project_id, provider_id) == (
                plan_id and entry.plan_id,
                project_id and entry.project_id,
                provider_id and entry.provider_id,
            ):
                found.append(entry)
            if len(found) == limit:
                break
        return found

    def _entries(self, prefix: str, after: str, limit: int) -> Iterator[IndexEntry]:
        for _, name in listing.parsed(self._store, prefix, layout.parse_index_key, after, limit):
            created = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=name.micros)
            yield IndexEntry(name.checkpoint_id, name.project_id, name.provider_id, name.plan_id, created)

    def ids(self) -> Iterator[str]:
        """Ids of everything that is there of checkpoints, index keys or not."""
        return listing.segments(self._store, layout.CHECKPOINTS)

    def reindex(self) -> int:
        """Put the index keys that are missing, be it that somebody deleted them. Returns how many checkpoints missed some.

        Checkpoints that cannot be read are left alone, with a warning.
        """
        keys = Counter(name for _, name in listing.parsed(self._store, layout.INDICES, layout.parse_index_key))
        whole = {name.checkpoint_id for name, count in keys.items() if count == len(layout.index_keys(name))}
        found = 0
        for checkpoint_id in self.ids():
            if checkpoint_id in whole or self._store.exists(layout.tombstone_key(checkpoint_id)):
                continue
            try:
                self.index(self._read(checkpoint_id))
                found += 1
            except (exception.CheckpointNotFound, *errors.UNREADABLE) as error:
                LOG.warning("checkpoint %s stays out of the index: %s", checkpoint_id, error)
        return found

    def _read(self, checkpoint_id: str) -> CheckpointRecord:
        key = layout.plan_key(checkpoint_id)
        try:
            raw = self._store.get(key)
        except errors.ObjectNotFound:
            raise exception.CheckpointNotFound(f"there is no checkpoint {checkpoint_id} in the bank") from None
        payload = seal.unseal(key, raw, self._keyring.resolve_key if self._keyring else None)
        record = _from_json(key, jsonobject.load(key, payload, VERSION))
        if record.id != checkpoint_id:
            raise errors.Corrupted(f"{key}: is the plan of checkpoint {record.id}")
        secret = self._secret(key, raw)
        if secret is not None and secret.project_id != record.project_id:
            raise errors.Corrupted(
                f"{key}: was sealed with a key of project {secret.project_id}, not {record.project_id}"
            )
        return record

    def _resolver_for(self, project_id: str) -> manifest.KeyResolver:
        return self._keyring.resolver_for(project_id) if self._keyring else None

    def _secret(self, key: str, raw: bytes) -> DataKey | None:
        return self._keyring.resolve_key(seal.read_header(key, raw).seal_id) if self._keyring else None

    def _secret_of(self, checkpoint_id: str) -> DataKey | None:
        """The key with which the checkpoint itself was sealed: it stands as long as the checkpoint does."""
        key = layout.plan_key(checkpoint_id)
        return self._secret(key, self._store.get(key)) if self._keyring else None

    # What becomes of it.

    def event(self, checkpoint_id: str, status: str, detail: Mapping[str, Any] | None = None) -> None:
        """Append an event: the checkpoint has *status* from now on.

        ``available`` is possible only for a checkpoint that was committed once, and of which nothing is missing: it is
        looked at again. ``deleted`` is :meth:`delete`'s alone.

        :raises Conflict: the checkpoint cannot have this status
        """
        if status not in STATUSES:
            raise exception.InvalidInput(f"{status!r} is no status that a checkpoint can be given")
        record = self.get(checkpoint_id)
        if record.status == DELETED:
            raise exception.Conflict(f"checkpoint {checkpoint_id} was deleted and cannot become {status!r}")
        pins, claim = None, -1
        if status == AVAILABLE:
            commit = commit_of(record.events)
            if commit is None or commit.pins is None:
                raise exception.Conflict(
                    f"checkpoint {checkpoint_id} was never completed, so it cannot become {AVAILABLE!r}"
                )
            pins, claim = commit.pins, commit.claim
            resolve_key = self._resolver_for(record.project_id)
            Committer(self._store, resolve_key, checkpoint_id, None, None).verify(record.project_id, pins)
        secret = self._secret_of(checkpoint_id)
        self._events.append(checkpoint_id, record.events, status, secret, detail=detail, pins=pins, claim=claim)

    def delete(self, checkpoint_id: str) -> None:
        """Remove a checkpoint, whatever its state; nothing is done where there is none. May be done again after a crash.

        What remains is the collector's: the packs it needed, the tombstone, and objects that a listing does not show yet.
        """
        tombstone, plan = layout.tombstone_key(checkpoint_id), layout.plan_key(checkpoint_id)
        if self._store.exists(plan):
            self._store.put(tombstone, b"")
        keys = [info.key for info in listing.objects(self._store, layout.checkpoint_prefix(checkpoint_id))]
        commits = [key for key in keys if key.endswith(f"-{AVAILABLE}.json")]
        heads = [key for key in keys if layout.kind_of(key) == "manifests"]
        for key in commits:
            self._remove(key)
        self._remove_index(checkpoint_id)
        for key in [*heads, *(key for key in keys if key not in {plan, tombstone, *commits, *heads})]:
            self._remove(key)
        self._remove(plan)

    def _remove_index(self, checkpoint_id: str) -> None:
        try:
            record = self._read(checkpoint_id)
        except exception.CheckpointNotFound:
            return
        except errors.UNREADABLE as error:
            LOG.warning("the index keys of checkpoint %s are left to the collector: %s", checkpoint_id, error)
            return
        for key in layout.index_keys(_index_name(record)):
            self._remove(key)

    def _remove(self, key: str) -> None:
        with contextlib.suppress(errors.ObjectNotFound):
            self._store.delete(key)


def _entry_of(record: CheckpointRecord) -> IndexEntry:
    return IndexEntry(record.id, record.project_id, record.provider_id, str(record.plan["id"]), record.created_at)


def _index_name(of: CheckpointRecord | IndexEntry) -> layout.IndexName:
    entry = _entry_of(of) if isinstance(of, CheckpointRecord) else of
    return layout.IndexName(micros(entry.created_at), entry.provider_id, entry.project_id, entry.plan_id, entry.id)


def _to_json(record: CheckpointRecord) -> dict[str, Any]:
    body = {name: getattr(record, name) for name in _MEMBERS}
    return {"version": VERSION, **body, "created_at": record.created_at.isoformat()}


_MEMBERS: Final[Mapping[str, type]] = {
    "id": str,
    "project_id": str,
    "provider_id": str,
    "plan": dict,
    "resource_graph": str,
    "extra_info": dict,
    "created_at": str,
}


def _from_json(key: str, body: dict[str, Any]) -> CheckpointRecord:
    for name, kind in _MEMBERS.items():
        if not isinstance(body.get(name), kind):
            raise errors.Corrupted(f"{key}: member {name!r} is missing or of the wrong type")
    created = jsonobject.moment(key, body["created_at"])
    return CheckpointRecord(**{name: body[name] for name in _MEMBERS if name != "created_at"}, created_at=created)
