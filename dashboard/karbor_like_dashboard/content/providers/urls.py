from django.urls import path

from karbor_like_dashboard.content.providers import views

urlpatterns = [
    path("", views.IndexView.as_view(), name="index"),
    path("<uuid:provider_id>/", views.DetailView.as_view(), name="detail"),
]
