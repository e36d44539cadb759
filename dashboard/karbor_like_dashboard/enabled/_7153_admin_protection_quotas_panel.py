PANEL = "protection_quotas"
PANEL_DASHBOARD = "admin"
PANEL_GROUP = "data_protection_admin"
ADD_PANEL = "karbor_like_dashboard.content.protection_quotas.panel.ProtectionQuotas"
