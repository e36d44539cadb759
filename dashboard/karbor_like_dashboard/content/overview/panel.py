"""The panel *Overview*."""

import horizon
from django.utils.translation import gettext_lazy as _

from karbor_like_dashboard.common import listing


class Overview(horizon.Panel):
    """See the views."""

    name = _("Overview")
    slug = "overview"
    permissions = ("openstack.services.data-protect",)
    policy_rules = listing.rules("plan:get_all")
