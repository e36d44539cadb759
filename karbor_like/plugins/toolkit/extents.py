"""Data sources as streams for the bank."""

from collections.abc import Callable, Iterator
from typing import Final

from karbor_like import exception
from karbor_like.plugins.data_source import DataSource, Extent

_PIECE: Final = 1024 * 1024
_ZEROS: Final = memoryview(bytes(_PIECE))


def stream(source: DataSource, *, check: Callable[[], None] = lambda: None) -> Iterator[bytes | memoryview]:
    """Yield all bytes of *source* in order, in pieces of at most 1 MiB. Holes are zeros and are not read.

    Use it as ``section.write(name, stream(source), size=source.size)``.

    :param check: called before each piece; may raise to stop

    Raises ResourceFailed if the extents or the lengths that *source* reads violate its contract.
    """
    position = 0
    for extent in source.extents():
        if extent.offset < position or extent.length <= 0 or extent.end > source.size:
            raise exception.ResourceFailed(
                f"data source of {source.size} bytes: {extent} is empty, out of order or out of bounds"
            )
        yield from _holes(position, extent.offset, check)
        yield from _read(source, extent, check)
        position = extent.end
    yield from _holes(position, source.size, check)


def _holes(start: int, end: int, check: Callable[[], None]) -> Iterator[memoryview]:
    for offset in range(start, end, _PIECE):
        check()
        yield _ZEROS[: min(_PIECE, end - offset)]


def _read(source: DataSource, extent: Extent, check: Callable[[], None]) -> Iterator[bytes | memoryview]:
    for offset in range(extent.offset, extent.end, _PIECE):
        check()
        wanted = min(_PIECE, extent.end - offset)
        piece = source.read(offset, wanted)
        if len(piece) != wanted:
            raise exception.ResourceFailed(
                f"data source: {len(piece)} bytes read at offset {offset} instead of {wanted}"
            )
        yield piece
