"""Quota classes. The class ``default`` applies to all projects without their own limits."""

from typing import Any

from openstack import proxy

from karbor_like_client.v1.quotas import Limits


class QuotaClass(Limits):
    """Limits under a name, which is the id."""

    resource_key = "quota_class"
    base_path = "/quota_classes"


class QuotaClasses(proxy.Proxy):
    """Requests about quota classes."""

    def get_quota_class(self, name: str) -> QuotaClass:
        """Return the limits of a class."""
        return self._get(QuotaClass, name)

    def update_quota_class(self, name: str, **limits: Any) -> QuotaClass:
        """Set limits of a class. Only administrators may."""
        return self._update(QuotaClass, name, **limits)
