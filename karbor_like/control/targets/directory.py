"""Archives in a directory, which may be a mounted file system of another host."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from karbor_like import exception
from karbor_like.control import errors
from karbor_like.control.targets import base

#: Created if it does not exist. Others are not: their file system may not be mounted.
DEFAULT: Final = Path("/var/backup/karbor_like")


class DirectoryTarget(base.Target):
    """One directory."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self._path = Path(location)

    @contextlib.contextmanager
    def spool(self, name: str) -> Iterator[Path]:
        with self._failing():
            if self._path == DEFAULT:
                self._path.mkdir(0o700, parents=True, exist_ok=True)
            if not self._path.is_dir():
                raise errors.TargetFailed(f"{self._path}: is not a directory; create it, or mount its file system")
        path = self._path / f".{name}.{secrets.token_hex(8)}"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def put(self, name: str, path: Path) -> None:
        with self._failing():
            if (self._path / name).exists():
                raise exception.Conflict(f"{self._path / name}: exists already; archives are never replaced")
            path.rename(self._path / name)
            sync_directory(self._path)

    def get(self, name: str, file: IO[bytes]) -> None:
        with self._failing():
            try:
                source = (self._path / name).open("rb")
            except (FileNotFoundError, IsADirectoryError):
                raise errors.NoSuchArchive(f"{self._path / name}: there is no such archive") from None
            with source:
                shutil.copyfileobj(source, file)

    def list(self) -> Sequence[str]:
        with self._failing():
            return sorted(entry.name for entry in os.scandir(self._path) if entry.is_file(follow_symlinks=False))

    def delete(self, name: str) -> None:
        with self._failing():
            (self._path / name).unlink(missing_ok=True)
            sync_directory(self._path)

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise errors.TargetFailed(f"{self._path}: {error.strerror}") from error


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
