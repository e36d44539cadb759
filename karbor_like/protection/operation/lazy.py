"""Parts of checkpoints, and leases of banks, that are had when they are first used: that asks the bank, and not every hook
needs it.

The clean-up of an operation never does; it must work while the bank is away.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

from karbor_like import exception
from karbor_like.bank import Lease, ResourceSection

LOG = logging.getLogger(__name__)

Open = Callable[[], ResourceSection]


class LazyLease:
    """One lease for all who ask: taken when the first one does, given back at the end. Used by many threads."""

    def __init__(self, acquire: Callable[[], Lease]) -> None:
        self._acquire = acquire
        self._lock = threading.Lock()
        self._lease: Lease | None = None
        self._closed = False

    def get(self) -> Lease:
        """The lease, which is good. Raises LeaseLost, also after :meth:`close`, and what taking it raises."""
        with self._lock:
            if self._closed:
                # Whoever comes so late, such as a task that outlived its flow, would take one that nobody gives back.
                raise exception.LeaseLost("the operation that the bank's lease was for has been left")
            if self._lease is None:
                self._lease = self._acquire()
            self._lease.check()
            return self._lease

    def close(self) -> None:
        """Give it back, if it was taken. None is taken after that."""
        with self._lock:
            self._closed = True
            if self._lease is not None:
                self._lease.__exit__(None, None, None)


class LazySection:
    """Stands for a section until something is asked of it."""

    def __init__(self, open_section: Open) -> None:
        self._open = open_section
        self._lock = threading.Lock()
        self._section: ResourceSection | None = None

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            if self._section is None:
                self._section = self._open()
        return getattr(self._section, name)


class LazySections(Sequence[ResourceSection]):
    """Sections of earlier checkpoints; one that was deleted meanwhile is left out."""

    def __init__(self, openers: Sequence[Open]) -> None:
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
                LOG.info("a checkpoint is not built upon: %s", error)

    def __len__(self) -> int:
        return len(self._all())

    @overload
    def __getitem__(self, index: int) -> ResourceSection: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[ResourceSection]: ...

    def __getitem__(self, index: int | slice) -> ResourceSection | Sequence[ResourceSection]:
        return self._all()[index]
