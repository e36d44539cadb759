"""Files return to a host: all or none, and never over another file without a copy."""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from karbor_like import exception
from karbor_like.control import errors
from karbor_like.control.archive import Member
from karbor_like.control.files import Installation

MEMBERS = [
    Member("etc/karbor_like.conf", b"main", 0o640),
    Member("etc/providers.d/a.conf", b"provider", 0o6777),
    Member("elsewhere/srv/ca.pem", b"ca", 0o644),
]


def install(etc: Path, *, force: bool = False) -> Sequence[str]:
    """Install the files, and return the paths of copies."""
    installation = Installation(etc, MEMBERS, ".before")
    installation.check(force=force)
    return installation.run()


def names(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()}


def test_files_are_installed_below_one_directory(tmp_path: Path):
    etc = tmp_path / "etc" / "karbor_like"
    install(etc)
    assert names(tmp_path) == {
        "etc/karbor_like/karbor_like.conf",
        "etc/karbor_like/providers.d/a.conf",
        "etc/karbor_like/elsewhere/srv/ca.pem",
    }
    assert Installation(etc, MEMBERS, "").moved() == {str(etc / "elsewhere/srv/ca.pem"): "/srv/ca.pem"}
    assert (etc / "karbor_like.conf").read_bytes() == b"main"
    modes = [stat.S_IMODE((etc / name).stat().st_mode) for name in ("karbor_like.conf", "providers.d/a.conf")]
    assert modes == [0o640, 0o755]
    assert not etc.stat().st_mode & stat.S_IRWXO


def test_equal_files_are_left_alone(tmp_path: Path):
    install(tmp_path)
    before = (tmp_path / "karbor_like.conf").stat()
    assert install(tmp_path) == []
    assert (tmp_path / "karbor_like.conf").stat() == before


def test_differing_files_are_replaced_only_by_force_and_kept(tmp_path: Path):
    (tmp_path / "karbor_like.conf").write_text("mine")
    with pytest.raises(exception.Conflict, match=f"{tmp_path}/karbor_like.conf; move them"):
        install(tmp_path)
    assert names(tmp_path) == {"karbor_like.conf"}
    assert install(tmp_path, force=True) == [f"{tmp_path}/karbor_like.conf.before"]
    assert (tmp_path / "karbor_like.conf.before").read_text() == "mine"


def test_a_link_is_replaced_and_not_followed(tmp_path: Path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"main")
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "karbor_like.conf").symlink_to(victim)
    with pytest.raises(exception.Conflict):
        install(etc)
    install(etc, force=True)
    assert not (etc / "karbor_like.conf").is_symlink()
    assert victim.read_bytes() == b"main"


def test_a_directory_is_never_replaced(tmp_path: Path):
    (tmp_path / "karbor_like.conf").mkdir()
    with pytest.raises(exception.Conflict, match="is a directory"):
        install(tmp_path, force=True)


def test_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "karbor_like.conf").write_text("mine")
    calls = iter([None, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a.conf")])

    def fsync(descriptor: int) -> None:
        if error := next(calls):
            raise error

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(exception.ConfigurationError, match="a.conf: cannot be written: No space left"):
        install(tmp_path, force=True)
    assert names(tmp_path) == {"karbor_like.conf"}
    monkeypatch.undo()
    install(tmp_path, force=True)
    assert (tmp_path / "karbor_like.conf").read_bytes() == b"main"


@pytest.mark.parametrize("name", ["var/x", "etc", "x"])
def test_other_directories_are_refused(tmp_path: Path, name: str):
    with pytest.raises(errors.BadArchive, match="no directory that this release knows"):
        Installation(tmp_path, [Member(name, b"")], ".before")
