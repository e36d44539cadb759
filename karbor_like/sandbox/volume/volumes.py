"""Volumes: created empty or from snapshots, images and other volumes; uploaded to images; attached; deleted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from karbor_like.sandbox import errors, faults, files, state, web
from karbor_like.sandbox.image import images as images_module
from karbor_like.sandbox.image import inspection
from karbor_like.sandbox.volume import records
from karbor_like.sandbox.volume import snapshots as snapshots_module

DELETABLE = ("available", "error", "error_restoring", "error_extending", "error_managing")
SOURCES = ("snapshot_id", "source_volid", "imageRef")
IMAGE_FACTS = ("checksum", "min_ram", "disk_format", "min_disk", "container_format", "size")
ENCRYPTED = "sandbox-encrypted"
TYPES = ("sandbox", "sandbox-fast")
HIDDEN_TYPES = (ENCRYPTED,)
"""Types that lists leave out: a test names them."""
ZONE = "nova"


class Volumes(records.Records):
    """The volumes of all projects."""

    kind = "volume"
    title = "Volume"

    def __init__(
        self,
        common: records.Common,
        folder: Path,
        images: images_module.Images,
        snapshots: snapshots_module.Snapshots,
    ) -> None:
        super().__init__(common, folder)
        self._images = images
        self._snapshots = snapshots

    def recover(self) -> None:
        """Mark unfinished volumes as failed, end uploads and continue deletions, as Cinder does when it starts."""
        for volume in self.all():
            if volume["status"] in ("creating", "downloading", "reverting"):
                self.set(volume["id"], status="error")
            elif volume["status"] == "uploading":
                self.set(volume["id"], status=_resting(volume))
            elif volume["status"] == "deleting":
                self.remove(volume["id"])

    def create(self, caller: web.Identity, values: dict[str, Any], strikes: faults.Strikes) -> state.Document:
        """Create a volume in the background.

        :raises ApiError: 400 for invalid parameters, 404 for a source that is not visible to the caller, 413 over quota
        """
        volume, path, image = self._new(caller, values)
        self.start(volume, lambda: self._fill(volume, path, image), strikes)
        return volume

    def create_now(self, caller: web.Identity, values: dict[str, Any]) -> state.Document:
        """Create a volume, and return it when it is available.

        :raises ApiError: as for :meth:`create`
        :raises JobFailed: its source cannot be copied; the volume is then in the status ``error``
        """
        volume, path, image = self._new(caller, values)
        try:
            self._fill(volume, path, image)
        except errors.JobFailed:
            self.set(volume["id"], status="error")
            raise
        return volume

    def add_temporary(self, caller: web.Identity, volume: state.Document, name: str) -> state.Document:
        """Add a volume that Cinder makes for itself while it works on another one. The caller fills and removes it."""
        temporary, _, _ = self._new(caller, {"size": volume["size"], "name": name})
        return self.set(temporary["id"], status="available") or temporary

    def _new(
        self, caller: web.Identity, values: dict[str, Any]
    ) -> tuple[state.Document, Path | None, state.Document | None]:
        """Add a volume; return it, the file with its future data, and the image if it is made of one."""
        if unsupported := [name for name in ("backup_id", "group_id") if values.get(name)]:
            raise errors.bad_request(f"The sandbox does not support {unsupported[0]} of a new volume.")
        given = [key for key in SOURCES if values.get(key)]
        if len(given) > 1:
            raise errors.bad_request(f"May specify only one of {', '.join(SOURCES)}.")
        source, smallest, path, image = self._source(caller, given[0] if given else "", values)
        fields: dict[str, Any] = {
            "name": None,
            "description": None,
            "metadata": {},
            "size": _size(values.get("size"), smallest),
            "volume_type": _type(values.get("volume_type")),
            "availability_zone": values.get("availability_zone") or ZONE,
            "bootable": image is not None or bool(source and source.get("bootable")),
            "multiattach": bool(values.get("multiattach")),
            "snapshot_id": values.get("snapshot_id"),
            "source_volid": values.get("source_volid"),
            "image_metadata": _image_metadata(image) if image else (source or {}).get("image_metadata"),
            "attachments": [],
            "group_id": None,
        }
        with self._store.transaction():
            self._quotas.require(caller.project_id, volumes=1, gigabytes=fields["size"])
            volume = self.add(caller, fields | records.described(values))
        return volume, path, image

    def _source(
        self, caller: web.Identity, key: str, values: dict[str, Any]
    ) -> tuple[state.Document | None, int, Path | None, state.Document | None]:
        """Return the source of a new volume: its document, minimum size in GiB, data file, and the image if it is one."""
        if key == "snapshot_id":
            snapshot = self._snapshots.get(caller, values[key])
            if snapshot["status"] != "available":
                raise errors.bad_request(
                    f"Invalid snapshot: Originating snapshot status must be one of available, is {snapshot['status']}."
                )
            return (
                self._store.get("volume", snapshot["volume_id"]),
                snapshot["size"],
                self._snapshots.path(snapshot["id"]),
                None,
            )
        if key == "source_volid":
            volume = self.get(caller, values[key])
            if volume["status"] not in ("available", "in-use"):
                raise errors.bad_request(
                    f"Invalid volume: status of {volume['id']} must be available or in-use, is {volume['status']}."
                )
            return volume, volume["size"], self.path(volume["id"]), None
        if key == "imageRef":
            image = self._usable_image(caller, values[key])
            gibibytes = max(image["min_disk"], -(-image["size"] // self.gib), 1)
            return None, gibibytes, self._images.path(image), image
        return None, 1, None, None

    def _usable_image(self, caller: web.Identity, image_id: str) -> state.Document:
        try:
            image = self._images.get(caller, image_id)
        except errors.ApiError:
            raise errors.bad_request("Invalid image identifier or unable to access requested image.") from None
        if image["status"] != "active":
            raise errors.bad_request(f"Invalid input received: Image {image_id} is not active.")
        return image

    def _fill(self, volume: state.Document, source: Path | None, image: state.Document | None) -> None:
        path = self.path(volume["id"])
        if image:
            self.set(volume["id"], status="downloading")
            if image["disk_format"] != "raw":
                raise errors.JobFailed(
                    f"Image {image['id']} is unacceptable: the sandbox cannot convert {image['disk_format']}"
                )
            if self._jobs.inspect_content and source and inspection.inspect(source):
                raise errors.JobFailed(
                    f"Image {image['id']} is unacceptable: The image format was claimed to be 'raw' but the image data "
                    "appears to be in a different format."
                )
        try:
            if source is None:
                path.touch()
                with path.open("r+b") as file:
                    file.truncate(volume["size"] * self.gib)
            else:
                files.copy(source, path, volume["size"] * self.gib, self._jobs.check)
        except FileNotFoundError:
            raise errors.JobFailed(
                f"Volume {volume['id']} could not be created: its source was deleted meanwhile"
            ) from None
        if self.set(volume["id"], status="available") is None:
            files.remove(path)

    def delete(
        self, caller: web.Identity, key: str, strikes: faults.Strikes, *, cascade: bool = False, force: bool = False
    ) -> None:
        """Delete a volume in the background.

        :raises ApiError: 400, if its status does not allow it or snapshots depend on it
        """
        with self._store.transaction():
            volume = self.get(caller, key)
            snapshots = self._snapshots.of_volume(key)
            free = not volume["attachments"] and not volume.get("group_id")
            if not force and (volume["status"] not in DELETABLE or not free or _remain(snapshots, cascade=cascade)):
                raise errors.bad_request(
                    f"Invalid volume: Volume status must be {' or '.join(DELETABLE)} and must not be migrating, "
                    "attached, belong to a group, have snapshots, awaiting a transfer, or be disassociated from "
                    "snapshots after volume transfer."
                )
            self.set(key, status="deleting")
            for snapshot in snapshots if cascade else ():
                self._snapshots.set(snapshot["id"], status="deleting")

        def work() -> None:
            for snapshot in snapshots if cascade else ():
                self._snapshots.remove(snapshot["id"])
            self.remove(key)

        self.start(volume, work, strikes, "error_deleting")

    def revert(self, caller: web.Identity, key: str, snapshot_id: str | None, strikes: faults.Strikes) -> None:
        """Revert a volume to its latest snapshot in the background.

        :raises ApiError: 400, if it is not the latest one; 409, if the status of one of them does not allow it
        """
        with self._store.transaction():
            self.get(caller, key)
            snapshots = self._snapshots.of_volume(key)
            if not snapshots:
                raise errors.bad_request(f"Volume {key} doesn't have any snapshots.")
            latest = max(snapshots, key=lambda snapshot: snapshot["created_at"])
            if latest["id"] != snapshot_id:
                raise errors.bad_request(
                    f"Specified snapshot {snapshot_id} is None or not the latest one of volume {key}."
                )
            self._begin_revert(key, latest)

        def work() -> None:
            volume = self._store.get(self.kind, key) or {}
            files.copy(self._snapshots.path(latest["id"]), self.path(key), volume["size"] * self.gib, self._jobs.check)
            ended("available")

        def ended(status: str) -> None:
            self.set(key, status=status)
            self._snapshots.set(latest["id"], status="available")

        self._jobs.start(work, lambda reason: ended("error"), strikes)

    def _begin_revert(self, key: str, snapshot: state.Document) -> None:
        volume = self._store.get(self.kind, key) or {}
        for what, noun, document in (("volume", "Volume", volume), ("snapshot", "Snapshot", snapshot)):
            if document["status"] != "available":
                raise errors.conflict(
                    f"Invalid {what}: Can't revert volume {key} to its latest snapshot {snapshot['id']}. "
                    f"{noun}'s status must be 'available'."
                )
        self.set(key, status="reverting")
        self._snapshots.set(snapshot["id"], status="restoring")

    def upload(
        self, caller: web.Identity, key: str, values: dict[str, Any], strikes: faults.Strikes
    ) -> tuple[state.Document, state.Document]:
        """Upload a volume to a new image, and return both as they are when the upload starts."""
        if not values.get("image_name"):
            raise errors.bad_request("No image_name was specified in request.")
        disk_format = values.get("disk_format") or "raw"
        if disk_format != "raw":
            raise errors.bad_request(f"Invalid disk_format {disk_format!r}: the sandbox supports raw images only.")
        with self._store.transaction():
            volume = self.get(caller, key)
            allowed = ("available", "in-use") if values.get("force") else ("available",)
            if volume["status"] not in allowed:
                raise errors.bad_request(
                    f"Invalid volume: Volume {key} status must be {' or '.join(allowed)}, is {volume['status']}."
                )
            image = self._images.create(
                caller,
                {
                    **{
                        k: v
                        for k, v in (volume["image_metadata"] or {}).items()
                        if k not in (*IMAGE_FACTS, "image_id", "image_name")
                    },
                    "name": values["image_name"],
                    "container_format": values.get("container_format") or "bare",
                    "disk_format": disk_format,
                    "visibility": values.get("visibility") or "private",
                    "protected": bool(values.get("protected")),
                },
            )
            volume = self.set(key, status="uploading") or volume
        self._start_upload(caller, volume, image, strikes)
        return volume, image

    def _start_upload(
        self, caller: web.Identity, volume: state.Document, image: state.Document, strikes: faults.Strikes
    ) -> None:
        short = strikes.find(faults.SHORT)

        def chunks() -> Iterator[bytes]:
            path = self.path(volume["id"])
            converted = inspection.convert(path) if self._jobs.inspect_content else None
            for chunk in converted or (files.read(path, 0, short.after_bytes) if short else files.read(path)):
                self._jobs.check()
                yield chunk

        def work() -> None:
            try:
                self._images.store_bytes(image["id"], chunks())
            except (errors.ApiError, ValueError) as error:  # Cinder's message does not have Glance's reason
                raise errors.JobFailed("copy volume to image: Failed to upload volume to image at backend.") from error
            self.set(volume["id"], status=_resting(volume))

        def failed(reason: str) -> None:
            if (left := self._store.get("image", image["id"])) and left["status"] != "active":
                self._store.delete("image", image["id"])
            self.set(volume["id"], status=_resting(volume))
            self._messages.add(volume["project_id"], "VOLUME", volume["id"], reason)

        self._jobs.start(work, failed, strikes)

    def attach(self, caller: web.Identity, key: str, server_id: str, device: str) -> str:
        """Attach a volume, and return the id of the attachment.

        :raises ApiError: 400, if the volume is not available
        """
        with self._store.transaction():
            volume = self.get(caller, key)
            if volume["status"] != "available":
                raise errors.bad_request(
                    f"Invalid volume: volume '{key}' status must be 'available'. Currently in '{volume['status']}'"
                )
            attachment_id = web.new_id()
            attachment = {"id": key, "attachment_id": attachment_id, "volume_id": key, "server_id": server_id}
            attachment |= {"host_name": "sandbox", "device": device, "attached_at": self.now()}
            self.set(key, status="in-use", attachments=[attachment])
        return attachment_id

    def rest(self, key: str) -> None:
        """Set the status that a volume has when nothing happens to it."""
        if volume := self._store.get(self.kind, key):
            self.set(key, status=_resting(volume))

    def describe(self, key: str, saved: dict[str, Any]) -> None:
        """Describe a restored volume as the backed-up one, as far as Cinder does."""
        volume = self._store.get(self.kind, key)
        if volume is None:
            return
        fields: dict[str, Any] = {}
        if saved["name"] and (volume["name"] or "restore_backup_").startswith("restore_backup_"):
            fields = {"name": saved["name"], "description": saved["description"]}
        if saved["metadata"]:
            fields["metadata"] = saved["metadata"]
        if saved["image_metadata"]:
            fields |= {"image_metadata": saved["image_metadata"], "bootable": True}
        self.set(key, **fields)

    def extend(self, caller: web.Identity, key: str, size: Any) -> None:
        """Make a volume larger; the new part is zero.

        :raises ApiError: 400, if it is not available, or would not grow
        """
        volume = self.get(caller, key)
        if volume["status"] != "available" or not isinstance(size, int) or size <= volume["size"]:
            raise errors.bad_request(
                f"Invalid input received: New size for extend must be greater than {volume['size']}"
            )
        with self.path(key).open("r+b") as file:
            file.truncate(size * self.gib)
        self.set(key, size=size)

    def reserve(self, key: str) -> None:
        """Keep an attached volume for its server, which is shelved. Cinder then shows no attachment."""
        self.set(key, status="reserved", attachments=[])

    def detach(self, key: str) -> None:
        self.set(key, status="available", attachments=[])

    def discard(self, key: str) -> None:
        """Delete a volume that ends with its server. Cinder refuses to, and it stays, if it has snapshots."""
        if not self._snapshots.of_volume(key):
            self.remove(key)


def _resting(volume: state.Document) -> str:
    return "in-use" if volume["attachments"] else "available"


def _remain(snapshots: list[state.Document], *, cascade: bool) -> bool:
    """Return whether a volume has snapshots that its deletion does not delete."""
    if not cascade:
        return bool(snapshots)
    deletable = ("available", "error", "deleting")
    return any(s["status"] not in deletable or s.get("group_snapshot_id") for s in snapshots)


def _size(size: Any, smallest: int) -> int:
    if size is None or size == "":
        return smallest
    try:
        number = int(size)
    except (TypeError, ValueError):
        number = 0
    if number <= 0:
        raise errors.bad_request(f"Invalid input received: Volume size {size!r} must be an integer and greater than 0")
    if number < smallest:
        raise errors.bad_request(
            f"Invalid input received: Volume size {number}GB cannot be smaller than {smallest}GB, the size of its source."
        )
    return number


def _type(name: str | None) -> str:
    if name and name not in (*TYPES, *HIDDEN_TYPES):
        raise errors.not_found(f"Volume type with name {name} could not be found.")
    return name or TYPES[0]


def _image_metadata(image: state.Document) -> dict[str, str]:
    facts = {key: str(image[key]) for key in IMAGE_FACTS if image[key] is not None}
    return {**images_module.properties(image), **facts, "image_id": image["id"], "image_name": image["name"] or ""}


def shown(call: web.Call, volume: state.Document) -> dict[str, Any]:
    """Return a volume in the form of the API."""
    keys = (
        *("id", "name", "description", "status", "size", "volume_type", "availability_zone", "metadata", "created_at"),
        *("updated_at", "user_id", "snapshot_id", "source_volid", "multiattach", "attachments"),
    )
    body = {key: volume[key] for key in keys} | {
        "bootable": str(volume["bootable"]).lower(),
        "encrypted": volume["volume_type"] == ENCRYPTED,
        "replication_status": None,
        "consistencygroup_id": None,
        "group_id": volume.get("group_id"),
        "links": [],
        "os-vol-tenant-attr:tenant_id": volume["project_id"],
        "os-vol-host-attr:host": "sandbox@files#files",
        "volume_type_id": volume["volume_type"],
        "consumes_quota": True,
    }
    if volume["image_metadata"]:
        body["volume_image_metadata"] = volume["image_metadata"]
    if not call.identity.roles & {"admin", "service"}:
        body["attachments"] = [{**each, "host_name": None} for each in volume["attachments"]]
    if volume.get("readonly"):
        body["metadata"] = {**volume["metadata"], "readonly": "True"}  # Cinder shows the flag in the metadata
    return body
