"""The contract of an object store: five operations on whole, immutable objects.

Everything else (retries, checkpoints, packs, leases, garbage collection) is built on these, once, for every store.

Rules that every store keeps, and that the contract suite (``tests/contract/objectstore.py``) checks:

* An object becomes visible whole or not at all. A ``put`` that raises may have stored the object or not, never a part
  of it.
* After ``put`` returned the object is durable, and ``get`` and ``stat`` find it. ``list`` may lag behind both puts and
  deletes.
* ``put`` to an existing key replaces it; nothing in this project does that on purpose with different bytes.
* ``delete`` of an object that is not there raises :class:`~karbor_like.bank.errors.ObjectNotFound`. When two delete one
  object at once, both may be told that they did it.
* Keys are checked with :func:`karbor_like.bank.layout.check_key` on the way in, and on the way out of ``list``: what
  somebody else keeps in the same place under names that are no keys is not seen.
* No key may also be the folder of another (``a`` and ``a/b``): a file system cannot hold both, and raises InvalidKey.
* A store that holds nothing yet needs no preparation: what it keeps its objects in is made by the first ``put``. Where
  that was there before and is not any more, the store did not answer: it is not empty, and not made anew.
* Errors are those of :mod:`karbor_like.bank.errors`. A store that did not answer is never "not found". An error that
  fits no class there (a server that calls the request malformed) is a plain BankError.
* A store is safe to use from any number of threads. It neither retries nor sleeps: wrappers do.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final

from oslo_config import cfg

from karbor_like.bank import errors, layout

#: The most bytes one object may have: 64 MiB. Everything is kept in pieces below that.
MAX_OBJECT_BYTES: Final = 64 * 1024 * 1024

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True)
class ObjectInfo:
    """What a store knows of an object without reading it.

    :param key: its full key
    :param size: bytes
    :param modified: when the store received it, by the store's own clock, timezone-aware UTC
    """

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class RetryPolicy:
    """How often a call that got no answer is made again.

    :param attempts: calls in all, at least 1
    :param backoff: seconds before the second call; doubled before every further one, and spread at random
    :param total: seconds after the first call in which a further one may begin
    """

    attempts: int = 6
    backoff: float = 1.0
    total: float = 120.0


class ObjectStore(ABC):
    """One flat name space of objects."""

    #: The options of this store in a provider's file: name of the group -> its options.
    options: ClassVar[Mapping[str, Sequence[cfg.Opt]]] = {}

    #: How many requests one reader had better have under way at once, so that it does not wait for each one's way to and fro.
    requests_at_once: int = 16

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> "ObjectStore":
        """The store that a provider's file describes. Talks to nobody yet. Every driver has this; wrappers do not.

        Raises ConfigurationError where an option is missing or wrong.
        """
        raise NotImplementedError(f"{cls.__name__} is not opened by name")

    @classmethod
    def retry_policy(cls, conf: cfg.ConfigOpts) -> RetryPolicy:
        """How calls to this store are to be retried. Read by the factory."""
        return RetryPolicy()

    @abstractmethod
    def put(self, key: str, data: Buffer | Sequence[bytes | memoryview]) -> None:
        """Store *data* (one buffer, or several to be joined; at most MAX_OBJECT_BYTES) under *key*."""

    @abstractmethod
    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes; with *start* and *length* (bytes) only that range, cut at the object's end.

        Raises ObjectNotFound, ConnectionFailed for an answer that was cut short, and Corrupted where there is more to read
        than an object may have (somebody else put it there); then nothing of it is taken into memory.
        """

    def get_into(self, key: str, start: int, target: memoryview) -> int:
        """Put the object's bytes from byte *start* on into *target*, as many as fit. Returns how many: fewer only where the
        object ends. As :meth:`get` otherwise; what is behind them in *target*, and all of it after an error, is undefined.
        """
        found = self.get(key, start, len(target))
        if len(found) > len(target):
            raise errors.Corrupted(f"{key}: {len(target)} bytes were asked for, and {len(found)} came")
        target[: len(found)] = found
        return len(found)

    @abstractmethod
    def stat(self, key: str) -> ObjectInfo:
        """Size and time of an object. Raises ObjectNotFound."""

    def exists(self, key: str) -> bool:
        """Whether there is an object, asked with :meth:`stat`: no listing, which might lag behind, is believed."""
        try:
            self.stat(key)
        except errors.ObjectNotFound:
            return False
        return True

    @abstractmethod
    def list(self, prefix: str, marker: str = "", limit: int = 1000) -> Sequence[ObjectInfo]:
        """Objects whose key starts with *prefix* and sorts after *marker* (by code point), in that order, at most *limit*.

        *prefix* is empty or how a key could begin; *marker* is any text. Fewer than *limit* objects mean that there are
        no more. Raises InvalidKey for a prefix with which no key begins.
        """

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object. Raises ObjectNotFound."""

    def close(self) -> None:
        """Give back connections. The store is not used afterwards."""


def is_key(name: str) -> bool:
    """Whether something that a store holds under *name* can be one of our objects."""
    try:
        layout.check_key(name)
    except errors.InvalidKey:
        return False
    return True


def check_prefix(prefix: str) -> str:
    """*prefix*, if a key can begin with it. Raises InvalidKey."""
    if prefix:
        layout.check_key(prefix.removesuffix("/"))
    return prefix


def check_range(start: int, length: int | None) -> None:
    """Raises ValueError (a mistake of the caller's, never of the store's) for a range before an object's beginning."""
    if start < 0 or (length is not None and length < 0):
        raise ValueError(f"no object has a range of {length} bytes from byte {start}")


def check_size(key: str, size: int) -> None:
    """Raises Corrupted where the store is about to give *size* bytes of an object that cannot have so many."""
    if size > MAX_OBJECT_BYTES:
        raise errors.Corrupted(f"{key}: has {size} bytes, more than any object of a bank ({MAX_OBJECT_BYTES})")


def pieces(data: Buffer | Sequence[bytes | memoryview]) -> Sequence[Buffer]:
    """What :meth:`ObjectStore.put` was given, as several buffers. Raises ValueError above MAX_OBJECT_BYTES."""
    buffers = [data] if isinstance(data, Buffer) else data
    size = sum(memoryview(buffer).nbytes for buffer in buffers)
    if size > MAX_OBJECT_BYTES:
        raise ValueError(f"{size} bytes are more than an object may have ({MAX_OBJECT_BYTES})")
    return buffers
