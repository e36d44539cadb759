"""The plugin for images: their bytes and properties are stored in the bank."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.domain import resource
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.glance import content, data, integrity
from karbor_like.plugins.glance.objects import Images
from karbor_like.plugins.glance.protectable import is_visible
from karbor_like.plugins.protection import HookContext, ProtectionPlugin, ResourceOperation, Schemas
from karbor_like.plugins.toolkit import cleanup, cloud_objects, documents, names, ownership, properties, transfer
from karbor_like.plugins.toolkit.details import Details, shorten
from karbor_like.plugins.toolkit.transfer import TransferTimeout

IMAGE: Final = "image"

OPTIONS_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Image Protection Options",
    "type": "object",
    "properties": {
        "backup_name": {
            **names.NAME,
            "title": "Backup Name",
            "description": "The name of the backup.",
            "default": None,
        },
    },
    "required": [],
}

RESTORE_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Image Protection Restore",
    "type": "object",
    "properties": {
        "restore_name": {
            **names.NAME,
            "title": "Restore Image Name",
            "description": "The name of the restored image.",
        },
        **names.PREFIX_PROPERTIES,
    },
    "required": [],
}

SAVED_INFO_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Image Protection Saved Info",
    "type": "object",
    "properties": {
        "image_metadata": {
            "type": "object",
            "title": "Image Metadata",
            "description": "What Glance knew of the image.",
        },
    },
    "required": [],
}


class Protect(ResourceOperation):
    """Stores the image itself: an active image does not change, so no temporary object is needed."""

    plugin: "ImageProtection"

    def main(self, context: HookContext) -> dict[str, Any]:
        context.report.step("reading the image's properties")
        images = Images(context.clients)
        image = cloud_objects.fetch(context, images, context.resource.id)
        if not is_visible(image, context.clients):
            raise exception.ResourceNotFound(f"image {context.resource.id} does not exist")
        if image.status != images.ready:
            raise exception.ResourceNotProtectable(
                f"image {image.id} cannot be protected: it is in state {image.status!r}"
            )
        reason = integrity.obstacle(image)
        if reason:
            raise exception.ResourceNotProtectable(f"image {image.id} cannot be protected: {reason}")
        members, remarks = _members(context, image)
        described = integrity.describe(image)
        stats = data.store(context, image)
        document = {
            "image": described,
            "name": image.name or "",
            "visibility": image.visibility if image.owner == context.project_id else "private",
            "protected": image.protected,
            "members": members,
            "attributes": properties.recorded(image, properties.IMAGE),
            "backup_name": context.parameters.get("backup_name"),
        }
        documents.put(context, document)
        data.report_sizes(context, stats)
        return {"remarks": remarks}


class Restore(ResourceOperation):
    """Creates an image with the same bytes, format, properties and tags."""

    plugin: "ImageProtection"

    def main(self, context: HookContext) -> dict[str, Any]:
        document = documents.get(context)
        data.check_stored(context, document)
        context.report.step("creating an image")
        timeout = self.plugin.timeout(context, document["image"]["size"])
        with content.explaining(context):
            image = data.make_image(context, IMAGE, document["image"], keep=True, timeout=timeout)
        context.report.step("restoring the image's properties")
        name = names.restored(context.parameters, document["name"])
        remarks = [*_differences(document), *finish(context, image.id, name, document)]
        return {"restored": {context.resource.key: image.id}, "remarks": remarks}

    def cleanup(self, context: HookContext) -> None:
        cleanup.remove_all(context, {IMAGE: Images(context.clients)})


class ImageProtection(TransferTimeout, ProtectionPlugin):
    """Stores images of any Glance store completely in the bank."""

    api_version = 1
    group = "image_backup_plugin"
    options = (transfer.seconds_per_gib("Glance processes after it has received all bytes of an image"),)
    schemas = {resource.IMAGE: Schemas(OPTIONS_SCHEMA, RESTORE_SCHEMA, SAVED_INFO_SCHEMA, data.VERIFY_SCHEMA)}
    creates = (Images,)
    operations = {
        **data.BANK_OPERATIONS,
        OperationType.PROTECT: Protect,
        OperationType.RESTORE: Restore,
    }


def _members(context: HookContext, image: Any) -> tuple[list[str], list[str]]:
    """Return the projects that the image is shared with, and a remark if Glance does not list them."""
    members: list[str] = []
    if image.owner != context.project_id or image.visibility != "shared":
        return members, []

    def read() -> None:
        members[:] = [member.member_id for member in context.clients.glance().image_members.list(image.id)]

    reason = Details(context, f"image {image.id}").attempt(read)
    return members, [
        f"the projects that the image is shared with are not in the checkpoint: {reason}"
    ] if reason else []


def finish(context: HookContext, image_id: str, name: str, document: Mapping[str, Any]) -> list[str]:
    """Set the original properties and remove the markers of the operation. Idempotent.

    :param document: with ``attributes``, ``visibility`` and ``protected`` of the original

    Returns a remark for each property that Glance refuses.
    """
    details, images = Details(context, f"image {image_id}"), context.clients.glance().images

    def update(remove: Sequence[str] = (), **values: Any) -> None:
        try:
            images.update(image_id, remove_props=list(remove), **values)
        except TypeError as error:  # glanceclient checks Glance's schema before it sends anything
            raise exception.ResourceFailed(f"image {image_id}: {' '.join(str(error).split())[:300]}") from error

    values = {
        "name": name,
        "visibility": _visibility(document),
        **properties.restored(document["attributes"], properties.IMAGE),
        "protected": document["protected"],
    }
    instead = {"name": names.plain(name)}
    if not details.set_all(values, lambda some: update(ownership.ALL, **some), instead=instead):
        details.set("properties without the operation's markers", lambda: update(ownership.ALL))
    return details.finish(Images(context.clients), image_id)


def _visibility(document: Mapping[str, Any]) -> str:
    """Return the visibility of the restored image. A restore does not publish an image again."""
    return document["visibility"] if document["visibility"] in ("private", "shared") else "private"


def _differences(document: Mapping[str, Any]) -> list[str]:
    """Return remarks on what is not restored on purpose."""
    remarks = properties.remarks(document["attributes"], properties.IMAGE, "property")
    if _visibility(document) != document["visibility"]:
        remarks.append(f"the image was {document['visibility']}; the restored one is private")
    if document.get("members"):  # checkpoints of earlier versions do not have the list
        remarks.append(f"the image was shared with {shorten(document['members'])}; the restored one is not shared")
    return remarks
