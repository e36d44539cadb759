"""Transfer of an image's bytes into the bank and back, shared by the volume and image plugins.

The section of a resource holds the stream :data:`DATA` and a document, see :mod:`karbor_like.plugins.toolkit.documents`. The
document's member ``image`` states size, format and hash of the image. Documents of earlier releases also have ``digest``: the
SHA-256 of the stream, which manifests stated then.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any, Final

from karbor_like import exception
from karbor_like.bank import StreamStats, errors
from karbor_like.clients import imagedata
from karbor_like.clients.errors import translated
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.glance import integrity
from karbor_like.plugins.glance.objects import Images
from karbor_like.plugins.protection import HookContext, ResourceOperation
from karbor_like.plugins.toolkit import cleanup, cloud_objects, documents
from karbor_like.plugins.toolkit.comparison import require_equal
from karbor_like.plugins.toolkit.copying import SectionCopy
from karbor_like.plugins.toolkit.deletion import SectionDelete

DATA: Final = "data"

Watch = Callable[[Iterable[bytes]], Iterable[bytes]]

VERIFY_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Verification",
    "type": "object",
    "properties": {
        "level": {
            "type": "string",
            "title": "Level",
            "description": "quick: everything that a restore needs is there; full: every byte is read and checked.",
            "enum": ["quick", "full"],
            "default": "full",
        },
    },
    "required": [],
}


def find_stored(context: HookContext) -> StreamStats | None:
    """Return the statistics of the stream if an earlier attempt at this hook stored all bytes, else None."""
    # Not by names(): a listing may lag behind the writes of the attempt.
    try:
        return context.section.stats(DATA)
    except errors.ObjectNotFound:
        return None


def store(context: HookContext, image: Any, watch: Watch = lambda pieces: pieces) -> StreamStats:
    """Stream the active *image* from Glance into the bank. Raises ResourceFailed if Glance states another hash.

    :param watch: yields the pieces that it receives, to see them on their way
    """
    context.report.step("storing the bytes")
    context.report.progress(0, image.size)
    download = imagedata.download(context.clients, image.id, image.size, context.waiter, check=context.check)
    with closing(download) as data:
        return context.section.write(
            DATA,
            integrity.checked(watch(context.paced(data)), image),
            size=image.size,
            bases=context.bases,
            progress=lambda done: context.report.progress(done, image.size),
            check=context.check,
        )


def check_stored(context: HookContext, document: Mapping[str, Any]) -> StreamStats:
    """Check that the stored bytes are those that *document* describes, and return their statistics. Reads none of them.

    Raises CheckpointDamaged if they differ.
    """
    stats = context.section.stats(DATA)
    what = f"of {context.resource.key}"
    damaged = exception.CheckpointDamaged
    require_equal(f"size in bytes {what}", {"image": document["image"]["size"], "stored": stats.logical}, kind=damaged)
    if stats.sha256 is not None and "digest" in document:
        require_equal(f"SHA-256 {what}", {"document": document["digest"], "stored": stats.sha256}, kind=damaged)
    return stats


def report_sizes(context: HookContext, stats: StreamStats) -> None:
    """Record the sizes of the stored stream."""
    context.report.sizes(logical=stats.logical, new=stats.new, stored=stats.stored)


def make_image(context: HookContext, role: str, recorded: Mapping[str, Any], *, keep: bool, timeout: float) -> Any:
    """Return an active image of the stored bytes. Create it unless an earlier attempt did.

    If the connection is cut or stalls, or Glance fails, the bytes are sent again, to a new image if need be.

    :param recorded: :func:`integrity.describe`'s members of the protected image
    :param timeout: time limit for Glance after it has received all bytes, and for the beginning of the last attempt to send
        them, seconds

    Raises ResourceFailed if the image differs from the protected one.
    """
    images = Images(context.clients)

    def create(name: str, markers: Mapping[str, str]) -> str:
        with translated(f"creating an image for {context.resource.key}"):
            created = context.clients.glance().images.create(
                name=name,
                disk_format=recorded["disk_format"],
                container_format=recorded["container_format"],
                visibility="private",
                **markers,
            )
        return created.id

    def ensure() -> Any:
        image_id = cloud_objects.ensure(context, images, role, create, keep=keep)
        return cloud_objects.fetch(context, images, image_id)

    stored = _Stored(context)

    def send() -> Any:
        image = ensure()
        if image.status == "saving" and stored.was_read:
            # Glance has received all bytes; only its answer is missing.
            image = context.waiter.until(
                f"image {image.id} to be stored",
                lambda: images.get(image.id),
                done=lambda current: current.status != "saving",
                timeout=timeout,
                check=context.check,
            )
        if image.status not in ("queued", images.ready):
            # An upload that was interrupted cannot be continued.
            cleanup.remove(context, images, role)
            image = ensure()
        if image.status == "queued":
            context.report.step("sending the bytes to Glance")
            imagedata.upload(context.clients, image.id, stored)
        return image

    image = context.waiter.transfer(send, timeout=timeout, check=context.check)
    image = cloud_objects.wait(context, images, image.id, timeout)
    integrity.compare(image, recorded)
    return image


class _Stored:
    """The stored bytes. Each iteration reads them again, because a request may have to be resent."""

    def __init__(self, context: HookContext) -> None:
        self._context = context
        #: Whether the latest iteration has come to its end.
        self.was_read = False

    def __iter__(self) -> Iterator[memoryview]:
        self.was_read = False
        context, done = self._context, 0
        with context.section.read(DATA, check=context.check) as reader:
            for piece in context.paced(reader):
                yield piece
                done += len(piece)
                context.report.progress(done, reader.size)
        self.was_read = True


class Verify(ResourceOperation):
    """Checks that the bank holds everything that a restore needs, and that document and stream belong together."""

    def main(self, context: HookContext) -> None:
        context.report.step("checking the stored data")
        total = self.check_stored(context, documents.get(context)).logical
        context.section.verify(
            DATA,
            context.parameters.get("level", "full"),
            progress=lambda done: context.report.progress(done, total),
            check=context.check,
        )

    def check_stored(self, context: HookContext, document: Mapping[str, Any]) -> StreamStats:
        """Compare document and stream, and return the statistics of the stream. Raises CheckpointDamaged if they differ."""
        return check_stored(context, document)


#: The operations that need nothing but the bank.
BANK_OPERATIONS: Final[Mapping[OperationType, type[ResourceOperation]]] = {
    OperationType.DELETE: SectionDelete,
    OperationType.VERIFY: Verify,
    OperationType.COPY: SectionCopy,
}
