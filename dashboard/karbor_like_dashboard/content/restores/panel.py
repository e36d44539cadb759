"""The panel *Restores*."""

import horizon
from django.utils.translation import gettext_lazy as _

from karbor_like_dashboard.common import listing


class Restores(horizon.Panel):
    """See the views."""

    name = _("Restores")
    slug = "restores"
    permissions = ("openstack.services.data-protect",)
    policy_rules = listing.rules("restore:get_all")
