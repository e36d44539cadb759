"""The panel *Operation Log*."""

import horizon
from django.utils.translation import gettext_lazy as _

from karbor_like_dashboard.common import listing


class OperationLogs(horizon.Panel):
    """See the views."""

    name = _("Operation Log")
    slug = "operation_logs"
    permissions = ("openstack.services.data-protect",)
    policy_rules = listing.rules("operation_log:list")
