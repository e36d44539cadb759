"""Backup of the control plane: one archive, verified after it was stored."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from oslo_config import cfg

from karbor_like import service
from karbor_like.clock import Clock
from karbor_like.control import archive, contents, database, encryption, errors, retention
from karbor_like.control.site import Site
from karbor_like.control.targets import Target
from karbor_like.db import migration
from karbor_like.db.session import Database


@dataclass(frozen=True)
class Report:
    """What was archived.

    :param archive: address of the archive
    :param sha256: of the archive, hexadecimal
    :param rows: number of rows of the database
    :param files: number of files
    :param left_out: files that the configuration names and that are not in the archive, with reasons
    :param removed: names of older archives that were deleted
    """

    archive: str
    bytes: int
    sha256: str
    rows: int
    files: int
    left_out: Sequence[str]
    removed: Sequence[str]


class Backup:
    """One backup.

    :param recipient: who can open the archive
    :param identity: opens it for its verification, if this host can; None: only its checksum is verified
    :param progress: called with the name of a step, and how much of it has been done since: rows, or 1
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        target: Target,
        recipient: encryption.Recipient,
        clock: Clock,
        *,
        identity: encryption.Identity | None = None,
        progress: Callable[[str, int], None] = lambda step, done: None,
    ) -> None:
        self._conf = conf
        self._target = target
        self._recipient = recipient
        self._clock = clock
        self._identity = identity
        self._progress = progress
        self._rows = 0

    def run(self, keep: int | None = None) -> Report:
        """Make an archive, verify it, and delete old ones.

        :param keep: number of archives of this host to keep; None: all
        :raises ConfigurationError: the database has another schema, or a file cannot be read
        :raises TargetFailed: the archive cannot be written, or has other bytes at the target; then it is removed
        :raises Unsupported: the target cannot list its archives, as *keep* needs
        """
        host = self._conf.service.host
        now = self._clock.now()
        name = retention.make_name(host, now)
        if keep is not None:
            self._target.list()  # a place that cannot list is refused before an archive is made
        source = Database(self._conf)
        try:
            migration.check(source)
            files = contents.find(self._conf)
            header = archive.Header(service.version(), migration.head(), host, now.isoformat())
            with self._target.spool(name) as path:
                digest = self._write(path, header, self._members(source, files))
                size = path.stat().st_size
                self._target.put(name, path)
        finally:
            source.dispose()
        self._verify(name, digest)
        removed = retention.prune(self._target, host, keep, name) if keep is not None else ()
        address = self._target.address(name)
        return Report(address, size, digest, self._rows, len(files.paths), files.left_out, removed)

    def _members(self, source: Database, files: contents.Files) -> Iterator[archive.Member]:
        yield Site.of(self._conf, files).member()
        yield from files.members()
        with source.snapshot() as connection:
            yield from database.dump(connection, self._count)

    def _count(self, rows: int) -> None:
        self._rows += rows
        self._progress("reading the database (rows)", rows)

    def _write(self, path: Path, header: archive.Header, members: Iterator[archive.Member]) -> str:
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
            with os.fdopen(descriptor, "w+b") as file:
                writer = archive.Writer(file, header, self._recipient)
                for member in members:
                    writer.add(member)
                digest = writer.finish()
                file.flush()
                os.fsync(file.fileno())
                verify(file, self._identity)
        except OSError as error:
            raise errors.TargetFailed(f"{path.parent}: the archive cannot be written: {error.strerror}") from error
        return digest

    def _verify(self, name: str, expected: str) -> None:
        self._progress("reading the archive back", 0)
        sink: Any = _Digest()
        self._target.get(name, sink)
        if sink.hexdigest() != expected:
            self._target.delete(name)
            raise errors.TargetFailed(
                f"{self._target.address(name)}: other bytes are read back than were written; the archive was removed"
            )
        self._progress("reading the archive back", 1)


class _Digest:
    """A file that hashes what is written to it."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def write(self, data: Any) -> int:
        self._digest.update(data)
        return len(data)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def verify(file: IO[bytes], identity: encryption.Identity | None) -> archive.Header:
    """Check the archive in *file*: its checksum, and all contents if *identity* is given.

    :raises BadArchive: it is damaged
    :raises WrongKey: *identity* does not open it
    """
    header = archive.check(file)
    if identity is not None:
        for member in archive.read(file, identity):
            if member.name.startswith(f"{database.DIRECTORY}/"):
                database.rows_of(member)
    return header
