"""The table of plans, and the actions on them."""

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from horizon import tables

from karbor_like_dashboard import api
from karbor_like_dashboard.common import listing


class Create(tables.LinkAction):
    name = "create"
    verbose_name = _("Create Plan")
    url = "horizon:data_protection:plans:create"
    classes = ("ajax-modal",)
    icon = "plus"
    policy_rules = listing.rules("plan:create")


class Protect(tables.LinkAction):
    name = "protect"
    verbose_name = _("Protect Now")
    url = "horizon:data_protection:plans:protect"
    classes = ("ajax-modal",)
    icon = "shield"
    policy_rules = listing.rules("provider:checkpoint_create")


class Schedule(tables.LinkAction):
    name = "schedule"
    verbose_name = _("Schedule")
    url = "horizon:data_protection:schedules:create"
    classes = ("ajax-modal",)
    icon = "calendar"
    policy_rules = listing.rules("scheduled_operation:create")

    def get_link_url(self, datum: Any = None) -> str:
        return f"{reverse(self.url)}?plan={datum.id}"


class Checkpoints(tables.LinkAction):
    name = "checkpoints"
    verbose_name = _("Show Checkpoints")
    url = "horizon:data_protection:checkpoints:index"
    icon = "list"
    policy_rules = listing.rules("provider:checkpoint_get_all")

    def get_link_url(self, datum: Any = None) -> str:
        return f"{reverse(self.url)}?provider={datum.provider_id}&plan_id={datum.id}"


class Edit(tables.LinkAction):
    name = "edit"
    verbose_name = _("Edit Plan")
    url = "horizon:data_protection:plans:edit"
    classes = ("ajax-modal",)
    icon = "pencil"
    policy_rules = listing.rules("plan:update")


class Start(listing.RowAction):
    name = "start"
    icon = "play"
    present = (_("Start Plan"), _("Start Plans"))
    past = (_("Started"), _("Started"))
    policy_rules = listing.rules("plan:update")

    def allowed(self, request: Any, datum: Any = None) -> bool:
        return datum is None or datum.status == "suspended"

    def act(self, request: Any, datum_id: str) -> None:
        api.client(request).update_plan(datum_id, status="started")


class Suspend(listing.RowAction):
    name = "suspend"
    icon = "pause"
    present = (_("Suspend Plan"), _("Suspend Plans"))
    past = (_("Suspended"), _("Suspended"))
    policy_rules = listing.rules("plan:update")

    def allowed(self, request: Any, datum: Any = None) -> bool:
        return datum is None or datum.status == "started"

    def act(self, request: Any, datum_id: str) -> None:
        api.client(request).update_plan(datum_id, status="suspended")


class Delete(listing.DeleteAction):
    present = (_("Delete Plan"), _("Delete Plans"))
    past = (_("Deleted"), _("Deleted"))
    policy_rules = listing.rules("plan:delete")
    help_text = _("The checkpoints of the plan are kept.")

    def act(self, request: Any, datum_id: str) -> None:
        api.client(request).delete_plan(datum_id, ignore_missing=False)


class Plans(listing.Table):
    name = tables.Column("name", verbose_name=_("Name"), link="horizon:data_protection:plans:detail")
    description = tables.Column("description", verbose_name=_("Description"), truncate=60)
    provider = tables.Column(
        "provider_name",
        verbose_name=_("Provider"),
        link=lambda plan: reverse("horizon:data_protection:providers:detail", args=[plan.provider_id]),
    )
    count = tables.Column(lambda plan: len(plan.resources or ()), verbose_name=_("Resources"))
    status = tables.Column(
        "status",
        verbose_name=_("Status"),
        display_choices=(
            ("suspended", pgettext_lazy("status", "Suspended")),
            ("started", pgettext_lazy("status", "Started")),
        ),
    )

    class Meta:
        name = "plans"
        verbose_name = _("Plans")
        table_actions = (Create, Delete)
        row_actions = (Protect, Schedule, Checkpoints, Edit, Start, Suspend, Delete)
