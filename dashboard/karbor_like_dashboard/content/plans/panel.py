"""The panel *Plans*."""

import horizon
from django.utils.translation import gettext_lazy as _

from karbor_like_dashboard.common import listing


class Plans(horizon.Panel):
    """See the views."""

    name = _("Plans")
    slug = "plans"
    permissions = ("openstack.services.data-protect",)
    policy_rules = listing.rules("plan:get_all")
