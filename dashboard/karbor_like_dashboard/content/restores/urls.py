from django.urls import path

from karbor_like_dashboard.content.restores import views

urlpatterns = [
    path("", views.IndexView.as_view(), name="index"),
    path("create/", views.CreateView.as_view(), name="create"),
    path("<uuid:restore_id>/", views.DetailView.as_view(), name="detail"),
    path("<uuid:restore_id>/progress/", views.ProgressView.as_view(), name="progress"),
]
