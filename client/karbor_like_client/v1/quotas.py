"""Quotas of projects."""

from typing import Any

from openstack import proxy, resource

from karbor_like_client.v1 import base


class Limits(base.Resource):
    """Limits: numbers of objects, -1 for no limit. With their use: objects with ``limit``, ``in_use`` and ``reserved``."""

    allow_fetch = allow_commit = True

    plans = resource.Body("plans")
    checkpoints = resource.Body("checkpoints")
    triggers = resource.Body("triggers")
    scheduled_operations = resource.Body("scheduled_operations")
    restores = resource.Body("restores")
    verifications = resource.Body("verifications")


class Quota(Limits):
    """The quota of a project. Its id is that of the project."""

    resource_key = "quota"
    base_path = "/quotas"
    allow_delete = True


class QuotaUse(Quota):
    """The quota of a project with its use."""

    base_path = "/quotas/%(project_id)s/detail"
    requires_id = False
    project_id = resource.URI("project_id")


class QuotaDefaults(Quota):
    """The quota of projects without their own limits."""

    base_path = "/quotas/%(project_id)s/defaults"
    requires_id = False
    project_id = resource.URI("project_id")


class Quotas(proxy.Proxy):
    """Requests about quotas."""

    def get_quota(self, project: Any) -> Quota:
        """Return the limits of a project.

        :param project: its id
        """
        return self._get(Quota, project)

    def get_quota_use(self, project: str) -> QuotaUse:
        """Return the limits of a project, and how much of them is in use.

        :param project: its id
        """
        return self._get(QuotaUse, None, requires_id=False, project_id=project)

    def get_quota_defaults(self, project: str) -> QuotaDefaults:
        """Return the limits that apply to a project without its own.

        :param project: its id
        """
        return self._get(QuotaDefaults, None, requires_id=False, project_id=project)

    def update_quota(self, project: str, **limits: Any) -> Quota:
        """Set limits of a project. Only administrators may."""
        return self._update(Quota, project, **limits)

    def delete_quota(self, project: str) -> None:
        """Delete the limits of a project: the defaults apply. Only administrators may."""
        self._delete(Quota, project, ignore_missing=False)
