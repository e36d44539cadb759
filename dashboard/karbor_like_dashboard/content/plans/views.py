"""The pages about plans."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext_lazy as _
from horizon import exceptions, workflows
from horizon.utils import memoized

from karbor_like_dashboard import api
from karbor_like_dashboard.common import forms as common
from karbor_like_dashboard.common import graph, listing, parameters, texts, trees
from karbor_like_dashboard.content.plans import forms as plan_forms
from karbor_like_dashboard.content.plans import tables as plan_tables
from karbor_like_dashboard.content.plans import workflows as plan_workflows

#: Checkpoints that the page of a plan shows; there is a link to all.
_LAST = 10


class Filters(listing.FilterForm):
    name = forms.CharField(label=_("Name contains"), max_length=255)
    status = forms.ChoiceField(
        label=_("Status"), choices=[("", _("Any")), ("suspended", _("Suspended")), ("started", _("Started"))]
    )


class IndexView(listing.ListView):
    table_class = plan_tables.Plans
    page_title = _("Plans")
    filter_class = Filters
    rule = "plan:get_all"
    unable = _("Unable to list the plans")

    def fetch(self, query: Mapping[str, Any]) -> api.Page:
        client = api.client(self.request)
        page = api.page(self.request, client.plans, **query)
        names: dict[str, str] = {}
        with api.reporting(self.request, _("Unable to list the providers")):
            names = api.provider_names(self.request)
        for plan in page.items:
            plan.provider_name = names.get(plan.provider_id, plan.provider_id)
        return page


class DetailView(listing.DetailView):
    template_name = "karbor_like_dashboard/plan.html"
    rule = "plan:get"
    unable = _("Unable to show the plan")

    def back(self) -> str:
        return reverse("horizon:data_protection:plans:index")

    def fetch(self) -> Any:
        return api.client(self.request).get_plan(str(self.kwargs["plan_id"]))

    def more(self, shown: Any) -> dict[str, Any]:
        client = api.client(self.request)
        table = plan_tables.Plans(self.request)
        context: dict[str, Any] = {
            "actions": table.render_row_actions(shown),
            "url": self.back(),
            "status": texts.status(shown.status),
            "provider": shown.provider_id,
        }
        resources = trees.of_plan(shown.resources or ())
        with api.reporting(self.request, _("Unable to list what the resources use")):
            resources = trees.with_dependents(client, resources)
        context["graph"] = graph.context(resources)
        with api.reporting(self.request, _("Unable to list the providers")):
            context["provider"] = api.provider_names(self.request).get(shown.provider_id, shown.provider_id)
        known = parameters.schemas(self.request, shown.provider_id, "options_schema")
        context["parameters"] = parameters.rows(shown.parameters or {}, known)
        with api.reporting(self.request, _("Unable to list the schedules of the plan")):
            context["operations"] = [
                {
                    "name": each.name,
                    "id": each.id,
                    "enabled": each.enabled,
                    "retention": texts.retention(each.operation_definition),
                }
                for each in api.some(client.scheduled_operations, operation_definition=shown.id)
            ]
        with api.reporting(self.request, _("Unable to list the checkpoints of the plan")):
            found = client.checkpoints(shown.provider_id, plan_id=shown.id, paginated=False, limit=_LAST)
            context["checkpoints"] = [
                {
                    "id": each.id,
                    "created": texts.moment(each.created_at),
                    "status": texts.status(each.status),
                    "bytes": texts.size(each.logical_bytes),
                }
                for each in found
            ]
        return context


class CreateView(workflows.WorkflowView):
    workflow_class = plan_workflows.CreatePlan
    template_name = "karbor_like_dashboard/workflow.html"
    page_title = _("Create Plan")

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        if not listing.allows(request, "plan:create"):
            raise exceptions.NotAuthorized
        return super().dispatch(request, *args, **kwargs)

    def get_initial(self) -> dict[str, Any]:
        return dict(self.request.GET.items())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        context["page_title"] = self.page_title
        for step in context["workflow"].steps:
            # Makes the form of the step, so that messages about failures are known before the page is rendered.
            assert step.action is not None
        return context


class _PlanForm(common.FormView):
    success_url = reverse_lazy("horizon:data_protection:plans:index")

    @memoized.memoized_method
    def _plan(self) -> Any:
        with api.reporting(self.request, _("Unable to show the plan"), redirect=str(self.success_url)):
            return api.client(self.request).get_plan(str(self.kwargs["plan_id"]))


class ProtectView(_PlanForm):
    form_class = plan_forms.Protect
    page_title = _("Protect Now")
    submit_label = _("Protect Now")
    rule = "provider:checkpoint_create"
    help = _("A checkpoint of all resources of the plan is made.")

    def get_initial(self) -> dict[str, Any]:
        return {"plan": self._plan()}

    def get_success_url(self) -> str:
        plan = self._plan()
        return f"{reverse('horizon:data_protection:checkpoints:index')}?provider={plan.provider_id}&plan_id={plan.id}"


class EditView(_PlanForm):
    form_class = plan_forms.Edit
    page_title = _("Edit Plan")
    submit_label = _("Save")
    rule = "plan:update"
    help = _("A plan can only be changed while it is suspended. Its provider and its parameters cannot be changed.")

    def get_initial(self) -> dict[str, Any]:
        plan = self._plan()
        return {
            "plan": plan,
            "name": plan.name,
            "description": plan.description,
            "resources": [node.key for node in trees.of_plan(plan.resources or ())],
            "state": plan_forms.state_of(plan),
        }

    def get_form(self, form_class: Any = None) -> Any:
        with api.reporting(self.request, _("Unable to list your resources"), redirect=str(self.success_url)):
            return super().get_form(form_class)
