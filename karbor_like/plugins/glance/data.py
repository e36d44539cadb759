"""An image's bytes into the bank and out of it again: what the volume and image plugins share.

A resource's section holds the stream :data:`DATA` and the document :data:`METADATA`, whose member ``image`` says of which
size, format and hash the image was.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, Final

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.clients import imagedata
from karbor_like.clients.errors import translated
from karbor_like.plugins.protection import HookContext, ResourceOperation
from karbor_like.plugins.toolkit import cloud_objects
from karbor_like.plugins.toolkit.cloud_objects import Images

DATA: Final = "data"
METADATA: Final = "metadata"

#: Of the documents that this code writes. A reader refuses others.
VERSION: Final = 1

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


def put_metadata(run: HookContext, **members: Any) -> None:
    """Add *members* to the document of this resource."""
    try:
        earlier = run.section.get(METADATA)
    except errors.ObjectNotFound:
        earlier = {"version": VERSION}
    run.section.put(METADATA, {**earlier, **members})


def get_metadata(run: HookContext) -> dict[str, Any]:
    """The document of this resource. Raises ResourceFailed for one that a later version of this code wrote."""
    document = run.section.get(METADATA)
    if document["version"] != VERSION:
        raise exception.ResourceFailed(
            f"{run.resource.key} was protected by a later version of this software: its metadata has version"
            f" {document['version']}, this one knows {VERSION}"
        )
    return document


def is_stored(run: HookContext) -> bool:
    """Whether an earlier attempt at this hook got all the bytes into the bank."""
    # Not by names(): a listing may lag behind what the attempt did before it died.
    try:
        run.section.stats(DATA)
    except errors.ObjectNotFound:
        return False
    return True


def describe(image: Any) -> dict[str, Any]:
    """What is kept of an active Glance image to check a copy of it by."""
    return {
        "size": image.size,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "checksum": image.get("checksum"),
        "os_hash_algo": image.get("os_hash_algo"),
        "os_hash_value": image.get("os_hash_value"),
    }


def store(run: HookContext, image: Any) -> None:
    """Stream the active *image* from Glance into the bank, without keeping any of it here."""
    run.report.step("storing the bytes")
    run.report.progress(0, image.size)
    with closing(imagedata.download(run.clients, image.id)) as data:
        run.section.write(
            DATA,
            data,
            size=image.size,
            bases=run.bases,
            progress=lambda done: run.report.progress(done, image.size),
            check=run.check,
        )


def report_sizes(run: HookContext) -> None:
    stats = run.section.stats(DATA)
    run.report.sizes(logical=stats.logical, new=stats.new, stored=stats.stored)


def make_image(run: HookContext, role: str, recorded: Mapping[str, Any], *, keep: bool, timeout: float) -> Any:
    """An active image of the stored bytes, made now unless an earlier attempt did.

    :param recorded: what :func:`describe` said of the image that was protected
    :param timeout: seconds that Glance may take after it has all the bytes

    Raises ResourceFailed where Glance ends up with other bytes than it gave.
    """
    images = Images(run.clients)

    def create(name: str, marks: Mapping[str, str]) -> str:
        with translated(f"creating an image for {run.resource.key}"):
            made = run.clients.glance().images.create(
                name=name,
                disk_format=recorded["disk_format"],
                container_format=recorded["container_format"],
                visibility="private",
                **marks,
            )
        return made.id

    image = cloud_objects.look(run, images, cloud_objects.ensure(run, images, role, create, keep=keep))
    if image.status not in ("queued", images.ready):
        # A process died while it sent the bytes. What Glance holds of them cannot be continued.
        cloud_objects.remove(run, images, role)
        image = cloud_objects.look(run, images, cloud_objects.ensure(run, images, role, create, keep=keep))
    if image.status == "queued":
        run.report.step("sending the bytes to Glance")
        imagedata.upload(run.clients, image.id, _Stored(run))
    image = cloud_objects.wait(run, images, image.id, timeout)
    _compare(image, recorded)
    return image


class _Stored:
    """The stored bytes. Each iteration reads them anew, because a request may have to be sent twice."""

    def __init__(self, run: HookContext) -> None:
        self._run = run

    def __iter__(self) -> Iterator[memoryview]:
        run, done = self._run, 0
        with run.section.read(DATA, check=run.check) as reader:
            for piece in reader:
                yield piece
                done += len(piece)
                run.report.progress(done, reader.size)


def _compare(image: Any, recorded: Mapping[str, Any]) -> None:
    """The bank has checked what it gave; this checks what Glance got, by the hash that Glance itself once made."""
    names = ["size"]
    if image.get("os_hash_algo") == recorded["os_hash_algo"]:
        names.append("os_hash_value")
    elif image.get("checksum") and recorded["checksum"]:
        names.append("checksum")
    for name in names:
        if image.get(name) != recorded[name]:
            raise exception.ResourceFailed(
                f"image {image.id} is not what was protected: its {name} is {image.get(name)}, not {recorded[name]}"
            )


class Delete(ResourceOperation):
    """Nothing of a checkpoint is in the cloud: its objects go from the bank."""

    def main(self, run: HookContext) -> None:
        run.report.step("deleting the objects in the bank")
        run.section.delete()


class Verify(ResourceOperation):
    """Checks that what a restore needs is in the bank."""

    def main(self, run: HookContext) -> None:
        run.report.step("checking what is stored")
        get_metadata(run)
        total = run.section.stats(DATA).logical
        run.section.verify(
            DATA,
            run.parameters.get("level", "full"),
            progress=lambda done: run.report.progress(done, total),
            check=run.check,
        )
