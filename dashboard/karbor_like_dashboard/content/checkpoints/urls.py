from django.urls import path

from karbor_like_dashboard.content.checkpoints import views

urlpatterns = [
    path("", views.IndexView.as_view(), name="index"),
    path("calendar/", views.CalendarView.as_view(), name="calendar"),
    path("<uuid:provider_id>/<uuid:checkpoint_id>/", views.DetailView.as_view(), name="detail"),
    path("<uuid:provider_id>/<uuid:checkpoint_id>/progress/", views.ProgressView.as_view(), name="progress"),
    path("<uuid:provider_id>/<uuid:checkpoint_id>/verify/", views.VerifyView.as_view(), name="verify"),
    path("<uuid:provider_id>/<uuid:checkpoint_id>/copy/", views.CopyView.as_view(), name="copy"),
]
