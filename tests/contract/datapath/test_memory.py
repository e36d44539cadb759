from collections.abc import Mapping

import pytest

from karbor_like.datapath import memory
from karbor_like.datapath.contract import Extent
from karbor_like.datapath.errors import SourceFailed, SourceGone, TargetFailed
from karbor_like.datapath.memory import Faults, MemoryReader, MemoryVolume, MemoryWriter, Snapshot
from tests.contract.datapath import suites


class Readers(suites.ReaderLab):
    def create(self, size: int) -> None:
        self.volume = MemoryVolume(size)

    def write(self, content: Mapping[int, bytes]) -> None:
        for offset, data in content.items():
            self.volume.write(offset, data)

    def resize(self, size: int) -> None:
        self.volume.resize(size)

    def snapshot(self) -> Snapshot:
        return self.volume.snapshot()

    def reader(self, snapshot: Snapshot, timeout: float = suites.GENEROUS) -> MemoryReader:
        return memory.open_reader(snapshot, timeout=timeout)

    def remove(self, snapshot: Snapshot) -> None:
        snapshot.gone = True

    def cut(self, reader: MemoryReader) -> None:
        reader.faults.lost = True

    silence = cut


class Writers(suites.WriterLab):
    def create(self, size: int) -> MemoryVolume:
        return MemoryVolume(size)

    def create_on_full_storage(self, size: int) -> MemoryVolume:
        return MemoryVolume(size, room=size // 3)

    def writer(self, volume: MemoryVolume, timeout: float = suites.GENEROUS) -> MemoryWriter:
        return memory.open_writer(volume, timeout=timeout)

    def content(self, volume: MemoryVolume) -> bytes:
        return bytes(volume.data)

    def cut(self, writer: MemoryWriter) -> None:
        writer.faults.lost = True

    silence = cut


class TestMemoryReader(suites.ReaderContract):
    @pytest.fixture
    def lab(self) -> Readers:
        return Readers()


class TestMemoryWriter(suites.WriterContract):
    @pytest.fixture
    def lab(self) -> Writers:
        return Writers()


@pytest.fixture
def snapshot() -> Snapshot:
    volume = MemoryVolume(10 * memory.GRAIN)
    volume.write(0, b"x" * volume.size)
    return volume.snapshot()


def test_a_fault_at_an_offset(snapshot: Snapshot) -> None:
    reader = memory.open_reader(snapshot, timeout=1, faults=Faults(fail_at=100))
    assert reader.read(0, 100).result() == b"x" * 100
    assert reader.read(101, 100).result() == b"x" * 100
    with pytest.raises(SourceFailed, match="at 50: input/output error"):
        reader.read(50, 100).result()
    writer = memory.open_writer(snapshot.volume, timeout=1, faults=Faults(fail_at=100))
    with pytest.raises(TargetFailed, match="at 50: input/output error"):
        writer.write(50, memoryview(b"x" * 100))


def test_a_map_that_lies(snapshot: Snapshot) -> None:
    hidden = Extent(2 * memory.GRAIN, 1)
    reader = memory.open_reader(snapshot, timeout=1, faults=Faults(hidden=hidden))
    grain = memory.GRAIN
    assert list(reader.allocated()) == [Extent(0, 2 * grain), Extent(3 * grain, 7 * grain)]


def test_a_snapshot_that_no_longer_exists_reads_as_zero(snapshot: Snapshot) -> None:
    reader = memory.open_reader(snapshot, timeout=1, faults=Faults(gone=True))
    assert reader.read(0, 10).result() == bytes(10)
    with pytest.raises(SourceGone):
        reader.confirm()
