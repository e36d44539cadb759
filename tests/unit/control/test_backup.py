"""A backup leaves either a verified archive or nothing."""

import errno
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import pytest

from karbor_like import exception, service
from karbor_like.clock import ManualClock
from karbor_like.control import archive, backup, errors
from karbor_like.control.targets.directory import DirectoryTarget
from karbor_like.db import migration
from tests.fixtures.configuration import write_service
from tests.fixtures.database import open_database
from tests.unit.control import archives

NAME = "karbor_like-alpha-20300101T000000Z.archive"


@pytest.fixture(scope="module")
def etc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration directory of a site with an empty database."""
    directory = tmp_path_factory.mktemp("etc")
    url = f"sqlite:///{directory}/db.sqlite"
    write_service(directory / "karbor_like.conf", database_url=url, service={"host": "alpha"})
    database = open_database(url)
    migration.sync(database)
    database.dispose()
    return directory


@pytest.fixture
def conf(etc: Path):
    return service.configure([], files=[str(etc / "karbor_like.conf")])


def make(conf, target, **options) -> backup.Report:
    clock = ManualClock(datetime(2030, 1, 1, tzinfo=UTC))
    return backup.Backup(conf, target, archives.Plain(), clock, identity=archives.Plain(), **options).run()


def test_an_archive_is_made_and_verified(conf, tmp_path):
    steps = []
    report = make(conf, DirectoryTarget(str(tmp_path)), progress=lambda step, done: steps.append(step))
    assert report.archive == f"{tmp_path}/{NAME}"
    with open(report.archive, "rb") as file:
        assert archive.digest(file) == report.sha256
        members = list(archive.read(file, archives.Plain())) if not file.seek(0) else []
    assert [member.name for member in members[:2]] == ["site.json", "etc/karbor_like.conf"]
    assert steps[-1] == "reading the archive back"


class Full:
    """A file on a disk that is full after *room* bytes."""

    def __init__(self, file: IO[bytes], room: int) -> None:
        self._file, self._room = file, room

    def write(self, data: bytes) -> int:
        self._room -= len(data)
        if self._room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._file.write(data)

    def __getattr__(self, name: str):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


@pytest.mark.parametrize("room", [0, 100, 600])
def test_a_full_disk_leaves_no_archive(conf, tmp_path, monkeypatch, room):
    fdopen = os.fdopen
    monkeypatch.setattr(backup.os, "fdopen", lambda *args: Full(fdopen(*args), room))
    with pytest.raises(errors.TargetFailed, match=f"{tmp_path}: the archive cannot be written: No space left"):
        make(conf, DirectoryTarget(str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_vanishes_is_reported(conf, tmp_path):
    directory = tmp_path / "archives"
    directory.mkdir()

    class Vanishing(DirectoryTarget):
        def put(self, name: str, path: Path) -> None:
            shutil.rmtree(directory)
            super().put(name, path)

    with pytest.raises(errors.TargetFailed, match="No such file"):
        make(conf, Vanishing(str(directory)))
    assert not directory.exists()


def test_other_bytes_at_the_target_are_noticed(conf, tmp_path):
    class Lossy(DirectoryTarget):
        def put(self, name: str, path: Path) -> None:
            os.truncate(path, path.stat().st_size - 1)
            super().put(name, path)

    with pytest.raises(errors.TargetFailed, match="other bytes are read back"):
        make(conf, Lossy(str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_archives_are_never_replaced(conf, tmp_path):
    (tmp_path / NAME).write_text("precious")
    with pytest.raises(exception.Conflict, match="exists already"):
        make(conf, DirectoryTarget(str(tmp_path)))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


def test_a_missing_directory_is_not_created(conf, tmp_path):
    with pytest.raises(errors.TargetFailed, match="is not a directory; create it"):
        make(conf, DirectoryTarget(str(tmp_path / "not mounted")))


def test_a_database_of_another_schema_is_not_archived(tmp_path):
    path = write_service(tmp_path / "karbor_like.conf")
    with pytest.raises(exception.ConfigurationError, match="schema version none"):
        make(service.configure([], files=[str(path)]), DirectoryTarget(str(tmp_path)))
