"""The contract of readers and writers of volumes: two classes of tests, which test classes per driver inherit.

A subclass has a fixture ``lab`` that returns a :class:`ReaderLab` or :class:`WriterLab`, new for each test. The lab makes and
changes volumes by other means than the driver, if there are any. The suites know what the volumes contain.

The test class of a driver states what its driver and lab lack:

* ``changes``: a reader can tell what changed since an older snapshot.
* ``refusal``: a snapshot that was removed cannot be opened. Without it, something else may have got its name.
* ``cut``, ``silence``: the lab can close the connection to the storage, and let the storage not answer.
* ``full storage``: writes to a full storage fail.
"""

import abc
import concurrent.futures
import itertools
import json
import os
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psutil
import pytest

from karbor_like.datapath.contract import Extent, Mark, VolumeReader, VolumeWriter
from karbor_like.datapath.errors import CannotOpen, SourceFailed, SourceGone, TargetFailed
from tests.contract.suite import Suite, needs

Opened = TypeVar("Opened", bound=VolumeReader | VolumeWriter)

KIB = 1024
#: Seconds per call. No test waits for it unless the driver is wrong.
GENEROUS = 60.0
#: Seconds per call in tests that wait for the end of the limit; more if this machine needs longer to open a volume.
SHORT = 0.5

#: Marks that no driver made. None of them may raise.
HOSTILE_MARKS: list[Any] = [
    {},
    {"kind": None},
    {"kind": "another driver", "id": 1},
    {"kind": [[[[]]]], "size": -1},
    {"kind": "x" * 1_000_000},
    {"size": 10**40, "file": "../../etc/passwd", "image_id": {}, "snapshot": []},
    {str(number): number for number in range(10_000)},
    [],
    None,
    "mark",
    7,
]


class ReaderLab(abc.ABC):
    """One volume, and snapshots of it."""

    @abc.abstractmethod
    def create(self, size: int) -> None:
        """Make the volume. It reads as zero."""

    @abc.abstractmethod
    def write(self, content: Mapping[int, bytes]) -> None:
        """Write bytes at offsets, in that order: they may overlap."""

    @abc.abstractmethod
    def resize(self, size: int) -> None:
        """Let the volume grow."""

    @abc.abstractmethod
    def snapshot(self) -> Any:
        """Take a snapshot. Returns what identifies it."""

    @abc.abstractmethod
    def reader(self, snapshot: Any, timeout: float = GENEROUS) -> VolumeReader:
        """Open a snapshot with the driver."""

    @abc.abstractmethod
    def remove(self, snapshot: Any) -> None:
        """Remove a snapshot, as the cloud does. The volume stays as it is."""

    def cut(self, reader: Any) -> None:
        """Close the connection of a reader to its storage, for good."""
        raise NotImplementedError

    def silence(self, reader: Any) -> None:
        """Let the storage of a reader not answer any more."""
        raise NotImplementedError


class WriterLab(abc.ABC):
    """Volumes to write to."""

    @abc.abstractmethod
    def create(self, size: int) -> Any:
        """Make a volume that reads as zero. Returns what identifies it."""

    def create_on_full_storage(self, size: int) -> Any:
        """Make a volume on a storage that has room for less than half of it."""
        raise NotImplementedError

    @abc.abstractmethod
    def writer(self, volume: Any, timeout: float = GENEROUS) -> VolumeWriter:
        """Open a volume with the driver."""

    @abc.abstractmethod
    def content(self, volume: Any) -> bytes:
        """Read a volume that was closed."""

    def cut(self, writer: Any) -> None:
        """Close the connection of a writer to its storage, for good."""
        raise NotImplementedError

    def silence(self, writer: Any) -> None:
        """Let the storage of a writer not answer any more."""
        raise NotImplementedError


class Model:
    """What a volume should contain, and content to write."""

    def __init__(self, lab: ReaderLab, size: int, seed: int = 0) -> None:
        self._lab = lab
        self._random = random.Random(seed)
        self.data = bytearray(size)
        lab.create(size)

    def write(self, content: Mapping[int, bytes]) -> None:
        self._lab.write(content)
        for offset, data in content.items():
            self.data[offset : offset + len(data)] = data

    def resize(self, size: int) -> None:
        self._lab.resize(size)
        self.data.extend(bytes(size - len(self.data)))

    def write_at_random(self, count: int = 8) -> None:
        """Write ranges of many sizes: some of zeros, some across the bounds of clusters and blocks."""
        content = dict[int, bytes]()
        for _ in range(count):
            length = self._random.choice([1, 511, 512, 4096, 4097, 65536, 100_000])
            offset = self._random.randrange(len(self.data) - length)
            if self._random.random() < 0.5:
                offset -= offset % 65536
            content[offset] = bytes(length) if self._random.random() < 0.25 else self._random.randbytes(length)
        self.write(content)

    def shuffled(self, length: int) -> list[int]:
        """Return the offsets of all pieces of *length* bytes, in random order."""
        offsets = list(range(0, len(self.data), length))
        self._random.shuffle(offsets)
        return offsets


def checked(extents: Iterable[Extent], size: int) -> list[Extent]:
    """Check that extents are in order and in bounds, and do not overlap."""
    end, listed = 0, list(extents)
    for extent in listed:
        assert extent.length > 0, extent
        assert extent.offset >= end, extent
        end = extent.end
    assert end <= size
    return listed


def uncovered(extents: Iterable[Extent], new: bytes, old: bytes = b"") -> list[int]:
    """Return the first offsets at which *new* differs from *old*, which ends with zeros, outside of *extents*."""
    old = old[: len(new)].ljust(len(new), b"\0")
    outside, at = list[tuple[int, int]](), 0
    for extent in extents:
        outside.append((at, extent.offset))
        at = extent.end
    outside.append((at, len(new)))
    return [
        next(offset for offset in range(start, end) if new[offset] != old[offset])
        for start, end in outside
        if new[start:end] != old[start:end]
    ][:3]


def required(extents: Iterable[Extent] | None) -> Iterable[Extent]:
    """Check that a reader could tell."""
    assert extents is not None, "the reader cannot tell what changed"
    return extents


def fetch(reader: VolumeReader, offset: int, length: int) -> bytes:
    return reader.read(offset, length).result(GENEROUS)


def stored(reader: VolumeReader) -> Mark:
    """Return the mark of a reader as it comes back from a document."""
    mark = reader.mark()
    assert mark is not None, "the reader has no mark"
    return json.loads(json.dumps(mark))


def written_and_flushed(writer: VolumeWriter, data: bytes) -> None:
    writer.write(0, memoryview(data))
    writer.flush()


def opened_with_short_limit(open_: Callable[[Any, float], Opened], place: Any, seconds: float = SHORT) -> Opened:
    """Open a volume with a limit as short as this machine can meet."""
    while seconds < GENEROUS:
        try:
            return open_(place, seconds)
        except CannotOpen:
            seconds *= 2
    return open_(place, seconds)


@contextmanager
def nothing_left() -> Iterator[None]:
    """Check that no child process, descriptor or thread is left behind.

    Only direct children count: RabbitMQ, which may run for other tests, starts and ends processes at any time.
    """

    process = psutil.Process()
    children, descriptors, threads = set(process.children()), process.num_fds(), threading.enumerate()
    yield
    assert set(process.children()) <= children, "processes are left"
    for thread in threading.enumerate():
        # The thread that starts children lives as long as the process.
        if thread not in threads and not thread.name.startswith("spawner"):
            thread.join(GENEROUS / 10)
            assert not thread.is_alive(), thread.name
    assert process.num_fds() <= descriptors, "descriptors are left"


class ReaderContract(Suite):
    #: Bytes of volumes: no multiple of a block of the bank or of a cluster. Remote storage may need other sizes.
    size = 2048 * KIB + 512
    grown = 4096 * KIB
    #: Random layouts per property.
    seeds = 3

    def test_size(self, lab: ReaderLab) -> None:
        Model(lab, self.size)
        with lab.reader(lab.snapshot()) as reader:
            assert reader.size == self.size

    def test_an_empty_volume_reads_as_zero(self, lab: ReaderLab) -> None:
        Model(lab, self.size)
        with lab.reader(lab.snapshot()) as reader:
            checked(reader.allocated(), self.size)
            assert fetch(reader, 0, self.size) == bytes(self.size)

    def test_the_map_covers_everything_but_zeros_at_random_layouts(self, lab: ReaderLab) -> None:
        model = Model(lab, self.size, seed=1)
        for _ in range(self.seeds):
            model.write_at_random()
            with lab.reader(lab.snapshot()) as reader:
                assert not uncovered(checked(reader.allocated(), self.size), model.data)
                assert fetch(reader, 0, self.size) == model.data

    def test_the_map_covers_the_first_and_last_bytes(self, lab: ReaderLab) -> None:
        model = Model(lab, self.size)
        model.write({0: b"a", self.size - 1: b"z"})
        with lab.reader(lab.snapshot()) as reader:
            assert not uncovered(checked(reader.allocated(), self.size), model.data)
            assert fetch(reader, 0, 1) + fetch(reader, self.size - 1, 1) == b"az"

    def test_reads_in_any_order_by_several_threads(self, lab: ReaderLab) -> None:
        model = Model(lab, self.size, seed=2)
        model.write_at_random(20)
        with lab.reader(lab.snapshot()) as reader, concurrent.futures.ThreadPoolExecutor(4) as pool:
            for length in (self.size // 3, 100_001, 4096):
                offsets = model.shuffled(length)
                lengths = [min(length, self.size - offset) for offset in offsets]
                data = pool.map(fetch, [reader] * len(offsets), offsets, lengths)
                for offset, piece in zip(offsets, data, strict=True):
                    assert piece == model.data[offset : offset + length]
                    assert isinstance(piece, bytes)

    def test_many_reads_at_once(self, lab: ReaderLab) -> None:
        model = Model(lab, self.size, seed=3)
        model.write_at_random()
        with lab.reader(lab.snapshot()) as reader:
            reads = [(offset, reader.read(offset, 512)) for offset in model.shuffled(8192)[:200]]
            for offset, read in reads:
                assert read.result(GENEROUS) == model.data[offset : offset + 512]

    def test_reads_out_of_bounds_are_refused(self, lab: ReaderLab) -> None:
        model = Model(lab, self.size)
        model.write({0: b"x" * 4096})
        with lab.reader(lab.snapshot()) as reader:
            for offset, length in [
                (-1, 1),
                (self.size, 1),
                (self.size - 1, 2),
                (0, self.size + 1),
                (2**63, 512),
                (0, -1),
            ]:
                with pytest.raises(SourceFailed):
                    fetch(reader, offset, length)
            assert fetch(reader, 0, 4) == b"xxxx", "the reader is still usable"

    @needs("changes")
    def test_changes_between_random_layouts(self, lab: ReaderLab) -> None:
        model, older = Model(lab, self.size, seed=4), list[tuple[Mark, bytes]]()
        for _ in range(self.seeds):
            model.write_at_random()
            with lab.reader(lab.snapshot()) as reader:
                for mark, data in older:
                    extents = checked(required(reader.changed(mark)), self.size)
                    assert not uncovered(extents, model.data, data)
                older.append((stored(reader), bytes(model.data)))
                assert not checked(required(reader.changed(older[-1][0])), self.size), "nothing changed since"

    @needs("changes")
    def test_changes_are_a_part_of_the_volume(self, lab: ReaderLab) -> None:
        model = Model(lab, self.size)
        model.write({0: os.urandom(self.size // 2)})
        with lab.reader(lab.snapshot()) as reader:
            mark = stored(reader)
        model.write({self.size // 2: os.urandom(4096)})
        with lab.reader(lab.snapshot()) as reader:
            extents = checked(required(reader.changed(mark)), self.size)
            assert 0 < sum(extent.length for extent in extents) < self.size

    def test_changes_to_zeros(self, lab: ReaderLab) -> None:
        model = Model(lab, self.size)
        model.write({65536: os.urandom(400_000)})
        old = bytes(model.data)
        with lab.reader(lab.snapshot()) as reader:
            mark = reader.mark()
        model.write({131072: bytes(200_000)})
        with lab.reader(lab.snapshot()) as reader:
            extents = reader.changed(mark) if mark is not None else None
            if extents is not None:
                assert not uncovered(checked(extents, self.size), model.data, old)

    def test_changes_of_a_volume_that_grew(self, lab: ReaderLab) -> None:
        model = Model(lab, self.size, seed=5)
        model.write_at_random()
        old = bytes(model.data)
        with lab.reader(lab.snapshot()) as reader:
            mark = reader.mark()
        model.resize(self.grown)
        model.write({self.size: b"after", self.grown - 1: b"!", 0: b"before"})
        with lab.reader(lab.snapshot()) as reader:
            assert reader.size == self.grown
            assert not uncovered(checked(reader.allocated(), self.grown), model.data)
            assert fetch(reader, self.size - 512, 1024) == model.data[self.size - 512 : self.size + 512]
            extents = reader.changed(mark) if mark is not None else None
            if extents is not None:
                assert not uncovered(checked(extents, self.grown), model.data, old)

    def test_changes_since_a_snapshot_that_was_removed(self, lab: ReaderLab) -> None:
        model = Model(lab, self.size)
        model.write({0: os.urandom(300_000)})
        old = bytes(model.data)
        first = lab.snapshot()
        with lab.reader(first) as reader:
            mark = reader.mark()
        model.write({100_000: os.urandom(100_000)})
        lab.snapshot()
        model.write({500_000: os.urandom(100_000)})
        lab.remove(first)
        with lab.reader(lab.snapshot()) as reader:
            assert fetch(reader, 0, self.size) == model.data
            extents = reader.changed(mark) if mark is not None else None
            if extents is not None:
                assert not uncovered(checked(extents, self.size), model.data, old)

    def test_hostile_marks(self, lab: ReaderLab) -> None:
        model = Model(lab, self.size)
        model.write({0: b"x"})
        with lab.reader(lab.snapshot()) as reader:
            mark = reader.mark()
            values: list[Any] = [None, -1, 10**40, "", "x" * 100_000, [], {}, True, 1.5, float("inf")]
            near = [dict(mark or {}) | {name: value} for name in mark or {} for value in values]
            for hostile in [*HOSTILE_MARKS, *near]:
                extents = reader.changed(hostile)
                assert extents is None or hostile in near, str(hostile)[:100]
                checked(extents or (), self.size)
            for name in mark or {}:
                assert reader.changed({key: value for key, value in (mark or {}).items() if key != name}) is None, name

    def test_marks_are_small_json_objects(self, lab: ReaderLab) -> None:
        Model(lab, self.size)
        with lab.reader(lab.snapshot()) as reader:
            mark = reader.mark()
            assert (mark is not None) == ("changes" not in self.lacks)
            assert len(json.dumps(mark)) < 2000
            assert json.loads(json.dumps(mark)) == mark

    def test_a_snapshot_that_is_still_there_is_confirmed(self, lab: ReaderLab) -> None:
        model = Model(lab, self.size)
        model.write({0: b"x" * 100_000})
        snapshot = lab.snapshot()
        model.write({0: b"y" * 100_000})
        with lab.reader(snapshot) as reader:
            assert fetch(reader, 0, 10) == b"x" * 10
            reader.confirm()

    def test_a_removed_snapshot_is_not_confirmed(self, lab: ReaderLab) -> None:
        model = Model(lab, self.size)
        model.write({0: b"x" * 100_000})
        snapshot = lab.snapshot()
        model.write({0: b"y" * 100_000})
        with opened_with_short_limit(lab.reader, snapshot, SHORT * 10) as reader:
            lab.remove(snapshot)
            with pytest.raises(SourceGone):
                reader.confirm()

    @needs("refusal")
    def test_a_removed_snapshot_is_not_opened(self, lab: ReaderLab) -> None:
        model = Model(lab, self.size)
        snapshot = lab.snapshot()
        model.write({0: b"y" * 100_000})
        lab.remove(snapshot)
        with nothing_left(), pytest.raises((CannotOpen, SourceFailed)):
            lab.reader(snapshot, timeout=5)

    @needs("cut")
    def test_a_cut_connection_fails_all_reads(self, lab: ReaderLab) -> None:
        model = Model(lab, self.size)
        model.write({0: b"x" * self.size})
        with opened_with_short_limit(lab.reader, lab.snapshot(), SHORT * 10) as reader:
            reads = [reader.read(offset, 4096) for offset in range(0, 16 * 65536, 65536)]
            lab.cut(reader)
            for read in reads:
                with suppress(SourceFailed):
                    assert read.result(GENEROUS) == b"x" * 4096, "it was read before the cut"
            for _ in range(2):
                with pytest.raises(SourceFailed):
                    fetch(reader, 0, 4096)
            with pytest.raises(SourceFailed):
                reader.confirm()

    @needs("silence")
    def test_storage_that_does_not_answer_fails_all_reads(self, lab: ReaderLab) -> None:
        model = Model(lab, self.size)
        model.write({0: b"x" * self.size})
        snapshot = lab.snapshot()
        with nothing_left(), opened_with_short_limit(lab.reader, snapshot) as reader:
            lab.silence(reader)
            reads = [reader.read(offset, 4096) for offset in range(0, 16 * 65536, 65536)]
            for read in reads:
                with pytest.raises(SourceFailed):
                    read.result(GENEROUS)
            with pytest.raises(SourceFailed):
                fetch(reader, 0, 4096)

    def test_nothing_is_left_behind(self, lab: ReaderLab) -> None:
        model = Model(lab, self.size)
        model.write({0: b"x" * self.size})
        snapshot = lab.snapshot()
        with lab.reader(snapshot) as reader:
            fetch(reader, 0, 4096)
        with nothing_left(), lab.reader(snapshot) as reader:
            list(reader.allocated())
            reads = [reader.read(offset, 65536) for offset in range(0, self.size - 65536, 65536)]
        # Those that were in progress have ended, one way or the other.
        for read in reads:
            assert read.exception(GENEROUS) is None or isinstance(read.exception(), SourceFailed)
        with pytest.raises(SourceFailed):
            fetch(reader, 0, 4096)

    def test_an_error_within_the_context_is_passed_on(self, lab: ReaderLab) -> None:
        Model(lab, self.size)
        with pytest.raises(ZeroDivisionError), lab.reader(lab.snapshot()):
            raise ZeroDivisionError


class WriterContract(Suite):
    size = 2048 * KIB + 512

    def test_size(self, lab: WriterLab) -> None:
        with lab.writer(lab.create(self.size)) as writer:
            assert writer.size == self.size

    def test_random_writes_by_several_threads(self, lab: WriterLab) -> None:
        volume, source = lab.create(self.size), random.Random(6)
        cuts = sorted({0, self.size, *(source.randrange(self.size) for _ in range(60))})
        pieces = {
            start: bytes(end - start) if source.random() < 0.3 else source.randbytes(end - start)
            for start, end in itertools.pairwise(cuts)
        }
        order = list(pieces)
        source.shuffle(order)
        with lab.writer(volume) as writer, concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda offset: writer.write(offset, memoryview(pieces[offset])), order))
            writer.flush()
        assert lab.content(volume) == b"".join(pieces.values())

    def test_the_last_write_of_a_range_counts(self, lab: WriterLab) -> None:
        volume = lab.create(self.size)
        with lab.writer(volume) as writer:
            for offset, data in [(0, b"x" * 200_000), (100, bytes(150_000)), (200, b"y")]:
                writer.write(offset, memoryview(data))
                writer.flush()
        expected = b"x" * 100 + bytes(100) + b"y" + bytes(149_899) + b"x" * 49_900
        assert lab.content(volume) == expected.ljust(self.size, b"\0")

    def test_the_buffer_is_free_after_a_write(self, lab: WriterLab) -> None:
        volume, buffer = lab.create(self.size), bytearray(100_000)
        with lab.writer(volume) as writer:
            for number in range(1, 11):
                buffer[:] = bytes([number]) * len(buffer)
                writer.write((number - 1) * len(buffer), memoryview(buffer).toreadonly())
                buffer[:] = b"?" * len(buffer)
            writer.flush()
        expected = b"".join(bytes([number]) * len(buffer) for number in range(1, 11))
        assert lab.content(volume) == expected.ljust(self.size, b"\0")

    def test_a_piece_of_four_mebibytes(self, lab: WriterLab) -> None:
        size, data = 5120 * KIB, os.urandom(4096 * KIB)
        volume = lab.create(size)
        with lab.writer(volume) as writer:
            writer.write(4096, memoryview(data))
            writer.flush()
        assert lab.content(volume) == (bytes(4096) + data).ljust(size, b"\0")

    def test_writes_out_of_bounds_are_refused(self, lab: WriterLab) -> None:
        volume = lab.create(self.size)
        with lab.writer(volume) as writer:
            for offset, data in [
                (-1, b"x"),
                (self.size, b"x"),
                (self.size - 1, b"xx"),
                (2**63, b"x"),
                (self.size, b"\0"),
            ]:
                with pytest.raises(TargetFailed):
                    writer.write(offset, memoryview(data))
            writer.flush()
        assert lab.content(volume) == bytes(self.size)

    @needs("full storage")
    def test_full_storage(self, lab: WriterLab) -> None:
        volume, data = lab.create_on_full_storage(self.size), os.urandom(65536)

        def fill() -> None:
            for offset in range(0, self.size - len(data), len(data)):
                writer.write(offset, memoryview(data))
            writer.flush()

        with lab.writer(volume) as writer, pytest.raises(TargetFailed):
            fill()

    @needs("cut")
    def test_a_cut_connection(self, lab: WriterLab) -> None:
        with opened_with_short_limit(lab.writer, lab.create(self.size), SHORT * 10) as writer:
            lab.cut(writer)
            # The error may come later than the write, but not later than the flush.
            for _ in range(2):
                with pytest.raises(TargetFailed):
                    written_and_flushed(writer, b"x")
            with pytest.raises(TargetFailed):
                writer.flush()
            with pytest.raises(TargetFailed):
                writer.write(0, memoryview(b"x"))

    @needs("silence")
    def test_storage_that_does_not_answer(self, lab: WriterLab) -> None:
        volume = lab.create(self.size)
        with nothing_left(), opened_with_short_limit(lab.writer, volume) as writer:
            lab.silence(writer)
            with pytest.raises(TargetFailed):
                written_and_flushed(writer, b"x" * 100_000)
            with pytest.raises(TargetFailed):
                writer.flush()
            with pytest.raises(TargetFailed):
                writer.write(0, memoryview(b"x"))

    def test_nothing_is_left_behind(self, lab: WriterLab) -> None:
        volume = lab.create(self.size)
        with lab.writer(volume) as writer:
            writer.write(0, memoryview(b"x"))
        with nothing_left(), lab.writer(volume) as writer:
            writer.write(0, memoryview(b"y"))
            writer.flush()
        with pytest.raises(TargetFailed):
            writer.write(0, memoryview(b"x"))
        with pytest.raises(TargetFailed):
            writer.flush()
