"""The contract of an object store: five operations on whole, immutable objects.

Everything else (retries, checkpoints, packs, leases, garbage collection) is built on these operations, once, for every store.

The contract suite (``tests/contract/objectstore.py``) checks the rules that every store keeps:

* An object becomes visible whole or not at all. A ``put`` that raises may have stored the object, but never a part of it.
* After ``put`` has returned, the object is durable, and ``get`` and ``stat`` find it. ``list`` may lag behind both puts and
  deletes.
* ``put`` to an existing key replaces the object. Nothing in this project intentionally does that with different bytes.
* ``delete`` of an object that does not exist raises :class:`~karbor_like.bank.errors.ObjectNotFound`. Concurrent deletes of
  one object may all succeed.
* Keys are checked with :func:`karbor_like.bank.layout.check_key` on input, and in the results of ``list``. Foreign objects
  whose names are not keys are invisible.
* A key must not also be the folder of another key (``a`` and ``a/b``). A file system cannot hold both, and raises InvalidKey.
* An empty store needs no preparation: the first ``put`` creates its container. A container that existed before and no longer
  does counts as a store that did not answer. It is neither treated as empty nor recreated.
* Errors are those of :mod:`karbor_like.bank.errors`. A store that did not answer is never "not found". An error without a
  class of its own (a service calls the request malformed) is a plain BankError.
* A store is thread-safe. It neither retries nor sleeps; wrappers do.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final

from oslo_config import cfg

from karbor_like.bank import errors, layout

#: Maximum bytes of an object: 64 MiB. Larger data is stored in several objects.
MAX_OBJECT_BYTES: Final = 64 * 1024 * 1024

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True)
class ObjectInfo:
    """The properties of an object that a store returns without its contents.

    :param key: its full key
    :param size: bytes
    :param modified: when the store received it, by the store's own clock, in UTC
    """

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class RetryPolicy:
    """How requests that the store did not answer are retried.

    :param attempts: maximum number of attempts, at least 1
    :param backoff: seconds before the second attempt; doubled before each further one, with random jitter
    :param total: seconds after the first attempt within which a further one may begin
    """

    attempts: int = 6
    backoff: float = 1.0
    total: float = 120.0


class ObjectStore(ABC):
    """A flat name space of objects."""

    #: Options of this store in a provider's file: name of the group -> its options.
    options: ClassVar[Mapping[str, Sequence[cfg.Opt]]] = {}

    #: Requests that a reader should keep in flight to hide the store's latency.
    requests_at_once: int = 16

    #: Whether room is available as soon as a delete has returned. Other stores take up to a minute to notice.
    frees_room_at_once: bool = False

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> "ObjectStore":
        """Create the store from a provider's file, without connecting to it. Drivers implement this; wrappers do not.

        Raises ConfigurationError if an option is missing or wrong.
        """
        raise NotImplementedError(f"{cls.__name__}: cannot be opened by name")

    @classmethod
    def retry_policy(cls, conf: cfg.ConfigOpts) -> RetryPolicy:
        """Return the retry policy from a provider's file. Used by the factory."""
        return RetryPolicy()

    @abstractmethod
    def put(self, key: str, data: Buffer | Sequence[bytes | memoryview]) -> None:
        """Store *data* under *key*.

        :param data: one buffer, or several to be joined; at most MAX_OBJECT_BYTES
        """

    @abstractmethod
    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return the bytes of an object, or a range of them, truncated at the end of the object.

        :param start: first byte of the range
        :param length: maximum bytes of the range
        :raises ObjectNotFound: there is no such object
        :raises ConnectionFailed: the response was truncated
        :raises Corrupted: there are more bytes to read than MAX_OBJECT_BYTES, as in a foreign object. None of them are then
            read into memory
        """

    def get_into(self, key: str, start: int, target: memoryview) -> int:
        """Read the object's bytes from byte *start* into *target*. Otherwise like :meth:`get`.

        The rest of *target* is undefined afterwards, and after an error all of it.

        :returns: the number of bytes; less than the length of *target* only at the end of the object
        """
        content = self.get(key, start, len(target))
        if len(content) > len(target):
            raise errors.Corrupted(f"{key}: the store returned {len(content)} bytes; requested were {len(target)}")
        target[: len(content)] = content
        return len(content)

    @abstractmethod
    def stat(self, key: str) -> ObjectInfo:
        """Return size and time of an object. Raises ObjectNotFound."""

    def exists(self, key: str) -> bool:
        """Whether an object exists. Uses :meth:`stat`, as listings may lag."""
        try:
            self.stat(key)
        except errors.ObjectNotFound:
            return False
        return True

    @abstractmethod
    def list(self, prefix: str, marker: str = "", limit: int = 1000) -> Sequence[ObjectInfo]:
        """List objects in the order of their keys, by code point.

        :param prefix: of their keys; may be empty
        :param marker: any text; only keys that sort after it are listed
        :param limit: maximum number of objects; if there are fewer, the listing is complete
        :raises InvalidKey: no key can begin with *prefix*
        """

    @abstractmethod
    def delete(self, key: str) -> None:
        """Delete an object. Raises ObjectNotFound."""

    def close(self) -> None:
        """Close all connections. The store must not be used afterwards."""


def is_key(name: str) -> bool:
    """Whether *name* is a key, so that what a store holds under it can be an object of the bank."""
    try:
        layout.check_key(name)
    except errors.InvalidKey:
        return False
    return True


def check_prefix(prefix: str) -> str:
    """Return *prefix* if a key can begin with it. Raises InvalidKey."""
    if prefix:
        layout.check_key(prefix.removesuffix("/"))
    return prefix


def check_range(start: int, length: int | None) -> None:
    """Raise ValueError, as for a bug of the caller, if a range is before the beginning of an object."""
    if start < 0 or (length is not None and length < 0):
        raise ValueError(f"invalid range of {length} bytes from byte {start}; expected numbers that are not negative")


def check_size(key: str, size: int) -> None:
    """Raise Corrupted if *size*, the bytes about to be read, is more than an object of a bank can have."""
    if size > MAX_OBJECT_BYTES:
        raise errors.Corrupted(f"{key}: has {size} bytes; an object of a bank has at most {MAX_OBJECT_BYTES}")


def pieces(data: Buffer | Sequence[bytes | memoryview]) -> Sequence[Buffer]:
    """Return the argument of :meth:`ObjectStore.put` as several buffers. Raises ValueError above MAX_OBJECT_BYTES."""
    buffers = [data] if isinstance(data, Buffer) else data
    size = sum(memoryview(buffer).nbytes for buffer in buffers)
    if size > MAX_OBJECT_BYTES:
        raise ValueError(f"an object of {size} bytes is too large; the limit is {MAX_OBJECT_BYTES}")
    return buffers
