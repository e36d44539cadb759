"""Plans, restores and operations of all projects, for administrators."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from horizon import tables

from karbor_like_dashboard import api
from karbor_like_dashboard.common import listing, progress, texts
from karbor_like_dashboard.content.operation_logs import views as logs


class Filters(listing.FilterForm):
    project_id = forms.CharField(label=_("Project ID"), max_length=64)
    status = forms.CharField(label=_("Status"), max_length=64)


class _To(tables.LinkAction):
    policy_rules = listing.rules("service:get_all")
    icon = "list"


class ToLogs(_To):
    name = "logs"
    verbose_name = _("Operations")
    url = "horizon:admin:protection_projects:index"


class ToPlans(_To):
    name = "plans"
    verbose_name = _("Plans")
    url = "horizon:admin:protection_projects:plans"


class ToRestores(_To):
    name = "restores"
    verbose_name = _("Restores")
    url = "horizon:admin:protection_projects:restores"


class Logs(listing.Table):
    started = tables.Column(lambda log: texts.moment(log.started_at), verbose_name=_("Started"))
    kind = tables.Column(lambda log: texts.operation(log.operation_type), verbose_name=_("Operation"))
    plan = tables.Column("plan_id", verbose_name=_("Plan"))
    status = listing.StatusColumn()
    duration = tables.Column(logs.duration, verbose_name=_("Duration"))
    provider = tables.Column("provider_name", verbose_name=_("Provider"))
    error = tables.Column("error_info", verbose_name=_("Error"))

    class Meta:
        name = "logs"
        verbose_name = _("Operations of all Projects")
        status_columns = ("status",)
        multi_select = False
        table_actions = (ToPlans, ToRestores)


class Plans(listing.Table):
    name = tables.Column("name", verbose_name=_("Name"))
    id = tables.Column("id", verbose_name=_("ID"))
    provider = tables.Column("provider_name", verbose_name=_("Provider"))
    count = tables.Column(lambda plan: len(plan.resources or ()), verbose_name=_("Resources"))
    status = tables.Column(lambda plan: texts.status(plan.status), verbose_name=_("Status"))

    class Meta:
        name = "plans"
        verbose_name = _("Plans of all Projects")
        multi_select = False
        table_actions = (ToLogs, ToRestores)


class Restores(listing.Table):
    id = tables.Column("id", verbose_name=_("ID"))
    project = tables.Column("project_id", verbose_name=_("Project ID"))
    provider = tables.Column("provider_name", verbose_name=_("Provider"))
    status = listing.StatusColumn()
    size = tables.Column(progress.cell, verbose_name=_("Bytes"))
    reason = tables.Column("reason", verbose_name=_("Reason"))

    class Meta:
        name = "restores"
        verbose_name = _("Restores of all Projects")
        status_columns = ("status",)
        multi_select = False
        table_actions = (ToLogs, ToPlans)


class _AllProjects(listing.ListView):
    #: The method of the client.
    method: str
    filter_class = Filters
    # The API gives objects of other projects to administrators only.
    rule = "service:get_all"

    def fetch(self, query: Mapping[str, Any]) -> api.Page:
        page = api.page(self.request, getattr(api.client(self.request), self.method), all_projects=True, **query)
        listing.with_provider_name(self.request, page.items)
        return page


class IndexView(_AllProjects):
    table_class = Logs
    method = "operation_logs"
    page_title = _("Operations of all Projects")
    unable = _("Unable to list the operations")


class PlansView(_AllProjects):
    table_class = Plans
    method = "plans"
    page_title = _("Plans of all Projects")
    unable = _("Unable to list the plans")


class RestoresView(_AllProjects):
    table_class = Restores
    method = "restores"
    page_title = _("Restores of all Projects")
    unable = _("Unable to list the restores")
