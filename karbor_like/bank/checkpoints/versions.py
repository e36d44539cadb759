"""Versions of the documents and streams of a checkpoint, and the choice of the valid one.

Several versions of one name may exist, because a hook is retried or because another process took the operation over.

* Each version has its own key, ``<lease id>-<n>``. No process can overwrite what another one wrote.
* The commit event *pins* the keys of the valid versions. Before the commit, the newest version of the latest claim that
  wrote the name is valid (:mod:`karbor_like.bank.checkpoints.claims`).
* The commit of a writer that was taken over may reach the store late. The commit of the later claim remains valid then.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from karbor_like import exception
from karbor_like.bank import layout
from karbor_like.bank.checkpoints.claims import WriterClaims
from karbor_like.bank.leases.lease import Lease
from karbor_like.bank.objectstore.base import ObjectStore

#: The greatest number of a version: keys have three digits for it.
MAX_NUMBER: Final = 999

#: Objects of one checkpoint that an operation remembers. Most have a few KiB; the head of a volume of 1 TiB has 100 KiB.
_REMEMBERED: Final = 32
#: Bytes of a document that is not remembered any more.
_LARGE: Final = 256 * 1024

_T = TypeVar("_T")


class Contents:
    """What an operation has read of the objects of one checkpoint, by their keys. Thread-safe.

    Each version has a key of its own. So what was read once, and found to be whole, is what the store has until it is
    deleted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Any] = OrderedDict()

    def get(self, key: str, read: Callable[[], _T]) -> _T:
        """Return what *read* returned when it was called for *key*; call it if it was not, or long ago.

        :param read: returns an object that is not changed afterwards, always of the same type for one key
        """
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                found: _T = self._known[key]
                return found
        content = read()
        self.set(key, content)
        return content

    def set(self, key: str, content: object) -> None:
        """Remember *content*, the last of a limited number, unless it is a large document."""
        if isinstance(content, bytes) and len(content) > _LARGE:
            return
        with self._lock:
            self._known[key] = content
            self._known.move_to_end(key)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    def forget(self, prefix: str) -> None:
        """Forget all objects below *prefix*, because they were deleted: the numbers of their versions are given again."""
        with self._lock:
            for key in [key for key in self._known if key.startswith(prefix)]:
                del self._known[key]


class ObjectVersions:
    """The versions of all names of one checkpoint.

    :param pins: for a committed checkpoint: prefix of a name (``layout.document_prefix`` or ``manifest_prefix``) -> key
        of its valid object, from the commit event; empty before the commit
    :param contents: of the operation that reads or writes the checkpoint; None to read everything from the store
    """

    def __init__(
        self,
        store: ObjectStore,
        checkpoint_id: str,
        pins: Mapping[str, str] | None = None,
        claims: WriterClaims | None = None,
        *,
        contents: Contents | None = None,
    ) -> None:
        self._store = store
        self.pins: Final = pins or {}
        self.claims: Final = claims or WriterClaims(store, checkpoint_id)
        self.contents: Final = contents

    def new_key(self, prefix: str, lease: Lease) -> str:
        """Return the key for the next version of the name *prefix*, after claiming the checkpoint and checking *lease*.

        Call :meth:`acknowledge` when the object is stored.

        :raises LeaseLost: the lease expired, or the checkpoint was taken over
        :raises Conflict: the name has too many versions
        """
        self.claims.claim(lease)
        lease.names.add(prefix)
        number = self._count(prefix, lease.id, lease)
        if number > MAX_NUMBER:
            raise exception.Conflict(f"{prefix}: has {number} versions under one lease; expected at most {MAX_NUMBER}")
        lease.versions[prefix] = None
        return layout.attempt_key(prefix, lease.id, number)

    def acknowledge(self, key: str, lease: Lease) -> None:
        """Record that the store has acknowledged the put of *key*, the last answer of :meth:`new_key` for its name."""
        lease.versions[layout.name_prefix(key)] = layout.attempt_number(key) + 1

    def forget(self, prefix: str, lease: Lease) -> None:
        """Let the store be asked for the versions of all names below *prefix*, because objects were deleted."""
        for name in [name for name in lease.versions if name.startswith(prefix)]:
            lease.versions[name] = None
        if self.contents is not None:
            self.contents.forget(prefix)

    def valid(self, prefix: str, lease: Lease | None = None) -> str | None:
        """Return the key of the valid object of the name *prefix*; None if there is none.

        :param lease: the writer that asks, if it is one
        """
        return self.pins.get(prefix) or self.newest(prefix, lease)

    def newest(self, prefix: str, lease: Lease | None = None) -> str | None:
        """Return the key that is valid for the name *prefix* if there is no commit. Parameters as :meth:`valid`."""
        claims = self.claims.known_to(lease) if lease else self.claims.read()
        for lease_id in reversed(claims):
            count = self._count(prefix, lease_id, lease)
            if count:
                return layout.attempt_key(prefix, lease_id, count - 1)
        return None

    def _count(self, prefix: str, lease_id: str, lease: Lease | None) -> int:
        """Return how many versions *lease_id* wrote. A writer knows its own unless the store failed to acknowledge one."""
        if lease is not None and lease_id == lease.id:
            known = lease.versions.get(prefix, 0)
            if known is not None:
                return known
        count = 0
        while self._store.exists(layout.attempt_key(prefix, lease_id, count)):
            count += 1
        return count
