from django.urls import path

from karbor_like_dashboard.content.protection_quotas import views

urlpatterns = [
    path("", views.IndexView.as_view(), name="index"),
    path("<str:project_id>/", views.ProjectView.as_view(), name="project"),
]
