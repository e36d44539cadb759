"""The pages about schedules: scheduled operations with their triggers."""

from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from horizon.utils import memoized

from karbor_like_dashboard import api
from karbor_like_dashboard.common import forms as common
from karbor_like_dashboard.common import listing, texts
from karbor_like_dashboard.content.operation_logs import views as logs
from karbor_like_dashboard.content.schedules import forms as schedule_forms
from karbor_like_dashboard.content.schedules import tables as schedule_tables

_INDEX = "horizon:data_protection:schedules:index"

#: Runs that the page of a schedule shows; there is a link to all.
_LAST = 10


class Filters(listing.FilterForm):
    name = forms.CharField(label=gettext_lazy("Name contains"), max_length=255)


class IndexView(listing.ListView):
    table_class = schedule_tables.Schedules
    page_title = gettext_lazy("Schedules")
    filter_class = Filters
    rule = "scheduled_operation:list"
    unable = gettext_lazy("Unable to list the schedules")

    def fetch(self, query: Mapping[str, Any]) -> api.Page:
        client = api.client(self.request)
        page = api.page(self.request, client.scheduled_operations, **query)
        triggers: dict[str, Any] = {}
        plans: dict[str, Any] = {}
        with api.reporting(self.request, _("Unable to list the triggers and plans")):
            triggers = {trigger.id: trigger for trigger in api.some(client.triggers)}
            plans = {plan.id: plan.name for plan in api.some(client.plans)}
        for each in page.items:
            trigger = triggers.get(each.trigger_id)
            runs = schedule_tables.next_runs(each)
            plan_id = (each.operation_definition or {}).get("plan_id")
            each.plan_name = plans.get(str(plan_id), plan_id)
            each.when = texts.trigger(trigger.properties) if trigger else each.trigger_id
            each.next_run = runs[0] if runs else "-"
        return page


class TriggersView(listing.ListView):
    table_class = schedule_tables.Triggers
    page_title = gettext_lazy("Triggers")
    filter_class = Filters
    rule = "trigger:list"
    unable = gettext_lazy("Unable to list the triggers")

    def fetch(self, query: Mapping[str, Any]) -> api.Page:
        return api.page(self.request, api.client(self.request).triggers, **query)


class DetailView(listing.DetailView):
    template_name = "karbor_like_dashboard/schedule.html"
    rule = "scheduled_operation:get"
    unable = gettext_lazy("Unable to show the schedule")

    def back(self) -> str:
        return reverse(_INDEX)

    def fetch(self) -> Any:
        return api.client(self.request).get_scheduled_operation(str(self.kwargs["operation_id"]))

    def more(self, shown: Any) -> dict[str, Any]:
        client = api.client(self.request)
        definition = shown.operation_definition or {}
        context: dict[str, Any] = {
            "actions": schedule_tables.Schedules(self.request).render_row_actions(shown),
            "url": self.back(),
            "kind": texts.operation(shown.operation_type),
            "rules": [(title, definition[name]) for name, title in texts.RETENTION.items() if definition.get(name)],
            "plan_id": definition.get("plan_id"),
            "provider_id": definition.get("provider_id"),
            "next_runs": schedule_tables.next_runs(shown),
        }
        with api.reporting(self.request, _("Unable to show the trigger")):
            trigger = client.get_trigger(shown.trigger_id)
            context.update(when=texts.trigger(trigger.properties), trigger=trigger)
        if context["rules"]:
            with api.reporting(self.request, _("Unable to simulate the retention")):
                context["simulated"] = [
                    {**each, "created": texts.moment(datetime.fromisoformat(each["timestamp"]))}
                    for each in client.get_retention(shown.id)["checkpoints"][: api.MOST]
                ]
        with api.reporting(self.request, _("Unable to list the runs")):
            context.update(self._runs(client, shown.id))
        return context

    def _runs(self, client: api.Client, operation_id: str) -> dict[str, Any]:
        """Return the last runs of a schedule, and links to the log with all runs and with those before the ones shown."""
        newest = client.operation_logs(
            scheduled_operation_id=operation_id, paginated=False, limit=_LAST + 1, sort=api.NEWEST_FIRST
        )
        found = list(islice(newest, _LAST + 1))
        shown, query = found[:_LAST], {"scheduled_operation_id": operation_id}
        log = reverse("horizon:data_protection:operation_logs:index")
        return {
            "runs": [
                {
                    "started": texts.moment(each.started_at),
                    "status": texts.status(each.status),
                    "state": each.status,
                    "error": each.error_info,
                    "duration": logs.duration(each),
                    "url": logs.address(each),
                }
                for each in shown
            ],
            "all_runs": f"{log}?{urlencode(query)}",
            "older_runs": f"{log}?{urlencode({**query, 'marker': shown[-1].id})}" if len(found) > _LAST else None,
        }


class CreateView(common.FormView):
    form_class = schedule_forms.Create
    page_title = gettext_lazy("Create Schedule")
    submit_label = gettext_lazy("Create")
    success_url = reverse_lazy(_INDEX)
    rule = "scheduled_operation:create"
    help = gettext_lazy(
        "The schedule acts in your name, with your roles in this project. Without numbers, everything is kept."
    )

    @memoized.memoized_method
    def get_initial(self) -> dict[str, Any]:
        plans: list[Any] = []
        with api.reporting(self.request, _("Unable to list the plans"), redirect=str(self.success_url)):
            plans = api.some(api.client(self.request).plans)
        wanted = next((plan for plan in plans if plan.id == self.request.GET.get("plan")), None)
        return {"plans": plans, **({"plan_id": wanted.id, "name": wanted.name} if wanted else {})}

    def get_form(self, form_class: Any = None) -> Any:
        with api.reporting(self.request, _("Unable to list the triggers"), redirect=str(self.success_url)):
            return super().get_form(form_class)


class EditTriggerView(common.FormView):
    form_class = schedule_forms.EditTrigger
    page_title = gettext_lazy("Change Times")
    submit_label = gettext_lazy("Save")
    success_url = reverse_lazy(_INDEX)
    rule = "trigger:update"
    help = gettext_lazy("All schedules that use the trigger run at the new times.")

    @memoized.memoized_method
    def get_initial(self) -> dict[str, Any]:
        with api.reporting(self.request, _("Unable to show the trigger"), redirect=str(self.success_url)):
            trigger = api.client(self.request).get_trigger(str(self.kwargs["trigger_id"]))
        known = trigger.properties or {}
        return {
            "trigger": trigger,
            "name": trigger.name,
            "pattern": known.get("pattern"),
            "timezone": known.get("timezone"),
            "state": schedule_forms.state_of(trigger),
        }
