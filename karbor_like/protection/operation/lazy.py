"""Lazily opened sections and leases.

Opening one asks the bank, and not every hook needs it. The clean-up of an operation opens none: it must work while the bank
is unreachable.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

from karbor_like import exception
from karbor_like.bank import (
    Extent,
    ExtentSource,
    ExtentTarget,
    Lease,
    ResourceSection,
    StreamReader,
    StreamStats,
    VerifyLevel,
)

LOG = logging.getLogger(__name__)

Open = Callable[[], ResourceSection]


class LazyLease:
    """One lease for all threads: taken at the first use, released by :meth:`close`."""

    def __init__(self, acquire: Callable[[], Lease]) -> None:
        self._acquire = acquire
        self._lock = threading.Lock()
        self._lease: Lease | None = None
        self._closed = False

    def get(self) -> Lease:
        """Return the lease, and take it at the first call.

        :raises LeaseLost: the lease expired, or :meth:`close` was called
        """
        with self._lock:
            if self._closed:
                # A task that outlived its flow would take a lease that nothing releases.
                raise exception.LeaseLost("bank lease: the operation that it was for has ended in this process")
            if self._lease is None:
                self._lease = self._acquire()
            self._lease.check()
            return self._lease

    @property
    def unprotected(self) -> exception.KarborLikeError | None:
        """Why the bank does not store the lease of this reader, if it does not."""
        return self._lease.unprotected if self._lease else None

    def close(self) -> None:
        """Release the lease if it was taken. Later calls of :meth:`get` fail."""
        with self._lock:
            self._closed = True
            if self._lease is not None:
                self._lease.__exit__(None, None, None)


class LazySection:
    """A section that is opened at the first use: see :class:`karbor_like.bank.Section`. Thread-safe."""

    def __init__(self, open_section: Open) -> None:
        self._open = open_section
        self._lock = threading.Lock()
        self._section: ResourceSection | None = None

    def _opened(self) -> ResourceSection:
        with self._lock:
            if self._section is None:
                self._section = self._open()
            return self._section

    @property
    def checkpoint_id(self) -> str:
        return self._opened().checkpoint_id

    @property
    def is_encrypted(self) -> bool:
        return self._opened().is_encrypted

    def put(self, name: str, value: Mapping[str, Any]) -> None:
        self._opened().put(name, value)

    def get(self, name: str) -> dict[str, Any]:
        return self._opened().get(name)

    def names(self) -> Sequence[str]:
        return self._opened().names()

    def documents(self) -> Sequence[str]:
        return self._opened().documents()

    def streams(self) -> Sequence[str]:
        return self._opened().streams()

    def write(
        self,
        name: str,
        stream: Iterable[bytes | memoryview],
        *,
        size: int | None = None,
        bases: Sequence[ResourceSection] = (),
        progress: Callable[[int], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> StreamStats:
        return self._opened().write(name, stream, size=size, bases=bases, progress=progress, check=check)

    def write_extents(
        self,
        name: str,
        source: ExtentSource,
        *,
        base: ResourceSection | None = None,
        changed: Iterable[Extent] | None = None,
        bases: Sequence[ResourceSection] = (),
        progress: Callable[[int], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> StreamStats:
        return self._opened().write_extents(
            name, source, base=base, changed=changed, bases=bases, progress=progress, check=check
        )

    def read(self, name: str, *, check: Callable[[], None] | None = None) -> StreamReader:
        return self._opened().read(name, check=check)

    def restore(
        self,
        name: str,
        target: ExtentTarget,
        *,
        empty: bool = False,
        progress: Callable[[int], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        self._opened().restore(name, target, empty=empty, progress=progress, check=check)

    def stats(self, name: str) -> StreamStats:
        return self._opened().stats(name)

    def verify(
        self,
        name: str,
        level: VerifyLevel,
        *,
        progress: Callable[[int], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        self._opened().verify(name, level, progress=progress, check=check)

    def delete(self) -> None:
        self._opened().delete()


class LazySections(Sequence[ResourceSection]):
    """Sections of other checkpoints. A checkpoint that was deleted meanwhile is left out.

    :param openers: iterated at the first use
    """

    def __init__(self, openers: Iterable[Open]) -> None:
        self._openers = openers
        self._lock = threading.Lock()
        self._sections: list[ResourceSection] | None = None

    def _all(self) -> list[ResourceSection]:
        with self._lock:
            if self._sections is None:
                self._sections = list(self._opened())
            return self._sections

    def _opened(self) -> Iterator[ResourceSection]:
        for opener in self._openers:
            try:
                yield opener()
            except exception.NotFound as error:
                LOG.info("A checkpoint is left out: %s", error)

    def __len__(self) -> int:
        return len(self._all())

    @overload
    def __getitem__(self, index: int) -> ResourceSection: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[ResourceSection]: ...

    def __getitem__(self, index: int | slice) -> ResourceSection | Sequence[ResourceSection]:
        return self._all()[index]
