"""The commit of a checkpoint: what must be true before it becomes available, and the moment in which it does.

See ``doc/source/contributor/bank-concurrency.rst``, section *Checkpoints*.
"""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Set

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
        self._record = record
        self._lease = lease
        self._versions = versions
        self._verifier = PinVerifier(store, resolve_key, record.project_id, lease, listings_lag=listings_lag)

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
        self._verifier.verify(pins)
        return pins

    def adopt(self, commit: Event) -> Mapping[str, str]:
        """Return the pins of another writer's *commit* if everything they need is stored. Raises as :meth:`collect`."""
        pins = commit.pins or {}
        self._verifier.verify(pins)
        return pins

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


class PinVerifier:
    """Checks that every pinned object, and every pack that the pinned manifests need, is stored.

    :param project_id: of the checkpoint
    :param lease: of the writer that is about to commit; None to check an earlier commit again
    :param listings_lag: whether listings of the store may be late
    """

    def __init__(
        self,
        store: ObjectStore,
        resolve_key: manifest.KeyResolver,
        project_id: str,
        lease: Lease | None = None,
        *,
        listings_lag: bool,
    ) -> None:
        self._store = store
        self._resolve_key = resolve_key
        self._project_id = project_id
        self._lease = lease
        if not listings_lag:
            # A listing says the same as a stat request of that moment, for a thousand packs at once.
            self._since = presence.ALWAYS
        elif lease is not None:
            # While a lease is valid, nothing deletes a pack or a segment that is younger than it.
            self._since = lease.started
        else:
            self._since = presence.NEVER

    def verify(self, pins: Mapping[str, str]) -> None:
        """Check everything that a commit with *pins* needs.

        :raises Corrupted: an object is missing or wrong
        :raises LeaseLost: the lease expired meanwhile
        """
        manifests = [key for key in pins.values() if layout.parse_resource_key(key).kind == "manifests"]

        def verify_manifests() -> None:
            for key in manifests:
                self._check_lease()
                packs = self._lease.packs.get(key) if self._lease is not None else None
                if packs is not None:
                    self._verify_known(key, packs)
                else:
                    self._verify_unknown(key)

        documents = sorted(set(pins.values()) - set(manifests))
        concurrently.both(verify_manifests, lambda: concurrently.each(self._verify_document, documents))

    def _verify_document(self, key: str) -> None:
        self._check_lease()
        if not self._store.exists(key):
            raise errors.Corrupted(f"{key}: this document is missing")

    def _verify_known(self, key: str, packs: Mapping[str, int]) -> None:
        """Check a manifest whose *packs* are known without its tables: those need not be read, only looked up like packs."""

        def verify_segments() -> None:
            head = self._read_head(key)
            _refuse(key, presence.broken_segments(self._store, head, self._check_lease, believed_since=self._since))

        def verify_packs() -> None:
            _refuse(key, presence.broken_packs(self._store, self._project_id, packs, self._check_lease))

        concurrently.both(verify_segments, verify_packs)

    def _verify_unknown(self, key: str) -> None:
        """Check a manifest whose packs have to be read from its tables."""
        head = self._read_head(key)
        tables = presence.for_segments(
            self._store,
            head,
            lambda ref: manifest.read_table(self._store, head, ref, self._resolve_key),
            self._check_lease,
        )
        sizes = {use.pack: use.size for uses in tables for use in uses}
        # Packs of bases are older than the lease of the writer. It found them to be there after it had read what the
        # collector deletes, so the collector keeps them. A listing that lags would not show that something else deleted
        # one just now. Neither would a request for it show that this happens a moment later. With a request for each
        # pack, the cost of an incremental write would grow with the volume.
        looked_up = self._lease is not None and head.lease == self._lease.id
        believed = presence.ALWAYS if looked_up else self._since
        _refuse(
            key,
            presence.broken_packs(self._store, self._project_id, sizes, self._check_lease, believed_since=believed),
        )

    def _read_head(self, key: str) -> manifest.Head:
        try:
            head = manifest.read_head(self._store, key, self._resolve_key)
            if self._lease is not None and head.lease != self._lease.id:
                _check_in_time(key, head, self._store)
        except errors.ObjectNotFound:
            raise errors.Corrupted(f"{key}: this manifest is missing") from None
        if head.project_id != self._project_id:
            raise errors.Corrupted(f"{key}: is a manifest of project {head.project_id}, not of {self._project_id}")
        return head

    def _check_lease(self) -> None:
        if self._lease is not None:
            self._lease.check()


def _refuse(key: str, broken: Iterator[tuple[str, str]]) -> None:
    """Raise Corrupted with the first problem of what the manifest *key* needs, if there is one."""
    problem = next((problem for _, problem in broken), None)
    del broken  # ends the other lookups before the error is raised
    if problem is not None:
        raise errors.Corrupted(f"{key}: {problem}")


def _check_in_time(key: str, head: manifest.Head, store: ObjectStore) -> None:
    """Raise Corrupted if the head of another writer was stored after the end of that writer's lease."""
    put = store.stat(key).modified
    if put > jsonobject.moment(key, head.lease_until):
        raise errors.Corrupted(
            f"{key}: reached the bank at {put.isoformat()}, after the lease of its writer had ended at"
            f" {head.lease_until}; what it refers to may be deleted, so it has to be written again"
        )
