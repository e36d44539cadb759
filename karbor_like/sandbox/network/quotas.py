"""Quotas of projects: how many objects of each kind they may have."""

from typing import Any

from karbor_like.sandbox import state, web
from karbor_like.sandbox.network import refusal

DEFAULTS = {
    "network": 100,
    "subnet": 100,
    "subnetpool": -1,
    "port": 500,
    "router": 10,
    "floatingip": 50,
    "security_group": 10,
    "security_group_rule": 100,
    "trunk": -1,
}
"""Limits of a project without its own; -1 means no limit."""


class Quotas:
    """The limits of all projects."""

    def __init__(self, store: state.Store) -> None:
        self._store = store

    def of(self, caller: web.Identity, project_id: str) -> dict[str, int]:
        """Return the limits of a project.

        :raises ApiError: 403 for another project than the caller's
        """
        if not caller.may_see(project_id):
            raise refusal.forbidden("get_quota")
        return self._limits(project_id)

    def _limits(self, project_id: str) -> dict[str, int]:
        return {**DEFAULTS, **(self._store.get("network_quota", project_id) or {})}

    def details(self, caller: web.Identity, project_id: str) -> dict[str, dict[str, int]]:
        """Return limits and use of a project."""
        return {
            kind: {"limit": limit, "used": self._used(project_id, kind), "reserved": 0}
            for kind, limit in self.of(caller, project_id).items()
        }

    def change(self, caller: web.Identity, project_id: str, values: dict[str, Any]) -> dict[str, int]:
        """Set limits of a project.

        :raises ApiError: 403 for a member, 400 for an unknown kind or a limit below -1
        """
        if not caller.is_admin:
            raise refusal.forbidden("update_quota")
        for kind, limit in values.items():
            if kind not in DEFAULTS or not isinstance(limit, int) or limit < -1:
                raise refusal.invalid(f"Invalid input for {kind}. Reason: {limit!r} is not a limit of a quota.")
        limits = {**self._limits(project_id), **values}
        self._store.put("network_quota", project_id, limits)
        return limits

    def reset(self, caller: web.Identity, project_id: str) -> None:
        """Give a project the default limits."""
        if not caller.is_admin:
            raise refusal.forbidden("delete_quota")
        self._store.delete("network_quota", project_id)

    def require(self, project_id: str, kind: str, count: int = 1) -> None:
        """Check that a project may have *count* more objects of a kind.

        :raises ApiError: 409
        """
        limit = self._limits(project_id).get(kind, -1)
        if limit >= 0 and self._used(project_id, kind) + count > limit:
            raise refusal.conflict("OverQuota", f"Quota exceeded for resources: ['{kind}'].")

    def _used(self, project_id: str, kind: str) -> int:
        return sum(each["project_id"] == project_id for each in self._store.all(kind))
