"""Snapshots of volumes: copies of their data."""

from typing import Any

from karbor_like.sandbox import errors, faults, files, state, web
from karbor_like.sandbox.volume import records


class Snapshots(records.Records):
    """The snapshots of all projects."""

    kind = "snapshot"
    title = "Snapshot"

    def recover(self) -> None:
        """Mark unfinished snapshots as failed and continue deletions, as Cinder does when it starts."""
        for snapshot in self.all():
            if snapshot["status"] == "creating":
                self.set(snapshot["id"], status="error")
            elif snapshot["status"] == "restoring":
                self.set(snapshot["id"], status="available")
            elif snapshot["status"] == "deleting":
                self.remove(snapshot["id"])

    def create(
        self, caller: web.Identity, volume: state.Document, values: dict[str, Any], strikes: faults.Strikes, path: Any
    ) -> state.Document:
        """Create a snapshot of *volume*, whose data is in *path*.

        :raises ApiError: 400, if the volume's status does not allow it
        """
        allowed = ("available", "in-use") if values.get("force") else ("available",)
        if volume["status"] == "error":
            raise errors.bad_request(
                "Invalid volume: The snapshot cannot be created when the volume is in error status."
            )
        if volume["status"] not in allowed:
            raise errors.bad_request(
                f"Invalid volume: Volume {volume['id']} status must be {', '.join(allowed)}, "
                f"but current status is: {volume['status']}."
            )
        snapshot = self.enter(caller, volume, records.described(values))
        self.start(snapshot, lambda: self.take(snapshot, path), strikes)
        return snapshot

    def enter(self, caller: web.Identity, volume: state.Document, fields: dict[str, Any]) -> state.Document:
        """Add a snapshot of *volume* that :meth:`take` fills.

        :raises ApiError: 413, if the quota does not allow it
        """
        fields = {"name": None, "description": None, "metadata": {}, "group_snapshot_id": None, **fields}
        with self._store.transaction():
            self._quotas.require(caller.project_id, snapshots=1, gigabytes=volume["size"])
            return self.add(caller, fields | {"volume_id": volume["id"], "size": volume["size"]})

    def take(self, snapshot: state.Document, path: Any) -> None:
        """Copy the data of the volume, which is in *path*."""
        target = self.path(snapshot["id"])
        files.copy(path, target, snapshot["size"] * self.gib, self._jobs.check)
        if self.set(snapshot["id"], status="available") is None:
            files.remove(target)

    def delete(self, caller: web.Identity, key: str, strikes: faults.Strikes, *, force: bool = False) -> None:
        """Delete a snapshot in the background.

        :raises ApiError: 400, if its status does not allow it
        """
        with self._store.transaction():
            snapshot = self.get(caller, key)
            usable = force or snapshot["status"] in ("available", "error", "error_deleting")
            if not usable or snapshot.get("group_snapshot_id"):
                raise errors.bad_request(
                    "Invalid snapshot: Snapshot status must be available or error and must not be part of a group."
                )
            dependents = [v["id"] for v in self._store.all("volume") if v["snapshot_id"] == key]
            if dependents and not force:  # as drivers do whose new volumes share blocks with the snapshot
                raise errors.bad_request(f"Invalid snapshot: Snapshot {key} has dependent volumes {dependents}.")
            self.set(key, status="deleting")
        self.start_deletion(snapshot, strikes)

    def of_volume(self, volume_id: str) -> list[state.Document]:
        return [snapshot for snapshot in self.all() if snapshot["volume_id"] == volume_id]


def shown(snapshot: state.Document) -> dict[str, Any]:
    """Return a snapshot in the form of the API."""
    keys = ("id", "name", "description", "status", "size", "volume_id", "metadata", "created_at", "updated_at")
    return {key: snapshot[key] for key in (*keys, "user_id")} | {
        "os-extended-snapshot-attributes:progress": "0%" if snapshot["status"] == "creating" else "100%",
        "os-extended-snapshot-attributes:project_id": snapshot["project_id"],
        "group_snapshot_id": snapshot.get("group_snapshot_id"),
        "consumes_quota": True,
    }
