"""Quotas for the reader."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from karbor_like_dashboard.common import progress

#: The quotas, in the order of pages and forms.
NAMES = {
    "plans": _("Plans"),
    "checkpoints": _("Checkpoints"),
    "triggers": _("Triggers"),
    "scheduled_operations": _("Schedules"),
    "restores": _("Restores in progress"),
    "verifications": _("Verifications in progress"),
}


def rows(quota: Any) -> list[dict[str, Any]]:
    """Return the use of the quotas that the API shows."""
    found = []
    for name, title in NAMES.items():
        use = getattr(quota, name, None)
        if isinstance(use, dict):
            limit, used = use.get("limit", -1), use.get("in_use", 0)
            share = 100 if limit == 0 and used else progress.percent(used, limit) if limit > 0 else None
            found.append({"title": title, "used": used, "limit": None if limit < 0 else limit, "percent": share})
    return found
