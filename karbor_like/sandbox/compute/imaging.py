"""Images of servers: of the root disk, or snapshots of all volumes if the root disk is one."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import webob

from karbor_like.sandbox import errors, faults, jobs, state, web
from karbor_like.sandbox.compute import api, disks, servers
from karbor_like.sandbox.image import images as images_module
from karbor_like.sandbox.volume import snapshots as snapshots_module
from karbor_like.sandbox.volume import volumes as volumes_module

SIZE = 1 << 20
"""Bytes of the root disk of every server."""


def content(server_id: str) -> bytes:
    """Return the bytes of the root disk of a server, which depend only on its id."""
    block = hashlib.sha256(server_id.encode()).digest()
    return block * (SIZE // len(block))


class Imaging:
    """Creates images of servers."""

    def __init__(
        self,
        records: servers.Servers,
        store: state.Store,
        work: jobs.Jobs,
        images: images_module.Images,
        volumes: volumes_module.Volumes,
        snapshots: snapshots_module.Snapshots,
    ) -> None:
        self._servers = records
        self._store = store
        self._jobs = work
        self._images = images
        self._volumes = volumes
        self._snapshots = snapshots

    def create(self, call: web.Call, key: str) -> webob.Response:
        """Create an image of a server, and return its id: in the body since 2.45, before that in the location.

        :raises ApiError: 400, 404; 409 for a server whose state forbids it
        """
        values = api.checked(call, "createImage", {"name": api.NAME, "metadata": api.METADATA}, "name")
        with self._store.transaction():
            server = self._servers.get(call.identity, key)
            servers.require_state(server, "createImage", servers.CHANGEABLE)
            given = {**values.get("metadata", {}), "name": values["name"].strip(), "visibility": "private"}
            if any(held["boot_index"] == 0 for held in server["volumes"]):
                image = self._of_volumes(call, server, given)
            else:
                image = self._of_root_disk(call, server, given)
        if api.version(call) >= (2, 45):
            return web.answer(202, {"image_id": image["id"]})
        return web.answer(202, headers={"Location": f"{call.base_url}/image/v2/images/{image['id']}"})

    def _of_root_disk(self, call: web.Call, server: state.Document, given: dict[str, Any]) -> state.Document:
        key = server["id"]
        of_nova = {"image_type": "snapshot", "instance_uuid": key, "user_id": call.identity.user_id}
        base = {"base_image_ref": server["image_id"]}
        image = self._images.create(call.identity, {**server["image"], **of_nova, **base, **given})
        self._servers.change(key, task_state="image_snapshot_pending")
        # A fault holds the upload, not the start: the image is being saved meanwhile.
        held, failing = call.strikes.find(faults.HOLD), call.strikes.find(faults.ERROR)

        def chunks() -> Iterator[bytes]:
            self._servers.change(key, task_state="image_uploading")
            if held:
                self._jobs.hold(held)
            yield content(key)

        def work() -> None:
            try:
                self._images.store_bytes(image["id"], chunks())
            except errors.ApiError as error:  # it was deleted meanwhile, or Glance refuses it
                raise errors.JobFailed(error.message) from None
            self._servers.change(key, task_state=None)

        def failed(reason: str) -> None:
            if (left := self._store.get("image", image["id"])) and left["status"] != "active":
                self._store.delete("image", image["id"])
            self._servers.change(key, task_state=None)

        self._jobs.start(work, failed, faults.Strikes([failing] if failing else []))
        return image

    def _of_volumes(self, call: web.Call, server: state.Document, given: dict[str, Any]) -> state.Document:
        """Create a snapshot of each volume, and an image without data that lists them."""
        mapping = [self._snapshot(call, held, given["name"]) for held in server["volumes"]]
        properties = {
            "root_device_name": disks.root_name(server),
            "block_device_mapping": json.dumps(mapping),
            "bdm_v2": "True",
        }
        formats = {"container_format": "bare", "disk_format": "raw"}
        image = self._images.create(call.identity, {**properties, **given, **formats})
        return self._images.store_bytes(image["id"], iter(()))

    def _snapshot(self, call: web.Call, held: dict[str, Any], name: str) -> dict[str, Any]:
        """Start to create a snapshot of a volume, and return the mapping of a new volume from it."""
        volume = self._volumes.get(call.identity, held["volume_id"])
        values = {"name": f"snapshot for {name}", "description": volume["description"], "force": True}
        path = self._volumes.path(volume["id"])
        try:
            snapshot = self._snapshots.create(call.identity, volume, values, call.strikes, path)
        except errors.ApiError as error:
            raise errors.forbidden("Quota exceeded for snapshots") if error.status == 413 else error from None
        return {
            "source_type": "snapshot",
            "destination_type": "volume",
            "snapshot_id": snapshot["id"],
            "volume_size": volume["size"],
            "boot_index": held["boot_index"],
            "device_name": held["device"],
            "delete_on_termination": held["delete_on_termination"],
            "disk_bus": None,
            "device_type": "disk" if held["boot_index"] == 0 else None,
            "guest_format": None,
            "image_id": None,
            "volume_id": None,
            "volume_type": None,
            "tag": None,
            "no_device": None,
        }
