from django.urls import path

from karbor_like_dashboard.content.protection_services import views

urlpatterns = [
    path("", views.IndexView.as_view(), name="index"),
    path("<int:service_id>/disable/", views.DisableView.as_view(), name="disable"),
]
