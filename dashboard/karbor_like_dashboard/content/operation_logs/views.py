"""The operation log."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from horizon import tables

from karbor_like_dashboard import api
from karbor_like_dashboard.common import listing, texts

_TYPES = ("protect", "restore", "delete", "copy", "verify")


def address(log: Any) -> str | None:
    """Return the address of the object of an entry."""
    if log.restore_id:
        return reverse("horizon:data_protection:restores:detail", args=[log.restore_id])
    if log.verification_id:
        return reverse("horizon:data_protection:verifications:detail", args=[log.verification_id])
    if log.checkpoint_id:
        return reverse("horizon:data_protection:checkpoints:detail", args=[log.provider_id, log.checkpoint_id])
    return None


def duration(log: Any) -> str:
    """Return how long an operation took."""
    if log.started_at is None or log.ended_at is None:
        return "-"
    return texts.duration((log.ended_at - log.started_at).total_seconds())


class Filters(listing.FilterForm):
    operation_type = forms.ChoiceField(
        label=_("Operation"), choices=[("", _("Any")), *((each, texts._OPERATION[each]) for each in _TYPES)]
    )
    status = forms.CharField(label=_("Status"), max_length=64)
    plan_id = forms.UUIDField(label=_("Plan ID"))
    checkpoint_id = forms.UUIDField(label=_("Checkpoint ID"))
    restore_id = forms.UUIDField(label=_("Restore ID"))
    scheduled_operation_id = forms.UUIDField(label=_("Schedule ID"))

    def query(self) -> dict[str, Any]:
        """Return the filters as texts."""
        return {name: str(value) for name, value in super().query().items()}


class OperationLogs(listing.Table):
    started = tables.Column(lambda log: texts.moment(log.started_at), verbose_name=_("Started"), link=address)
    kind = tables.Column(lambda log: texts.operation(log.operation_type), verbose_name=_("Operation"))
    status = listing.StatusColumn()
    duration = tables.Column(duration, verbose_name=_("Duration"))
    by = tables.Column(
        lambda log: _("Schedule") if log.scheduled_operation_id else _("User"), verbose_name=_("Started by")
    )
    provider = tables.Column("provider_name", verbose_name=_("Provider"))
    error = tables.Column("error_info", verbose_name=_("Error"))

    class Meta:
        name = "operation_logs"
        verbose_name = _("Operation Log")
        status_columns = ("status",)
        multi_select = False


class IndexView(listing.ListView):
    table_class = OperationLogs
    page_title = _("Operation Log")
    filter_class = Filters
    rule = "operation_log:list"
    unable = _("Unable to list the operations")

    def fetch(self, query: Mapping[str, Any]) -> api.Page:
        page = api.page(self.request, api.client(self.request).operation_logs, **query)
        listing.with_provider_name(self.request, page.items)
        return page
