"""The plugin for images: their bytes and properties are stored in the bank."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.domain import resource
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.glance import data, integrity
from karbor_like.plugins.glance.objects import Images
from karbor_like.plugins.glance.protectable import is_visible
from karbor_like.plugins.protection import HookContext, ProtectionPlugin, ResourceOperation, Schemas
from karbor_like.plugins.toolkit import cleanup, cloud_objects, ownership, transfer
from karbor_like.plugins.toolkit.transfer import TransferTimeout

LOG = logging.getLogger(__name__)

IMAGE: Final = "image"

#: Members that Glance sets itself or that this module handles by name. All others are properties or attributes that a new
#: image accepts.
_NOT_COPIED: Final = frozenset(
    {
        "id",
        "owner",
        "status",
        "size",
        "virtual_size",
        "checksum",
        "os_hash_algo",
        "os_hash_value",
        "created_at",
        "updated_at",
        "file",
        "self",
        "schema",
        "direct_url",
        "locations",
        "stores",
        "name",
        "disk_format",
        "container_format",
        "visibility",
        "protected",
        *ownership.ALL,
    }
)

#: Prefix of Glance's own properties, which it refuses in requests.
_RESERVED: Final = "os_glance"

OPTIONS_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Image Protection Options",
    "type": "object",
    "properties": {
        "backup_name": {
            "type": "string",
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
            "type": "string",
            "title": "Restore Image Name",
            "description": "The name of the restored image.",
        },
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

    def main(self, context: HookContext) -> None:
        context.report.step("reading the image's properties")
        images = Images(context.clients)
        image = cloud_objects.fetch(context, images, context.resource.id)
        if not is_visible(image, context.clients):
            raise exception.ResourceNotFound(f"image {context.resource.id} does not exist")
        if image.status != images.ready:
            raise exception.ResourceNotProtectable(
                f"image {image.id} cannot be protected: it is in state {image.status!r}"
            )
        attributes = {
            key: value for key, value in image.items() if key not in _NOT_COPIED and not key.startswith(_RESERVED)
        }
        described = integrity.describe(image)
        stats = data.store(context, image)
        members = {
            "image": described,
            "name": image.name or "",
            "visibility": image.visibility if image.owner == context.project_id else "private",
            "protected": image.protected,
            "attributes": attributes,
            "backup_name": context.parameters.get("backup_name"),
            "digest": stats.digest,
        }
        data.put_metadata(context, members)
        data.report_sizes(context, stats)


class Restore(ResourceOperation):
    """Creates an image with the same bytes, format, properties and tags."""

    plugin: "ImageProtection"

    def main(self, context: HookContext) -> dict[str, Any]:
        document = data.get_metadata(context)
        data.check_stored(context, document)
        context.report.step("creating an image")
        timeout = self.plugin.timeout(context, document["image"]["size"])
        image = data.make_image(context, IMAGE, document["image"], keep=True, timeout=timeout)
        context.report.step("restoring the image's properties")
        name = context.parameters.get("restore_name") or document["name"]
        context.waiter.call(lambda: _finish(context, image.id, name, document), check=context.check)
        return {"restored": {context.resource.key: image.id}, "remarks": _remarks(context, document)}

    def cleanup(self, context: HookContext) -> None:
        cleanup.remove_all(context, {IMAGE: Images(context.clients)})


class ImageProtection(TransferTimeout, ProtectionPlugin):
    """Stores images of any Glance store completely in the bank."""

    api_version = 1
    group = "image_backup_plugin"
    options = (transfer.seconds_per_gib("Glance processes after it has received all bytes of an image"),)
    schemas = {resource.IMAGE: Schemas(OPTIONS_SCHEMA, RESTORE_SCHEMA, SAVED_INFO_SCHEMA, data.VERIFY_SCHEMA)}
    operations = {
        **data.BANK_OPERATIONS,
        OperationType.PROTECT: Protect,
        OperationType.RESTORE: Restore,
    }


def _finish(context: HookContext, image_id: str, name: str, document: Mapping[str, Any]) -> None:
    """Set the original properties and remove the markers of the operation. Idempotent."""
    with translated(f"restoring the properties of image {image_id}"):
        context.clients.glance().images.update(
            image_id,
            remove_props=list(ownership.ALL),
            name=name,
            visibility=_visibility(document),
            protected=document["protected"],
            **document["attributes"],
        )


def _visibility(document: Mapping[str, Any]) -> str:
    """Return the visibility of the restored image. A restore does not publish an image again."""
    return document["visibility"] if document["visibility"] in ("private", "shared") else "private"


def _remarks(context: HookContext, document: Mapping[str, Any]) -> list[str]:
    if _visibility(document) == document["visibility"]:
        return []
    remark = f"the image was {document['visibility']}; the restored one is private"
    LOG.info("%s: %s", context.resource.key, remark)
    return [remark]
