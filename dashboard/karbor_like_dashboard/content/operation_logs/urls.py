from django.urls import path

from karbor_like_dashboard.content.operation_logs import views

urlpatterns = [path("", views.IndexView.as_view(), name="index")]
