"""The processes of the service, the health of providers and queues, for administrators."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.urls import reverse_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from horizon import tables

from karbor_like_dashboard import api
from karbor_like_dashboard.common import forms as common
from karbor_like_dashboard.common import listing, texts

_INDEX = "horizon:admin:protection_services:index"


class Enable(listing.RowAction):
    name = "enable"
    icon = "play"
    present = (gettext_lazy("Enable Service"), gettext_lazy("Enable Services"))
    past = (gettext_lazy("Enabled"), gettext_lazy("Enabled"))
    policy_rules = listing.rules("service:update")

    def allowed(self, request: Any, datum: Any = None) -> bool:
        return datum is None or datum.status == "disabled"

    def act(self, request: Any, datum_id: str) -> None:
        api.client(request).enable_service(datum_id)


class Disable(tables.LinkAction):
    name = "disable"
    verbose_name = gettext_lazy("Disable Service")
    url = "horizon:admin:protection_services:disable"
    classes = ("ajax-modal",)
    icon = "pause"
    policy_rules = listing.rules("service:update")

    def allowed(self, request: Any, datum: Any = None) -> bool:
        return datum is not None and datum.status == "enabled"


class Services(listing.Table):
    binary = tables.Column("binary", verbose_name=gettext_lazy("Process"))
    host = tables.Column("host", verbose_name=gettext_lazy("Host"))
    state = tables.Column(
        "state",
        verbose_name=gettext_lazy("State"),
        status=True,
        status_choices=(("up", True), ("down", False)),
        display_choices=(("up", gettext_lazy("Up")), ("down", gettext_lazy("Down"))),
    )
    reason = tables.Column("state_reason", verbose_name=gettext_lazy("Reason"))
    status = tables.Column(
        "status",
        verbose_name=gettext_lazy("Status"),
        display_choices=(("enabled", gettext_lazy("Enabled")), ("disabled", gettext_lazy("Disabled"))),
    )
    disabled_reason = tables.Column("disabled_reason", verbose_name=gettext_lazy("Disabled because"))
    updated = tables.Column(
        lambda service: texts.moment(service.updated_at), verbose_name=gettext_lazy("Last heartbeat")
    )

    def get_object_display(self, datum: Any) -> str:
        return f"{datum.binary} {datum.host}"

    class Meta:
        name = "services"
        verbose_name = gettext_lazy("Services")
        status_columns = ("state",)
        multi_select = False
        row_actions = (Enable, Disable)


class IndexView(listing.ListView):
    table_class = Services
    template_name = "karbor_like_dashboard/services.html"
    page_title = gettext_lazy("Services")
    rule = "service:get_all"
    unable = gettext_lazy("Unable to list the services")

    def fetch(self, query: Mapping[str, Any]) -> api.Page:
        return api.Page(list(api.client(self.request).services()))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        if listing.allows(self.request, "health:get"):
            with api.reporting(self.request, _("Unable to show the health")):
                context["health"] = api.client(self.request).get_health()
        return context


class DisableForm(common.Form):
    """Why a service is disabled."""

    success = gettext_lazy("The service starts no more runs.")
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=255, required=False)

    def act(self, request: Any, data: dict[str, Any]) -> Any:
        return api.client(request).disable_service(self.initial["service_id"], data["reason"] or None)


class DisableView(common.FormView):
    form_class = DisableForm
    page_title = gettext_lazy("Disable Service")
    submit_label = gettext_lazy("Disable")
    success_url = reverse_lazy(_INDEX)
    rule = "service:update"
    help = gettext_lazy("A disabled operation engine starts no runs. What runs already continues.")

    def get_initial(self) -> dict[str, Any]:
        return {"service_id": str(self.kwargs["service_id"])}
