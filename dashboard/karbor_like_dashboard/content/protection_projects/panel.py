"""The panel *Operations of Projects* of administrators."""

import horizon
from django.utils.translation import gettext_lazy as _

from karbor_like_dashboard.common import listing


class ProtectionProjects(horizon.Panel):
    """See the views."""

    name = _("Operations of Projects")
    slug = "protection_projects"
    permissions = ("openstack.services.data-protect",)
    policy_rules = listing.rules("service:get_all")
