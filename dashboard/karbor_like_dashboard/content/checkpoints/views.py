"""The pages about checkpoints."""

import calendar
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django import forms
from django.urls import reverse, reverse_lazy
from django.utils import dates, timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from horizon import exceptions, views
from horizon.utils import memoized

from karbor_like_dashboard import api
from karbor_like_dashboard.common import forms as common
from karbor_like_dashboard.common import graph, listing, progress, texts, trees
from karbor_like_dashboard.content.checkpoints import forms as checkpoint_forms
from karbor_like_dashboard.content.checkpoints import tables as checkpoint_tables
from karbor_like_dashboard.exceptions import Failure

STATUSES = ("protecting", "available", "error", "deleting", "error-deleting", "wait_copying", "copying", "deleted")
_INDEX = "horizon:data_protection:checkpoints:index"
#: There is no checkpoint before this day.
_EPOCH = date(1970, 1, 1)


class _Date(forms.DateInput):
    input_type = "date"


class Filters(listing.FilterForm):
    """Filters that the API applies. Checkpoints belong to a provider, so that one is always chosen."""

    provider = forms.ChoiceField(label=gettext_lazy("Provider"))
    plan_id = forms.ChoiceField(label=gettext_lazy("Plan"))
    status = forms.ChoiceField(label=gettext_lazy("Status"))
    start_date = forms.DateField(label=gettext_lazy("From"), widget=_Date(format="%Y-%m-%d"))
    end_date = forms.DateField(label=gettext_lazy("To"), widget=_Date(format="%Y-%m-%d"))

    def __init__(self, data: Any, request: Any) -> None:
        super().__init__(data, request)
        fields: Any = self.fields
        fields["provider"].choices = [(each.id, each.name) for each in api.providers(request)]
        plans = [(each.id, each.name) for each in api.some(api.client(request).plans)]
        chosen = request.GET.get("plan_id")
        if chosen and chosen not in dict(plans):
            # The plan was deleted, or is beyond those that are listed. Its checkpoints can be listed all the same.
            plans.append((chosen, chosen))
        fields["plan_id"].choices = [("", _("Any")), *plans]
        fields["status"].choices = [("", _("Any")), *((status, texts.status(status)) for status in STATUSES)]

    def query(self) -> dict[str, Any]:
        """Return the filters. The first provider is chosen if none is."""
        known = super().query()
        choices = [value for value, _label in self.fields["provider"].choices]
        provider = known.pop("provider", None) or (choices[0] if choices else None)
        days = {name: value.isoformat() for name, value in known.items() if isinstance(value, date)}
        if "end_date" in days:
            # The API ignores an end without a start.
            days.setdefault("start_date", _EPOCH.isoformat())
        return {**known, **days, "provider": provider}


class IndexView(listing.ListView):
    table_class = checkpoint_tables.Checkpoints
    page_title = gettext_lazy("Checkpoints")
    filter_class = Filters
    rule = "provider:checkpoint_get_all"
    unable = gettext_lazy("Unable to list the checkpoints")

    def fetch(self, query: Mapping[str, Any]) -> api.Page:
        wanted = dict(query)
        provider_id = wanted.pop("provider")
        if provider_id is None:
            return api.Page([])
        client = api.client(self.request)

        def fetch(**more: Any) -> Any:
            return client.checkpoints(provider_id, **more)

        page = api.page(self.request, fetch, **wanted)
        for checkpoint in page.items:
            checkpoint_tables.named(checkpoint, provider_id)
        return page


class CalendarView(views.HorizonTemplateView):
    """A month with a mark for each day that has checkpoints: one request for at most :data:`api.MOST` checkpoints."""

    template_name = "karbor_like_dashboard/calendar.html"
    page_title = gettext_lazy("Calendar of Checkpoints")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        first = self._month()
        last = (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)
        before = (first - timedelta(days=1)).replace(day=1)
        providers, provider, good, bad, total = [], None, Counter[str](), Counter[str](), 0
        with api.reporting(self.request, _("Unable to list the checkpoints")):
            providers = api.providers(self.request)
            known = [each.id for each in providers]
            provider = self.request.GET.get("provider")
            provider = provider if provider in known else (known[0] if known else None)
            if provider:
                found = api.some(
                    api.client(self.request).checkpoints,
                    provider,
                    start_date=first.isoformat(),
                    end_date=last.isoformat(),
                )
                total = len(found)
                good.update(each.created_on for each in found if each.status == "available")
                bad.update(each.created_on for each in found if each.status in ("error", "error-deleting"))
        weeks = [
            [
                {
                    "day": day.day,
                    "date": day.isoformat(),
                    "inside": day.month == first.month,
                    "good": good[day.isoformat()],
                    "bad": bad[day.isoformat()],
                }
                for day in week
            ]
            for week in calendar.Calendar().monthdatescalendar(first.year, first.month)
        ]
        context.update(
            weeks=weeks,
            days=[dates.WEEKDAYS_ABBR[day] for day in range(7)],
            month=f"{dates.MONTHS[first.month]} {first.year}",
            value=f"{first:%Y-%m}",
            before=f"{before:%Y-%m}",
            after=f"{last + timedelta(days=1):%Y-%m}",
            providers=providers,
            provider=provider,
            is_cut=total >= api.MOST,
            most=api.MOST,
        )
        return context

    def _month(self) -> date:
        try:
            month = datetime.strptime(self.request.GET.get("month", ""), "%Y-%m").replace(tzinfo=UTC).date()
        except ValueError:
            month = date.min
        # The months before and after it must exist too.
        if not _EPOCH.year <= month.year < date.max.year:
            month = timezone.now().astimezone(UTC).date().replace(day=1)
        return month


def _progress(checkpoint: Any) -> dict[str, Any]:
    poll = checkpoint_tables.address("progress", checkpoint)
    names = trees.names(checkpoint.resource_graph)
    return {**progress.context(checkpoint, names, started=checkpoint.created_at), "poll_url": poll}


class DetailView(listing.DetailView):
    template_name = "karbor_like_dashboard/checkpoint.html"
    rule = "provider:checkpoint_get"
    unable = gettext_lazy("Unable to show the checkpoint")

    def back(self) -> str:
        return f"{reverse(_INDEX)}?provider={self.kwargs['provider_id']}"

    def fetch(self) -> Any:
        provider_id = str(self.kwargs["provider_id"])
        found = api.client(self.request).get_checkpoint(provider_id, str(self.kwargs["checkpoint_id"]))
        return checkpoint_tables.named(found, provider_id)

    def more(self, shown: Any) -> dict[str, Any]:
        names: dict[str, str] = {}
        with api.reporting(self.request, _("Unable to list the providers")):
            names = api.provider_names(self.request)
        plan = shown.protection_plan or {}
        states = shown.progress_now().resources
        return {
            "title": f"{plan.get('name', '')} {texts.moment(shown.created_at)}",
            "actions": checkpoint_tables.Checkpoints(self.request).render_row_actions(shown),
            "url": self.back(),
            "plan": plan,
            "provider": names.get(shown.provider_id, shown.provider_id),
            "created": texts.moment(shown.created_at),
            "bytes": texts.size(shown.logical_bytes),
            "new": texts.size(shown.new_bytes),
            "stored": texts.size(shown.stored_bytes),
            "graph": graph.context(trees.of_checkpoint(shown.resource_graph, states)),
            "extra": sorted((shown.extra_info or {}).items()) if isinstance(shown.extra_info, dict) else [],
            "progress": _progress(shown),
        }


class ProgressView(progress.View):
    """The fragment of the page that changes while an operation runs."""

    def fragment(self) -> dict[str, Any]:
        provider_id = str(self.kwargs["provider_id"])
        found = api.client(self.request).get_checkpoint(provider_id, str(self.kwargs["checkpoint_id"]))
        return _progress(checkpoint_tables.named(found, provider_id))


class _CheckpointForm(common.FormView):
    success_url = reverse_lazy(_INDEX)

    @memoized.memoized_method
    def _objects(self) -> dict[str, Any]:
        provider_id = str(self.kwargs["provider_id"])
        with api.reporting(self.request, _("Unable to show the checkpoint"), redirect=str(self.success_url)):
            client = api.client(self.request)
            provider = next((each for each in api.providers(self.request) if each.id == provider_id), None)
            if provider is None:
                raise Failure(_("The provider does not exist any more."))
            return {
                "provider": provider,
                "checkpoint": client.get_checkpoint(provider_id, str(self.kwargs["checkpoint_id"])),
            }
        raise exceptions.NotFound

    def get_initial(self) -> dict[str, Any]:
        return self._objects()


class VerifyView(_CheckpointForm):
    form_class = checkpoint_forms.Verify
    page_title = gettext_lazy("Verify Checkpoint")
    submit_label = gettext_lazy("Verify")
    rule = "verification:create"
    help = gettext_lazy("A verification finds out whether the checkpoint can be restored, without restoring it.")
    success_url = reverse_lazy("horizon:data_protection:verifications:index")


class CopyView(_CheckpointForm):
    form_class = checkpoint_forms.Copy
    page_title = gettext_lazy("Copy Checkpoint")
    submit_label = gettext_lazy("Copy")
    rule = "copy:create"
    help = gettext_lazy("The copy is a checkpoint of the other provider. It does not depend on this one.")

    def get_success_url(self) -> str:
        return f"{reverse(_INDEX)}?provider={self.request.POST.get('target', '')}"
