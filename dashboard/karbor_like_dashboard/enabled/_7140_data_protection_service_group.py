from django.utils.translation import gettext_lazy as _

PANEL_GROUP = "data_protection_service"
PANEL_GROUP_NAME = _("Service")
PANEL_GROUP_DASHBOARD = "data_protection"
