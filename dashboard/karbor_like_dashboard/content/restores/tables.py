"""The table of restores, and the action on them."""

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from horizon import tables

from karbor_like_dashboard import api
from karbor_like_dashboard.common import listing, progress


class Cancel(listing.DangerAction):
    name = "cancel"
    icon = "stop"
    present = (_("Cancel Restore"), _("Cancel Restores"))
    past = (_("Requested to cancel"), _("Requested to cancel"))
    policy_rules = listing.rules("restore:cancel")

    def allowed(self, request: Any, datum: Any = None) -> bool:
        return datum is not None and datum.status == "in_progress"

    def act(self, request: Any, datum_id: str) -> None:
        api.client(request).cancel_restore(datum_id)


class Restores(listing.Table):
    id = tables.Column("id", verbose_name=_("ID"), link="horizon:data_protection:restores:detail")
    kind = tables.Column(lambda restore: _("Dry run") if restore.dry_run else _("Restore"), verbose_name=_("Kind"))
    provider = tables.Column("provider_name", verbose_name=_("Provider"))
    checkpoint = tables.Column(
        "checkpoint_id",
        verbose_name=_("Checkpoint"),
        link=lambda restore: reverse(
            "horizon:data_protection:checkpoints:detail", args=[restore.provider_id, restore.checkpoint_id]
        ),
    )
    target = tables.Column(lambda restore: restore.restore_target or _("This cloud"), verbose_name=_("Target"))
    status = listing.StatusColumn()
    size = tables.Column(progress.cell, verbose_name=_("Bytes"))
    reason = tables.Column("reason", verbose_name=_("Reason"), truncate=80)

    def fetch(self, request: Any, datum_id: str) -> Any:
        """Return the restore of a row."""
        return listing.with_provider_name(request, [api.client(request).get_restore(datum_id)])[0]

    class Meta:
        name = "restores"
        verbose_name = _("Restores")
        status_columns = ("status",)
        row_class = listing.PolledRow
        row_actions = (Cancel,)
