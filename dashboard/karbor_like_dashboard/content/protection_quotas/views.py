"""The quotas of all projects, and of one, for administrators."""

from typing import Any

from django import forms
from django.shortcuts import redirect
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from horizon.utils import memoized

from karbor_like_dashboard import api
from karbor_like_dashboard.common import forms as common
from karbor_like_dashboard.common import limits

_INDEX = "horizon:admin:protection_quotas:index"


class Limits(common.Form):
    """The limits of a quota class or of a project."""

    success = gettext_lazy("The quotas were changed.")

    def __init__(self, request: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        for name, title in limits.NAMES.items():
            self.fields[name] = forms.IntegerField(
                label=title, min_value=-1, max_value=2147483647, help_text=_("-1 means that there is no limit.")
            )

    def changed(self, data: dict[str, Any]) -> dict[str, int]:
        """Return the limits that differ from those that were shown: others may have changed the rest meanwhile."""
        return {name: data[name] for name in limits.NAMES if data[name] != self.initial.get(name)}

    def act(self, request: Any, data: dict[str, Any]) -> Any:
        changes = self.changed(data)
        client = api.client(request)
        project = self.initial.get("project_id")
        if not changes:
            return True
        return client.update_quota(project, **changes) if project else client.update_quota_class("default", **changes)


class IndexView(common.FormView):
    """The limits of projects without their own, and the way to one project."""

    form_class = Limits
    template_name = "karbor_like_dashboard/admin_quotas.html"
    page_title = gettext_lazy("Quotas")
    submit_label = gettext_lazy("Save")
    success_url = reverse_lazy(_INDEX)
    rule = "quota_class:update"
    help = gettext_lazy("These limits apply to all projects without their own.")

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        project = request.GET.get("project", "").strip()
        if project and all(sign.isalnum() or sign == "-" for sign in project):
            return redirect(reverse("horizon:admin:protection_quotas:project", args=[project]))
        return super().dispatch(request, *args, **kwargs)

    @memoized.memoized_method
    def get_initial(self) -> dict[str, Any]:
        with api.reporting(self.request, _("Unable to show the quotas")):
            quota = api.client(self.request).get_quota_class("default")
            return {name: getattr(quota, name) for name in limits.NAMES}
        return {}


class ProjectView(common.FormView):
    """The limits of one project, and their use."""

    form_class = Limits
    template_name = "karbor_like_dashboard/admin_quotas.html"
    page_title = gettext_lazy("Quotas of a Project")
    submit_label = gettext_lazy("Save")
    success_url = reverse_lazy(_INDEX)
    rule = "quota:update"

    @memoized.memoized_method
    def get_initial(self) -> dict[str, Any]:
        project = self.kwargs["project_id"]
        found: dict[str, Any] = {"project_id": project}
        with api.reporting(self.request, _("Unable to show the quotas"), redirect=str(self.success_url)):
            self.use = api.client(self.request).get_quota_use(project)
            found |= {name: (getattr(self.use, name) or {}).get("limit") for name in limits.NAMES}
        return found

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        self.get_initial()
        context.update(project=self.kwargs["project_id"], quotas=limits.rows(self.use))
        return context
