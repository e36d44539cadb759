"""Which of several attempts at a document or stream of a checkpoint is the valid one.

A protect operation may be taken over by another process while the first one still runs: both may then write the same
names of the same checkpoint, each under a lease of its own, for as long as it takes the first one to notice. So

* what an attempt writes has a key of its own, ``<lease id>-<n>``: nobody can overwrite what somebody else wrote;
* before its first write a lease *claims* the checkpoint: ``writers/<k>`` holds the lease's id, where *k* is the first
  number that is free. The order of the claims is the order of the attempts, and both are found by asking for one key
  after the other, so no listing, which might lag behind, is needed;
* a writer that finds a later claim than its own was taken over: it may not commit;
* the commit event *pins* the keys that it was made for. From then on nothing else is valid under these names. Should the
  commit of a writer that was taken over reach the store late, that of the later claim is the valid one.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Final

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.format import jsonobject
from karbor_like.bank.leases.lease import Lease
from karbor_like.bank.objectstore.base import ObjectStore

VERSION: Final = 1

#: The greatest number of an attempt: keys have three digits for it.
MAX_ATTEMPT: Final = 999


class ObjectVersions:
    """The attempts at one checkpoint.

    :param pins: for a committed checkpoint: prefix of a name (``layout.document_prefix`` or ``manifest_prefix``) -> key
        of its valid object, as its commit event says; empty before the commit
    """

    def __init__(self, store: ObjectStore, checkpoint_id: str, pins: Mapping[str, str] | None = None) -> None:
        self._store = store
        self._checkpoint_id = checkpoint_id
        self.pins: Final = pins or {}
        self._lock = threading.Lock()
        self._claimed: dict[str, int] = {}  # lease id -> number of its claim

    def claims(self) -> Sequence[str]:
        """Ids of the leases that wrote or write here, the latest last."""
        leases: list[str] = []
        while True:
            lease_id = self._claim(len(leases))
            if lease_id is None:
                return leases
            leases.append(lease_id)

    def _claim(self, number: int) -> str | None:
        key = layout.writer_key(self._checkpoint_id, number)
        try:
            raw = self._store.get(key)
        except errors.ObjectNotFound:
            return None
        try:
            return str(jsonobject.load(key, raw, VERSION)["lease"])
        except KeyError:
            raise errors.Corrupted(f"{key} does not say whose claim it is") from None

    def claim(self, lease: Lease) -> int:
        """Make *lease* the latest writer, once. Raises LeaseLost where it was and no longer is, or ran out.

        :returns: the number of its claim
        """
        with self._lock:
            if lease.id not in self._claimed:
                claims = self.claims()
                number = claims.index(lease.id) if lease.id in claims else len(claims)
                if number == len(claims):
                    body = {"version": VERSION, "lease": lease.id, "holder": lease.holder}
                    self._store.put(layout.writer_key(self._checkpoint_id, number), jsonobject.dump(body))
                self._claimed[lease.id] = number
        self.check(lease)
        return self._claimed[lease.id]

    def check(self, lease: Lease) -> None:
        """Raises LeaseLost unless *lease* is valid and nobody claimed this checkpoint after it."""
        lease.check()
        number = self._claimed.get(lease.id)
        if number is None or self._claim(number) != lease.id or self._claim(number + 1) is not None:
            raise errors.LeaseLost(
                f"checkpoint {self._checkpoint_id} was taken over from {lease}: another writes it now"
            )

    def new_key(self, prefix: str, lease: Lease) -> str:
        """Where the next attempt under *lease* at the name that *prefix* stands for is to be stored. Claims and checks."""
        self.claim(lease)
        lease.names.add(prefix)
        number = self._count(prefix, lease.id)
        if number > MAX_ATTEMPT:
            raise exception.Conflict(f"{prefix} was written {number} times under one lease; that is not meant to be")
        return layout.attempt_key(prefix, lease.id, number)

    def valid(self, prefix: str) -> str | None:
        """Key of the valid object of the name that *prefix* stands for; None where there is none."""
        if prefix in self.pins:
            return self.pins[prefix]
        for lease_id in reversed(self.claims()):
            count = self._count(prefix, lease_id)
            if count:
                return layout.attempt_key(prefix, lease_id, count - 1)
        return None

    def _count(self, prefix: str, lease_id: str) -> int:
        count = 0
        while self._store.exists(layout.attempt_key(prefix, lease_id, count)):
            count += 1
        return count
