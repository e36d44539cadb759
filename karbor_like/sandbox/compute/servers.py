"""Servers: records with states and attached volumes. No virtual machine runs."""

from typing import Any

from karbor_like import clock as clocks
from karbor_like.sandbox import errors, faults, jobs, state, web
from karbor_like.sandbox.image import images as images_module
from karbor_like.sandbox.volume import volumes as volumes_module

FLAVORS = {
    "1": {"name": "m1.tiny", "ram": 512, "vcpus": 1, "disk": 1},
    "2": {"name": "m1.small", "ram": 2048, "vcpus": 1, "disk": 20},
}


class Servers:
    """All servers of all projects."""

    def __init__(
        self,
        store: state.Store,
        clock: clocks.Clock,
        work: jobs.Jobs,
        images: images_module.Images,
        volumes: volumes_module.Volumes,
    ) -> None:
        self._store = store
        self._clock = clock
        self._jobs = work
        self._images = images
        self._volumes = volumes

    def recover(self) -> None:
        """Mark servers as failed that an earlier process was building, and delete those that it was deleting."""
        for server in self.all():
            if server["status"] == "BUILD":
                self._failed(server["id"], "the host was restarted")
            elif server["task_state"] == "deleting":
                self._remove(server)

    def all(self) -> list[state.Document]:
        return self._store.all("server")

    def get(self, caller: web.Identity, key: str) -> state.Document:
        """Return a server.

        :raises ApiError: 404
        """
        server = self._store.get("server", key)
        if server is None or not caller.may_see(server["project_id"]):
            raise errors.not_found(f"Instance {key} could not be found.")
        return server

    def create(self, caller: web.Identity, values: dict[str, Any], strikes: faults.Strikes) -> state.Document:
        """Create a server in the background.

        :raises ApiError: 400 for an unknown flavor, image or volume
        """
        if not values.get("name"):
            raise errors.bad_request("Invalid input for field/attribute server. 'name' is a required property")
        flavor_id = str(values.get("flavorRef", "")).rpartition("/")[2]
        if flavor_id not in FLAVORS:
            raise errors.bad_request(f"Flavor {flavor_id} could not be found.")
        devices = values.get("block_device_mapping_v2") or []
        image_id = values.get("imageRef") or None
        if not image_id and not devices:
            raise errors.bad_request("Block Device Mapping is Invalid: no image and no boot device.")
        now = self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        server = {
            "id": web.new_id(),
            "name": values["name"],
            "project_id": caller.project_id,
            "user_id": caller.user_id,
            "status": "BUILD",
            "task_state": "spawning",
            "fault": None,
            "image_id": image_id and self._image(caller, image_id)["id"],
            "flavor_id": flavor_id,
            "metadata": values.get("metadata") or {},
            "availability_zone": values.get("availability_zone") or volumes_module.ZONE,
            "key_name": values.get("key_name"),
            "volumes": [],
            "created_at": now,
            "updated_at": now,
        }
        self._store.put("server", server["id"], server)
        try:
            self._attach_devices(caller, server["id"], devices)
        except errors.ApiError as error:
            self._remove(self._store.get("server", server["id"]) or server)
            raise errors.bad_request(f"Block Device Mapping is Invalid: {error.message}") from None
        self._jobs.start(
            lambda: self._change(server["id"], status="ACTIVE", task_state=None),
            lambda reason: self._failed(server["id"], reason),
            strikes,
        )
        return self.get(caller, server["id"])

    def _image(self, caller: web.Identity, image_id: str) -> state.Document:
        try:
            return self._images.get(caller, image_id)
        except errors.ApiError:
            raise errors.bad_request(f"Can not find requested image {image_id}") from None

    def _attach_devices(self, caller: web.Identity, key: str, devices: list[dict[str, Any]]) -> None:
        for device in devices:
            if device.get("destination_type", "volume") == "local":
                continue
            if device.get("source_type") != "volume":
                raise errors.bad_request(f"the sandbox cannot create volumes from {device.get('source_type')!r}")
            self.attach(
                caller, key, device["uuid"], device.get("device_name"), bool(device.get("delete_on_termination"))
            )

    def _failed(self, key: str, reason: str) -> None:
        self._change(key, status="ERROR", task_state=None, fault=reason)

    def _change(self, key: str, **fields: Any) -> None:
        self._store.change("server", key, updated_at=self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"), **fields)

    def set_status(self, key: str, status: str) -> None:
        self._change(key, status=status)

    def shelve(self, server: state.Document) -> None:
        """Shelve and offload a server."""
        with self._store.transaction():
            for held in server["volumes"]:
                self._volumes.reserve(held["volume_id"])
            self.set_status(server["id"], "SHELVED_OFFLOADED")

    def delete(self, caller: web.Identity, key: str, strikes: faults.Strikes) -> None:
        """Delete a server in the background.

        :raises ApiError: 404
        """
        server = self.get(caller, key)
        self._change(key, task_state="deleting")
        self._jobs.start(lambda: self._remove(server), lambda reason: self._failed(key, reason), strikes)

    def _remove(self, server: state.Document) -> None:
        with self._store.transaction():
            for held in server["volumes"]:
                self._volumes.detach(held["volume_id"])
                if held["delete_on_termination"]:
                    self._volumes.remove(held["volume_id"])
            self._store.delete("server", server["id"])

    def attach(
        self, caller: web.Identity, key: str, volume_id: str, device: str | None, delete_on_termination: bool = False
    ) -> dict[str, Any]:
        """Attach a volume and return the attachment.

        :raises ApiError: 400 or 404 for a volume that cannot be attached
        """
        with self._store.transaction():
            server = self.get(caller, key)
            device = device or f"/dev/vd{chr(ord('a') + len(server['volumes']) + bool(server['image_id']))}"
            self._volumes.attach(caller, volume_id, key, device)
            held = {"volume_id": volume_id, "device": device, "delete_on_termination": delete_on_termination}
            self._change(key, volumes=[*server["volumes"], held])
        return held

    def detach(self, caller: web.Identity, key: str, volume_id: str) -> None:
        """Detach a volume.

        :raises ApiError: 404, if it is not attached to that server
        """
        with self._store.transaction():
            server = self.get(caller, key)
            left = [held for held in server["volumes"] if held["volume_id"] != volume_id]
            if len(left) == len(server["volumes"]):
                raise errors.not_found(f"Volume {volume_id} is not attached to server {key}.")
            self._volumes.detach(volume_id)
            self._change(key, volumes=left)
