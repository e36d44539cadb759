"""The table of the checkpoints of a provider, and the actions on them."""

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from horizon import tables

from karbor_like_dashboard import api
from karbor_like_dashboard.common import listing, progress, texts

CREATING = frozenset({"protecting", "copying", "wait_copying"})


def ids(datum_id: str) -> tuple[str, str]:
    """Return the ids of provider and checkpoint that the id of a row consists of."""
    provider_id, _sign, checkpoint_id = datum_id.partition("_")
    return provider_id, checkpoint_id


def address(name: str, checkpoint: Any) -> str:
    """Return the address of a page about a checkpoint."""
    return reverse(f"horizon:data_protection:checkpoints:{name}", args=[checkpoint.provider_id, checkpoint.id])


class _Link(tables.LinkAction):
    """A link to a page about an available checkpoint."""

    classes: Any = ("ajax-modal",)

    def get_link_url(self, datum: Any = None) -> str:
        return address(self.name, datum)

    def allowed(self, request: Any, datum: Any = None) -> bool:
        return datum is not None and datum.status == "available"


class Restore(_Link):
    name = "restore"
    verbose_name = _("Restore")
    icon = "undo"
    classes = ()
    policy_rules = listing.rules("restore:create")

    def get_link_url(self, datum: Any = None) -> str:
        start = reverse("horizon:data_protection:restores:create")
        return f"{start}?provider={datum.provider_id}&checkpoint={datum.id}"


class Verify(_Link):
    name = "verify"
    verbose_name = _("Verify")
    icon = "check"
    policy_rules = listing.rules("verification:create")


class Copy(_Link):
    name = "copy"
    verbose_name = _("Copy")
    icon = "clone"
    policy_rules = listing.rules("copy:create")


class _Remove:
    policy_rules = listing.rules("provider:checkpoint_delete")

    def act(self, request: Any, datum_id: str) -> None:
        api.client(request).delete_checkpoint(*ids(datum_id), ignore_missing=False)


class Cancel(_Remove, listing.DangerAction):
    name = "cancel"
    icon = "stop"
    present = (_("Cancel"), _("Cancel"))
    past = (_("Requested to cancel"), _("Requested to cancel"))

    def allowed(self, request: Any, datum: Any = None) -> bool:
        return datum is not None and datum.status in CREATING


class Delete(_Remove, listing.DeleteAction):
    present = (_("Delete Checkpoint"), _("Delete Checkpoints"))

    def allowed(self, request: Any, datum: Any = None) -> bool:
        return datum is None or datum.status not in CREATING | {"deleting", "deleted"}


class Calendar(tables.LinkAction):
    name = "calendar"
    verbose_name = _("Calendar")
    url = "horizon:data_protection:checkpoints:calendar"
    icon = "calendar"
    policy_rules = listing.rules("provider:checkpoint_get_all")

    def get_link_url(self, datum: Any = None) -> str:
        provider = self.table.request.GET.get("provider", "")
        return f"{reverse(self.url)}?provider={provider}" if provider.replace("-", "").isalnum() else reverse(self.url)


class Checkpoints(listing.Table):
    created = tables.Column(
        lambda checkpoint: texts.moment(checkpoint.created_at),
        verbose_name=_("Created"),
        link=lambda checkpoint: address("detail", checkpoint),
    )
    plan = tables.Column(lambda checkpoint: (checkpoint.protection_plan or {}).get("name"), verbose_name=_("Plan"))
    status = listing.StatusColumn()
    size = tables.Column(progress.cell, verbose_name=_("Bytes"))
    stored = tables.Column(lambda checkpoint: texts.size(checkpoint.stored_bytes), verbose_name=_("Added to the bank"))
    reason = tables.Column("reason", verbose_name=_("Reason"), truncate=80)

    def get_object_id(self, datum: Any) -> str:
        return f"{datum.provider_id}_{datum.id}"

    def get_object_display(self, datum: Any) -> str:
        return f"{(datum.protection_plan or {}).get('name', '')} {texts.moment(datum.created_at)}"

    def fetch(self, request: Any, datum_id: str) -> Any:
        """Return the checkpoint of a row."""
        provider_id, checkpoint_id = ids(datum_id)
        return named(api.client(request).get_checkpoint(provider_id, checkpoint_id), provider_id)

    class Meta:
        name = "checkpoints"
        verbose_name = _("Checkpoints")
        status_columns = ("status",)
        row_class = listing.PolledRow
        table_actions = (Calendar, Delete)
        row_actions = (Restore, Verify, Copy, Cancel, Delete)


def named(checkpoint: Any, provider_id: str) -> Any:
    """Return a checkpoint that knows its provider, which the API does not repeat."""
    checkpoint.provider_id = provider_id
    return checkpoint
