"""The panel *Quotas* of administrators."""

import horizon
from django.utils.translation import gettext_lazy as _

from karbor_like_dashboard.common import listing


class ProtectionQuotas(horizon.Panel):
    """See the views."""

    name = _("Quotas")
    slug = "protection_quotas"
    permissions = ("openstack.services.data-protect",)
    policy_rules = listing.rules("quota:update")
