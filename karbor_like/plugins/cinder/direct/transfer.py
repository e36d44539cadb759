"""Readers and writers of volumes between the storage and the bank: with limited rates, and with a last look."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Final

from karbor_like.datapath.contract import Extent, VolumeReader, VolumeWriter
from karbor_like.plugins.protection import HookContext

_PIECE: Final = 1024 * 1024
_PIECES: Final = memoryview(bytes(_PIECE))


class Source:
    """A reader for the bank.

    :param confirm: called after the last read, before the stream counts as complete; raises if the bytes may be wrong
    :param whole: whether the map of what is allocated is not believed either
    """

    def __init__(
        self, context: HookContext, reader: VolumeReader, confirm: Callable[[], None], *, whole: bool = False
    ) -> None:
        self._context = context
        self._reader = reader
        self._confirm = confirm
        self._whole = whole

    @property
    def size(self) -> int:
        """Bytes in total."""
        return self._reader.size

    def allocated(self) -> Iterable[Extent]:
        """Return the ranges to read."""
        return [Extent(0, self.size)] if self._whole and self.size else self._reader.allocated()

    def read(self, offset: int, length: int) -> Future[bytes]:
        """Begin to read a range as soon as the limits on bytes per second allow it."""
        # What arrives is paced before it is asked for: then no bytes wait in memory.
        sizes = (_PIECES[: min(_PIECE, length - done)] for done in range(0, length, _PIECE))
        for _ in self._context.paced(sizes):
            pass
        return self._reader.read(offset, length)

    def confirm(self) -> None:
        """Raise if the bytes that were read may be wrong."""
        self._reader.confirm()
        self._confirm()


class Target:
    """A writer for the bank."""

    def __init__(self, context: HookContext, writer: VolumeWriter) -> None:
        self._context = context
        self._writer = writer

    @property
    def size(self) -> int:
        """Bytes in total."""
        return self._writer.size

    def write(self, offset: int, data: memoryview) -> None:
        """Write a range as soon as the limits on bytes per second allow it."""
        for piece in self._context.paced([data]):
            self._writer.write(offset, piece)
