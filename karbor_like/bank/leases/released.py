"""Objects of released write leases: the process that owned a lease removes them when no collector needs them any more.

See ``doc/source/contributor/bank-concurrency.rst``, section *Leases*.
"""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Iterable
from typing import Final

from karbor_like.bank import errors
from karbor_like.bank.leases.safety import Safety
from karbor_like.bank.objectstore.base import ObjectStore
from karbor_like.clock import Clock

LOG = logging.getLogger(__name__)

#: Objects that are removed at once at most, and that a process remembers at most.
_REMOVED_AT_ONCE: Final = 20
_REMEMBERED: Final = 1000


class Released:
    """Objects of write leases that this process released. Thread-safe.

    For the collector a lease counts until a grace period after its release. Its objects are kept for the duration of a lease
    longer: a listing that shows some of them for too long then shows a lease that has expired.
    """

    def __init__(self, store: ObjectStore, clock: Clock, safety: Safety) -> None:
        self._store = store
        self._clock = clock
        self._kept_for = safety.lease_duration + safety.grace.total_seconds()
        self._lock = threading.Lock()
        self._keys: deque[tuple[float, str]] = deque()  # when to remove it on the monotonic clock, the oldest first

    def add(self, keys: Iterable[str]) -> None:
        """Remove *keys*, the objects of a lease that was released just now, later.

        :param keys: in the order in which they are removed
        """
        due = self._clock.monotonic() + self._kept_for
        with self._lock:
            self._keys.extend((due, key) for key in keys)
            while len(self._keys) > _REMEMBERED:
                self._keys.popleft()

    def remove_due(self) -> None:
        """Remove what is due, some of it at a time. What the store does not remove now is left to the collector."""
        for _ in range(_REMOVED_AT_ONCE):
            with self._lock:
                if not self._keys or self._keys[0][0] > self._clock.monotonic():
                    return
                _, key = self._keys.popleft()
            try:
                with contextlib.suppress(errors.ObjectNotFound):
                    self._store.delete(key)
            except errors.BankError as error:
                LOG.info("%s: the collector will remove this object of a released lease: %s", key, error)
