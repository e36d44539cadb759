"""Images: their bytes and what Glance knows of them, stored in the bank."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from oslo_config import cfg

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.domain import resource
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.glance import data
from karbor_like.plugins.glance.protectable import is_visible
from karbor_like.plugins.protection import HookContext, ProtectionPlugin, ResourceOperation, Schemas
from karbor_like.plugins.toolkit import cloud_objects, ownership
from karbor_like.plugins.toolkit.cloud_objects import Images
from karbor_like.plugins.toolkit.copying import SectionCopy

LOG = logging.getLogger(__name__)

IMAGE: Final = "image"

_GIB: Final = 1024**3

#: What Glance alone decides, or what is handled by name; everything else that an image has is a property or an attribute
#: that a new image can be given.
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

#: Glance's own; refused in requests.
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
    """Nothing has to be created in the cloud: an active image does not change."""

    plugin: "ImageProtection"

    def main(self, run: HookContext) -> None:
        run.report.step("looking at the image")
        images = Images(run.clients)
        image = cloud_objects.look(run, images, run.resource.id)
        if not is_visible(image, run.clients):
            raise exception.ResourceNotFound(f"image {run.resource.id} does not exist")
        if image.status != images.ready:
            raise exception.ResourceNotProtectable(
                f"image {image.id} cannot be protected: it is in state {image.status!r}"
            )
        attributes = {
            key: value for key, value in image.items() if key not in _NOT_COPIED and not key.startswith(_RESERVED)
        }
        data.put_metadata(
            run,
            image=data.describe(image),
            name=image.name or "",
            visibility=image.visibility if image.owner == run.project_id else "private",
            protected=image.protected,
            attributes=attributes,
            backup_name=run.parameters.get("backup_name"),
        )
        data.store(run, image)
        data.put_metadata(run, digest=run.section.stats(data.DATA).digest)
        data.report_sizes(run)


class Restore(ResourceOperation):
    """A new image with the same bytes, format, properties and tags."""

    plugin: "ImageProtection"

    def main(self, run: HookContext) -> dict[str, Any]:
        document = data.get_metadata(run)
        run.report.step("making an image")
        timeout = self.plugin.timeout(run, document["image"]["size"])
        image = data.make_image(run, IMAGE, document["image"], keep=True, timeout=timeout)
        run.report.step("restoring the image's properties")
        name = run.parameters.get("restore_name") or document["name"]
        run.waiter.call(lambda: _finish(run, image.id, name, document), check=run.check)
        return {"restored": {run.resource.key: image.id}, "remarks": _remarks(run, document)}

    def cleanup(self, run: HookContext) -> None:
        cloud_objects.remove_all(run, {IMAGE: Images(run.clients)})


class ImageProtection(ProtectionPlugin):
    """Images of any Glance store, stored whole in the bank."""

    api_version = 1
    group = "image_backup_plugin"
    options = (
        cfg.IntOpt(
            "seconds_per_gib",
            default=120,
            min=1,
            help="""
How long Glance may take for each GiB of an image after it has received all bytes, on top of [waiter] timeout, before a
restore is given up.
""",
        ),
    )
    schemas = {resource.IMAGE: Schemas(OPTIONS_SCHEMA, RESTORE_SCHEMA, SAVED_INFO_SCHEMA, data.VERIFY_SCHEMA)}
    operations = {
        OperationType.PROTECT: Protect,
        OperationType.RESTORE: Restore,
        OperationType.DELETE: data.Delete,
        OperationType.VERIFY: data.Verify,
        OperationType.COPY: SectionCopy,
    }

    def timeout(self, run: HookContext, size: int) -> float:
        """Seconds that Glance may take to digest *size* bytes."""
        return run.waiter.timeout + size / _GIB * self.conf.seconds_per_gib


def _finish(run: HookContext, image_id: str, name: str, document: Mapping[str, Any]) -> None:
    """Give the image what it had, and take the marks of the operation from it. Repeatable."""
    with translated(f"restoring the properties of image {image_id}"):
        run.clients.glance().images.update(
            image_id,
            remove_props=list(ownership.ALL),
            name=name,
            visibility=_visibility(document),
            protected=document["protected"],
            **document["attributes"],
        )


def _visibility(document: Mapping[str, Any]) -> str:
    """To publish an image is for people to decide, not for a restore."""
    return document["visibility"] if document["visibility"] in ("private", "shared") else "private"


def _remarks(run: HookContext, document: Mapping[str, Any]) -> list[str]:
    if _visibility(document) == document["visibility"]:
        return []
    remark = f"the image was {document['visibility']}: the restored one is private"
    LOG.info("%s: %s", run.resource.key, remark)
    return [remark]
