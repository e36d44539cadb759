from django.urls import path

from karbor_like_dashboard.content.plans import views

urlpatterns = [
    path("", views.IndexView.as_view(), name="index"),
    path("create/", views.CreateView.as_view(), name="create"),
    path("<uuid:plan_id>/", views.DetailView.as_view(), name="detail"),
    path("<uuid:plan_id>/edit/", views.EditView.as_view(), name="edit"),
    path("<uuid:plan_id>/protect/", views.ProtectView.as_view(), name="protect"),
]
