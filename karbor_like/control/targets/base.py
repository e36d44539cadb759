"""The contract of a target."""

import contextlib
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from karbor_like import exception


class Target(ABC):
    """A place for archives: files with the names that :mod:`karbor_like.control.retention` makes.

    Every method raises TargetFailed if the place does not answer in time, refuses access or is full.

    :param location: as the operator wrote it
    """

    def __init__(self, location: str) -> None:
        self.location = location.rstrip("/") or "/"

    def address(self, name: str) -> str:
        """Return what an operator writes to restore the archive *name*."""
        return f"{self.location.rstrip('/')}/{name}"

    @contextlib.contextmanager
    def spool(self, name: str) -> Iterator[Path]:
        """Return the path at which the archive *name* is to be made. What is still there after the block is removed."""
        with tempfile.TemporaryDirectory(prefix="karbor_like-") as directory:
            yield Path(directory) / name

    @abstractmethod
    def put(self, name: str, path: Path) -> None:
        """Keep the file *path*, made in :meth:`spool`, as *name*. The name appears only when all bytes are there."""

    @abstractmethod
    def get(self, name: str, file: IO[bytes]) -> None:
        """Write the archive *name* to *file*. Raises NoSuchArchive."""

    @abstractmethod
    def list(self) -> Sequence[str]:
        """Return the names of all files, also of foreign ones.

        :raises Unsupported: the place cannot list them
        """

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete an archive. One that no longer exists is ignored."""


def no_list(location: str) -> exception.Unsupported:
    """Return the error for places that do not list what they have."""
    return exception.Unsupported(f"{location} does not list its archives; restore one by its address, without --keep")
