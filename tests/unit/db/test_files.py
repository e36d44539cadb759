import os
import sqlite3
import stat
import subprocess
import sys

import pytest

from karbor_like.db import files


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_new_database_is_its_owner_s(tmp_path):
    path = tmp_path / "new.sqlite"
    files.make_private(f"sqlite:///{path}")
    assert mode(path) == 0o600


@pytest.mark.parametrize(("before", "after"), [(0o644, 0o640), (0o666, 0o660), (0o600, 0o600), (0o640, 0o640)])
def test_others_lose_their_permissions(tmp_path, before, after):
    paths = [tmp_path / f"old.sqlite{suffix}" for suffix in ("", "-wal", "-shm")]
    for path in paths:
        path.write_text("x")
        path.chmod(before)
    files.make_private(f"sqlite:///{paths[0]}")
    assert [mode(path) for path in paths] == [after] * 3
    assert paths[0].read_text() == "x"


@pytest.mark.parametrize(
    "connection", [None, "", "sqlite://", "sqlite:///:memory:", "sqlite:////nowhere/at/all", "mysql+pymysql://h/d"]
)
def test_what_is_no_file_is_left_alone(tmp_path, monkeypatch, connection):
    monkeypatch.chdir(tmp_path)
    files.make_private(connection)
    assert list(tmp_path.iterdir()) == []


def test_an_open_database_stays_locked(tmp_path):
    """The locks tell a process that ends that others still use the write-ahead log."""
    path = tmp_path / "open.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (a)")
    connection.commit()
    files.make_private(f"sqlite:///{path}")
    script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM t').fetchall(); c.close()"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert (tmp_path / "open.sqlite-wal").exists()
    connection.execute("INSERT INTO t VALUES (1)")
    connection.commit()
    assert connection.execute("SELECT a FROM t").fetchall() == [(1,)]
    connection.close()
