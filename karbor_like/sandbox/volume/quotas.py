"""Quotas of volumes, snapshots and backups per project."""

from typing import Final

from karbor_like.sandbox import errors, state

DEFAULTS: Final = {
    "volumes": 1000,
    "snapshots": 1000,
    "gigabytes": 10000,
    "backups": 1000,
    "backup_gigabytes": 10000,
    "groups": 1000,
    "per_volume_gigabytes": -1,
}
EXCEEDED: Final = {
    "volumes": "VolumeLimitExceeded: Maximum number of volumes allowed ({limit}) exceeded for quota 'volumes'.",
    "snapshots": "SnapshotLimitExceeded: Maximum number of snapshots allowed ({limit}) exceeded",
    "backups": "BackupLimitExceeded: Maximum number of backups allowed ({limit}) exceeded",
    "groups": "GroupLimitExceeded: Maximum number of groups allowed ({limit}) exceeded",
    "gigabytes": (
        "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota. "
        "Requested {wanted}G, quota is {limit}G and {used}G has been consumed."
    ),
    "backup_gigabytes": (
        "VolumeBackupSizeExceedsAvailableQuota: Requested backup exceeds allowed Backup gigabytes quota. "
        "Requested {wanted}G, quota is {limit}G and {used}G has been consumed."
    ),
}


class Quotas:
    """Limits and usage. -1 means no limit."""

    def __init__(self, store: state.Store) -> None:
        self._store = store

    def limits(self, project_id: str) -> dict[str, int]:
        return DEFAULTS | (self._store.get("quota", project_id) or {})

    def change(self, project_id: str, limits: dict[str, int]) -> None:
        self._store.put("quota", project_id, {**(self._store.get("quota", project_id) or {}), **limits})

    def usage(self, project_id: str) -> dict[str, int]:
        """Count what the project has, in every status."""
        kinds = ("volume", "snapshot", "backup", "group")
        own = {kind: [d for d in self._store.all(kind) if d["project_id"] == project_id] for kind in kinds}
        sizes = {kind: sum(document["size"] for document in own[kind]) for kind in kinds if kind != "group"}
        return {
            **{f"{kind}s": len(own[kind]) for kind in kinds},
            "gigabytes": sizes["volume"] + sizes["snapshot"],
            "backup_gigabytes": sizes["backup"],
            "per_volume_gigabytes": 0,
        }

    def require(self, project_id: str | None, **wanted: int) -> None:
        """Check that the project may have *wanted* more of each resource.

        :raises ApiError: 413
        """
        limits, usage = self.limits(project_id or ""), self.usage(project_id or "")
        for name in sorted(wanted):
            limit, used = limits[name], usage[name]
            if 0 <= limit < used + wanted[name]:
                text = EXCEEDED[name].format(limit=limit, wanted=wanted[name], used=used)
                raise errors.ApiError(413, text, {"Retry-After": "0"})
