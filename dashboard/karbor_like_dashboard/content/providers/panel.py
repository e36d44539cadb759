"""The panel *Providers*."""

import horizon
from django.utils.translation import gettext_lazy as _

from karbor_like_dashboard.common import listing


class Providers(horizon.Panel):
    """See the views."""

    name = _("Providers")
    slug = "providers"
    permissions = ("openstack.services.data-protect",)
    policy_rules = listing.rules("provider:get_all")
