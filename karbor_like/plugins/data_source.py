"""The contract of data sources that know which of their bytes are allocated.

A protection plugin whose bytes do not come as one stream (a device, an image file, a directory) implements
:class:`DataSource`, and writes it to the bank with :func:`karbor_like.plugins.toolkit.extents.stream`.
"""

from collections.abc import Iterable
from typing import Protocol

from karbor_like.bank import Extent

__all__ = ["DataSource", "Extent"]


class DataSource(Protocol):
    """Bytes with random access, which do not change while they are read."""

    @property
    def size(self) -> int:
        """Bytes in total, holes included."""
        ...

    def extents(self) -> Iterable[Extent]:
        """Return the ranges that may contain bytes other than zero, in ascending order and without overlap."""
        ...

    def read(self, offset: int, length: int) -> bytes | memoryview:
        """Return exactly *length* bytes. Raises Unavailable if the source fails or no longer exists."""
        ...
