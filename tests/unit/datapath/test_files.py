"""Which files of a share are opened, and when they are not confirmed. A replacement of QEMU serves them."""

import os
from pathlib import Path
from typing import Any

import pytest

from karbor_like.datapath import files
from karbor_like.datapath.errors import CannotOpen, SourceGone
from karbor_like.datapath.location import FileFormat, ImageFile
from tests.contract.datapath.suites import HOSTILE_MARKS, nothing_left
from tests.fixtures import qemu_nbd
from tests.fixtures.qcow2 import qcow2_header

GENEROUS = 60.0
SIZE = 65536


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    qemu_nbd.install(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")


@pytest.fixture
def share(tmp_path: Path) -> Path:
    (tmp_path / "share").mkdir()
    return tmp_path / "share"


def opened(share: Path, name: str, format_: FileFormat = "qcow2") -> files.FileReader:
    return files.open_reader(ImageFile(share, name, format_), timeout=GENEROUS)


@pytest.fixture
def secret(share: Path) -> Path:
    """A file outside the share, which no volume may show."""
    path = share.parent / "secret"
    path.write_bytes(b"secret" * 10_000)
    return path


@pytest.mark.parametrize(
    ("backing", "message"),
    [
        ("{secret}", "secret is outside the share"),
        ("../secret", "secret is outside the share"),
        ("link", "link is outside the share"),
        ("folder/../../secret", "secret is outside the share"),
        ("json:{{}}", "something else than a file"),
        ("nbd://127.0.0.1:1/x", "something else than a file"),
        ("nbd+unix:///x?socket=/x", "something else than a file"),
        ("file:{secret}", "something else than a file"),
        ("missing", "missing does not exist"),
        ("folder", "folder is not a file"),
        ("pipe", "pipe is not a file"),
        ("top", "without an end"),
    ],
)
def test_files_below_must_be_in_the_share(share: Path, secret: Path, backing: str, message: str) -> None:
    (share / "link").symlink_to(secret)
    (share / "folder").mkdir()
    os.mkfifo(share / "pipe")
    format_ = "qcow2" if backing == "top" else "raw"
    (share / "top").write_bytes(qcow2_header(SIZE, backing.format(secret=secret), format_))
    with nothing_left(), pytest.raises(CannotOpen, match=message):
        opened(share, "top")


@pytest.mark.parametrize("name", ["../secret", "link", "missing", "folder", "pipe"])
@pytest.mark.parametrize("open_", [files.open_reader, files.open_writer])
def test_the_file_itself_must_be_in_the_share(share: Path, secret: Path, name: str, open_: Any) -> None:
    (share / "link").symlink_to(secret)
    (share / "folder").mkdir()
    os.mkfifo(share / "pipe")
    with nothing_left(), pytest.raises(CannotOpen):
        open_(ImageFile(share, name, "raw"), timeout=GENEROUS)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (qcow2_header(SIZE, features=4), "top: the data are in another file"),
        (qcow2_header(SIZE, encryption=2), "top: the image is encrypted"),
        (qcow2_header(SIZE, "volume", None), "top does not state the format of the file below it"),
        (qcow2_header(SIZE, "volume", None, version=2), "top does not state the format of the file below it"),
        (qcow2_header(SIZE, "volume", "vmdk"), "format vmdk of volume is not supported; raw or qcow2 are"),
        (qcow2_header(SIZE, "volume", "qcow2"), "volume: not a qcow2 file of version 2 or 3"),
        (qcow2_header(SIZE, version=4), "top: not a qcow2 file of version 2 or 3"),
        (qcow2_header(SIZE, "volume")[:-1], "top: the name of the file below it is cut"),
        (qcow2_header(SIZE, "vol\0ume"), "top: the name of the file below it is cut"),
        (qcow2_header(SIZE, "x" * 1024), "top: a name of 1024 bytes"),
        (qcow2_header(SIZE)[:71], "top: too short for a qcow2 file"),
        (qcow2_header(SIZE)[:103], "top: too short for a qcow2 file"),
        (b"", "top: too short for a qcow2 file"),
        (b"?" * 70_000, "top: not a qcow2 file of version 2 or 3"),
        (b"QFI\xfb\0\0\0\3" + b"\xff" * 200, "top: the image is encrypted"),
    ],
)
def test_headers_that_are_refused(share: Path, header: bytes, message: str) -> None:
    (share / "volume").write_bytes(b"x" * SIZE)
    (share / "top").write_bytes(header)
    with nothing_left(), pytest.raises(CannotOpen, match=message):
        opened(share, "top")


def test_a_chain_of_too_many_files(share: Path) -> None:
    for number in range(100):
        (share / f"{number}").write_bytes(qcow2_header(SIZE, f"{number + 1}", "qcow2"))
    (share / "100").write_bytes(bytes(SIZE))
    with nothing_left(), pytest.raises(CannotOpen, match="a chain of too many files"):
        opened(share, "0")


@pytest.mark.parametrize("version", [2, 3])
def test_a_chain_is_described_from_the_top_down(share: Path, version: int) -> None:
    (share / "top").write_bytes(qcow2_header(2 * SIZE, "middle", "qcow2", version=version))
    (share / "middle").write_bytes(qcow2_header(SIZE, "volume", version=version))
    (share / "volume").write_bytes(b"x" * SIZE)
    location = ImageFile(share, "top", "qcow2")
    chain = files._open_chain(location, os.O_RDONLY, GENEROUS)
    try:
        assert [(file.name, file.format, file.size) for file in chain] == [
            ("top", "qcow2", 2 * SIZE),
            ("middle", "qcow2", SIZE),
            ("volume", "raw", SIZE),
        ]
        options = files._image(location, chain, read_only=True).options
        assert options["force-share"] is True
        assert [options["driver"], options["backing"]["driver"]] == ["qcow2", "qcow2"]
        assert options["backing"]["backing"]["driver"] == "raw"
    finally:
        files._close(chain)


def test_a_raw_file(share: Path) -> None:
    (share / "volume").write_bytes(b"x" * SIZE)
    with opened(share, "volume", "raw") as reader:
        assert reader.read(10, 10).result() == b"x" * 10
        mark = dict(reader.mark() or {})
        assert mark["file"] == "volume"
        assert reader.changed(mark) == []
        assert all(reader.changed(hostile) is None for hostile in [*HOSTILE_MARKS, mark | {"modified": 1}])
        reader.confirm()
    with files.open_writer(ImageFile(share, "volume", "raw"), timeout=GENEROUS) as writer:
        writer.write(0, memoryview(b"y"))
        writer.flush()


def test_a_file_that_is_replaced_or_written_is_not_confirmed(share: Path) -> None:
    for change in ("replace", "write", "unlink", "link"):
        (share / "volume").unlink(missing_ok=True)
        (share / "volume").write_bytes(b"x" * 65536)
        with opened(share, "volume", "raw") as reader:
            if change == "write":
                with (share / "volume").open("r+b") as file:
                    file.write(b"y")
                os.utime(share / "volume", ns=(1, 1))
            else:
                (share / "volume").rename(share / "old")
            if change == "replace":
                (share / "volume").write_bytes(b"x" * 65536)
            elif change == "link":
                (share / "volume").symlink_to("old")
            with pytest.raises(SourceGone):
                reader.confirm()
