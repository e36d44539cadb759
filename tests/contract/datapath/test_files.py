"""Files of a share: raw volumes, qcow2 volumes, and chains of overlays as Cinder's NFS driver makes them."""

import itertools
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from karbor_like.datapath import files
from karbor_like.datapath.errors import CannotOpen
from karbor_like.datapath.location import FileFormat, ImageFile
from karbor_like.datapath.qemu import ServedReader, ServedWriter
from tests.contract.datapath import suites
from tests.contract.datapath.suites import GENEROUS, nothing_left

pytestmark = pytest.mark.usefixtures("qemu")


def img(*args: object) -> None:
    subprocess.run(["qemu-img", *map(str, args)], check=True, stdout=subprocess.DEVNULL)


def kill(opened: ServedReader | ServedWriter, number: int) -> None:
    os.kill(opened.server.pid, number)


@dataclass
class Readers(suites.ReaderLab):
    share: Path
    base: FileFormat

    def create(self, size: int) -> None:
        self.chain, self.numbers = ["volume-1"], itertools.count(1)
        img("create", "-q", "-f", self.base, self.share / "volume-1", size)

    def format(self, name: str) -> FileFormat:
        return self.base if name == "volume-1" else "qcow2"

    def write(self, content: Mapping[int, bytes]) -> None:
        argv, source = ["qemu-io", "-f", self.format(self.chain[-1])], self.share.parent / "source"
        for number, (offset, data) in enumerate(content.items()):
            source.with_name(f"source{number}").write_bytes(data)
            argv += ["-c", f"write -s {source}{number} {offset} {len(data)}"]
        subprocess.run([*argv, str(self.share / self.chain[-1])], check=True, stdout=subprocess.DEVNULL)

    def resize(self, size: int) -> None:
        img("resize", "-q", "-f", self.format(self.chain[-1]), self.share / self.chain[-1], size)

    def snapshot(self) -> ImageFile:
        below = self.chain[-1]
        self.chain.append(f"volume-1.{next(self.numbers)}")
        create = ["create", "-q", "-f", "qcow2", "-F", self.format(below), "-b", below]
        img(*create, self.share / self.chain[-1])
        return ImageFile(self.share, below, self.format(below))

    def reader(self, snapshot: ImageFile, timeout: float = GENEROUS) -> files.FileReader:
        return files.open_reader(snapshot, timeout=timeout)

    def remove(self, snapshot: ImageFile) -> None:
        """Merge the overlay of a snapshot into its file, as Cinder does."""
        place = self.chain.index(snapshot.name)
        overlay = self.chain.pop(place + 1)
        img("commit", "-q", "-f", "qcow2", self.share / overlay)
        if place + 1 < len(self.chain):
            rebase = ["rebase", "-q", "-u", "-f", "qcow2", "-F", snapshot.format, "-b", snapshot.name]
            img(*rebase, self.share / self.chain[place + 1])
        (self.share / overlay).unlink()

    def cut(self, reader: ServedReader) -> None:
        kill(reader, signal.SIGKILL)

    def silence(self, reader: ServedReader) -> None:
        kill(reader, signal.SIGSTOP)


@dataclass
class Writers(suites.WriterLab):
    share: Path
    format: FileFormat
    small_storage: Callable[[], Path]

    def create(self, size: int) -> ImageFile:
        return self._create(self.share, size)

    def create_on_full_storage(self, size: int) -> ImageFile:
        return self._create(self.small_storage(), size)

    def _create(self, share: Path, size: int) -> ImageFile:
        img("create", "-q", "-f", self.format, share / "volume-1", size)
        return ImageFile(share, "volume-1", self.format)

    def writer(self, volume: ImageFile, timeout: float = GENEROUS) -> ServedWriter:
        return files.open_writer(volume, timeout=timeout)

    def content(self, volume: ImageFile) -> bytes:
        copy = self.share / "copy"
        img("convert", "-q", "-f", volume.format, "-O", "raw", volume.share / volume.name, copy)
        return copy.read_bytes()

    def cut(self, writer: ServedWriter) -> None:
        kill(writer, signal.SIGKILL)

    def silence(self, writer: ServedWriter) -> None:
        kill(writer, signal.SIGSTOP)


@pytest.fixture
def share(tmp_path: Path) -> Path:
    (tmp_path / "share").mkdir()
    return tmp_path / "share"


# When a snapshot is removed, its file is the volume.
class Readable(suites.ReaderContract, lacks={"refusal"}):
    base: FileFormat

    @pytest.fixture
    def lab(self, share: Path) -> Readers:
        return Readers(share, self.base)


class TestChainOnRaw(Readable):
    base = "raw"


class TestChainOnQcow2(Readable):
    base = "qcow2"


class Writable(suites.WriterContract):
    format: FileFormat

    @pytest.fixture
    def lab(self, share: Path, small_storage: Callable[[], Path]) -> Writers:
        return Writers(share, self.format, small_storage)


class TestRawWriter(Writable):
    format = "raw"


class TestQcow2Writer(Writable):
    format = "qcow2"


def opened(share: Path, name: str, format_: FileFormat = "qcow2", **options: Any) -> files.FileReader:
    return files.open_reader(ImageFile(share, name, format_), timeout=GENEROUS, **options)


def overlay(share: Path, backing: str, format_: str = "raw") -> None:
    """Make an overlay ``top`` that names a file below it, without opening that."""
    img("create", "-q", "-u", "-f", "qcow2", "-F", format_, "-b", backing, share / "top", 65536)


def test_a_link_within_the_share_is_followed(share: Path) -> None:
    (share / "volume").write_bytes(b"x" * 65536)
    (share / "link").symlink_to("volume")
    overlay(share, "link")
    with opened(share, "top") as reader:
        assert suites.fetch(reader, 0, 3) == b"xxx"
        reader.confirm()


def test_a_raw_volume_that_contains_a_header_is_raw(share: Path) -> None:
    """A tenant writes the header of an overlay into a raw volume."""
    secret = share.parent / "secret"
    secret.write_bytes(b"secret" * 10_000)
    overlay(share, str(secret))
    with opened(share, "top", "raw") as reader:
        assert suites.fetch(reader, 0, 4) == b"QFI\xfb"
    os.rename(share / "top", share / "volume")
    overlay(share, "volume")
    with opened(share, "top") as reader:
        assert suites.fetch(reader, 0, 4) == b"QFI\xfb"


def test_a_mark_names_the_overlay_if_it_is_known(share: Path) -> None:
    lab = Readers(share, "raw")
    lab.create(65536)
    first, second = lab.snapshot(), lab.snapshot()
    for name, found in ((second.name, True), ("volume-1.other", False)):
        with files.open_reader(first, timeout=GENEROUS, overlay=name) as reader:
            mark = suites.stored(reader)
        with lab.reader(second) as reader:
            assert (reader.changed(mark) is not None) == found


def test_a_volume_that_shrank_in_between_is_not_compared(share: Path) -> None:
    lab = Readers(share, "raw")
    lab.create(131072)
    with lab.reader(lab.snapshot()) as reader:
        mark = suites.stored(reader)
    img("resize", "-q", "--shrink", "-f", "qcow2", share / lab.chain[-1], 65536)
    lab.snapshot()
    lab.resize(131072)
    with lab.reader(lab.snapshot()) as reader:
        assert reader.changed(mark) is None


def test_another_client_of_a_new_qcow2_volume_is_noticed(share: Path) -> None:
    img("create", "-q", "-f", "qcow2", share / "volume", 65536)
    location = ImageFile(share, "volume", "qcow2")
    with files.open_writer(location, timeout=GENEROUS), nothing_left(), pytest.raises(CannotOpen, match="lock"):
        files.open_writer(location, timeout=GENEROUS)


def test_a_volume_with_files_below_is_not_new(share: Path) -> None:
    (share / "volume").write_bytes(bytes(65536))
    overlay(share, "volume")
    with nothing_left(), pytest.raises(CannotOpen, match="has volume below it, so it is not a new volume"):
        files.open_writer(ImageFile(share, "top", "qcow2"), timeout=GENEROUS)


def test_reading_does_not_wait_for_locks_of_other_clients(share: Path) -> None:
    (share / "volume").write_bytes(b"x" * 65536)
    location = ImageFile(share, "volume", "raw")
    with files.open_writer(location, timeout=GENEROUS), files.open_reader(location, timeout=GENEROUS) as reader:
        assert suites.fetch(reader, 0, 1) == b"x"
