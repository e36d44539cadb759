"""Disks of servers: block device mappings of new servers, and attached volumes."""

import string
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from karbor_like.sandbox import errors, state, web
from karbor_like.sandbox.compute import api, servers
from karbor_like.sandbox.volume import snapshots as snapshots_module
from karbor_like.sandbox.volume import volumes as volumes_module

INTEGER = {"type": ["integer", "string", "null"], "pattern": "^-?[0-9]+$"}
SIZE = {"type": ["integer", "string"], "pattern": "^[0-9]+$", "minimum": 1}
TEXT = {"type": "string", "maxLength": 255}
MAPPING = {
    "source_type": {"enum": ["volume", "image", "snapshot", "blank"]},
    "destination_type": {"enum": ["local", "volume"]},
    "uuid": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9._-]*$"},
    "boot_index": INTEGER,
    "volume_size": SIZE,
    "device_name": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9._/-]*$"},
    "delete_on_termination": api.BOOLEAN,
    "guest_format": TEXT,
    "device_type": TEXT,
    "disk_bus": TEXT,
    "no_device": {},
}
ATTACHABLE = ("ACTIVE", "PAUSED", "SHUTOFF", "SHELVED_OFFLOADED")
SOURCES = {"image": "imageRef", "snapshot": "snapshot_id", "blank": ""}
"""What a new volume is made of, as Cinder calls it."""
ROOT = "/dev/vda"


class Disks:
    """The disks of all servers. A server's record lists its attached volumes in order."""

    def __init__(
        self,
        records: servers.Servers,
        store: state.Store,
        volumes: volumes_module.Volumes,
        snapshots: snapshots_module.Snapshots,
    ) -> None:
        self._servers = records
        self._store = store
        self._volumes = volumes
        self._snapshots = snapshots

    # new servers

    def requested(self, given: Iterable[Mapping[str, Any]] | None, image_id: str | None) -> list[dict[str, Any]]:
        """Return the disks that a new server asks for, those to boot from included.

        :raises ApiError: 400 for a mapping, or a boot sequence, that Nova refuses
        """
        disks = [_mapped(each, image_id) for each in given or () if not each.get("no_device")]
        if not given and image_id:
            disks = [_mapped({"source_type": "image", "uuid": image_id, "boot_index": 0}, image_id)]
        booting = sorted(disk["boot_index"] for disk in disks if disk["boot_index"] is not None)
        both = image_id and any(disk["boot_index"] == 0 and disk["on_volume"] for disk in disks)
        if both or not booting or booting != [*range(len(booting))]:
            raise invalid("Boot sequence for the instance and image/block device mapping combination is not valid.")
        root = next(disk for disk in disks if disk["boot_index"] == 0)
        names = [disk["device"] for disk in disks if disk["device"]]
        if not root["on_volume"] and any(disk["device"] == ROOT for disk in disks if disk["on_volume"]):
            raise errors.bad_request("The volume cannot be assigned the same device name as the root device vda")
        if len(names) != len(set(names)):
            raise invalid("Some device names are given more than once.")
        taken = {ROOT, *names}
        for disk in disks:
            if disk["on_volume"]:
                disk["device"] = disk["device"] or (ROOT if disk is root else _free(taken))
                taken.add(disk["device"])
        return disks

    def check_sources(self, caller: web.Identity, disks: Sequence[Mapping[str, Any]]) -> None:
        """Check what new volumes are made of.

        :raises ApiError: 400
        """
        for disk in disks:
            kind, size = disk["source_type"], disk["volume_size"]
            if kind == "snapshot":
                try:
                    self._snapshots.get(caller, disk["uuid"])
                except errors.ApiError:
                    raise invalid(f"failed to get snapshot {disk['uuid']}.") from None
            elif kind == "image" and disk["on_volume"] and not size:
                raise errors.bad_request("Images with destination_type 'volume' need to have a non-zero size specified")
            elif kind == "blank" and disk["on_volume"] and not size:
                raise errors.bad_request("Blank volumes (source: 'blank', dest: 'volume') need to have non-zero size")
            if (name := disk["volume_type"]) and name not in volumes_module.TYPES:
                raise errors.bad_request(f"Volume type {name} could not be found.")

    def reserve(self, caller: web.Identity, key: str, disks: Iterable[dict[str, Any]]) -> None:
        """Attach the existing volumes to a new server.

        :raises ApiError: 400 for a volume that cannot be attached
        """
        for disk in disks:
            if disk["source_type"] == "volume":
                try:
                    self._attach(caller, key, disk["uuid"], disk)
                except errors.ApiError as error:
                    if error.status == 404:
                        raise invalid(f"failed to get volume {disk['uuid']}.") from None
                    raise

    def make(self, caller: web.Identity, key: str, disks: Iterable[dict[str, Any]]) -> None:
        """Create the new volumes that a new server asks for. Their ids become a part of *disks*.

        :raises JobFailed: Cinder refuses one, or cannot create it
        """
        for disk in disks:
            source = SOURCES.get(disk["source_type"])
            if source is None or not disk["on_volume"]:
                continue
            values = {"size": disk["volume_size"], "volume_type": disk["volume_type"], source: disk["uuid"]}
            values["name"] = "" if source else f"{key}-blank-vol"
            disk["volume_id"] = self._volumes.create_now(caller, values)["id"]

    def attach_made(self, caller: web.Identity, key: str, disks: Sequence[dict[str, Any]]) -> None:
        """Attach the volumes of :meth:`make`, and put all volumes of the server into the order of *disks*."""
        for disk in disks:
            if disk["source_type"] != "volume" and disk["volume_id"]:
                self._attach(caller, key, disk["volume_id"], disk)
        server = self._servers.find(key) or {"volumes": []}
        held = {each["volume_id"]: each for each in server["volumes"]}
        self._servers.change(key, volumes=[held[d["volume_id"]] for d in disks if d["volume_id"]])

    def discard_made(self, disks: Iterable[dict[str, Any]]) -> None:
        """Delete those volumes of :meth:`make` that end with their server, which was not built."""
        for disk in disks:
            if disk["source_type"] != "volume" and disk["volume_id"] and disk["delete_on_termination"]:
                self._volumes.discard(disk["volume_id"])

    # attached volumes

    def attach(self, caller: web.Identity, key: str, volume_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Attach a volume to a server, and return the attachment.

        :raises ApiError: 404; 400 or 409 for a server or volume whose state forbids it
        """
        with self._store.transaction():
            server = self._servers.get(caller, key)
            servers.require_unlocked(caller, server)
            servers.require_state(server, "attach_volume", ATTACHABLE)
            device = full_name(values.get("device"))
            if device and device in _names(server):
                raise errors.conflict(f"The supplied device path ({device}) is in use.")
            ending = api.is_true(values.get("delete_on_termination", False))
            asked = {"device": device, "tag": values.get("tag"), "delete_on_termination": ending, "boot_index": None}
            held = self._attach(caller, key, volume_id, asked)
            if server["status"] == "SHELVED_OFFLOADED":
                self._volumes.reserve(volume_id)
            return held

    def _attach(self, caller: web.Identity, key: str, volume_id: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        server = self._servers.get(caller, key)
        device = asked["device"] or _free(_names(server))
        held = {name: asked[name] for name in ("tag", "delete_on_termination", "boot_index")}
        attachment_id = self._volumes.attach(caller, volume_id, key, device)
        held |= {"volume_id": volume_id, "device": device, "attachment_id": attachment_id, "bdm_uuid": web.new_id()}
        self._servers.change(key, volumes=[*server["volumes"], held])
        return held

    def detach(self, caller: web.Identity, key: str, volume_id: str) -> None:
        """Detach a volume.

        :raises ApiError: 404, if it is not attached to that server; 403 for the volume it boots from; 409
        """
        with self._store.transaction():
            server = self._servers.get(caller, key)
            held = one(server, volume_id)
            servers.require_unlocked(caller, server)
            servers.require_state(server, "detach_volume", ATTACHABLE)
            if held["boot_index"] == 0:
                raise errors.forbidden("Cannot detach a root device volume")
            self._volumes.detach(volume_id)
            self._servers.change(key, volumes=[each for each in server["volumes"] if each != held])

    def set_ending(self, caller: web.Identity, key: str, volume_id: str, ending: bool) -> None:
        """Set whether a volume is deleted with its server.

        :raises ApiError: 404, if it is not attached to that server
        """
        with self._store.transaction():
            server = self._servers.get(caller, key)
            held = one(server, volume_id)
            volumes = [{**h, "delete_on_termination": ending} if h == held else h for h in server["volumes"]]
            self._servers.change(key, volumes=volumes)

    def reserve_all(self, server: state.Document) -> None:
        """Keep the volumes of a server that is shelved."""
        for held in server["volumes"]:
            self._volumes.reserve(held["volume_id"])

    def attach_all(self, caller: web.Identity, server: state.Document) -> None:
        """Attach the volumes of a server that is no longer shelved."""
        for held in server["volumes"]:
            self._volumes.detach(held["volume_id"])
            held["attachment_id"] = self._volumes.attach(caller, held["volume_id"], server["id"], held["device"])
        self._servers.change(server["id"], volumes=server["volumes"])

    def release(self, server: state.Document) -> None:
        """Detach all volumes of a server that is deleted, and delete those that end with it."""
        for held in server["volumes"]:
            self._volumes.detach(held["volume_id"])
            if held["delete_on_termination"]:
                self._volumes.discard(held["volume_id"])


def one(server: state.Document, volume_id: str) -> dict[str, Any]:
    """Return an attachment of a server.

    :raises ApiError: 404
    """
    for held in server["volumes"]:
        if held["volume_id"] == volume_id:
            return held
    raise errors.not_found(f"Instance {server['id']} is not attached to volume {volume_id}")


def root_name(server: state.Document) -> str:
    """Return the name of the disk that a server boots from."""
    return next((held["device"] for held in server["volumes"] if held["boot_index"] == 0), ROOT)


def invalid(reason: str) -> errors.ApiError:
    """Return the refusal of a block device mapping."""
    return errors.bad_request(f"Block Device Mapping is Invalid: {reason}")


def full_name(name: str | None) -> str | None:
    """Return the path of a device."""
    return f"/dev/{name.removeprefix('/dev/')}" if name else None


def _mapped(given: Mapping[str, Any], image_id: str | None) -> dict[str, Any]:
    kind, index = given.get("source_type"), given.get("boot_index")
    index = None if index is None or int(index) < 0 else int(index)
    on_volume = given.get("destination_type", "volume" if kind in ("volume", "snapshot") else "local") == "volume"
    if kind is None:
        raise invalid("Some required fields are missing")
    if kind == "blank" and given.get("uuid"):
        raise invalid("Invalid device UUID.")
    if kind != "blank" and not given.get("uuid"):
        raise invalid("Missing device UUID.")
    if kind == "image" and not on_volume and not (index == 0 and given["uuid"] == image_id):
        raise invalid("Mapping image to local is not supported.")
    if kind == "blank" and not on_volume:
        raise errors.bad_request("Ephemeral disks requested are larger than the instance type allows.")
    if kind == "volume" and given.get("volume_type"):
        raise invalid("Specifying volume type to existing volume is not supported.")
    return {
        "source_type": kind,
        "uuid": given.get("uuid"),
        "volume_id": given.get("uuid") if kind == "volume" else None,
        "on_volume": on_volume,
        "boot_index": index,
        "volume_size": given.get("volume_size"),
        "volume_type": given.get("volume_type"),
        "device": full_name(given.get("device_name")),
        "tag": given.get("tag"),
        "delete_on_termination": api.is_true(given.get("delete_on_termination", False)),
    }


def _names(server: state.Document) -> set[str]:
    """Return the names of the disks of a server, its own one included."""
    return {ROOT, *(held["device"] for held in server["volumes"])}


def _free(names: set[str]) -> str:
    return next(name for letter in string.ascii_lowercase if (name := f"/dev/vd{letter}") not in names)
