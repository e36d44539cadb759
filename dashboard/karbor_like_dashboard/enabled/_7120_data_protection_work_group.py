from django.utils.translation import gettext_lazy as _

PANEL_GROUP = "data_protection_work"
PANEL_GROUP_NAME = _("Protection")
PANEL_GROUP_DASHBOARD = "data_protection"
