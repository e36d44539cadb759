"""The plugin for volumes that copies through Glance and stores everything that any cloud needs for the restore in the bank.

Protect: 1. create a temporary snapshot of the volume, 2. a temporary volume of the snapshot, 3. a temporary image of that
volume; 4. store the image's bytes and 5. the metadata in the bank; 6. delete image, volume and snapshot, each of which
depends on the next. Restore: 1. create an image of the stored bytes, 2. a volume of the image; 3. wait for the volume;
4. delete the image.
"""

from collections.abc import Mapping
from typing import Any, Final

from karbor_like.clients.errors import translated
from karbor_like.domain import resource
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.cinder import metadata, restored, source
from karbor_like.plugins.cinder.objects import Snapshots, Volumes
from karbor_like.plugins.cinder.restored import VOLUME
from karbor_like.plugins.cinder.upload import Upload
from karbor_like.plugins.cinder.volume_data import (
    OPTION_PROPERTIES,
    RESTORE_PROPERTIES,
    VolumeDataPlugin,
    VolumeRestore,
    require_unencrypted,
)
from karbor_like.plugins.glance import content, data, integrity
from karbor_like.plugins.glance.objects import Images
from karbor_like.plugins.objects import CloudObjects
from karbor_like.plugins.protection import HookContext, ResourceOperation, Schemas
from karbor_like.plugins.toolkit import cleanup, cloud_objects, documents, ownership, quotas, transfer
from karbor_like.plugins.toolkit.comparison import require_equal
from karbor_like.plugins.toolkit.details import Details
from karbor_like.plugins.toolkit.source import SNAPSHOT

TEMPORARY_VOLUME: Final = "temporary-volume"
TEMPORARY_IMAGE: Final = "temporary-image"

#: What to do if an image does not have all bytes of its volume.
_INCOMPLETE: Final = (
    "Cinder copied only a part, or bytes of another format: if the guest wrote the header of a disk format, such as qcow2, to"
    " the beginning of the volume, remove it; otherwise Cinder's driver is at fault"
)

OPTIONS_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Volume Glance Protection Options",
    "type": "object",
    "properties": OPTION_PROPERTIES,
    "required": ["backup_name"],
}

RESTORE_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Volume Glance Protection Restore",
    "type": "object",
    "properties": RESTORE_PROPERTIES,
    "required": ["restore_name"],
}

SAVED_INFO_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Volume Glance Protection Saved Info",
    "type": "object",
    "properties": {},
    "required": [],
}


class Protect(ResourceOperation):
    """The six steps of protect.

    The first one is in ``prepare_finish``, so that the snapshots of all volumes of a plan are taken close together.
    """

    plugin: VolumeDataPlugin

    def prepare_finish(self, context: HookContext) -> None:
        volume = source.wait_until_idle(context)
        require_unencrypted(volume, "its image would need a key that is deleted with the image")
        # The properties at the time of the snapshot. Another process may run the main hook.
        documents.put(context, {"volume": metadata.describe(volume)})
        source.take_snapshot(context, volume)

    def main(self, context: HookContext) -> dict[str, Any]:
        document = documents.get(context)
        stats = data.find_stored(context)
        head = content.Head()
        if stats is None or "image" not in document:
            image = self._image(context, document["volume"])
            stats = stats or data.store(context, image, head.watch)
            self.plugin.check_size(context, document, stats)
            members = {
                **document,
                "image": integrity.describe(image),
                "backup_name": context.parameters.get("backup_name"),
                "description": context.parameters.get("description"),
            }
            context.report.step("storing the metadata")
            documents.put(context, members)
        data.report_sizes(context, stats)
        context.report.step("deleting the temporary image, volume and snapshot")
        return {"remarks": [*_remarks(head), *self.release(context)]}

    def release(self, context: HookContext) -> list[str]:
        return cleanup.release(context, temporary(context))

    def cleanup(self, context: HookContext) -> None:
        cleanup.remove_all(context, temporary(context))

    def _image(self, context: HookContext, document: Mapping[str, Any]) -> Any:
        """Perform steps 2 and 3 and return the active temporary image. Each step uses the result of an earlier attempt.

        Raises ResourceFailed if the image has not exactly the bytes of the volume.
        """
        context.report.step("creating a temporary volume of the snapshot")
        size, volume_id = document["size"] * self.plugin.gib, self._temporary_volume(context, document["size"])
        context.report.step("creating an image of the temporary volume")

        def create(name: str, markers: Mapping[str, str]) -> str:
            with translated(f"creating the temporary image of volume {context.resource.id}"):
                _, answer = context.clients.cinder().volumes.upload_to_image(
                    volume_id, False, name, "bare", "raw", "private", False
                )
            image_id: str = answer["os-volume_upload_image"]["image_id"]
            return image_id

        image_id = cloud_objects.ensure(context, Images(context.clients), TEMPORARY_IMAGE, create)
        image = Upload(context, volume_id, image_id).wait(self.plugin.timeout(context, size))
        _check_image(image, context.resource.id, size)
        # Not before: with every change Glance writes the state that the image had when the change began. A concurrent upload
        # would lose its state. Until then only the image's name tells that the image belongs to the operation.
        markers = ownership.markers(context.operation_id, TEMPORARY_IMAGE, context.resource.key)
        Details(context, f"image {image_id}").set(
            "marking of the temporary image", lambda: context.clients.glance().images.update(image_id, **markers)
        )
        return image

    def _temporary_volume(self, context: HookContext, size: int) -> str:
        """Return the id of a volume of the snapshot. Cinder may already be uploading it to an image.

        :param size: GiB
        """
        snapshot_id, volumes = source.find_snapshot(context), Volumes(context.clients)

        def create(name: str, markers: Mapping[str, str]) -> str:
            with translated(f"creating the temporary volume of volume {context.resource.id}"):
                return (
                    context.clients.cinder()
                    .volumes.create(size, snapshot_id=snapshot_id, name=name, metadata=markers)
                    .id
                )

        volume_id = cloud_objects.ensure(context, volumes, TEMPORARY_VOLUME, create)
        volume = context.waiter.until(
            f"volume {volume_id} to become available",
            lambda: volumes.get(volume_id),
            done=lambda volume: volume.status in ("available", "uploading"),
            failed=volumes.failure,
            timeout=self.plugin.timeout(context, size * self.plugin.gib),
            check=context.check,
        )
        require_equal(
            f"size in GiB of volume {context.resource.id}",
            {"volume": size, "temporary volume": volume.size},
            _INCOMPLETE,
        )
        if volume.status == "available":
            metadata.disarm(context, volume)
        return volume_id


class Restore(VolumeRestore):
    """The four steps of restore. The restored volume is a result, which is deleted only if the operation fails."""

    plugin: VolumeDataPlugin

    def main(self, context: HookContext) -> dict[str, Any]:
        document = documents.get(context)
        self.plugin.check_stored(context, document)
        with content.explaining(context):
            volume = self._volume(context, document)
        context.report.step("deleting the temporary image")
        left = self.release(context)
        remarks = [*restored.finish(context, volume, document["volume"]), *left]
        return {"restored": {context.resource.key: volume.id}, "remarks": remarks}

    def release(self, context: HookContext) -> list[str]:
        return cleanup.release(context, {TEMPORARY_IMAGE: Images(context.clients)})

    def cleanup(self, context: HookContext) -> None:
        cleanup.remove_all(context, {TEMPORARY_IMAGE: Images(context.clients), VOLUME: Volumes(context.clients)})

    def _volume(self, context: HookContext, document: Mapping[str, Any]) -> Any:
        """Perform steps 1 to 3 and return the available volume. Each step uses the result of an earlier attempt."""
        timeout, size = self.plugin.timeout(context, document["image"]["size"]), document["volume"]["size"]
        volume_id = cloud_objects.find_existing(context, Volumes(context.clients), VOLUME)
        if volume_id is None:
            context.report.step("creating an image")
            image = data.make_image(context, TEMPORARY_IMAGE, document["image"], keep=False, timeout=timeout)
            context.report.step("creating a volume of the image")
            placement = restored.placement(context, document["volume"])
            volume_id = restored.create(context, size, {"imageRef": image.id, **placement})
        return restored.wait(context, volume_id, size, timeout)


class VolumeGlanceProtection(VolumeDataPlugin):
    """Stores volumes of any Cinder driver completely in the bank."""

    api_version = 1
    group = "volume_glance_plugin"
    options = (transfer.seconds_per_gib("Cinder or Glance copies of a volume"),)
    schemas = {resource.VOLUME: Schemas(OPTIONS_SCHEMA, RESTORE_SCHEMA, SAVED_INFO_SCHEMA, data.VERIFY_SCHEMA)}
    operations = {
        **VolumeDataPlugin.operations,
        OperationType.PROTECT: Protect,
        OperationType.RESTORE: Restore,
    }
    creates = (Volumes, Snapshots, Images)
    quotas = (quotas.volume,)


def temporary(context: HookContext) -> Mapping[str, CloudObjects]:
    """Return the types of the objects that a protect creates, by role."""
    return {
        SNAPSHOT: Snapshots(context.clients),
        TEMPORARY_VOLUME: Volumes(context.clients),
        TEMPORARY_IMAGE: Images(context.clients),
    }


def _remarks(head: content.Head) -> list[str]:
    if head.format is None:
        return []
    return [
        f"the volume begins with the header of the disk format {head.format}. A restore is refused in clouds where Glance or"
        f" Cinder inspects images: {content.ADVICE}"
    ]


def _check_image(image: Any, volume_id: str, size: int) -> None:
    """Raise ResourceFailed unless *image* consists of the *size* bytes of the volume."""
    sizes = {"volume": size, "image": image.get("size")}
    if image.get("virtual_size"):
        sizes["disk in the image"] = image["virtual_size"]
    require_equal(f"size in bytes of volume {volume_id}", sizes, _INCOMPLETE)
    require_equal(
        f"disk format of volume {volume_id}", {"requested": "raw", "image": image["disk_format"]}, _INCOMPLETE
    )
