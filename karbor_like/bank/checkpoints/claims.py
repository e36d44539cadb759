"""Writer claims: which leases wrote to a checkpoint, in which order.

Another process may take over a protect operation while the first one still runs. Both may then write to the same checkpoint,
each under its own lease, until the first one notices. The claims fence it:

* Before its first write, a lease *claims* the checkpoint: ``writers/<k>`` holds the id of the lease, where *k* is the first
  free number. Claims are found by asking for one key after the other, because a listing might lag behind.
* A writer that finds a later claim than its own was taken over and must stop.
* Two writers may choose the same number. The last put wins, however late the store receives it. Therefore a writer reads its
  own claim again after it has put it and before it commits.

Apart from that race, a claim never changes. Known claims are remembered, and only the next number is asked for.
"""

import threading
from collections.abc import Sequence
from typing import Final

from karbor_like.bank import errors, layout
from karbor_like.bank.format import jsonobject
from karbor_like.bank.leases.lease import Lease
from karbor_like.bank.objectstore import concurrently
from karbor_like.bank.objectstore.base import ObjectStore

VERSION: Final = 1
#: Maximum bytes of a claim, which has some hundred.
_MAX_BYTES: Final = 64 * 1024


class WriterClaims:
    """The claims on one checkpoint. Safe to use from several threads."""

    def __init__(self, store: ObjectStore, checkpoint_id: str) -> None:
        self._store = store
        self._checkpoint_id = checkpoint_id
        self._lock = threading.RLock()
        self._known: list[str] = []
        self._numbers: dict[str, int] = {}  # lease id -> number of its claim

    def read(self) -> Sequence[str]:
        """Return the ids of the leases that claimed the checkpoint, the latest last.

        :raises Corrupted: a claim cannot be understood
        """
        with self._lock:
            while (lease_id := self._get(len(self._known))) is not None:
                self._known.append(lease_id)
            return tuple(self._known)

    def known_to(self, lease: Lease) -> Sequence[str]:
        """Return the claims as *lease* found them when it claimed the checkpoint; read them if it has not yet.

        Later claims do not matter to a writer that reads: they stop its next write and its commit.
        """
        with self._lock:
            return tuple(self._known) if lease.id in self._numbers else self.read()

    def claim(self, lease: Lease) -> int:
        """Make *lease* the latest writer. Idempotent.

        :returns: the number of its claim
        :raises LeaseLost: the lease expired, or another lease claimed the checkpoint after it
        """
        if lease.id in self._numbers:
            self.check(lease)
            return self._numbers[lease.id]
        with self._lock:
            number = self.enter(lease)
            self.confirm(lease)
            return number

    def enter(self, lease: Lease) -> int:
        """Put the claim of *lease*, unless it is there. Idempotent.

        The caller must :meth:`confirm` it before its first write.

        :returns: the number of the claim
        """
        with self._lock:
            claims = self.read()
            number = claims.index(lease.id) if lease.id in claims else len(claims)
            if number == len(claims):
                body = {"version": VERSION, "lease": lease.id, "holder": lease.holder}
                self._store.put(layout.writer_key(self._checkpoint_id, number), jsonobject.dump(body))
                self._known.append(lease.id)
            self._numbers[lease.id] = number
            return number

    def number(self, lease: Lease) -> int | None:
        """Return the number of the claim of *lease*; None if it has not claimed the checkpoint through this object."""
        return self._numbers.get(lease.id)

    def check(self, lease: Lease) -> None:
        """Check before a write that *lease* is valid and that no later claim exists. Costs one request.

        :raises LeaseLost: the lease expired, the checkpoint was taken over, or *lease* never claimed it
        """
        lease.check()
        number = self._numbers.get(lease.id)
        if number is None or self._get(number + 1) is not None:
            raise self._taken_over(lease)

    def confirm(self, lease: Lease) -> None:
        """Check as :meth:`check`, and that the claim of *lease* was not overwritten. Costs two requests at the same time.

        A claim that is overwritten or followed remains so. If both are found to be right, they were right when this was
        called, regardless of the order in which the store answers.

        :raises LeaseLost: as :meth:`check`, or another lease's claim is in its place
        """
        lease.check()
        number = self._numbers.get(lease.id)
        if number is None:
            raise self._taken_over(lease)
        own, later = concurrently.each(self._get, (number, number + 1))
        if own != lease.id or later is not None:
            raise self._taken_over(lease)
        lease.check()

    def _taken_over(self, lease: Lease) -> errors.LeaseLost:
        return errors.LeaseLost(
            f"checkpoint {self._checkpoint_id} was taken over from {lease}; another process writes it now"
        )

    def _get(self, number: int) -> str | None:
        key = layout.writer_key(self._checkpoint_id, number)
        try:
            raw = jsonobject.get(self._store, key, _MAX_BYTES)
        except errors.ObjectNotFound:
            return None
        try:
            return str(jsonobject.load(key, raw, VERSION)["lease"])
        except KeyError:
            raise errors.Corrupted(f"{key}: the claim has no member 'lease'") from None
