"""The commands rbd and ceph when they are missing, hang, or answer something unexpected."""

from collections.abc import Callable
from pathlib import Path

import pytest

from karbor_like.datapath.errors import CannotOpen, SourceFailed, SourceGone
from karbor_like.datapath.location import RbdImage
from karbor_like.datapath.rbd.access import Difference, Snapshot
from karbor_like.datapath.rbd.command import CommandAccess

SNAPSHOT = Snapshot(3, "now", 8192)


@pytest.fixture
def access(tmp_path: Path) -> CommandAccess:
    conf = tmp_path / "ceph.conf"
    conf.touch()
    return CommandAccess(RbdImage(conf, "mover", "volumes", "volume-1"), timeout=60)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Replace the command rbd by a script."""

    def replace(script: str) -> None:
        path = tmp_path / "rbd"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        monkeypatch.setenv("PATH", str(tmp_path))

    return replace


def test_without_the_command(access: CommandAccess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotOpen, match="rbd cannot be started .* install ceph-common"):
        access.describe()


def test_a_command_that_hangs(access: CommandAccess, command: Callable[[str], None]) -> None:
    command("exec /bin/sleep 60")
    access.timeout = 0.2
    with pytest.raises(SourceFailed, match="did not answer in time"):
        access.describe()


def test_an_answer_that_is_not_json(access: CommandAccess, command: Callable[[str], None]) -> None:
    command("echo usage: rbd")
    with pytest.raises(SourceFailed, match="did not answer with JSON"):
        access.watchers()


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        ("echo 'error opening image: (2) No such file or directory' >&2; exit 2", SourceGone, "does not exist"),
        ("echo '(2) No such file or directory: no key' >&2; exit 13", CannotOpen, "refuses client.mover"),
        ("echo 'error opening image: (1) Operation not permitted' >&2; exit 1", CannotOpen, "refuses client.mover"),
        ("echo 'rbd: the moon is full' >&2; exit 1", SourceFailed, "the moon is full"),
        ("exit 1", SourceFailed, "ended with status 1"),
    ],
)
def test_errors(
    access: CommandAccess, command: Callable[[str], None], script: str, error: type[Exception], message: str
) -> None:
    command(script)
    with pytest.raises(error, match=message):
        access.describe()


@pytest.mark.parametrize(
    "rest", ['{"offset":4096,"length":', '{"offset":4096}]', "", "]]", '{"offset":-1,"length":1,"exists":"true"}]']
)
def test_a_map_that_ends_early_or_is_something_else(
    access: CommandAccess, command: Callable[[str], None], rest: str
) -> None:
    command(f"""echo '[{{"offset":0,"length":4096,"exists":"false"}},{rest}'""")
    differences = access.exact(SNAPSHOT, None)
    assert next(differences) == Difference(0, 4096, False)
    with pytest.raises(SourceFailed, match="something else than a list"):
        list(differences)


def test_an_empty_map(access: CommandAccess, command: Callable[[str], None]) -> None:
    command("echo '[]'")
    assert list(access.exact(SNAPSHOT, None)) == []
