"""Quotas of shares and their snapshots per project."""

from typing import Final

from karbor_like.sandbox import errors, state

DEFAULTS: Final = {
    "shares": 1000,
    "gigabytes": 10000,
    "snapshots": 1000,
    "snapshot_gigabytes": 10000,
    "share_networks": 1000,
}
EXCEEDED: Final = {
    "shares": "Maximum number of shares allowed ({limit}) either per project/user or share type quota is exceeded.",
    "gigabytes": "Requested share exceeds allowed project/user or share type gigabytes quota.",
    "snapshots": "Maximum number of snapshots allowed ({limit}) either per project/user or share type quota is exceeded.",
    "snapshot_gigabytes": "Requested snapshot exceeds allowed project/user or share type gigabytes quota.",
}
_KIND: Final = "share_quota"


class Quotas:
    """Limits and usage. -1 means no limit."""

    def __init__(self, store: state.Store) -> None:
        self._store = store

    def limits(self, project_id: str) -> dict[str, int]:
        return DEFAULTS | (self._store.get(_KIND, project_id) or {})

    def change(self, project_id: str, limits: dict[str, int]) -> None:
        self._store.put(_KIND, project_id, {**(self._store.get(_KIND, project_id) or {}), **limits})

    def usage(self, project_id: str) -> dict[str, int]:
        """Count what the project has, in every status."""
        kinds = ("share", "share_snapshot", "share_network")
        shares, snapshots, networks = (
            [each for each in self._store.all(kind) if each["project_id"] == project_id] for kind in kinds
        )
        return {
            "shares": len(shares),
            "gigabytes": sum(share["size"] for share in shares),
            "snapshots": len(snapshots),
            "snapshot_gigabytes": sum(snapshot["size"] for snapshot in snapshots),
            "share_networks": len(networks),
        }

    def require(self, project_id: str | None, **wanted: int) -> None:
        """Check that the project may have *wanted* more of each resource.

        :raises ApiError: 413
        """
        limits, usage = self.limits(project_id or ""), self.usage(project_id or "")
        for name in sorted(wanted):
            limit = limits[name]
            if 0 <= limit < usage[name] + wanted[name]:
                raise errors.ApiError(413, EXCEEDED[name].format(limit=limit), {"Retry-After": "0"})
