"""The panel *Checkpoints*."""

import horizon
from django.utils.translation import gettext_lazy as _

from karbor_like_dashboard.common import listing


class Checkpoints(horizon.Panel):
    """See the views."""

    name = _("Checkpoints")
    slug = "checkpoints"
    permissions = ("openstack.services.data-protect",)
    policy_rules = listing.rules("provider:checkpoint_get_all")
