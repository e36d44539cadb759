from django.urls import path

from karbor_like_dashboard.content.verifications import views

urlpatterns = [
    path("", views.IndexView.as_view(), name="index"),
    path("<uuid:verification_id>/", views.DetailView.as_view(), name="detail"),
    path("<uuid:verification_id>/progress/", views.ProgressView.as_view(), name="progress"),
]
