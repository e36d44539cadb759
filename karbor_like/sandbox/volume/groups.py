"""Groups of volumes: their types, the groups, and snapshots of all volumes of a group at once."""

from collections.abc import Callable
from typing import Any, Final

from karbor_like.sandbox import errors, faults, state, web
from karbor_like.sandbox.volume import records
from karbor_like.sandbox.volume import snapshots as snapshots_module
from karbor_like.sandbox.volume import volumes as volumes_module

JOINING: Final = ("available", "in-use")
LEAVING: Final = ("available", "in-use", "error", "error_deleting")


class GroupTypes:
    """The group types, which administrators manage and all projects use."""

    def __init__(self, store: state.Store) -> None:
        self._store = store

    def all(self) -> list[state.Document]:
        return self._store.all("group_type")

    def get(self, key: str) -> state.Document:
        """Return a type by id or name.

        :raises ApiError: 404
        """
        for kind in self.all():
            if key in (kind["id"], kind["name"]):
                return kind
        raise errors.not_found(f"Group type {key} could not be found.")

    def create(self, values: dict[str, Any]) -> state.Document:
        """Add a type.

        :raises ApiError: 409, if there is one with this name
        """
        if any(kind["name"] == values["name"] for kind in self.all()):
            raise errors.conflict(f"Group Type {values['name']} already exists.")
        kind = {"id": web.new_id(), "description": None, "is_public": True, "group_specs": {}, **values}
        self._store.put("group_type", kind["id"], kind)
        return kind

    def add_specs(self, key: str, specs: dict[str, str]) -> None:
        kind = self.get(key)
        self._store.change("group_type", kind["id"], group_specs={**kind["group_specs"], **specs})

    def delete(self, key: str) -> None:
        """Delete a type.

        :raises ApiError: 400, if a group has it
        """
        kind = self.get(key)
        if any(group["group_type"] == kind["id"] for group in self._store.all("group")):
            raise errors.bad_request(
                f"Target group type is still in use. Group Type {kind['id']} deletion is not allowed with groups "
                "present with the type."
            )
        self._store.delete("group_type", kind["id"])


class Groups(records.Records):
    """The groups of all projects. A volume names its group."""

    kind = "group"
    title = "Group"

    def __init__(self, common: records.Common, types: GroupTypes, volumes: volumes_module.Volumes) -> None:
        super().__init__(common)
        self._types = types
        self._volumes = volumes

    def recover(self) -> None:
        """Mark interrupted groups as failed and continue deletions."""
        for group in self.all():
            if group["status"] in ("creating", "updating"):
                self.set(group["id"], status="error")
            elif group["status"] == "deleting":
                self._remove(group["id"])

    def volumes(self, key: str) -> list[state.Document]:
        """Return the volumes of a group."""
        return [volume for volume in self._volumes.all() if volume.get("group_id") == key]

    def create(self, caller: web.Identity, values: dict[str, Any], strikes: faults.Strikes) -> state.Document:
        """Create an empty group in the background.

        :raises ApiError: 404 for an unknown type, 413 over quota
        """
        kind = self._types.get(values["group_type"])
        for name in values["volume_types"]:
            if name not in volumes_module.TYPES:
                raise errors.not_found(f"Volume type {name} could not be found.")
        with self._store.transaction():
            self._quotas.require(caller.project_id, groups=1)
            described = {"name": None, "description": None} | records.described(values)
            zone = values.get("availability_zone") or volumes_module.ZONE
            fields = {"group_type": kind["id"], "volume_types": values["volume_types"], "availability_zone": zone}
            group = self.add(caller, described | fields)
        self.start(group, lambda: self._available(group["id"]), strikes)
        return group

    def _available(self, key: str) -> None:
        self.set(key, status="available")

    def change(self, caller: web.Identity, key: str, values: dict[str, Any], strikes: faults.Strikes) -> None:
        """Change name and description, and add and remove volumes in the background.

        :raises ApiError: 400
        """
        with self._store.transaction():
            group = self.get(caller, key)
            member_ids = [volume["id"] for volume in self.volumes(key)]
            added = [v for v in _ids(values.get("add_volumes")) if v not in member_ids]
            removed = _ids(values.get("remove_volumes"))
            for volume_id in added:
                self._require_joining(group, volume_id)
            for volume_id in removed:
                self._require_leaving(group, volume_id, member_ids)
            described = {name: value for name, value in records.described(values).items() if value != group[name]}
            if not (described or added or removed):
                raise errors.bad_request(
                    f"Invalid Group: Cannot update group {key} because no valid name, description, add_volumes, "
                    "or remove_volumes were provided."
                )
            if (added or removed) and group["status"] != "available":
                raise errors.bad_request("Invalid Group: Group status must be available.")
            self.set(key, **described, status="updating" if added or removed else "available")

        def work() -> None:
            with self._store.transaction():
                for volume_id in (*added, *removed):
                    self._volumes.set(volume_id, group_id=key if volume_id in added else None)
                self._available(key)

        if added or removed:
            self.start(group, work, strikes)

    def _require_joining(self, group: state.Document, volume_id: str) -> None:
        volume = self._store.get("volume", volume_id)
        problem = None
        if volume is None:
            problem = "because volume cannot be found."
        elif volume.get("group_id"):
            problem = f"because it is already in group {volume['group_id']}."
        elif volume["project_id"] != group["project_id"]:
            problem = "as they belong to different projects."
        elif volume["volume_type"] not in group["volume_types"]:
            problem = f"because volume type {volume['volume_type']} is not supported by the group."
        elif volume["status"] not in JOINING:
            problem = f"because volume is in an invalid state: {volume['status']}. Valid states are: {JOINING}."
        if problem:
            raise errors.bad_request(f"Invalid volume: Cannot add volume {volume_id} to group {group['id']} {problem}")

    def _require_leaving(self, group: state.Document, volume_id: str, member_ids: list[str]) -> None:
        volume = self._store.get("volume", volume_id) or {}
        problem = None
        if volume_id not in member_ids:
            problem = "it is not in the group."
        elif volume["status"] not in LEAVING:
            problem = f"volume is in an invalid state: {volume['status']}. Valid states are: {LEAVING}."
        if problem:
            raise errors.bad_request(
                f"Invalid volume: Cannot remove volume {volume_id} from group {group['id']} because {problem}"
            )

    def delete(self, caller: web.Identity, key: str, strikes: faults.Strikes, *, volumes: bool) -> None:
        """Delete a group in the background.

        :param volumes: whether to delete its volumes too
        :raises ApiError: 400, if its status, its volumes or its snapshots do not allow it
        """
        with self._store.transaction():
            group, members = self.get(caller, key), self.volumes(key)
            problem = None
            if not volumes and group["status"] not in ("available", "error"):
                problem = f"Group status must be available or error, but current status is: {group['status']}"
            elif any(taken["group_id"] == key for taken in self._store.all("group_snapshot")):
                problem = "Group has existing snapshots."
            elif members and not volumes:
                problem = f"Group {key} still contains volumes. The delete-volumes flag is required to delete it."
            elif any(volume["attachments"] for volume in members):
                problem = f"Volume in group {key} is attached. Need to detach first."
            elif {s["volume_id"] for s in self._store.all("snapshot")} & {volume["id"] for volume in members}:
                problem = "Volume in group still has dependent snapshots."
            if problem:
                raise errors.bad_request(f"Invalid Group: {problem}")
            self.set(key, status="deleting")
            for volume in members:
                self._volumes.set(volume["id"], status="deleting")
        self.start(group, lambda: self._remove(key), strikes, "error_deleting")

    def _remove(self, key: str) -> None:
        for volume in self.volumes(key):
            self._volumes.remove(volume["id"])
        self._store.delete(self.kind, key)


class GroupSnapshots(records.Records):
    """Snapshots of groups: each has a snapshot of every volume of its group."""

    kind = "group_snapshot"
    title = "GroupSnapshot"

    def __init__(self, common: records.Common, groups: Groups, snapshots: snapshots_module.Snapshots) -> None:
        super().__init__(common)
        self._groups = groups
        self._snapshots = snapshots

    def recover(self) -> None:
        """Mark interrupted snapshots as failed and continue deletions."""
        for taken in self.all():
            if taken["status"] == "creating":
                self.set(taken["id"], status="error")
            elif taken["status"] == "deleting":
                self._remove(taken["id"])

    def members(self, key: str) -> list[state.Document]:
        """Return the snapshots of a group snapshot."""
        return [snapshot for snapshot in self._snapshots.all() if snapshot.get("group_snapshot_id") == key]

    def create(
        self, caller: web.Identity, values: dict[str, Any], strikes: faults.Strikes, path: Callable[[str], Any]
    ) -> state.Document:
        """Take snapshots of all volumes of a group in the background.

        :param path: returns the data file of a volume
        :raises ApiError: 400, if a volume is in error; 404; 413 over quota
        """
        with self._store.transaction():
            group = self._groups.get(caller, values["group_id"])
            volumes = self._groups.volumes(group["id"])
            if any(volume["status"] == "error" for volume in volumes):
                raise errors.bad_request(
                    "Invalid volume: The snapshot cannot be created when the volume is in error status."
                )
            described = {"name": None, "description": None} | records.described(values)
            taken = self.add(caller, described | {"group_id": group["id"], "group_type_id": group["group_type"]})
            members = [
                (volume, self._snapshots.enter(caller, volume, {**described, "group_snapshot_id": taken["id"]}))
                for volume in volumes
            ]

        def work() -> None:
            for volume, snapshot in members:
                self._snapshots.take(snapshot, path(volume["id"]))
            self.set(taken["id"], status="available")

        def failed(reason: str) -> None:
            for _, snapshot in members:
                self._snapshots.set(snapshot["id"], status="error")
            self.set(taken["id"], status="error")

        self._jobs.start(work, failed, strikes)
        return taken

    def delete(self, caller: web.Identity, key: str, strikes: faults.Strikes) -> None:
        """Delete a group snapshot with its snapshots in the background.

        :raises ApiError: 400, if its status does not allow it
        """
        with self._store.transaction():
            taken = self.get(caller, key)
            if taken["status"] not in ("available", "error"):
                raise errors.bad_request(
                    "Invalid GroupSnapshot: GroupSnapshot status must be available or error, and no Group can be "
                    "currently using it as source for its creation."
                )
            self.set(key, status="deleting")
            for snapshot in self.members(key):
                self._snapshots.set(snapshot["id"], status="deleting")
        self.start(taken, lambda: self._remove(key), strikes, "error_deleting")

    def _remove(self, key: str) -> None:
        for snapshot in self.members(key):
            self._snapshots.remove(snapshot["id"])
        self._store.delete(self.kind, key)


def _ids(text: str | None) -> list[str]:
    return [part for part in (text or "").split(",") if part]
