"""What has to be true before a checkpoint is made available, and the moment in which it is.

See ``doc/source/contributor/bank-concurrency.rst``, section *Checkpoints*.
"""

import contextlib
import logging
from collections.abc import Mapping

from karbor_like.bank import errors, layout
from karbor_like.bank.blocks import presence
from karbor_like.bank.checkpoints.events import Event
from karbor_like.bank.checkpoints.versions import ObjectVersions
from karbor_like.bank.format import jsonobject, manifest
from karbor_like.bank.leases.lease import Lease
from karbor_like.bank.objectstore import listing
from karbor_like.bank.objectstore.base import ObjectStore

LOG = logging.getLogger(__name__)


class Committer:
    """Commits one checkpoint once.

    :param lease: whose holder commits; None when a commit of earlier is only looked at again
    """

    def __init__(
        self,
        store: ObjectStore,
        resolve_key: manifest.KeyResolver,
        checkpoint_id: str,
        lease: Lease | None,
        attempts: ObjectVersions | None,
    ) -> None:
        self._store = store
        self._resolve_key = resolve_key
        self._checkpoint_id = checkpoint_id
        self._lease = lease
        self._attempts = attempts

    def collect(self, project_id: str) -> Mapping[str, str]:
        """Find the valid object of every name, and look whether all that it needs is there.

        :returns: what the commit event pins
        :raises LeaseLost: the lease ran out meanwhile
        :raises Corrupted: something is missing or wrong, or was stored after its writer's lease had ended
        """
        assert self._lease is not None
        assert self._attempts is not None
        resources = layout.resources_prefix(self._checkpoint_id)
        names = {prefix for prefix in self._lease.names if prefix.startswith(resources)}
        for info, what in listing.parsed(self._store, resources, layout.parse_resource_key):
            if what.kind != "segments":
                names.add(layout.name_prefix(info.key))
        pins = {}
        for prefix in sorted(names):
            self._lease.check()
            key = self._attempts.valid(prefix)
            if key is not None:
                pins[prefix] = key
        self.verify(project_id, pins)
        return pins

    def adopt(self, project_id: str, commit: Event) -> Mapping[str, str]:
        """What another's *commit* pinned, if all of it is there. Raises as :meth:`collect`."""
        pins = commit.pins or {}
        self.verify(project_id, pins)
        return pins

    def verify(self, project_id: str, pins: Mapping[str, str]) -> None:
        """Look whether every pinned object and every pack that it needs is there. Raises Corrupted, naming what is not."""
        for key in pins.values():
            if self._lease is not None:
                self._lease.check()
            if layout.parse_resource_key(key).kind == "manifests":
                self._verify_head(project_id, key)
            else:
                _require(self._store, key)

    def _verify_head(self, project_id: str, key: str) -> None:
        try:
            head = manifest.read_head(self._store, key, self._resolve_key)
            put = self._store.stat(key).modified
        except errors.ObjectNotFound:
            raise errors.Corrupted(f"{key}: this manifest is missing") from None
        if head.project_id != project_id:
            raise errors.Corrupted(f"{key}: is a manifest of project {head.project_id}, not of {project_id}")
        if self._lease is not None and head.lease != self._lease.id and put > jsonobject.moment(key, head.lease_until):
            raise errors.Corrupted(
                f"{key}: reached the bank at {put.isoformat()}, after the lease of its writer had ended at"
                f" {head.lease_until}; what it refers to may be gone, so it has to be written again"
            )
        check = self._lease.check if self._lease is not None else None
        # While a lease stands, no pack is collected that is younger than it.
        since = self._lease.started if self._lease is not None else presence.NEVER
        uses = manifest.pack_uses(self._store, head, self._resolve_key)
        for finding in presence.missing(self._store, project_id, uses, check, believed_since=since):
            raise errors.Corrupted(f"{key}: {finding}")

    def confirm(self, event: Event) -> None:
        """Take the commit back where the lease had run out by the time the store received it, or nobody knows whether it had.

        Raises LeaseLost then, or what the store raises.
        """
        assert self._lease is not None
        try:
            put = self._store.stat(event.key).modified
            self._lease.check()
            if put > self._lease.ends:
                raise errors.LeaseLost(f"{self._lease} ended before the bank received the commit at {put.isoformat()}")
        except errors.BankError as error:
            LOG.error("the commit of checkpoint %s is taken back: %s", self._checkpoint_id, error)
            with contextlib.suppress(errors.ObjectNotFound):
                self._store.delete(event.key)
            raise


def _require(store: ObjectStore, key: str) -> None:
    if not store.exists(key):
        raise errors.Corrupted(f"{key}: this document is missing")
