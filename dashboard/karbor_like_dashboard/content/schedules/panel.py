"""The panel *Schedules*."""

import horizon
from django.utils.translation import gettext_lazy as _

from karbor_like_dashboard.common import listing


class Schedules(horizon.Panel):
    """See the views."""

    name = _("Schedules")
    slug = "schedules"
    permissions = ("openstack.services.data-protect",)
    policy_rules = listing.rules("scheduled_operation:list")
