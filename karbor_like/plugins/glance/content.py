"""The content of a disk as a reason for failures.

Glance checks whether the bytes of an image look like its disk format, and Cinder checks them when it copies them to a
volume. A guest may write anything to its volume. If it begins with the header of another format, the content itself cannot be
copied through an image, and a retry does not help.
"""

import io
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from oslo_utils.imageutils import format_inspector

from karbor_like import exception
from karbor_like.plugins.glance.data import DATA
from karbor_like.plugins.protection import HookContext

LOG = logging.getLogger(__name__)

Piece = TypeVar("Piece", bytes, memoryview)

#: Bytes in which all headers are. That of a CD image, whose first 32 KiB are unused, is the last.
_HEAD: Final = 64 * 1024

#: Formats that are content like any other: raw has no header, and a partition table does not matter.
_HARMLESS: Final = frozenset({"raw", "gpt"})

ADVICE: Final = (
    "such content cannot be copied through images. Move the data behind a partition table, so that the header is not the"
    " beginning of the volume, or protect the volume with a plugin that does not use images"
)

#: For failures without a reason.
POSSIBLE: Final = (
    "Glance refuses volumes that begin with the header of a disk format, for example because the guest encrypts the whole"
    f" volume (LUKS) or stores a disk image (VMDK) in it: {ADVICE}. If the volume has no such content, ask the operator"
)


class Head:
    """The beginning of a stream."""

    def __init__(self) -> None:
        self._data = bytearray()

    def watch(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Yield *pieces*, the stream from its beginning."""
        for piece in pieces:
            if not self.is_complete:
                self._data += piece[: _HEAD - len(self._data)]
            yield piece

    @property
    def is_complete(self) -> bool:
        """Whether more of the stream does not change :attr:`format`."""
        return len(self._data) >= _HEAD

    @property
    def format(self) -> str | None:
        """The disk format whose header the stream begins with, or None."""
        return detect(bytes(self._data))


def detect(head: bytes) -> str | None:
    """Return the disk format whose header *head* has, such as "luks", or None. Several are joined by "+"."""
    inspected = format_inspector.InspectWrapper(io.BytesIO(head))
    try:
        inspected.read(len(head))
        inspected.close()
        found = {str(inspector) for inspector in inspected.formats or ()} - _HARMLESS
    except Exception:  # noqa: BLE001 - the content is the tenant's, and inspectors parse it
        return None
    return "+".join(sorted(found)) or None


@contextmanager
def explaining(context: HookContext) -> Iterator[None]:
    """Name the content of the stored stream as a possible reason if the cloud refuses something in the block."""
    try:
        yield
    except exception.ResourceFailed as error:
        found = _detect_stored(context)
        if found is None:
            raise
        raise exception.ResourceFailed(
            f"{error}. The content may be the reason: it begins with the header of the format {found}, and {ADVICE}"
        ) from error


def _detect_stored(context: HookContext) -> str | None:
    head = Head()
    try:
        with context.section.read(DATA, check=context.check) as reader:
            for _ in head.watch(reader):
                if head.is_complete:
                    break
    except (exception.LeaseLost, exception.Cancelled):
        raise
    except exception.KarborLikeError as error:  # the bank is not what failed first
        LOG.warning("%s: its content cannot be inspected: %s", context.resource.key, error)
    return head.format
