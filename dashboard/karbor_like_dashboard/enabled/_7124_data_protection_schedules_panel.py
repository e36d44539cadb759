PANEL = "schedules"
PANEL_DASHBOARD = "data_protection"
PANEL_GROUP = "data_protection_work"
ADD_PANEL = "karbor_like_dashboard.content.schedules.panel.Schedules"
