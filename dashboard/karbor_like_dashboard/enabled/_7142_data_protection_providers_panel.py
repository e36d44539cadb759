PANEL = "providers"
PANEL_DASHBOARD = "data_protection"
PANEL_GROUP = "data_protection_service"
ADD_PANEL = "karbor_like_dashboard.content.providers.panel.Providers"
