"""The operator's commands for backup and recovery of the control plane, on SQLite and a directory of archives."""

import contextlib
import json
import shlex
import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import x25519

from karbor_like.cmd.manage import main
from karbor_like.control import encryption
from karbor_like.db import plans
from karbor_like.db.models import Plan
from tests.fixtures.configuration import write_provider, write_service
from tests.fixtures.database import open_database
from tests.structure.source import ROOT

PASSPHRASE = "correct horse battery staple"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passphrases that cost less than real ones."""
    monkeypatch.setattr(encryption.Passphrase.__init__, "__defaults__", (2,))
    monkeypatch.setenv("KARBOR_LIKE_PASSPHRASE", PASSPHRASE)


@pytest.fixture
def manage(capsys: pytest.CaptureFixture[str]) -> Run:
    """A function that runs a command and returns its exit code, standard output and standard error."""

    def run(*argv: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in argv])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with one plan, to copy."""
    directory = tmp_path_factory.mktemp("filled")
    path = write_service(directory / "karbor_like.conf")
    assert main(["--config-file", str(path), "db", "sync"]) == 0
    database = open_database(f"sqlite:///{directory}/db.sqlite")
    values = {"project_id": "p", "name": "gold", "provider_id": "x", "resources": [], "parameters": {}}
    database.write(lambda session: plans.PLANS.insert(session, **values))
    database.dispose()
    with contextlib.closing(sqlite3.connect(directory / "db.sqlite")) as connection:
        # Rows may be in another file until the last connection of all processes is closed.
        connection.execute(f"VACUUM INTO '{directory}/whole.sqlite'")
    return directory / "whole.sqlite"


@pytest.fixture
def etc(tmp_path: Path, filled: Path) -> Path:
    """The configuration directory of a site with one plan."""
    etc = tmp_path / "etc"
    (etc / "providers.d").mkdir(parents=True)
    (tmp_path / "archives").mkdir()
    write_service(etc / "karbor_like.conf", database_url=f"sqlite:///{tmp_path}/db.sqlite", service={"host": "alpha"})
    write_provider(etc / "providers.d" / "noop.conf", "3c1d0000-0000-4000-8000-000000000001", ["noop"])
    shutil.copy(filled, tmp_path / "db.sqlite")
    return etc


@pytest.fixture
def control(etc: Path, manage: Run) -> Run:
    """The same for verbs of ``control`` with the configuration of the site."""
    return lambda *words: manage("--config-file", etc / "karbor_like.conf", "control", *words)


@pytest.fixture
def archive(tmp_path: Path, control: Run) -> Path:
    """An archive of the site."""
    code, out, err = control("backup", "--to", tmp_path / "archives", "--format", "json")
    assert code == 0, err
    return Path(json.loads(out)["archive"])


def names_of_plans(path: Path) -> list[str]:
    database = open_database(f"sqlite:///{path}")
    with database.reader() as session:
        names = list(session.execute(sa.select(Plan.name)).scalars())
    database.dispose()
    return names


def lose(tmp_path: Path, etc: Path) -> None:
    """Destroy the site."""
    shutil.rmtree(etc)
    for path in tmp_path.glob("db.sqlite*"):
        path.unlink()


def test_a_lost_site_is_restored(tmp_path, etc, manage, archive):
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    before = {path.name: path.read_bytes() for path in etc.rglob("*.conf")}
    lose(tmp_path, etc)
    code, out, err = manage("control", "restore", archive, "--etc", etc)
    assert code == 0, err
    assert "alpha" in out
    assert "upgrade check" in out
    assert {path.name: path.read_bytes() for path in etc.rglob("*.conf")} == before
    assert names_of_plans(tmp_path / "db.sqlite") == ["gold"]
    assert manage("--config-file", etc / "karbor_like.conf", "db", "version")[0] == 0


def test_no_secret_is_in_an_archive_in_clear(etc, archive):
    data = archive.read_bytes()
    assert b"alpha" in data  # the header
    key = (etc / "karbor_like.conf").read_text().partition("keys = ")[2].strip()
    assert key.encode() not in data
    assert PASSPHRASE.encode() not in data


def test_a_restore_replaces_nothing_without_force(tmp_path, etc, control, archive):
    code, _, err = control("restore", archive)
    assert code == 1
    assert "the database is not empty: plans have rows" in err
    (etc / "karbor_like.conf").write_text((etc / "karbor_like.conf").read_text() + "# changed\n")
    code, _, err = control("restore", archive)
    assert code == 1
    assert f"files exist and differ from those of the archive: {etc}/karbor_like.conf" in err
    code, out, _ = control("restore", archive, "--force")
    assert code == 0
    copy = next(etc.glob("karbor_like.conf.before-*"))
    assert str(copy) in out
    assert copy.read_text().endswith("# changed\n")
    assert not (etc / "karbor_like.conf").read_text().endswith("# changed\n")


def test_the_parts_of_a_site_are_restored_one_after_the_other(tmp_path, etc, manage, archive):
    lose(tmp_path, etc)
    code, out, _ = manage("control", "restore", archive, "--etc", tmp_path / "other", "--only", "files")
    assert code == 0
    assert f"the configuration was in {etc}" in out
    assert not (tmp_path / "db.sqlite").exists()
    main_file = tmp_path / "other" / "karbor_like.conf"
    main_file.write_text(main_file.read_text().replace("db.sqlite", "moved.sqlite").replace("alpha", "beta"))
    code, out, err = manage("--config-file", main_file, "control", "restore", archive, "--only", "database")
    assert code == 0, err
    assert names_of_plans(tmp_path / "moved.sqlite") == ["gold"]


def test_archives_are_listed_and_verified(tmp_path, control, archive, monkeypatch):
    (archive.parent / "other.txt").touch()
    assert control("list", "--to", tmp_path / "archives")[1] == f"{archive}\n"
    assert json.loads(control("list", "--to", tmp_path / "archives", "--format", "json")[1]) == [str(archive)]
    assert "intact (contents)" in control("verify", archive)[1]
    monkeypatch.delenv("KARBOR_LIKE_PASSPHRASE")
    assert "intact (checksum)" in control("verify", archive)[1]
    assert json.loads(control("verify", archive, "--format", "json")[1])["host"] == "alpha"
    data = bytearray(archive.read_bytes())
    data[-100] ^= 1
    archive.write_bytes(data)
    code, _, err = control("verify", archive)
    assert code == 1
    assert "damaged or truncated" in err


def test_old_archives_of_this_host_are_deleted(tmp_path, control, archive):
    directory = archive.parent
    made = archive.rename(directory / "karbor_like-alpha-20200101T000000Z.archive")
    others = ["karbor_like-beta-20190101T000000Z.archive", "karbor_like-alpha-20190101T000000Z.archive.gpg", "notes"]
    for name in (*others, "karbor_like-alpha-20190101T000000Z.archive"):
        shutil.copy(made, directory / name)
    code, out, _ = control("backup", "--to", directory, "--keep", "2")
    assert code == 0
    assert "deleted: " in out
    found = {path.name for path in directory.iterdir()}
    assert found >= {*others, made.name}
    assert "karbor_like-alpha-20190101T000000Z.archive" not in found
    assert len(found) == 5


def test_a_wrong_passphrase_changes_nothing(tmp_path, etc, manage, archive, monkeypatch):
    lose(tmp_path, etc)
    monkeypatch.setenv("KARBOR_LIKE_PASSPHRASE", "a wrong passphrase")
    code, _, err = manage("control", "restore", archive, "--etc", etc)
    assert code == 1
    assert "the passphrase is wrong" in err
    assert not etc.exists()
    assert not (tmp_path / "db.sqlite").exists()


def test_the_passphrase_of_a_file_is_its_first_line(tmp_path, control, archive, monkeypatch):
    monkeypatch.delenv("KARBOR_LIKE_PASSPHRASE")
    file = tmp_path / "passphrase"
    file.write_text(f"{PASSPHRASE}\nand a remark\n")
    file.chmod(0o644)
    code, _, err = control("verify", archive, "--passphrase-file", file)
    assert code == 1
    assert "other users may read or change it" in err
    file.chmod(0o600)
    assert control("verify", archive, "--passphrase-file", file)[0] == 0


def test_a_passphrase_is_asked_for_on_a_terminal_only(control, tmp_path, monkeypatch):
    monkeypatch.delenv("KARBOR_LIKE_PASSPHRASE")
    code, _, err = control("backup", "--to", tmp_path / "archives")
    assert code == 1
    assert "a passphrase is needed" in err


def test_an_archive_for_a_public_key(tmp_path, etc, control, manage, monkeypatch):
    monkeypatch.delenv("KARBOR_LIKE_PASSPHRASE")
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    key = x25519.X25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    private.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"of the key"))
    )
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    code, out, err = control("backup", "--to", tmp_path / "archives", "--public-key", public, "--format", "json")
    assert code == 0, err
    lose(tmp_path, etc)
    monkeypatch.setenv("KARBOR_LIKE_PASSPHRASE", "of the key")
    code, _, err = manage("control", "restore", json.loads(out)["archive"], "--private-key", private, "--etc", etc)
    assert code == 0, err
    assert names_of_plans(tmp_path / "db.sqlite") == ["gold"]


def test_the_unit_of_systemd_makes_an_archive(control, tmp_path, monkeypatch):
    monkeypatch.delenv("KARBOR_LIKE_PASSPHRASE")
    text = (ROOT / "etc" / "systemd" / "system" / "karbor-like-control-backup.service").read_text().replace("\\\n", "")
    (command,) = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    program, noun, *words = shlex.split(command.partition("=")[2])
    assert (program, noun) == ("/opt/karbor_like/bin/karbor-like-manage", "control")
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    (tmp_path / "passphrase").chmod(0o400)
    places = {"/var/backup/karbor_like": tmp_path / "archives"}
    places["${CREDENTIALS_DIRECTORY}/passphrase"] = tmp_path / "passphrase"
    code, _, err = control(*(places.get(word, word) for word in words))
    assert code == 0, err
    assert len(list((tmp_path / "archives").iterdir())) == 1


@pytest.mark.parametrize(("words", "said"), [(("--keep", "0"), "from 1"), (("--timeout", "0"), "more than 0")])
def test_invalid_numbers_are_refused(control, capsys, words, said):
    with pytest.raises(SystemExit) as ended:
        control("backup", *words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_database_that_cannot_be_opened_is_reported(control, etc, tmp_path):
    path = etc / "karbor_like.conf"
    path.write_text(path.read_text().replace(f"{tmp_path}/db.sqlite", f"{tmp_path}/missing/db.sqlite"))
    code, _, err = control("backup", "--to", tmp_path / "archives")
    assert code == 1
    assert "the database does not answer" in err
    assert list((tmp_path / "archives").iterdir()) == []


def test_a_missing_archive_is_reported(control, tmp_path):
    code, _, err = control("verify", tmp_path / "archives" / "none")
    assert code == 1
    assert "there is no such archive" in err
