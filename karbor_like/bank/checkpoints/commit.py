"""The commit of a checkpoint: what must be true before it becomes available, and the moment in which it does.

See ``doc/source/contributor/bank-concurrency.rst``, section *Checkpoints*.
"""

import contextlib
import logging
from collections.abc import Iterable, Mapping, Set
from concurrent.futures import ThreadPoolExecutor

from karbor_like.bank import errors, layout
from karbor_like.bank.blocks import presence
from karbor_like.bank.checkpoints.events import Event
from karbor_like.bank.checkpoints.plans import CheckpointRecord
from karbor_like.bank.checkpoints.versions import ObjectVersions
from karbor_like.bank.format import jsonobject, manifest
from karbor_like.bank.leases.lease import Lease
from karbor_like.bank.objectstore import concurrently, listing
from karbor_like.bank.objectstore.base import ObjectStore

LOG = logging.getLogger(__name__)


class Committer:
    """Prepares and confirms one commit of one checkpoint.

    :param record: the checkpoint
    :param lease: the lease of the writer that commits
    :param listings_lag: whether listings of the store may be late
    """

    def __init__(
        self,
        store: ObjectStore,
        resolve_key: manifest.KeyResolver,
        record: CheckpointRecord,
        lease: Lease,
        versions: ObjectVersions,
        *,
        listings_lag: bool,
    ) -> None:
        self._store = store
        self._resolve_key = resolve_key
        self._record = record
        self._lease = lease
        self._versions = versions
        self._listings_lag = listings_lag

    def collect(self, listed: Set[str] | None = None) -> Mapping[str, str]:
        """Find the valid object of every name, and check that everything it needs is stored.

        :param listed: what :func:`listed_names` returned after the claim; None: it is called
        :returns: the pins of the commit event
        :raises LeaseLost: the lease expired meanwhile
        :raises Corrupted: an object is missing or wrong, or was stored after the lease of its writer had ended
        """
        resources = layout.resources_prefix(self._record.id)
        names = {prefix for prefix in self._lease.names if prefix.startswith(resources)}
        names |= listed_names(self._store, self._record.id) if listed is None else listed
        pins = {}
        for prefix in sorted(names):
            self._lease.check()
            key = self._versions.newest(prefix, self._lease)
            if key is not None:
                pins[prefix] = key
        self._verify(pins)
        return pins

    def adopt(self, commit: Event) -> Mapping[str, str]:
        """Return the pins of another writer's *commit* if everything they need is stored. Raises as :meth:`collect`."""
        pins = commit.pins or {}
        self._verify(pins)
        return pins

    def _verify(self, pins: Mapping[str, str]) -> None:
        verify_pins(
            self._store,
            self._resolve_key,
            self._record.project_id,
            pins,
            self._lease,
            listings_lag=self._listings_lag,
        )

    def confirm(self, event: Event) -> None:
        """Remove the commit if the store received it after the end of the lease, or if that cannot be found out.

        :raises LeaseLost: the lease had ended
        :raises BankError: the store did not tell when it received the commit
        """
        try:
            put = self._store.stat(event.key).modified
            self._lease.check()
            if put > self._lease.ends:
                raise errors.LeaseLost(f"{self._lease} ended before the bank received the commit at {put.isoformat()}")
        except errors.BankError as error:
            LOG.error("Checkpoint %s: removing its commit: %s", self._record.id, error)
            with contextlib.suppress(errors.ObjectNotFound):
                self._store.delete(event.key)
            raise


def listed_names(store: ObjectStore, checkpoint_id: str) -> Set[str]:
    """Return the prefixes of the names of all documents and streams of a checkpoint that a listing shows."""
    resources = layout.resources_prefix(checkpoint_id)
    return {
        layout.name_prefix(info.key)
        for info, what in listing.parsed(store, resources, layout.parse_resource_key)
        if what.kind != "segments"
    }


def verify_pins(
    store: ObjectStore,
    resolve_key: manifest.KeyResolver,
    project_id: str,
    pins: Mapping[str, str],
    lease: Lease | None = None,
    *,
    listings_lag: bool,
) -> None:
    """Check that every pinned object, and every pack that the pinned manifests need, is stored.

    :param lease: of the writer that is about to commit; None to check an earlier commit again
    :param listings_lag: whether listings of the store may be late
    :raises Corrupted: an object is missing or wrong
    :raises LeaseLost: the lease expired meanwhile
    """
    manifests = [key for key in pins.values() if layout.parse_resource_key(key).kind == "manifests"]

    def verify_manifests() -> None:
        for key in manifests:
            if lease is not None:
                lease.check()
            _verify_manifest(store, resolve_key, project_id, key, lease, listings_lag=listings_lag)

    def verify_document(key: str) -> None:
        if lease is not None:
            lease.check()
        if not store.exists(key):
            raise errors.Corrupted(f"{key}: this document is missing")

    documents = sorted(set(pins.values()) - set(manifests))
    concurrently.both(verify_manifests, lambda: concurrently.each(verify_document, documents))


def _verify_manifest(
    store: ObjectStore,
    resolve_key: manifest.KeyResolver,
    project_id: str,
    key: str,
    lease: Lease | None,
    *,
    listings_lag: bool,
) -> None:
    # While a lease is valid, nothing deletes a pack or a segment that is younger than it.
    since = lease.started if lease is not None else presence.NEVER
    if not listings_lag:
        # A listing says the same as a stat request of that moment, for a thousand packs at once.
        since = presence.ALWAYS
    check = lease.check if lease is not None else None
    packs = lease.packs.get(key) if lease is not None else None
    with ThreadPoolExecutor(1, "bank-commit") as pool:
        if packs is not None:
            found = pool.submit(_find_problem, presence.broken_packs(store, project_id, packs, check))
        head = _read_head(store, resolve_key, project_id, key, lease)
        if packs is not None:
            # The tables of the segments need not be read to know the packs, so the segments are looked up like packs.
            segments = presence.broken_segments(store, head, check, believed_since=since)
            problem = _find_problem(segments) or found.result()
        else:
            tables = presence.for_segments(
                store, head, lambda ref: manifest.read_table(store, head, ref, resolve_key), check
            )
            sizes = {use.pack: use.size for uses in tables for use in uses}
            # Packs of bases are older than the lease of the writer. It found them to be there after it had read what the
            # collector deletes, so the collector keeps them. A listing that lags would not show that something else deleted
            # one just now. Neither would a request for it show that this happens a moment later. With a request for each
            # pack, the cost of an incremental write would grow with the volume.
            looked_up = lease is not None and head.lease == lease.id
            believed = presence.ALWAYS if looked_up else since
            problem = _find_problem(presence.broken_packs(store, project_id, sizes, check, believed_since=believed))
    if problem is not None:
        raise errors.Corrupted(f"{key}: {problem}")


def _find_problem(broken: Iterable[tuple[str, str]]) -> str | None:
    return next((problem for _, problem in broken), None)


def _read_head(
    store: ObjectStore, resolve_key: manifest.KeyResolver, project_id: str, key: str, lease: Lease | None
) -> manifest.Head:
    try:
        head = manifest.read_head(store, key, resolve_key)
        if lease is not None and head.lease != lease.id:
            _check_in_time(key, head, store)
    except errors.ObjectNotFound:
        raise errors.Corrupted(f"{key}: this manifest is missing") from None
    if head.project_id != project_id:
        raise errors.Corrupted(f"{key}: is a manifest of project {head.project_id}, not of {project_id}")
    return head


def _check_in_time(key: str, head: manifest.Head, store: ObjectStore) -> None:
    """Raise Corrupted if the head of another writer was stored after the end of that writer's lease."""
    put = store.stat(key).modified
    if put > jsonobject.moment(key, head.lease_until):
        raise errors.Corrupted(
            f"{key}: reached the bank at {put.isoformat()}, after the lease of its writer had ended at"
            f" {head.lease_until}; what it refers to may be deleted, so it has to be written again"
        )
