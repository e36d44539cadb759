"""The panel *Quotas*."""

import horizon
from django.utils.translation import gettext_lazy as _

from karbor_like_dashboard.common import listing


class Quotas(horizon.Panel):
    """See the views."""

    name = _("Quotas")
    slug = "quotas"
    permissions = ("openstack.services.data-protect",)
    policy_rules = listing.rules("quota:get")
