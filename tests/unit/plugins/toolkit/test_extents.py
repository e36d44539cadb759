"""Data sources as streams."""

import random
from collections.abc import Sequence

import pytest

from karbor_like import exception
from karbor_like.plugins.data_source import Extent
from karbor_like.plugins.toolkit import extents

MIB = 1024 * 1024


class Bytes:
    """A data source in memory, which notes what is read."""

    def __init__(self, data: bytes, allocated: Sequence[Extent]) -> None:
        self.data = data
        self.allocated = allocated
        self.bytes_read = 0

    @property
    def size(self) -> int:
        return len(self.data)

    def extents(self) -> Sequence[Extent]:
        return self.allocated

    def read(self, offset: int, length: int) -> bytes:
        self.bytes_read += length
        return self.data[offset : offset + length]


@pytest.mark.parametrize("size", [0, 1, MIB, 5 * MIB + 7])
def test_stream_equals_the_source_and_reads_extents_only(size: int) -> None:
    rng = random.Random(size)
    data = bytearray(size)
    allocated = []
    for start, end in ((0, size // 7), (size // 3, size // 3 + size // 2)):
        if end > start:
            data[start:end] = rng.randbytes(end - start)
            allocated.append(Extent(start, end - start))
    source = Bytes(bytes(data), allocated)
    pieces = list(extents.stream(source))
    assert b"".join(pieces) == data
    assert all(0 < len(piece) <= MIB for piece in pieces)
    assert source.bytes_read == sum(extent.length for extent in allocated)


@pytest.mark.parametrize(
    "allocated",
    [[Extent(4, 4), Extent(0, 2)], [Extent(0, 4), Extent(3, 2)], [Extent(2, 0)], [Extent(9, 2)], [Extent(-1, 2)]],
    ids=str,
)
def test_wrong_extents_are_refused(allocated: list[Extent]) -> None:
    with pytest.raises(exception.ResourceFailed, match="empty, out of order or out of bounds"):
        list(extents.stream(Bytes(bytes(10), allocated)))


def test_short_read_is_refused() -> None:
    class Short(Bytes):
        def read(self, offset: int, length: int) -> bytes:
            return super().read(offset, length)[1:]

    with pytest.raises(exception.ResourceFailed, match="9 bytes read at offset 0 instead of 10"):
        list(extents.stream(Short(bytes(10), [Extent(0, 10)])))


@pytest.mark.parametrize("allocated", [[], [Extent(0, 3 * MIB)]], ids=["hole", "data"])
def test_check_stops_the_stream(allocated: list[Extent]) -> None:
    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise exception.Cancelled("stop")

    with pytest.raises(exception.Cancelled):
        list(extents.stream(Bytes(bytes(3 * MIB), allocated), check=check))
    assert len(calls) == 2
