"""The dashboard *Data Protection*. The files in ``enabled`` add its panels."""

import horizon
from django.utils.translation import gettext_lazy as _


class DataProtection(horizon.Dashboard):
    """What a tenant sees. Hidden where the catalogue lacks the service."""

    name = _("Data Protection")
    slug = "data_protection"
    default_panel = "overview"
    permissions = ("openstack.services.data-protect",)


horizon.register(DataProtection)
