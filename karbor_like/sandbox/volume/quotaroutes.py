"""The routes of quotas."""

from typing import Any

import webob

from karbor_like.sandbox import errors, web
from karbor_like.sandbox.volume import api
from karbor_like.sandbox.volume import quotas as quotas_module


class QuotaRoutes:
    """``/os-quota-sets`` and ``/limits``."""

    def __init__(self, quotas: quotas_module.Quotas) -> None:
        self._quotas = quotas

    def routes(self) -> list[web.Route]:
        return [
            web.Route("GET", "/v3/os-quota-sets/{project_id}", self.show),
            web.Route("PUT", "/v3/os-quota-sets/{project_id}", self.change),
            web.Route("GET", "/v3/limits", self.absolute),
        ]

    def recover(self) -> None:
        """Nothing is transitional."""

    def show(self, call: web.Call, project_id: str) -> webob.Response:
        if not call.identity.may_see(project_id):
            raise errors.forbidden("Policy doesn't allow volume_extension:quotas:show to be performed.")
        limits: dict[str, Any] = dict(self._quotas.limits(project_id))
        if call.query.get("usage", "").lower() == "true":
            usage = self._quotas.usage(project_id)
            limits = {key: {"limit": limit, "in_use": usage[key], "reserved": 0} for key, limit in limits.items()}
        return web.answer(body={"quota_set": {"id": project_id, **limits}})

    def change(self, call: web.Call, project_id: str) -> webob.Response:
        api.require_admin(call, "volume_extension:quotas:update")
        numbers = {name: {"type": "integer", "minimum": -1} for name in quotas_module.DEFAULTS}
        limits = api.checked(call, "quota_set", {**numbers, "force": {}, "tenant_id": {}})
        self._quotas.change(project_id, {key: value for key, value in limits.items() if key in quotas_module.DEFAULTS})
        return web.answer(body={"quota_set": self._quotas.limits(project_id)})

    def absolute(self, call: web.Call) -> webob.Response:
        project_id = call.identity.project_id or ""
        limits, usage = self._quotas.limits(project_id), self._quotas.usage(project_id)
        absolute = {
            "maxTotalVolumes": limits["volumes"],
            "maxTotalSnapshots": limits["snapshots"],
            "maxTotalVolumeGigabytes": limits["gigabytes"],
            "maxTotalBackups": limits["backups"],
            "maxTotalBackupGigabytes": limits["backup_gigabytes"],
            "totalVolumesUsed": usage["volumes"],
            "totalSnapshotsUsed": usage["snapshots"],
            "totalGigabytesUsed": usage["gigabytes"],
            "totalBackupsUsed": usage["backups"],
            "totalBackupGigabytesUsed": usage["backup_gigabytes"],
        }
        return web.answer(body={"limits": {"rate": [], "absolute": absolute}})
