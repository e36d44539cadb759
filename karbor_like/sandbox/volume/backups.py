"""Backups of volumes and snapshots: full and incremental, restored, exported and imported."""

import base64
import json
from datetime import UTC, datetime
from typing import Any, Final

from karbor_like.sandbox import errors, faults, files, state, web
from karbor_like.sandbox.volume import backupstore, records
from karbor_like.sandbox.volume import snapshots as snapshots_module
from karbor_like.sandbox.volume import volumes as volumes_module

SERVICE: Final = "cinder.backup.drivers.swift.SwiftBackupDriver"
CONTAINER: Final = "volumebackups"
NO_VOLUME: Final = "00000000-0000-0000-0000-000000000000"
"""The volume of a backup while its record is imported."""
EVER: Final = "0001-01-01T01:01:01.000000"
STATES: Final = ["available", "error"]
"""The states that an administrator may set."""
RECORDED: Final = {
    "display_name": "name",
    "display_description": "description",
    **{
        key: key
        for key in (
            *(
                "id",
                "user_id",
                "project_id",
                "volume_id",
                "host",
                "availability_zone",
                "container",
                "parent_id",
                "status",
            ),
            *("fail_reason", "size", "service_metadata", "service", "object_count", "num_dependent_backups"),
            *("snapshot_id", "data_timestamp", "restore_volume_id", "metadata", "created_at", "updated_at"),
        )
    },
}
"""Names of a record's fields, and of those of a document."""
TIMES: Final = ("data_timestamp", "created_at", "updated_at")
NEEDED: Final = ("display_name", "display_description", "container", "size", "service_metadata", "object_count", "id")
NOT_IMPORTED: Final = ("user_id", "project_id", "status", "fail_reason")


class Backups(records.Records):
    """The backups of all projects."""

    kind = "backup"
    title = "Backup"

    def __init__(
        self,
        common: records.Common,
        store: backupstore.BackupStore,
        volumes: volumes_module.Volumes,
        snapshots: snapshots_module.Snapshots,
    ) -> None:
        super().__init__(common)
        self._data = store
        self._volumes = volumes
        self._snapshots = snapshots

    def recover(self) -> None:
        """End what was interrupted, as Cinder does when it starts."""
        for backup in self.all():
            if backup["status"] == "creating":
                self._failed(backup, "incomplete backup reset on manager restart")
            elif backup["status"] == "restoring":
                self._volumes.set(backup["restore_volume_id"], status="error_restoring")
                self.set(backup["id"], status="available")
            elif backup["status"] == "deleting":
                self._remove(backup)

    def create(self, caller: web.Identity, values: dict[str, Any], strikes: faults.Strikes) -> state.Document:
        """Create a backup in the background.

        :raises ApiError: 400, 404 or 413
        """
        with self._store.transaction():
            volume = self._volumes.get(caller, values["volume_id"])
            snapshot = self._snapshots.get(caller, values["snapshot_id"]) if values.get("snapshot_id") else None
            _require_source(volume, snapshot, force=values["force"])
            self._quotas.require(caller.project_id, backups=1, backup_gigabytes=volume["size"])
            parent = self._parent(caller, volume["id"], snapshot) if values["incremental"] else None
            backup = self.add(
                caller,
                {
                    "name": values.get("name"),
                    "description": values.get("description"),
                    "metadata": values.get("metadata") or {},
                    "volume_id": volume["id"],
                    "snapshot_id": snapshot["id"] if snapshot else None,
                    "parent_id": parent["id"] if parent else None,
                    "size": volume["size"],
                    "container": values.get("container"),
                    "availability_zone": values.get("availability_zone"),
                    "data_timestamp": snapshot["created_at"] if snapshot else None,
                    **_blank(),
                },
            )
            if snapshot:
                self._snapshots.set(snapshot["id"], status="backing-up")
            else:
                backup = self.set(backup["id"], data_timestamp=backup["created_at"]) or backup
                self._volumes.set(volume["id"], status="backing-up")
                if volume["attachments"]:
                    copy = self._volumes.add_temporary(caller, volume, f"backup-vol-{volume['id']}")
                    backup = self.set(backup["id"], temp_volume_id=copy["id"]) or backup
        self._jobs.start(lambda: self._back_up(backup, strikes), lambda reason: self._failed(backup, reason), strikes)
        return backup

    def _parent(self, caller: web.Identity, volume_id: str, snapshot: state.Document | None) -> state.Document:
        """Choose the parent of an incremental backup as Cinder does."""
        found = [b for b in self.all() if b["volume_id"] == volume_id and b["project_id"] == caller.project_id]

        def rank(backup: state.Document) -> str:
            usable = backup["status"] == "available"
            return backup["data_timestamp"] if usable and _is_older(backup, snapshot) else EVER

        parent = max(found, key=rank, default=None)
        if parent is None or parent["status"] != "available":
            raise errors.bad_request("Invalid backup: No backups available to do an incremental backup.")
        return parent

    def _back_up(self, backup: state.Document, strikes: faults.Strikes) -> None:
        container = backup["container"] or CONTAINER
        started = self._clock.now().strftime("%Y%m%d%H%M%S")
        prefix = f"volume_{backup['volume_id']}/{started}/az_{volumes_module.ZONE}_backup_{backup['id']}"
        if "/" in container:
            raise errors.JobFailed(f"Container PUT failed: {container} 404 Not Found")
        zone = backup["availability_zone"] or volumes_module.ZONE
        self.set(backup["id"], container=container, service_metadata=prefix, availability_zone=zone)
        name, volume = (container, prefix), self._store.get("volume", backup["volume_id"]) or {}
        parent = self._store.get(self.kind, backup["parent_id"]) if backup["parent_id"] else None
        if parent and backup["size"] > parent["size"]:
            raise errors.JobFailed("Invalid backup: Volume size increased since the last backup. Do a full backup.")
        source = self._volumes.path(backup["volume_id"])
        if backup["snapshot_id"]:
            source = self._snapshots.path(backup["snapshot_id"])
        elif temporary := backup["temp_volume_id"]:
            files.copy(source, self._volumes.path(temporary), backup["size"] * self.gib, self._jobs.check)
            source = self._volumes.path(temporary)
        extra = {key: volume.get(key) for key in ("name", "description", "metadata", "image_metadata")}
        count = self._data.write(name, source, _place(parent) if parent else None, extra, self._jobs.check)
        if strikes.find(faults.LOSE):
            self._data.remove(name)
        with self._store.transaction():
            self._release(backup)
            if self.set(backup["id"], status="available", object_count=count) is None:
                self._data.remove(name)
            elif parent:
                self._count_dependent(parent["id"], 1)

    def _failed(self, backup: state.Document, reason: str) -> None:
        with self._store.transaction():
            self._release(backup)
            self.set(backup["id"], status="error", fail_reason=reason)
        self._tell(backup, "create backup:Backup driver failed to create backup.", "013_020")

    def _release(self, backup: state.Document) -> None:
        """Give the source of a backup its former status, and remove what was made for the backup only."""
        if backup["snapshot_id"]:
            self._snapshots.set(backup["snapshot_id"], status="available")
        else:
            self._volumes.rest(backup["volume_id"])
        if backup["temp_volume_id"]:
            self._volumes.remove(backup["temp_volume_id"])

    def delete(self, caller: web.Identity, key: str, strikes: faults.Strikes, *, force: bool = False) -> None:
        """Delete a backup and its data in the background.

        :raises ApiError: 400, if its status does not allow it, or the caller's project has incremental backups on it
        """
        with self._store.transaction():
            backup = self.get(caller, key)
            if not force and backup["status"] not in ("available", "error"):
                raise errors.bad_request("Invalid backup: Backup status must be available or error")
            if any(b["parent_id"] == key and b["project_id"] == caller.project_id for b in self.all()):
                raise errors.bad_request("Invalid backup: Incremental backups exist for this backup.")
            self.set(key, status="deleting")

        def failed(reason: str) -> None:
            if self.set(key, status="error", fail_reason=reason):
                self._tell(backup, "delete backup:Backup driver failed to delete backup.", "014_025")

        self._jobs.start(lambda: self._remove(backup), failed, strikes)

    def _remove(self, backup: state.Document) -> None:
        if backup["service_metadata"]:
            self._data.remove(_place(backup))
        with self._store.transaction():
            self._store.delete(self.kind, backup["id"])
            if backup["parent_id"]:
                self._count_dependent(backup["parent_id"], -1)

    def _count_dependent(self, key: str, change: int) -> None:
        if parent := self._store.get(self.kind, key):
            self._store.change(self.kind, key, num_dependent_backups=max(0, parent["num_dependent_backups"] + change))

    def restore(
        self, caller: web.Identity, key: str, volume_id: str | None, name: str | None, strikes: faults.Strikes
    ) -> state.Document:
        """Restore a backup into a volume in the background.

        :param volume_id: None creates a volume
        :returns: the volume
        :raises ApiError: 400, 404 or 413
        """
        backup = self.get(caller, key)
        _require_available(backup)
        if volume_id is None:
            described = {
                "name": name or f"restore_backup_{key}",
                "description": "auto-created_from_restore_from_backup",
            }
            volume_id = self._volumes.create_now(caller, {"size": backup["size"], **described})["id"]
        with self._store.transaction():
            _require_available(self.get(caller, key))
            volume = self._volumes.get(caller, volume_id)
            if volume["status"] != "available":
                raise errors.bad_request("Invalid volume: Volume to be restored to must be available")
            if backup["size"] > volume["size"]:
                raise errors.bad_request(
                    f"Invalid volume: volume size {volume['size']} is too small to restore backup of size {backup['size']}."
                )
            self._volumes.set(volume_id, status="restoring-backup")
            self.set(key, status="restoring", restore_volume_id=volume_id)
        if strikes.find(faults.LOSE):
            self._data.remove(_place(backup))

        def failed(reason: str) -> None:
            self._volumes.set(volume["id"], status="error_restoring")
            self.set(key, status="available")
            self._tell(backup, "restore backup:Backup driver failed to restore backup.", "015_026")

        self._jobs.start(lambda: self._restore(backup, volume), failed, strikes)
        return volume

    def _restore(self, backup: state.Document, volume: state.Document) -> None:
        path = self._volumes.path(volume["id"])
        with path.open("r+b") as file:
            file.truncate(0)
            file.truncate(volume["size"] * self.gib)
        restored = self._data.restore([_place(b) for b in self._chain(backup)], path, self._jobs.check)
        for saved in restored:
            self._volumes.describe(volume["id"], saved)
        with self._store.transaction():
            now = self._store.get("volume", volume["id"]) or volume
            if (
                backup["volume_id"] != volume["id"]
                or now["metadata"].get("src_backup_id", backup["id"]) != backup["id"]
            ):
                metadata = {**now["metadata"], "src_backup_id": backup["id"]}
                self._volumes.set(volume["id"], metadata=metadata)
            self._volumes.set(volume["id"], status="available")
            self.set(backup["id"], status="available")

    def _chain(self, backup: state.Document) -> list[state.Document]:
        chain = [backup]
        while parent_id := chain[0]["parent_id"]:
            parent = self._store.get(self.kind, parent_id)
            if parent is None:
                raise errors.JobFailed(f"Backup {parent_id} could not be found.")
            chain.insert(0, parent)
        return chain

    def export(self, caller: web.Identity, key: str) -> dict[str, str]:
        """Return the record of a backup, with which another site finds its data.

        :raises ApiError: 400, if it is not available
        """
        backup = self.get(caller, key)
        if backup["status"] != "available":
            raise errors.bad_request(f"Invalid backup: Backup status must be available and not {backup['status']}.")
        record = {name: backup[field] for name, field in RECORDED.items()}
        record |= {name: f"{record[name][:19]}Z" for name in TIMES}
        unused = ("temp_volume_id", "temp_snapshot_id", "encryption_key_id", "deleted_at")
        record |= {**dict.fromkeys(unused), "deleted": False, "driver_info": {}}
        return {"backup_service": SERVICE, "backup_url": base64.b64encode(json.dumps(record).encode()).decode()}

    def import_record(self, caller: web.Identity, service: str, url: str, strikes: faults.Strikes) -> state.Document:
        """Add the record of a backup, in the background, to the caller's project. Its data is not looked at.

        :raises ApiError: 400, if the record is unusable, or there is a backup with its id
        """
        record = _decoded(url)
        with self._store.transaction():
            if self._store.get(self.kind, record["id"]):
                raise errors.bad_request("Invalid backup: Backup already exists in database.")
            self._quotas.require(caller.project_id, backups=1, backup_gigabytes=record["size"])
            values = {"id": record["id"], "size": 0, "volume_id": NO_VOLUME, "data_timestamp": None}
            nothing = dict.fromkeys(("name", "description", "snapshot_id", "parent_id", "container"))
            blank = {**_blank(), "metadata": {}, "availability_zone": None, "service": None}
            backup = self.add(caller, {**nothing, **blank, **values})

        def work() -> None:
            if not SERVICE.startswith(service):
                raise errors.JobFailed(
                    "Import record failed, cannot find backup service to perform the import. "
                    f"Request service {service}."
                )
            if missing := [name for name in NEEDED if name not in record]:
                raise errors.JobFailed(
                    "Driver successfully decoded imported backup data, but there are missing fields "
                    f"({', '.join(missing)})."
                )
            fields = {field: record[name] for name, field in RECORDED.items() if name in record}
            fields |= {name: _time(fields[name]) for name in TIMES if fields.get(name)}
            fields = {field: value for field, value in fields.items() if field not in NOT_IMPORTED}
            fields |= {"service": SERVICE, "availability_zone": volumes_module.ZONE, "status": "available"}
            self._store.change(self.kind, backup["id"], **fields)

        def failed(reason: str) -> None:
            self.set(backup["id"], status="error", fail_reason=reason)

        self._jobs.start(work, failed, strikes)
        return backup

    def _tell(self, backup: state.Document, text: str, code: str) -> None:
        self._messages.add(backup["project_id"], "VOLUME_BACKUP", backup["id"], text, code)


def _blank() -> dict[str, Any]:
    """Return the fields that a backup receives later."""
    later = dict.fromkeys(("fail_reason", "service_metadata", "restore_volume_id", "temp_volume_id"))
    return {**later, "object_count": 0, "num_dependent_backups": 0, "service": SERVICE, "host": "sandbox"}


def _place(backup: state.Document) -> tuple[str, str]:
    return str(backup["container"]), str(backup["service_metadata"])


def _is_older(backup: state.Document, snapshot: state.Document | None) -> bool:
    return snapshot is None or backup["data_timestamp"] < snapshot["created_at"]


def _require_source(volume: state.Document, snapshot: state.Document | None, *, force: bool) -> None:
    if snapshot:
        if snapshot["volume_id"] != volume["id"]:
            raise errors.bad_request(
                f"Invalid volume: Volume {volume['id']} does not match with snapshot.volume_id {snapshot['volume_id']}."
            )
        if snapshot["status"] != "available":
            raise errors.bad_request(
                "Invalid snapshot: Snapshot to be backed up must be available, "
                f'but the current status is "{snapshot["status"]}".'
            )
    elif volume["status"] not in ("available", "in-use"):
        raise errors.bad_request(
            "Invalid volume: Volume to be backed up must be available or in-use, "
            f'but the current status is "{volume["status"]}".'
        )
    elif volume["status"] == "in-use" and not force:
        raise errors.bad_request("Invalid volume: Backing up an in-use volume must use the force flag.")


def _require_available(backup: state.Document) -> None:
    if backup["status"] != "available":
        raise errors.bad_request("Invalid backup: Backup status must be available")


def _decoded(url: str) -> dict[str, Any]:
    try:
        record = json.loads(base64.b64decode(url))
    except ValueError:
        record = None
    if not isinstance(record, dict):
        raise errors.bad_request("Invalid input received: Can't parse backup record.")
    if "id" not in record:
        raise errors.bad_request("Invalid input received: Provided backup record is missing an id")
    if "size" not in record:
        raise errors.bad_request("Invalid input received: Provided backup record is missing size attribute")
    return record


def _time(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
