"""The panel *Verifications*."""

import horizon
from django.utils.translation import gettext_lazy as _

from karbor_like_dashboard.common import listing


class Verifications(horizon.Panel):
    """See the views."""

    name = _("Verifications")
    slug = "verifications"
    permissions = ("openstack.services.data-protect",)
    policy_rules = listing.rules("verification:get_all")
