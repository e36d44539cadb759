"""Devices by calls of the operating system, on sparse files, which are used as devices."""

import itertools
import os
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from karbor_like.datapath import device
from karbor_like.datapath.contract import Extent
from karbor_like.datapath.errors import CannotOpen, SourceFailed, SourceGone
from karbor_like.datapath.location import BlockDevice
from tests.contract.datapath import suites
from tests.contract.datapath.suites import GENEROUS, nothing_left


@dataclass
class CopiedFile(suites.ReaderLab):
    """A volume in a file. Copies stand in for snapshots."""

    directory: Path

    def create(self, size: int) -> None:
        self.volume, self.numbers = self.directory / "volume", itertools.count(1)
        self.volume.touch()
        os.truncate(self.volume, size)

    def write(self, content: Mapping[int, bytes]) -> None:
        with self.volume.open("r+b") as file:
            for offset, data in content.items():
                file.seek(offset)
                file.write(data)

    def resize(self, size: int) -> None:
        os.truncate(self.volume, size)

    def copy(self) -> Path:
        copy = self.directory / f"snapshot-{next(self.numbers)}"
        shutil.copyfile(self.volume, copy)
        return copy


class Readers(CopiedFile):
    def snapshot(self) -> BlockDevice:
        return BlockDevice(self.copy())

    def reader(self, snapshot: BlockDevice, timeout: float = GENEROUS) -> device.DeviceReader:
        return device.open_reader(snapshot, timeout=timeout)

    def remove(self, snapshot: BlockDevice) -> None:
        snapshot.path.unlink()


@dataclass
class Writers(suites.WriterLab):
    directory: Path
    small_storage: Callable[[], Path]

    def create(self, size: int) -> BlockDevice:
        return self._create(self.directory / "volume", size)

    def create_on_full_storage(self, size: int) -> BlockDevice:
        return self._create(self.small_storage() / "volume", size)

    def _create(self, path: Path, size: int) -> BlockDevice:
        path.touch()
        os.truncate(path, size)
        return BlockDevice(path)

    def writer(self, volume: BlockDevice, timeout: float = GENEROUS) -> device.DeviceWriter:
        return device.open_writer(volume, timeout=timeout)

    def content(self, volume: BlockDevice) -> bytes:
        return volume.path.read_bytes()


# A device does not know what changed. The files of these tests have no connection, and always answer.
class TestDeviceReader(suites.ReaderContract, lacks={"changes", "cut", "silence"}):
    @pytest.fixture
    def lab(self, tmp_path: Path) -> Readers:
        return Readers(tmp_path)


class TestDeviceWriter(suites.WriterContract, lacks={"cut", "silence"}):
    @pytest.fixture
    def lab(self, tmp_path: Path, small_storage: Callable[[], Path]) -> Writers:
        return Writers(tmp_path, small_storage)


def test_holes_of_many_extents(tmp_path: Path) -> None:
    lab = Readers(tmp_path)
    lab.create(64 << 20)
    offsets = sorted(random.Random(7).sample(range(0, 64 << 20, 8192), 2500))
    lab.write(dict.fromkeys(offsets, b"x"))
    with device.open_reader(BlockDevice(lab.volume), timeout=GENEROUS) as reader:
        extents = suites.checked(reader.allocated(), reader.size)
        assert not suites.uncovered(extents, lab.volume.read_bytes())


def test_a_device_that_is_replaced_or_grows_is_not_confirmed(tmp_path: Path) -> None:
    path = tmp_path / "volume"
    path.write_bytes(b"x" * 4096)
    with device.open_reader(BlockDevice(path), timeout=GENEROUS) as reader:
        reader.confirm()
        path.rename(tmp_path / "old")
        path.write_bytes(b"x" * 4096)
        with pytest.raises(SourceGone, match="was replaced"):
            reader.confirm()
    with device.open_reader(BlockDevice(path), timeout=GENEROUS) as reader:
        os.truncate(path, 8192)
        with pytest.raises(SourceGone, match="was replaced"):
            reader.confirm()


def test_a_device_that_ends_early(tmp_path: Path) -> None:
    path = tmp_path / "volume"
    path.write_bytes(b"x" * 4096)
    with device.open_reader(BlockDevice(path), timeout=GENEROUS) as reader:
        os.truncate(path, 1000)
        with pytest.raises(SourceFailed, match="read of 100 bytes at 950: the device ended"):
            reader.read(950, 100).result()


@pytest.mark.parametrize("kind", ["folder", "pipe", "character", "missing"])
def test_other_files_are_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    path = Path("/dev/null") if kind == "character" else tmp_path / kind
    for open_ in (device.open_reader, device.open_writer):
        with nothing_left(), pytest.raises(CannotOpen):
            open_(BlockDevice(path), timeout=GENEROUS)


def test_an_empty_device(tmp_path: Path) -> None:
    (tmp_path / "volume").touch()
    with device.open_reader(BlockDevice(tmp_path / "volume"), timeout=GENEROUS) as reader:
        assert list(reader.allocated()) == list[Extent]()
        reader.confirm()
