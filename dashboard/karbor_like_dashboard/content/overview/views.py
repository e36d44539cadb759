"""The overview of a project. The number of requests does not depend on what the project has."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from horizon import views

from karbor_like_client.v1.operation_logs import OperationLog
from karbor_like_dashboard import api
from karbor_like_dashboard.common import limits, listing, texts
from karbor_like_dashboard.content.operation_logs import views as logs

#: Types whose resources are counted as protected or not.
_COUNTED = ("OS::Nova::Server", "OS::Cinder::Volume")
#: Unprotected resources of each type that are named.
_SHOWN = 5
#: Size of the curve of the stored bytes, in units of its drawing.
_WIDTH, _HEIGHT = 300, 60


class IndexView(views.HorizonTemplateView):
    template_name = "karbor_like_dashboard/overview.html"
    page_title = gettext_lazy("Overview")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        client = api.client(self.request) if self._has_service() else None
        if client is None:
            return context
        with api.reporting(self.request, _("Unable to show the totals")):
            context.update(_totals(client.get_overview()))
        with api.reporting(self.request, _("Unable to list the resources")):
            context["counted"] = list(_counted(client))
        if listing.allows(self.request, "quota:get"):
            with api.reporting(self.request, _("Unable to show the quotas")):
                context["quotas"] = limits.rows(client.get_quota_use(self.request.user.project_id))
        return context

    def _has_service(self) -> bool:
        with api.reporting(self.request, _("Unable to reach the service")):
            api.client(self.request)
            return True
        return False


def _counted(client: api.Client) -> Iterable[dict[str, Any]]:
    """Yield how many resources are protected, by type, with the names of some that are not."""
    installed = {kind.name for kind in client.protectables()}
    for kind in _COUNTED:
        if kind not in installed:
            continue
        missing, counts = client.get_unprotected(kind, limit=_SHOWN)
        yield {
            "type": texts.resource_type(kind),
            "protected": counts["protected"],
            "total": counts["protected"] + counts["unprotected"],
            "missing": [{"name": each.name or each.id, "value": f"{kind}#{each.id}"} for each in missing],
            "more": counts["unprotected"] - len(missing),
        }


def _totals(shown: Any) -> dict[str, Any]:
    """Return the totals for the page."""
    operations, schedules = shown.operations, shown.scheduled_operations
    return {
        "counts": [
            {"title": _("Plans"), "total": shown.plans["total"]},
            {"title": _("Available checkpoints"), "total": shown.checkpoints["by_status"].get("available", 0)},
            {"title": _("Failed checkpoints"), "total": shown.checkpoints["by_status"].get("error", 0)},
            {"title": _("Active schedules"), "total": schedules["by_status"].get("enabled", 0)},
        ],
        "violated": shown.plans["rpo_violated"],
        "rates": list(_rates(shown.success_rates, shown.scheduled_runs)),
        "running": [_entry(each) for each in operations["newest"]],
        "running_more": operations["queued"] + operations["running"] - len(operations["newest"]),
        "failed": [_entry(each) for each in shown.last_failures],
        "next": [
            {"time": _moment(each["time"]), "name": each["name"], "id": each["scheduled_operation_id"]}
            for each in shown.next_runs
        ],
        "stored": texts.size(shown.storage["stored_bytes"]),
        "growth": _growth(shown.growth),
    }


def _rates(rates: Iterable[Mapping[str, Any]], runs: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """Yield the success of each number of days: of each type that has operations, and of the schedules."""
    known = list(rates)
    for run in runs:
        yield {
            "days": run["days"],
            "kinds": [
                {
                    "operation": texts.operation(each["operation_type"]),
                    "ended": each["ended"],
                    "percent": None if each["rate"] is None else round(100 * each["rate"]),
                }
                for each in known
                if each["days"] == run["days"] and each["ended"]
            ],
            "missed": run["missed"],
            "skipped": run["skipped"],
        }


def _growth(points: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the curve of the stored bytes, and its ends as texts; None if nothing was ever stored."""
    sizes = [point["stored_bytes"] for point in points]
    most = max(sizes, default=0)
    if not most:
        return None
    step = _WIDTH / max(1, len(sizes) - 1)
    curve = [f"{number * step:.1f},{_HEIGHT * (1 - size / most):.1f}" for number, size in enumerate(sizes)]
    return {
        "points": " ".join(curve),
        "width": _WIDTH,
        "height": _HEIGHT,
        "first": {"date": points[0]["date"], "size": texts.size(sizes[0])},
        "last": {"date": points[-1]["date"], "size": texts.size(sizes[-1])},
    }


def _entry(members: Mapping[str, Any]) -> dict[str, Any]:
    log = OperationLog.existing(**members)
    return {
        "operation": texts.operation(log.operation_type),
        "started": texts.moment(log.started_at),
        "status": texts.status(log.status),
        "error": log.error_info,
        "url": logs.address(log),
    }


def _moment(text: str) -> str:
    """Return a time of the API, UTC without a zone, for the reader."""
    return texts.moment(datetime.fromisoformat(text).replace(tzinfo=UTC))
