"""The overview of a project. The number of requests does not depend on what the project has."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from horizon import views

from karbor_like_dashboard import api
from karbor_like_dashboard.common import limits, listing, texts
from karbor_like_dashboard.content.operation_logs import views as logs
from karbor_like_dashboard.content.schedules.tables import next_runs

#: Types whose resources are counted as protected or not.
_COUNTED = ("OS::Nova::Server", "OS::Cinder::Volume")
#: Entries of each list.
_SHOWN = 5
_DAYS = (7, 30)
#: Statuses of operations that have succeeded, and of those that have not.
_GOOD = frozenset({"available", "success", "deleted"})
_BAD = frozenset({"error", "fail", "failed", "error-deleting", "missed"})


class IndexView(views.HorizonTemplateView):
    template_name = "karbor_like_dashboard/overview.html"
    page_title = gettext_lazy("Overview")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        client = api.client(self.request) if self._has_service() else None
        if client is None:
            return context
        plans: list[Any] = []
        with api.reporting(self.request, _("Unable to list the plans")):
            plans = api.some(client.plans)
            context["counted"] = self._counted(client, plans)
        with api.reporting(self.request, _("Unable to list the operations")):
            context.update(_operations(api.some(client.operation_logs)))
        with api.reporting(self.request, _("Unable to list the schedules")):
            context["next"] = _next(client)
        if listing.allows(self.request, "quota:get"):
            with api.reporting(self.request, _("Unable to show the quotas")):
                context["quotas"] = limits.rows(client.get_quota_use(self.request.user.project_id))
        context["most"] = api.MOST
        return context

    def _has_service(self) -> bool:
        with api.reporting(self.request, _("Unable to reach the service")):
            api.client(self.request)
            return True
        return False

    def _counted(self, client: api.Client, plans: Iterable[Any]) -> list[dict[str, Any]]:
        """Return how many resources are in a plan, by type; a volume is protected with the server that it is attached to."""
        named = {(each.get("type"), each.get("id")) for plan in plans for each in plan.resources or ()}
        whole = any(kind == "OS::Keystone::Project" for kind, _id in named)
        rows = []
        installed = {kind.name for kind in client.protectables()}
        for kind in _COUNTED:
            if kind not in installed:
                continue
            found = api.some(client.protectable_instances, kind)
            protected = [each for each in found if whole or (kind, each.id) in named]
            named |= {
                (below.get("type"), below.get("id")) for each in protected for below in each.dependent_resources or ()
            }
            missing = [each for each in found if each not in protected]
            rows.append(
                {
                    "type": texts.resource_type(kind),
                    "protected": len(protected),
                    "total": len(found),
                    "is_cut": len(found) >= api.MOST,
                    "missing": [
                        {"name": each.name or each.id, "value": f"{kind}#{each.id}"} for each in missing[:_SHOWN]
                    ],
                    "more": max(0, len(missing) - _SHOWN),
                }
            )
        return rows


def _operations(found: list[Any]) -> dict[str, Any]:
    """Return success rates, what runs and what failed, of the newest operations."""
    now = timezone.now()
    rates = []
    for days in _DAYS:
        recent = [each for each in found if each.started_at and each.started_at > now - timedelta(days=days)]
        good = sum(each.status in _GOOD for each in recent)
        ended = good + sum(each.status in _BAD for each in recent)
        rates.append({"days": days, "ended": ended, "percent": round(100 * good / ended) if ended else None})
    running = [each for each in found if each.ended_at is None and each.status not in _GOOD | _BAD | {"skipped"}]
    failed = [each for each in found if each.status in _BAD]
    return {
        "rates": rates,
        "is_cut": len(found) >= api.MOST,
        "running": [_entry(each) for each in running[:_SHOWN]],
        "failed": [_entry(each) for each in failed[:_SHOWN]],
    }


def _entry(log: Any) -> dict[str, Any]:
    return {
        "operation": texts.operation(log.operation_type),
        "started": texts.moment(log.started_at),
        "status": texts.status(log.status),
        "error": log.error_info,
        "url": logs.address(log),
    }


def _next(client: api.Client) -> list[dict[str, str]]:
    """Return the next runs of schedules, if the API states them."""
    triggers = {each.id: next_runs(each) for each in api.some(client.triggers)}
    runs = [
        {"time": triggers[each.trigger_id][0], "name": each.name, "id": each.id}
        for each in api.some(client.scheduled_operations)
        if each.enabled and triggers.get(each.trigger_id)
    ]
    return sorted(runs, key=lambda run: run["time"])[:_SHOWN]
