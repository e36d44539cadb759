"""Restore of the control plane from an archive, which is verified completely before anything is changed."""

import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import IO, Final

from oslo_config import cfg
from sqlalchemy import orm

from karbor_like import service
from karbor_like.clock import Clock
from karbor_like.control import archive, contents, database, encryption, errors, recovery
from karbor_like.control.archive import Header, Member
from karbor_like.control.files import Installation
from karbor_like.control.site import MEMBER, Site
from karbor_like.db import migration
from karbor_like.db.session import Database
from karbor_like.protection.workflow import engine

#: Maximum bytes of all files together.
_MAX_FILES: Final = 256 * 1024 * 1024


class Only(StrEnum):
    """A part of an archive."""

    DATABASE = "database"
    FILES = "files"


@dataclass
class Report:
    """What was restored.

    :param header: of the archive
    :param etc: the configuration directory
    :param files: number of files
    :param copies: paths of the copies of replaced files
    :param rows: number of rows of the database
    :param steps: what the operator has to do now
    """

    header: Header
    etc: str
    files: int = 0
    copies: Sequence[str] = ()
    rows: int = 0
    recovered: recovery.Recovered = field(default_factory=recovery.Recovered)
    steps: list[str] = field(default_factory=list)


class Restore:
    """One restore.

    :param conf: configuration of this host, which may have read no file
    :param file: the archive
    :param etc: the configuration directory of this host; None: that of *conf*
    :param only: the part to restore; None: everything
    :param force: whether rows and files that exist may be replaced
    :param progress: called with the name of a step, and how much of it has been done since
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        file: IO[bytes],
        identity: encryption.Identity,
        clock: Clock,
        *,
        etc: Path | None = None,
        only: Only | None = None,
        force: bool = False,
        progress: Callable[[str, int], None] = lambda step, done: None,
    ) -> None:
        self._conf = conf
        self._file = file
        self._identity = identity
        self._clock = clock
        found = Path(conf.config_file[0]).absolute().parent if conf.config_file else contents.SYSTEM_ETC
        self._etc = (etc or found).absolute()
        self._only = only
        self._force = force
        self._progress = progress

    def run(self) -> Report:
        """Restore the archive.

        :raises BadArchive: the archive is damaged or hostile; nothing was changed
        :raises WrongKey: it is opened by another key; nothing was changed
        :raises WrongVersion: another release made it; nothing was changed
        :raises Conflict: files or rows exist; nothing was changed
        """
        header = archive.check(self._file)
        check_version(header)
        site, files = self._verify()
        suffix = f".before-{self._clock.now():%Y%m%dT%H%M%SZ}"
        installation = Installation(self._etc, files, suffix)
        report = Report(header, str(self._etc))
        conf = self._conf
        if self._only is not Only.DATABASE:
            installation.check(force=self._force)
            conf = _configuration(site, files)
        if self._only is Only.FILES:
            self._install(installation, report, files)
        else:
            target = Database(conf, conf.database.migration_timeout)
            try:
                database.check_replaceable(target, conf.service.down_time, force=self._force)
                if self._only is None:
                    self._install(installation, report, files)
                self._load(conf, target, report)
            finally:
                target.dispose()
        report.steps = list(self._steps(conf, site, installation, report))
        return report

    def _verify(self) -> tuple[Site, Sequence[Member]]:
        """Read everything once."""
        members = archive.read(self._file, self._identity)
        first = next(members, None)
        if first is None or first.name != MEMBER:
            raise errors.BadArchive(f"the archive: {MEMBER} is missing")
        site = Site.parse(first)
        files, size = [], 0
        for member in members:
            self._progress("verifying the archive (members)", 1)
            if member.name.startswith(f"{database.DIRECTORY}/"):
                database.rows_of(member)
                continue
            size += len(member.data)
            if size > _MAX_FILES:
                raise errors.BadArchive(f"the archive: its files have more than {_MAX_FILES} bytes")
            files.append(member)
        return site, files

    def _install(self, installation: Installation, report: Report, files: Sequence[Member]) -> None:
        report.copies = installation.run()
        report.files = len(files)

    def _load(self, conf: cfg.ConfigOpts, target: Database, report: Report) -> None:
        header = report.header
        made = datetime.fromisoformat(header.created)
        database.prepare(conf, target, header.schema)
        persistence = engine.persistence(conf, target)

        def recover(session: orm.Session) -> None:
            report.recovered = recovery.recover(session, persistence, made)

        current = header.schema == migration.head()
        report.rows = database.load(
            target,
            self._rows(),
            recover if current else lambda session: None,
            lambda rows: self._progress("loading the database (rows)", rows),
        )
        if not current:
            # The queries of this release need its schema.
            migration.sync(target)
            target.write(recover)
        report.recovered.missed = recovery.miss_due_times(conf, target, self._clock)

    def _rows(self) -> Iterator[Member]:
        for member in archive.read(self._file, self._identity):
            if member.name.startswith(f"{database.DIRECTORY}/"):
                yield member

    def _steps(self, conf: cfg.ConfigOpts, site: Site, installation: Installation, report: Report) -> Iterator[str]:
        yield "make sure that no service of the lost site can start again: it would act on the same banks and clouds"
        if self._only is not Only.DATABASE:
            if site.etc != str(self._etc):
                yield f"the configuration was in {site.etc}, now it is in {self._etc}: correct options that name the former"
            for path, place in installation.moved().items():
                yield f"copy {path} to {place}, which the configuration names"
            if conf.service.host == report.header.host != socket.gethostname():
                yield f"check [service] host: it is {conf.service.host!r}, the name of the lost host"
        if self._only is Only.FILES:
            yield "correct the configuration, and restore the rest with --only database"
            return
        if report.recovered.leftovers:
            yield (
                "operations that were ended may have left these in the cloud, unless they completed:"
                f" {', '.join(report.recovered.leftovers)}"
            )
        yield "run 'karbor-like-status upgrade check'"
        yield "start the services; they synchronize the checkpoints with the banks within a minute"


def check_version(header: Header) -> None:
    """Check that this release can restore an archive. Raises WrongVersion."""
    ours = service.version()
    if header.release.partition(".")[0] != ours.partition(".")[0]:
        raise errors.WrongVersion(
            f"the archive was made by release {header.release}, and this is release {ours}; restore it with a release"
            f" {header.release.partition('.')[0]}.x, and upgrade afterwards"
        )
    if migration.compare(header.schema) is migration.Schema.NEWER:
        raise errors.WrongVersion(
            f"the archive was made by release {header.release} with schema {header.schema} of the database, and this"
            f" release {ours} knows schemas to {migration.head()}; install that release"
        )


def _configuration(site: Site, files: Sequence[Member]) -> cfg.ConfigOpts:
    """Read the configuration that the archive has, without installing it."""
    with tempfile.TemporaryDirectory(prefix="karbor_like-") as name:
        directory = Path(name)
        for member in files:
            path = directory / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(member.data)
        argv = [word for path in site.config_dirs for word in ("--config-dir", str(directory / path))]
        try:
            return service.configure(argv, files=[str(directory / path) for path in site.config_files])
        except cfg.Error as error:
            raise errors.BadArchive(f"the archive: its configuration cannot be read: {type(error).__name__}") from None
