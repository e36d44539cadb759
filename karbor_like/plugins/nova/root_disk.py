"""The root disk of a server that boots from an image: its bytes are in the server's own section of the bank.

Nova copies the disk into a temporary image, which is read and deleted. It copies no other local disk.
"""

from collections.abc import Mapping
from typing import Any, Final

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.clients.errors import translated
from karbor_like.plugins.glance import data, image, integrity
from karbor_like.plugins.nova import objects, reading
from karbor_like.plugins.nova.objects import RootDisks
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import cloud_objects, documents, properties

#: Role of the temporary image of a protect.
SNAPSHOT: Final = "root-disk"

#: Members of the server's document that describe the bytes.
MEMBERS: Final = ("image", "attributes")


def request(context: HookContext) -> None:
    """Let Nova begin to copy the root disk, at the latest when it has finished what it is doing with the server. Idempotent.

    Raises ResourceNotProtectable if the state of the server does not allow it.
    """
    context.report.step("taking an image of the root disk")
    server_id = context.resource.id
    if context.journal.peek(SNAPSHOT) is None:
        objects.wait_until_idle(context, server_id)

    def create(name: str, markers: Mapping[str, str]) -> str:
        with translated(f"taking an image of server {server_id}"):
            return str(reading.newest(context.clients).servers.create_image(server_id, name, dict(markers)))

    try:
        cloud_objects.ensure(context, RootDisks(context.clients, server_id), SNAPSHOT, create)
    except exception.Conflict as error:
        raise exception.ResourceNotProtectable(error.message) from error


def store(context: HookContext, timeout: float) -> dict[str, Any]:
    """Store the bytes, and return the members of the document that describe them.

    :param timeout: for the copy by Nova, seconds

    Raises ResourceFailed with the reason of Nova or Glance.
    """
    images = RootDisks(context.clients, context.resource.id)
    context.report.step("waiting for the image of the root disk")
    image_id = cloud_objects.find_existing(context, images, SNAPSHOT)
    stored = None if image_id else _find_stored(context)
    if stored is not None:
        return stored
    try:
        if image_id is None:
            raise exception.ResourceNotFound("there is no image")
        made = cloud_objects.wait(context, images, image_id, timeout)
    except exception.ResourceNotFound as error:
        raise exception.ResourceFailed(
            f"server {context.resource.id}: the image of its root disk no longer exists; Nova deletes it when copying"
            " the disk fails. Protect the server again, and see Nova's logs if that fails as well"
        ) from error
    reason = integrity.obstacle(made)
    if reason:
        raise exception.ResourceNotProtectable(f"the root disk of server {context.resource.id}: {reason}")
    described = integrity.describe(made)
    stats = data.store(context, made)
    data.report_sizes(context, stats)
    return {"image": described, "attributes": properties.recorded(made, properties.IMAGE)}


def _find_stored(context: HookContext) -> dict[str, Any] | None:
    """Return what an earlier attempt returned that stored all bytes and deleted the image, or None."""
    try:
        document = documents.get(context)
    except errors.ObjectNotFound:
        return None
    data.report_sizes(context, data.check_stored(context, document))
    return {name: document[name] for name in MEMBERS}


def upload(context: HookContext, document: Mapping[str, Any], name: str, timeout: float) -> list[str]:
    """Make an image of the stored bytes, which is the result of a restore, with the properties of the temporary one.

    :param document: that of the server's section
    :param name: of the image
    :param timeout: as :func:`karbor_like.plugins.glance.data.make_image`

    Returns remarks.
    """
    data.check_stored(context, document)
    context.report.step("creating an image of the root disk")
    data.make_image(context, image.IMAGE, document["image"], keep=True, timeout=timeout)
    return finish(context, document, name)


def finish(context: HookContext, document: Mapping[str, Any], name: str) -> list[str]:
    """Give the image of a restore its name and its properties. Idempotent. Return remarks."""
    entry = context.journal.peek(image.IMAGE)
    if entry is None or entry.cloud_id is None:
        return []
    details = {"attributes": document["attributes"], "visibility": "private", "protected": False}
    remarks = properties.remarks(document["attributes"], properties.IMAGE, "property")
    return [*remarks, *image.finish(context, entry.cloud_id, name, details)]
