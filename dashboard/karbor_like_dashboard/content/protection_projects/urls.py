from django.urls import path

from karbor_like_dashboard.content.protection_projects import views

urlpatterns = [
    path("", views.IndexView.as_view(), name="index"),
    path("plans/", views.PlansView.as_view(), name="plans"),
    path("restores/", views.RestoresView.as_view(), name="restores"),
]
