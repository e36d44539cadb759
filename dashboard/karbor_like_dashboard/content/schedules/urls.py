from django.urls import path

from karbor_like_dashboard.content.schedules import views

urlpatterns = [
    path("", views.IndexView.as_view(), name="index"),
    path("create/", views.CreateView.as_view(), name="create"),
    path("triggers/", views.TriggersView.as_view(), name="triggers"),
    path("triggers/<uuid:trigger_id>/edit/", views.EditTriggerView.as_view(), name="edit_trigger"),
    path("<uuid:operation_id>/", views.DetailView.as_view(), name="detail"),
]
