"""Creation and deletion of servers."""

import re
from typing import Any

from karbor_like.sandbox import errors, faults, jobs, state, web
from karbor_like.sandbox.compute import api, disks, flavors, interfaces, keypairs, quotas, servergroups, servers
from karbor_like.sandbox.image import images as images_module
from karbor_like.sandbox.volume import volumes as volumes_module

NETWORK = {
    "uuid": {"type": "string"},
    "port": api.UUID_OR_NULL,
    "fixed_ip": api.IP_ADDRESS,
}
GROUP_NAME = {"type": "object", "properties": {"name": api.NAME}, "additionalProperties": False}
HINTS = {"type": "object", "properties": {"group": {"anyOf": [api.UUID, {"type": "array", "items": api.UUID}]}}}
BESIDE = {"os:scheduler_hints": HINTS, "OS-SCH-HNT:scheduler_hints": HINTS}
COMMON: dict[str, Any] = {
    "name": api.NAME,
    "imageRef": {"type": "string"},
    "flavorRef": {"type": ["string", "integer"], "minLength": 1},
    "adminPass": {"type": "string"},
    "metadata": api.METADATA,
    "OS-DCF:diskConfig": {"enum": ["AUTO", "MANUAL"]},
    "accessIPv4": {"type": "string"},
    "accessIPv6": {"type": "string"},
    "availability_zone": api.NAME,
    "config_drive": api.BOOLEAN,
    "key_name": api.NAME,
    "min_count": {"enum": [1, "1"]},
    "max_count": {"enum": [1, "1"]},
    "security_groups": {"type": "array", "items": GROUP_NAME},
    "user_data": {"type": "string", "format": "base64", "maxLength": 65535},
}
HOSTNAME = {"type": "string", "minLength": 2, "maxLength": 63, "pattern": "^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$"}
FQDN = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9-._]*$"}


class Building:
    """Builds and deletes servers in the background."""

    def __init__(
        self,
        records: servers.Servers,
        store: state.Store,
        work: jobs.Jobs,
        images: images_module.Images,
        disk_store: disks.Disks,
        interface_store: interfaces.Interfaces,
        pairs: keypairs.KeyPairs,
        groups: servergroups.ServerGroups,
        limits: quotas.Quotas,
    ) -> None:
        self._servers = records
        self._store = store
        self._jobs = work
        self._images = images
        self._disks = disk_store
        self._interfaces = interface_store
        self._pairs = pairs
        self._groups = groups
        self._quotas = limits

    def recover(self) -> None:
        """Mark servers as failed that an earlier process was building, and delete those that it was deleting.

        Other actions of that process ended; they have no effect.
        """
        for server in self._servers.all():
            if server["task_state"] == "deleting":
                self._remove(server["id"])
            elif server["status"] == "BUILD":
                self._failed(server["id"], "the host was restarted")
            elif server["task_state"]:
                self._servers.change(server["id"], task_state=None)

    def create(self, call: web.Call) -> state.Document:
        """Create a server from the body of a call.

        :raises ApiError: 400, 403 and 409 as in Nova
        """
        caller, version = call.identity, api.version(call)
        required = ("name", "flavorRef", "networks") if version >= (2, 37) else ("name", "flavorRef")
        values = api.checked(call, "server", _properties(version), *required, beside=BESIDE)
        group_id = _group(call.json())
        if group_id:
            self._groups.require(caller, group_id)
        server = self._described(caller, values, version)
        image = self._image(caller, values.get("imageRef"))
        wanted = self._disks.requested(values.get("block_device_mapping_v2"), image["id"] if image else None)
        if image:
            flavors.check_image(server["flavor_id"], image)
        server |= {"image_id": image["id"] if image else None, "image": _inherited(image)}
        self._disks.check_sources(caller, wanted)
        for disk in wanted:
            if disk["source_type"] == "image" and disk["on_volume"]:
                self._image(caller, disk["uuid"], f"failed to get image {disk['uuid']}.")
        with self._store.transaction():
            networks = self._interfaces.checked(caller, values.get("networks"))
            names = [group["name"] for group in values.get("security_groups") or () if "name" in group]
            group_ids = self._interfaces.group_ids(caller, names)
            self._quotas.require_server(caller.project_id, server["flavor_id"])
            self._servers.add(server)
            self._disks.reserve(caller, server["id"], wanted)
        key = server["id"]

        def build() -> None:
            try:
                if group_id:
                    self._groups.join(group_id, key)
                self._disks.make(caller, key, wanted)
                with self._store.transaction():
                    current = self._servers.find(key)
                    if current is None or current["task_state"] == "deleting":
                        raise errors.JobFailed("it was deleted meanwhile")
                    self._disks.attach_made(caller, key, wanted)
                    self._interfaces.allocate(caller, current, networks, group_ids)
                    self._servers.change(key, status="ACTIVE", task_state=None, launched_at=self._servers.now())
            except errors.ApiError as error:
                raise errors.JobFailed(f"Build of instance {key} aborted: {error.message}") from None

        def failed(reason: str) -> None:
            self._disks.discard_made(wanted)
            self._failed(key, reason)

        self._jobs.start(build, failed, call.strikes)
        return self._servers.get(caller, key)

    def _described(self, caller: web.Identity, values: dict[str, Any], version: api.Version) -> state.Document:
        """Return a new server without its disks and networks."""
        flavor_id = str(values["flavorRef"]).rpartition("/")[2]
        if flavor_id not in flavors.FLAVORS:
            raise errors.bad_request(f"Flavor {flavor_id} could not be found.")
        zone = values.get("availability_zone")
        if zone not in (None, volumes_module.ZONE):
            raise errors.bad_request("The requested availability zone is not available")
        if values.get("key_name"):
            try:
                self._pairs.get(caller.user_id, values["key_name"])
            except errors.ApiError:
                raise errors.bad_request("Invalid key_name provided.") from None
        key, name = web.new_id(), values["name"].strip()
        return {
            "id": key,
            "name": name,
            "description": values.get("description") if version >= (2, 19) else name,
            "project_id": caller.project_id,
            "user_id": caller.user_id,
            "status": "BUILD",
            "task_state": "spawning",
            "fault": None,
            "flavor_id": flavor_id,
            "metadata": values.get("metadata") or {},
            "tags": sorted(set(values.get("tags") or ())),
            "availability_zone": zone,
            "key_name": values.get("key_name"),
            "hostname": values.get("hostname") or _hostname(name) or f"server-{key}",
            "config_drive": api.is_true(values.get("config_drive", False)),
            "user_data": values.get("user_data"),
            "disk_config": values.get("OS-DCF:diskConfig", "MANUAL"),
            "access": {each: values.get(each, "") for each in ("accessIPv4", "accessIPv6")},
            "locked_by": None,
            "locked_reason": None,
            "launched_at": None,
            "volumes": [],
            "interfaces": [],
        }

    def _image(self, caller: web.Identity, image_id: str | None, mapping: str = "") -> state.Document | None:
        if not image_id:
            return None
        try:
            image = self._images.get(caller, image_id)
        except errors.ApiError:
            if mapping:
                raise disks.invalid(mapping) from None
            raise errors.bad_request(f"Can not find requested image {image_id}") from None
        if image["status"] != "active":
            raise errors.bad_request(f"Image {image_id} is not active.")
        if "block_device_mapping" in image:
            raise errors.bad_request(f"Image {image_id} lists snapshots of volumes; the sandbox cannot boot from it.")
        return image

    def _failed(self, key: str, reason: str) -> None:
        """Mark a server as failed. It keeps its volumes, but not its ports, until it is deleted."""
        with self._store.transaction():
            server = self._servers.find(key)
            if server and server["task_state"] != "deleting":
                self._interfaces.release(server["interfaces"])
                self._servers.change(key, interfaces=[])
                self._servers.fail(key, reason)

    def delete(self, caller: web.Identity, key: str, strikes: faults.Strikes) -> None:
        """Delete a server in the background.

        :raises ApiError: 404, 409 for a locked one
        """
        with self._store.transaction():
            servers.require_unlocked(caller, self._servers.get(caller, key))
            self._servers.change(key, task_state="deleting")
        self._jobs.start(lambda: self._remove(key), lambda reason: self._servers.fail(key, reason), strikes)

    def _remove(self, key: str) -> None:
        with self._store.transaction():
            if server := self._servers.find(key):
                self._disks.release(server)
                self._interfaces.release(server["interfaces"])
                self._servers.remove(key)


def hostname_schema(version: api.Version) -> dict[str, Any]:
    """Return the schema of a host name, which may have dots since 2.94."""
    return FQDN if version >= (2, 94) else HOSTNAME


def _properties(version: api.Version) -> dict[str, Any]:
    """Return the schema of a new server in a microversion."""
    network, mapping = dict(NETWORK), dict(disks.MAPPING)
    if version == (2, 32) or version >= (2, 42):
        mapping["tag"] = api.TAG
    if version >= (2, 67):
        mapping["volume_type"] = {"type": ["string", "null"], "maxLength": 255}
    if (2, 32) <= version < (2, 37) or version >= (2, 42):
        network["tag"] = api.TAG
    if version >= (2, 37):
        network["uuid"] = api.UUID
    networks: dict[str, Any] = {"type": "array", "items": _object(network)}
    if version >= (2, 37):
        networks = {"oneOf": [networks, {"enum": ["none", "auto"]}]}
    fixed = {"networks": networks, "block_device_mapping_v2": {"type": "array", "items": _object(mapping)}}
    return api.growing(
        version,
        COMMON | fixed,
        {
            (2, 19): {"description": api.DESCRIPTION},
            (2, 52): {"tags": api.TAGS},
            (2, 90): {"hostname": hostname_schema(version)},
        },
    )


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _group(body: dict[str, Any]) -> str | None:
    """Return the server group in the hints for the scheduler."""
    hints = body.get("os:scheduler_hints") or body.get("OS-SCH-HNT:scheduler_hints") or {}
    group = hints.get("group")
    return group[0] if isinstance(group, list) else group


def _hostname(name: str) -> str:
    """Return the host name that Nova makes of the name of a server."""
    plain = re.sub(r"[ _.]", "-", name.encode("latin-1", "ignore").decode("latin-1")[:63])
    return re.sub(r"[^\w.-]+", "", plain).lower().strip(".-")


def _inherited(image: state.Document | None) -> dict[str, Any]:
    """Return what images of a server inherit from the image that it was created of."""
    if image is None:
        return {}
    facts = {name: image[name] for name in ("min_disk", "min_ram", "disk_format", "container_format")}
    return {**images_module.properties(image), **facts}
