"""The panel *Services* of administrators."""

import horizon
from django.utils.translation import gettext_lazy as _

from karbor_like_dashboard.common import listing


class ProtectionServices(horizon.Panel):
    """See the views."""

    name = _("Services")
    slug = "protection_services"
    permissions = ("openstack.services.data-protect",)
    policy_rules = listing.rules("health:get")
