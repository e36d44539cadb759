from django.utils.translation import gettext_lazy as _

PANEL_GROUP = "data_protection_admin"
PANEL_GROUP_NAME = _("Data Protection")
PANEL_GROUP_DASHBOARD = "admin"
