"""Volumes, through Glance into the bank: the checkpoint holds all that is needed to make the volume again in any cloud.

Protect: 1. a temporary snapshot of the volume, 2. a temporary volume from it, 3. a temporary image of that, 4. the image's
bytes into the bank, 5. the temporary things are deleted (image, volume, snapshot: each depends on the next), 6. the
metadata into the bank. Restore: 1. an image with the bytes from the bank, 2. a volume from it, 3. wait for the volume,
4. the image is deleted.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from oslo_config import cfg

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.domain import resource
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.cinder import metadata
from karbor_like.plugins.glance import data
from karbor_like.plugins.protection import HookContext, ProtectionPlugin, ResourceOperation, Schemas
from karbor_like.plugins.toolkit import cloud_objects, ownership
from karbor_like.plugins.toolkit.cloud_objects import Images, Snapshots, Volumes
from karbor_like.plugins.toolkit.copying import SectionCopy

LOG = logging.getLogger(__name__)

SNAPSHOT: Final = "snapshot"
TEMPORARY_VOLUME: Final = "temporary-volume"
TEMPORARY_IMAGE: Final = "temporary-image"
VOLUME: Final = "volume"

#: States in which Cinder takes a snapshot.
_USABLE: Final = frozenset({"available", "in-use"})

#: How often in a row a volume may look as if Cinder was not uploading it, before that is believed: a replica may lag.
_GIVEN_UP: Final = 3

# Both schemas are to the letter those that clients have known for years; see Schemas on what "required" means in them.
OPTIONS_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Volume Glance Protection Options",
    "type": "object",
    "properties": {
        "backup_name": {
            "type": "string",
            "title": "Backup Name",
            "description": "The name of the backup.",
            "default": None,
        },
        "description": {
            "type": "string",
            "title": "Description",
            "description": "The description of the backup.",
        },
    },
    "required": ["backup_name"],
}

RESTORE_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Volume Glance Protection Restore",
    "type": "object",
    "properties": {
        "restore_name": {
            "type": "string",
            "title": "Restore Resource Name",
            "description": "The name of the restore resource ",
            "default": None,
        },
    },
    "required": ["restore_name"],
}

SAVED_INFO_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Volume Glance Protection Saved Info",
    "type": "object",
    "properties": {},
    "required": [],
}


class Protect(ResourceOperation):
    """Six steps. The first one is in ``prepare_finish``, so that all volumes of a plan are snapshotted close to each other,
    before the bytes of their parent move.
    """

    plugin: "VolumeGlanceProtection"

    def prepare_finish(self, run: HookContext) -> None:
        run.report.step("waiting for the volume to be at rest")
        volume = _at_rest(run)
        data.put_metadata(run, volume=metadata.describe(volume))
        run.report.step("taking a snapshot")

        def create(name: str, marks: Mapping[str, str]) -> str:
            with translated(f"creating the temporary snapshot of volume {volume.id}"):
                # force: of volumes in use as well.
                made = run.clients.cinder().volume_snapshots.create(
                    volume.id, force=True, name=name, description=run.parameters.get("description"), metadata=marks
                )
            return made.id

        snapshots = Snapshots(run.clients)
        cloud_objects.wait(run, snapshots, cloud_objects.ensure(run, snapshots, SNAPSHOT, create))

    def main(self, run: HookContext) -> None:
        if not data.is_stored(run):
            image = self._image(run)
            data.put_metadata(run, image=data.describe(image))
            data.store(run, image)
        run.report.step("deleting the temporary image, volume and snapshot")
        cloud_objects.remove(run, Images(run.clients), TEMPORARY_IMAGE)
        cloud_objects.remove(run, Volumes(run.clients), TEMPORARY_VOLUME)
        cloud_objects.remove(run, Snapshots(run.clients), SNAPSHOT)
        run.report.step("storing the metadata")
        data.put_metadata(
            run,
            digest=run.section.stats(data.DATA).digest,
            backup_name=run.parameters.get("backup_name"),
            description=run.parameters.get("description"),
        )
        data.report_sizes(run)

    def cleanup(self, run: HookContext) -> None:
        snapshots, volumes, images = Snapshots(run.clients), Volumes(run.clients), Images(run.clients)
        cloud_objects.remove_all(run, {SNAPSHOT: snapshots, TEMPORARY_VOLUME: volumes, TEMPORARY_IMAGE: images})

    def _image(self, run: HookContext) -> Any:
        """Steps 2 and 3: the temporary image, complete. Each finds what an earlier attempt made."""
        run.report.step("making a temporary volume of the snapshot")
        size, volume_id = self._temporary_volume(run)
        run.report.step("making an image of the temporary volume")

        def create(name: str, marks: Mapping[str, str]) -> str:
            with translated(f"creating the temporary image of volume {run.resource.id}"):
                _, answer = run.clients.cinder().volumes.upload_to_image(
                    volume_id, False, name, "bare", "raw", "private", False
                )
            image_id: str = answer["os-volume_upload_image"]["image_id"]
            return image_id

        image_id = cloud_objects.ensure(run, Images(run.clients), TEMPORARY_IMAGE, create)
        image = _Upload(run, volume_id, image_id).wait(self.plugin.timeout(run, size))
        # Not before: Glance writes the state along with what is changed, as it was when the change began, so that an upload
        # which begins or ends meanwhile is lost. Until then the image's name tells whose it is.
        run.waiter.call(lambda: _mark(run, image_id), check=run.check)
        return image

    def _temporary_volume(self, run: HookContext) -> tuple[int, str]:
        """Size (GiB) and id of a volume with the snapshot's content. Cinder may already be making an image of it."""
        snapshots, volumes = Snapshots(run.clients), Volumes(run.clients)
        snapshot_id = cloud_objects.known(run, snapshots, SNAPSHOT)
        if snapshot_id is None:
            raise exception.ResourceFailed(
                f"the temporary snapshot of volume {run.resource.id} was deleted by somebody"
            )
        size = cloud_objects.look(run, snapshots, snapshot_id).size

        def create(name: str, marks: Mapping[str, str]) -> str:
            with translated(f"creating the temporary volume of volume {run.resource.id}"):
                return run.clients.cinder().volumes.create(size, snapshot_id=snapshot_id, name=name, metadata=marks).id

        volume_id = cloud_objects.ensure(run, volumes, TEMPORARY_VOLUME, create)
        run.waiter.until(
            f"volume {volume_id} to become available",
            lambda: volumes.get(volume_id),
            done=lambda volume: volume.status in ("available", "uploading"),
            failed=volumes.failure,
            timeout=self.plugin.timeout(run, size),
            check=run.check,
        )
        return size, volume_id


class Restore(ResourceOperation):
    """Four steps. The restored volume is a result: it goes only when the operation fails."""

    plugin: "VolumeGlanceProtection"

    def main(self, run: HookContext) -> dict[str, Any]:
        document = data.get_metadata(run)
        timeout = self.plugin.timeout(run, document["volume"]["size"])
        remarks: list[str] = []
        volumes = Volumes(run.clients)
        volume_id = cloud_objects.known(run, volumes, VOLUME)
        if volume_id is None:
            run.report.step("making an image")
            image = data.make_image(run, TEMPORARY_IMAGE, document["image"], keep=False, timeout=timeout)
            run.report.step("making a volume of the image")
            volume_id, remarks = self._create(run, volumes, image.id, document["volume"])
        run.report.step("waiting for the volume")
        cloud_objects.wait(run, volumes, volume_id, timeout)
        run.report.step("deleting the temporary image")
        cloud_objects.remove(run, Images(run.clients), TEMPORARY_IMAGE)
        run.report.step("restoring the volume's metadata")
        name = run.parameters.get("restore_name") or document["volume"]["name"]
        run.waiter.call(lambda: metadata.apply(run.clients, volume_id, document["volume"], name), check=run.check)
        return {"restored": {run.resource.key: volume_id}, "remarks": remarks}

    def cleanup(self, run: HookContext) -> None:
        cloud_objects.remove_all(run, {TEMPORARY_IMAGE: Images(run.clients), VOLUME: Volumes(run.clients)})

    def _create(
        self, run: HookContext, volumes: Volumes, image_id: str, document: Mapping[str, Any]
    ) -> tuple[str, list[str]]:
        arguments, remarks = run.waiter.call(lambda: metadata.placement(run.clients, document), check=run.check)
        for remark in remarks:
            LOG.warning("%s: %s", run.resource.key, remark)

        def create(name: str, marks: Mapping[str, str]) -> str:
            with translated(f"creating a volume for {run.resource.key}"):
                made = run.clients.cinder().volumes.create(
                    document["size"],
                    imageRef=image_id,
                    name=name,
                    metadata={**document["metadata"], **marks},
                    **arguments,
                )
            return made.id

        return cloud_objects.ensure(run, volumes, VOLUME, create, keep=True), remarks


class VolumeGlanceProtection(ProtectionPlugin):
    """Volumes of any Cinder driver, stored whole in the bank."""

    api_version = 1
    group = "volume_glance_plugin"
    options = (
        cfg.IntOpt(
            "seconds_per_gib",
            default=120,
            min=1,
            help="""
How long Cinder and Glance may take for each GiB of a volume whenever they copy it, on top of [waiter] timeout, before the
operation is given up.
""",
        ),
    )
    schemas = {resource.VOLUME: Schemas(OPTIONS_SCHEMA, RESTORE_SCHEMA, SAVED_INFO_SCHEMA, data.VERIFY_SCHEMA)}
    operations = {
        OperationType.PROTECT: Protect,
        OperationType.RESTORE: Restore,
        OperationType.DELETE: data.Delete,
        OperationType.VERIFY: data.Verify,
        OperationType.COPY: SectionCopy,
    }

    def timeout(self, run: HookContext, size: int) -> float:
        """Seconds that a cloud may take to copy *size* GiB."""
        return run.waiter.timeout + size * self.conf.seconds_per_gib


def _at_rest(run: HookContext) -> Any:
    """The volume to protect, when nothing is being done to it."""
    volumes, what = Volumes(run.clients), f"volume {run.resource.id}"

    def get() -> Any:
        volume = volumes.get(run.resource.id)
        if getattr(volume, "os-vol-tenant-attr:tenant_id", run.project_id) != run.project_id:
            raise exception.ResourceNotFound(f"{what} does not exist")
        return volume

    volume = run.waiter.until(
        f"{what} to become available or in-use",
        get,
        done=lambda seen: seen.status in _USABLE,
        failed=lambda seen: "it is being deleted" if seen.status == "deleting" else volumes.failure(seen),
        check=run.check,
    )
    if volume.encrypted:
        raise exception.Unsupported(
            f"{what} is encrypted by Cinder: its image would be readable only with a key that is deleted with the image."
            " Protect it with a plugin that stores Cinder backups"
        )
    return volume


def _mark(run: HookContext, image_id: str) -> None:
    marks = ownership.make(run.operation_id, TEMPORARY_IMAGE, run.resource.key)
    with translated(f"marking the temporary image of volume {run.resource.id}"):
        run.clients.glance().images.update(image_id, **marks)


@dataclass
class _Seen:
    volume: Any
    image: Any | None

    @property
    def status(self) -> str:
        return self.image.status if self.image else "deleted"


class _Upload:
    """Cinder's upload of the temporary volume: the image tells when it is complete, the volume when Cinder has given up."""

    def __init__(self, run: HookContext, volume_id: str, image_id: str) -> None:
        self._run = run
        self._volumes = Volumes(run.clients)
        self._images = Images(run.clients)
        self._volume_id = volume_id
        self._image_id = image_id
        self._idle = 0

    def wait(self, timeout: float) -> Any:
        """The active image. Raises ResourceFailed with Cinder's reason as soon as it is known that there will be none."""
        seen = self._run.waiter.until(
            f"image {self._image_id} to become active",
            self._look,
            done=lambda seen: seen.status == self._images.ready,
            failed=self._failure,
            timeout=timeout,
            check=self._run.check,
        )
        return seen.image

    def _look(self) -> _Seen:
        # The volume first: when it is seen at rest, the upload is over, and what the image then says is final.
        volume = self._volumes.get(self._volume_id)
        try:
            return _Seen(volume, self._images.get(self._image_id))
        except exception.ResourceNotFound:
            return _Seen(volume, None)

    def _failure(self, seen: _Seen) -> str | None:
        if seen.image is None:
            return f"it was deleted: {self._message()}"
        failure = self._images.failure(seen.image) or self._volumes.failure(seen.volume)
        if failure:
            return failure
        at_rest = seen.volume.status != "uploading" and seen.image.status != self._images.ready
        self._idle = self._idle + 1 if at_rest else 0
        if self._idle < _GIVEN_UP:
            return None
        return f"Cinder gave up uploading volume {self._volume_id}: {self._message()}"

    def _message(self) -> str:
        return cloud_objects.cinder_message(self._run.clients, self._volume_id)
