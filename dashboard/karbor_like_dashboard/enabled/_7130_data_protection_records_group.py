from django.utils.translation import gettext_lazy as _

PANEL_GROUP = "data_protection_records"
PANEL_GROUP_NAME = _("Records")
PANEL_GROUP_DASHBOARD = "data_protection"
