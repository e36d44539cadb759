"""The table of verifications."""

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from horizon import tables

from karbor_like_dashboard import api
from karbor_like_dashboard.common import listing, progress


class Cancel(listing.DangerAction):
    name = "cancel"
    icon = "stop"
    present = (_("Cancel Verification"), _("Cancel Verifications"))
    past = (_("Requested to cancel"), _("Requested to cancel"))
    policy_rules = listing.rules("verification:cancel")

    def allowed(self, request: Any, datum: Any = None) -> bool:
        return datum is not None and datum.status == "in_progress"

    def act(self, request: Any, datum_id: str) -> None:
        api.client(request).cancel_verification(datum_id)


class Verifications(listing.Table):
    id = tables.Column("id", verbose_name=_("ID"), link="horizon:data_protection:verifications:detail")
    provider = tables.Column("provider_name", verbose_name=_("Provider"))
    checkpoint = tables.Column(
        "checkpoint_id",
        verbose_name=_("Checkpoint"),
        link=lambda verification: reverse(
            "horizon:data_protection:checkpoints:detail", args=[verification.provider_id, verification.checkpoint_id]
        ),
    )
    status = listing.StatusColumn()
    size = tables.Column(progress.cell, verbose_name=_("Bytes"))
    reason = tables.Column("reason", verbose_name=_("Reason"), truncate=80)

    def fetch(self, request: Any, datum_id: str) -> Any:
        """Return the verification of a row."""
        return listing.with_provider_name(request, [api.client(request).get_verification(datum_id)])[0]

    class Meta:
        name = "verifications"
        verbose_name = _("Verifications")
        status_columns = ("status",)
        row_class = listing.PolledRow
        row_actions = (Cancel,)
