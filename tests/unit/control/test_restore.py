"""A restore refuses what it must not restore, changes nothing then, and can be repeated."""

import dataclasses
import io
from pathlib import Path

import pytest

from karbor_like import exception, service
from karbor_like.clock import ManualClock
from karbor_like.control import archive, database, errors, files, restore
from karbor_like.control.archive import Member
from karbor_like.control.site import MEMBER, Site
from karbor_like.db import migration
from tests.fixtures.configuration import write_service
from tests.fixtures.database import open_database
from tests.unit.control import archives

RELEASE = service.version()


@pytest.fixture
def members(tmp_path: Path) -> list[Member]:
    """The members of an archive of a site with an empty database."""
    conf = write_service(tmp_path / "karbor_like.conf", database_url=f"sqlite:///{tmp_path}/db.sqlite")
    site = Site("/etc/karbor_like", ["etc/karbor_like.conf"], [])
    rows = [Member(f"database/{table.name}/000000", b"[]") for table in database.tables()]
    return [site.member(), Member("etc/karbor_like.conf", conf.read_bytes()), *rows]


def bring_back(tmp_path: Path, file: io.BytesIO, **options) -> restore.Report:
    conf = service.configure([], files=[])
    etc = tmp_path / "etc"
    return restore.Restore(conf, file, archives.Plain(), ManualClock(), etc=etc, **options).run()


def make(members, **values) -> io.BytesIO:
    return archives.make(members, **{"release": RELEASE, "schema": migration.head(), **values})


def unchanged(tmp_path: Path) -> bool:
    return {path.name for path in tmp_path.iterdir()} == {"karbor_like.conf"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"release": "9.1.0"}, f"by release 9.1.0, and this is release {RELEASE}; restore it with a release 9.x"),
        ({"schema": "9999"}, f"schema 9999 of the database, and this release {RELEASE} knows schemas to"),
    ],
)
def test_other_versions_are_refused_by_name(tmp_path, members, values, said):
    with pytest.raises(errors.WrongVersion, match=said):
        bring_back(tmp_path, make(members, **values))
    assert unchanged(tmp_path)


HOSTILE = {
    "no description": lambda found: found[1:],
    "a damaged description": lambda found: [Member(MEMBER, b"{"), *found[1:]],
    "a nested description": lambda found: [Member(MEMBER, b"[" * 100_000), *found[1:]],
    "a configuration outside": lambda found: [Site("/", ["../../x"], []).member(), *found[1:]],
    "a missing configuration": lambda found: [Site("/", ["etc/other.conf"], []).member(), *found[1:]],
    "an unknown directory": lambda found: [*found, Member("root/.ssh/authorized_keys", b"")],
    "an unknown table": lambda found: [*found, Member("database/users/000000", b"[]")],
    "no rows": lambda found: [*found, Member("database/plans/000001", b"x")],
    "an invalid configuration": lambda found: [found[0], Member("etc/karbor_like.conf", b"x"), *found[2:]],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_change_nothing(tmp_path, members, name):
    with pytest.raises((errors.BadArchive, exception.ConfigurationError)):
        bring_back(tmp_path, make(HOSTILE[name](members)))
    assert unchanged(tmp_path)


def test_the_files_are_bounded(tmp_path, members, monkeypatch):
    monkeypatch.setattr(restore, "_MAX_FILES", 1000)
    with pytest.raises(errors.BadArchive, match="its files have more than 1000 bytes"):
        bring_back(tmp_path, make([*members, Member("etc/x", bytes(1001))]))
    assert unchanged(tmp_path)


def test_damage_in_the_last_chunk_changes_nothing(tmp_path, members):
    data = bytearray(make(members).getvalue())
    data[-40] ^= 1
    with pytest.raises(errors.BadArchive):
        bring_back(tmp_path, io.BytesIO(data))
    assert unchanged(tmp_path)


def test_a_restore_that_died_is_repeated(tmp_path, members, monkeypatch):
    class Died(BaseException):
        pass

    def die(*args) -> None:
        raise Died

    file = make([*members, Member("etc/second.conf", b"# second\n")])
    monkeypatch.setattr(files, "sync_directory", die)  # after the first file was renamed
    with pytest.raises(Died):
        bring_back(tmp_path, file)
    monkeypatch.undo()
    assert len(list((tmp_path / "etc").iterdir())) == 1
    monkeypatch.setattr(restore.recovery, "recover", die)  # before the transaction of the load is committed
    with pytest.raises(Died):
        bring_back(tmp_path, file)
    monkeypatch.undo()
    report = bring_back(tmp_path, file)
    assert (report.files, list(report.copies)) == (2, [])
    assert migration.version(open_database(f"sqlite:///{tmp_path}/db.sqlite")) == migration.head()


def test_an_older_schema_is_upgraded(tmp_path, members):
    bring_back(tmp_path, make(members, schema="0024"))
    target = open_database(f"sqlite:///{tmp_path}/db.sqlite")
    assert migration.version(target) == migration.head()
    target.dispose()


def test_the_next_steps(tmp_path, members, monkeypatch):
    elsewhere = Member("elsewhere/srv/ca.pem", b"ca")
    text = members[1].data.decode() + "[service]\nhost = lost\n"
    members[1] = dataclasses.replace(members[1], data=text.encode())
    steps = bring_back(tmp_path, make([*members, elsewhere], host="lost")).steps
    assert f"the configuration was in /etc/karbor_like, now it is in {tmp_path}/etc" in steps[1]
    assert f"copy {tmp_path}/etc/elsewhere/srv/ca.pem to /srv/ca.pem" in steps[2]
    assert "check [service] host: it is 'lost', the name of the lost host" in steps[3]
    assert steps[-1].startswith("start the services")


def test_one_part_is_restored(tmp_path, members):
    report = bring_back(tmp_path, make(members), only=restore.Only.FILES)
    assert report.rows == 0
    assert not (tmp_path / "db.sqlite").exists()
    assert report.steps[-1] == "correct the configuration, and restore the rest with --only database"


def test_an_archive_says_what_it_is(members):
    assert archive.check(make(members)).release == RELEASE
