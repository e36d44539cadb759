"""The tables of schedules and of triggers."""

from datetime import UTC, datetime
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from horizon import tables

from karbor_like_dashboard import api
from karbor_like_dashboard.common import listing, texts
from karbor_like_dashboard.exceptions import Failure


def next_runs(of: Any) -> list[str]:
    """Return the next runs of a trigger or of a scheduled operation, as texts; none if the API does not state them."""
    found = []
    for each in getattr(of, "next_runs", None) or ():
        try:
            moment = datetime.fromisoformat(str(each))
            # The API states times in UTC without a zone.
            found.append(texts.moment(moment if moment.tzinfo else moment.replace(tzinfo=UTC)))
        except ValueError:
            found.append(str(each))
    return found


class Create(tables.LinkAction):
    name = "create"
    verbose_name = _("Create Schedule")
    url = "horizon:data_protection:schedules:create"
    classes = ("ajax-modal",)
    icon = "plus"
    policy_rules = listing.rules("scheduled_operation:create")


class ShowTriggers(tables.LinkAction):
    name = "triggers"
    verbose_name = _("Triggers")
    url = "horizon:data_protection:schedules:triggers"
    icon = "clock-o"
    policy_rules = listing.rules("trigger:list")


class _Switch(listing.RowAction):
    enabled: bool
    policy_rules = listing.rules("scheduled_operation:update")

    def allowed(self, request: Any, datum: Any = None) -> bool:
        return datum is None or datum.enabled != self.enabled

    def act(self, request: Any, datum_id: str) -> None:
        api.client(request).update_scheduled_operation(datum_id, enabled=self.enabled)


class Pause(_Switch):
    name = "pause"
    icon = "pause"
    enabled = False
    present = (_("Pause Schedule"), _("Pause Schedules"))
    past = (_("Paused"), _("Paused"))


class Resume(_Switch):
    name = "resume"
    icon = "play"
    enabled = True
    present = (_("Resume Schedule"), _("Resume Schedules"))
    past = (_("Resumed"), _("Resumed"))


class RunNow(listing.RowAction):
    name = "run"
    icon = "shield"
    present = (_("Run Now"), _("Run Now"))
    past = (_("Started"), _("Started"))
    policy_rules = listing.rules("scheduled_operation:run")

    def allowed(self, request: Any, datum: Any = None) -> bool:
        return datum is None or bool(datum.enabled)

    def act(self, request: Any, datum_id: str) -> None:
        run = api.client(request).run_scheduled_operation(datum_id)
        if run.status == "skipped":
            raise Failure(str(run.reason))


class EditTrigger(tables.LinkAction):
    name = "edit_trigger"
    verbose_name = _("Change Times")
    classes = ("ajax-modal",)
    icon = "pencil"
    policy_rules = listing.rules("trigger:update")

    def get_link_url(self, datum: Any = None) -> str:
        trigger_id = getattr(datum, "trigger_id", None) or datum.id
        return reverse("horizon:data_protection:schedules:edit_trigger", args=[trigger_id])


class Delete(listing.DeleteAction):
    present = (_("Delete Schedule"), _("Delete Schedules"))
    past = (_("Deleted"), _("Deleted"))
    policy_rules = listing.rules("scheduled_operation:delete")
    help_text = _("A run that has started continues. The trigger is kept.")

    def act(self, request: Any, datum_id: str) -> None:
        api.client(request).delete_scheduled_operation(datum_id, ignore_missing=False)


class Schedules(listing.Table):
    name = tables.Column("name", verbose_name=_("Name"), link="horizon:data_protection:schedules:detail")
    plan = tables.Column(
        "plan_name",
        verbose_name=_("Plan"),
        link=lambda each: reverse("horizon:data_protection:plans:detail", args=[each.operation_definition["plan_id"]]),
    )
    when = tables.Column("when", verbose_name=_("Runs"))
    next_run = tables.Column("next_run", verbose_name=_("Next run"))
    retention = tables.Column(lambda each: texts.retention(each.operation_definition), verbose_name=_("Retention"))
    enabled = tables.Column(lambda each: _("Active") if each.enabled else _("Paused"), verbose_name=_("State"))
    reason = tables.Column("disabled_reason", verbose_name=_("Reason"))

    class Meta:
        name = "schedules"
        verbose_name = _("Schedules")
        table_actions = (Create, ShowTriggers, Delete)
        row_actions = (RunNow, Pause, Resume, EditTrigger, Delete)


class DeleteTrigger(listing.DeleteAction):
    present = (_("Delete Trigger"), _("Delete Triggers"))
    past = (_("Deleted"), _("Deleted"))
    policy_rules = listing.rules("trigger:delete")

    def act(self, request: Any, datum_id: str) -> None:
        api.client(request).delete_trigger(datum_id, ignore_missing=False)


class Triggers(listing.Table):
    name = tables.Column("name", verbose_name=_("Name"))
    when = tables.Column(lambda trigger: texts.trigger(trigger.properties), verbose_name=_("Runs"))
    runs = tables.Column(lambda trigger: ", ".join(next_runs(trigger)) or "-", verbose_name=_("Next runs"))

    class Meta:
        name = "triggers"
        verbose_name = _("Triggers")
        table_actions = (DeleteTrigger,)
        row_actions = (EditTrigger, DeleteTrigger)
