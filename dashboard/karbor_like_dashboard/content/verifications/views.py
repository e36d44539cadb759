"""The pages about verifications."""

from collections.abc import Mapping
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy

from karbor_like_dashboard import api
from karbor_like_dashboard.common import listing, progress
from karbor_like_dashboard.content.verifications import tables as verification_tables


class IndexView(listing.ListView):
    table_class = verification_tables.Verifications
    page_title = gettext_lazy("Verifications")
    filter_class = listing.RequestFilterForm
    rule = "verification:get_all"
    unable = gettext_lazy("Unable to list the verifications")
    description = gettext_lazy("A verification starts on the page of a checkpoint.")

    def fetch(self, query: Mapping[str, Any]) -> api.Page:
        page = api.page(self.request, api.client(self.request).verifications, **query)
        listing.with_provider_name(self.request, page.items)
        return page


def _context(verification: Any) -> dict[str, Any]:
    poll = reverse("horizon:data_protection:verifications:progress", args=[verification.id])
    return {**progress.context(verification), "poll_url": poll}


class DetailView(listing.DetailView):
    template_name = "karbor_like_dashboard/verification.html"
    rule = "verification:get"
    unable = gettext_lazy("Unable to show the verification")

    def back(self) -> str:
        return reverse("horizon:data_protection:verifications:index")

    def fetch(self) -> Any:
        return api.client(self.request).get_verification(str(self.kwargs["verification_id"]))

    def more(self, shown: Any) -> dict[str, Any]:
        listing.with_provider_name(self.request, [shown])
        return {
            "actions": verification_tables.Verifications(self.request).render_row_actions(shown),
            "url": self.back(),
            **_context(shown),
        }


class ProgressView(progress.View):
    """The fragment of the page that changes while the verification runs."""

    def fragment(self) -> dict[str, Any]:
        return _context(api.client(self.request).get_verification(str(self.kwargs["verification_id"])))
