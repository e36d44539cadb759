"""The contract of readers and writers of volumes."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from karbor_like.bank import Extent, ExtentSource, ExtentTarget

__all__ = ["Extent", "Mark", "VolumeReader", "VolumeWriter"]

#: A JSON object that names the content of a volume at one time, for a later reader of the same volume. It holds no secret.
#: It comes back from a document in a bank, so a reader treats it as hostile.
Mark = Mapping[str, Any]


class VolumeReader(ExtentSource, AbstractContextManager["VolumeReader"], Protocol):
    """One snapshot of a volume, or another image that does not change while it is read.

    Methods other than :meth:`read` are called by one thread at a time. Leaving the context closes the reader: it waits for
    reads in progress or abandons them, and leaves no process, connection or mapping behind.

    Every call ends within the time limit that the reader was opened with, and raises :class:`.errors.SourceFailed` if the
    storage did not answer by then, refused or failed, and :class:`.errors.SourceGone` if the image no longer exists.
    """

    def changed(self, mark: Mark) -> Iterable[Extent] | None:
        """Return the ranges that may differ from the content that *mark* names, in ascending order and without overlap.

        Ranges beyond the size at the time of *mark* are included as far as they may contain bytes other than zero. None: the
        reader cannot tell, for example because the image was replaced or *mark* is no longer kept. Never raises because of
        what *mark* contains.
        """
        ...

    def mark(self) -> Mark | None:
        """Return the mark of this content, or None if later readers could not tell what differs from it."""
        ...


class VolumeWriter(ExtentTarget, AbstractContextManager["VolumeWriter"], Protocol):
    """A volume that no other client uses.

    :meth:`write` may return as soon as it has a copy of the data. An error is then raised by a later call, at the latest by
    :meth:`flush`: what was written counts as stored only when a flush has returned. Without one, a range is not written
    again: writes of the same bytes need not come in order.

    Leaving the context closes the writer, without a flush: what was written since the last one may be lost. Calls are limited
    in time like those of a reader, and raise :class:`.errors.TargetFailed`.
    """

    def flush(self) -> None:
        """Return when all bytes that were written are durable. No call of :meth:`write` may be in progress.

        Raises the error of an earlier write that has not been raised yet.
        """
        ...
