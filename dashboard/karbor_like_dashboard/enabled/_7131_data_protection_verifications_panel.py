PANEL = "verifications"
PANEL_DASHBOARD = "data_protection"
PANEL_GROUP = "data_protection_records"
ADD_PANEL = "karbor_like_dashboard.content.verifications.panel.Verifications"
