PANEL = "overview"
PANEL_DASHBOARD = "data_protection"
PANEL_GROUP = "default"
ADD_PANEL = "karbor_like_dashboard.content.overview.panel.Overview"
