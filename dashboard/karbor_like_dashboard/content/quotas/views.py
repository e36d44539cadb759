"""The quotas of the project, and how much of them is in use."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from horizon import views

from karbor_like_dashboard import api
from karbor_like_dashboard.common import limits, listing


class IndexView(views.HorizonTemplateView):
    template_name = "karbor_like_dashboard/quotas.html"
    page_title = _("Quotas")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        if listing.allows(self.request, "quota:get"):
            with api.reporting(self.request, _("Unable to show the quotas")):
                use = api.client(self.request).get_quota_use(self.request.user.project_id)
                context["quotas"] = limits.rows(use)
        return context
