"""Units of a real iSCSI target in user space, with CHAP."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from karbor_like.datapath import iscsi as driver
from karbor_like.datapath.errors import CannotOpen, SourceFailed, SourceGone
from karbor_like.datapath.location import IscsiUnit
from karbor_like.datapath.qemu import ServedWriter
from tests.cloud.processes import Supervisor
from tests.cloud.servers import IscsiTarget
from tests.contract.datapath import suites
from tests.contract.datapath.suites import GENEROUS, nothing_left
from tests.contract.datapath.test_device import CopiedFile

PASSWORD = "password,with comma"


@dataclass
class Units:
    """Offers files as units of targets, one user per target."""

    server: IscsiTarget
    offered: dict[IscsiUnit, Path] = field(default_factory=dict)

    def offer(self, path: Path) -> IscsiUnit:
        user = f"user-{path.parent.name}-{path.name}"
        target = self.server.create(path, user, PASSWORD)
        unit = IscsiUnit(self.server.portal, target, 1, user, PASSWORD)
        self.offered[unit] = path
        return unit

    def drop(self, unit: IscsiUnit) -> None:
        del self.offered[unit]
        self.server.drop(unit.target)


class Readers(CopiedFile):
    def __init__(self, directory: Path, units: Units) -> None:
        super().__init__(directory)
        self.units = units

    def snapshot(self) -> IscsiUnit:
        return self.units.offer(self.copy())

    def reader(self, snapshot: IscsiUnit, timeout: float = GENEROUS) -> driver.UnitReader:
        return driver.open_reader(snapshot, timeout=timeout)

    def remove(self, snapshot: IscsiUnit) -> None:
        self.units.drop(snapshot)

    def cut(self, reader: driver.UnitReader) -> None:
        os.kill(reader.server.pid, signal.SIGKILL)

    def silence(self, reader: driver.UnitReader) -> None:
        os.kill(reader.server.pid, signal.SIGSTOP)


@dataclass
class Writers(suites.WriterLab):
    directory: Path
    units: Units
    small_storage: Callable[[], Path]

    def create(self, size: int) -> IscsiUnit:
        return self._create(self.directory / "volume", size)

    def create_on_full_storage(self, size: int) -> IscsiUnit:
        return self._create(self.small_storage() / "volume", size)

    def _create(self, path: Path, size: int) -> IscsiUnit:
        path.touch()
        os.truncate(path, size)
        return self.units.offer(path)

    def writer(self, volume: IscsiUnit, timeout: float = GENEROUS) -> ServedWriter:
        return driver.open_writer(volume, timeout=timeout)

    def content(self, volume: IscsiUnit) -> bytes:
        return self.units.offered[volume].read_bytes()

    def cut(self, writer: ServedWriter) -> None:
        os.kill(writer.server.pid, signal.SIGKILL)

    def silence(self, writer: ServedWriter) -> None:
        os.kill(writer.server.pid, signal.SIGSTOP)


@pytest.fixture
def units(iscsi: IscsiTarget) -> Iterator[Units]:
    units = Units(iscsi)
    yield units
    for unit in list(units.offered):
        units.drop(unit)


@pytest.fixture
def unit(units: Units, tmp_path: Path) -> IscsiUnit:
    (tmp_path / "unit").write_bytes(b"x" * 65536)
    return units.offer(tmp_path / "unit")


# A target does not know what changed.
class TestUnitReader(suites.ReaderContract, lacks={"changes"}):
    @pytest.fixture
    def lab(self, tmp_path: Path, units: Units) -> Readers:
        return Readers(tmp_path, units)


class TestUnitWriter(suites.WriterContract):
    @pytest.fixture
    def lab(self, tmp_path: Path, small_storage: Callable[[], Path], units: Units) -> Writers:
        return Writers(tmp_path, units, small_storage)


def test_the_password_is_not_an_argument(unit: IscsiUnit) -> None:
    with driver.open_reader(unit, timeout=GENEROUS) as reader:
        assert PASSWORD.encode() not in Path(f"/proc/{reader.server.pid}/cmdline").read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"password": "another password"}, "Authentication failure"),
        ({"user": None}, "Authentication"),
        ({"target": "iqn.2026-01.org.example:none"}, "Target not found"),
        ({"lun": 2}, "Failed to connect to LUN"),
    ],
)
def test_what_a_target_refuses_cannot_be_opened(unit: IscsiUnit, change: dict, message: str) -> None:
    wrong = replace(unit, **change)
    with nothing_left(), pytest.raises(CannotOpen, match=f"cannot be opened: iSCSI: .*{message}") as raised:
        driver.open_reader(wrong, timeout=GENEROUS)
    assert "assword" not in str(raised.value)


def test_a_target_that_does_not_answer(unit: IscsiUnit, servers: Supervisor) -> None:
    def open_(unit: IscsiUnit, seconds: float) -> driver.UnitReader:
        return driver.open_reader(unit, timeout=seconds)

    with suites.opened_with_short_limit(open_, unit) as reader, servers.stopped("tgtd"):
        with pytest.raises(SourceFailed):
            suites.fetch(reader, 8192, 4096)
        with nothing_left(), pytest.raises(CannotOpen):
            driver.open_reader(unit, timeout=0.5)


def test_a_unit_that_was_replaced_is_not_confirmed(units: Units, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 65536)
    (tmp_path / "two").write_bytes(b"y" * 131072)
    with driver.open_reader(units.offer(tmp_path / "one"), timeout=GENEROUS) as reader:
        reader.confirm()
        reader._location = units.offer(tmp_path / "two")
        with pytest.raises(SourceGone, match="was replaced by a unit of 131072 bytes"):
            reader.confirm()
