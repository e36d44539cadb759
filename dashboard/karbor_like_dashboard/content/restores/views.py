"""The pages about restores."""

import contextlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from django.http import HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from horizon import exceptions, messages
from horizon import forms as horizon_forms
from horizon.utils import memoized

from karbor_like_dashboard import api
from karbor_like_dashboard.common import listing, parameters, progress, texts, trees
from karbor_like_dashboard.content.checkpoints.tables import named
from karbor_like_dashboard.content.restores import candidates
from karbor_like_dashboard.content.restores import forms as restore_forms
from karbor_like_dashboard.content.restores import tables as restore_tables
from karbor_like_dashboard.exceptions import Failure

_INDEX = "horizon:data_protection:restores:index"

#: Pages of Horizon about resources that a restore has made.
_PAGES = {
    "OS::Nova::Server": "horizon:project:instances:detail",
    "OS::Cinder::Volume": "horizon:project:volumes:detail",
    "OS::Neutron::Network": "horizon:project:networks:detail",
    "OS::Neutron::Router": "horizon:project:routers:detail",
}


class IndexView(listing.ListView):
    table_class = restore_tables.Restores
    page_title = gettext_lazy("Restores")
    filter_class = listing.RequestFilterForm
    rule = "restore:get_all"
    unable = gettext_lazy("Unable to list the restores")
    description = gettext_lazy("A restore starts on the page of a checkpoint.")

    def fetch(self, query: Mapping[str, Any]) -> api.Page:
        page = api.page(self.request, api.client(self.request).restores, **query)
        listing.with_provider_name(self.request, page.items)
        return page


def _page_of(key: str) -> str | None:
    kind, _sign, id_ = key.partition("#")
    try:
        return reverse(_PAGES[kind], args=[id_])
    except (KeyError, NoReverseMatch):
        return None


def _original_names(request: Any, restore: Any) -> dict[str, str]:
    """Return the names of the resources of the checkpoint, with one request; none if the checkpoint cannot be read."""
    # It may be deleted after the restore. The page has the ids.
    with contextlib.suppress(Failure):
        return trees.names(
            api.client(request).get_checkpoint(restore.provider_id, restore.checkpoint_id).resource_graph
        )
    return {}


def _restored_names(request: Any, restore: Any) -> dict[str, str]:
    """Return the names of what a restore has made in this cloud, with one request for each type, as far as they are known."""
    if restore.restore_target or restore.dry_run or restore.status in texts.UNFINISHED:
        return {}
    client = api.client(request)
    found: dict[str, str] = {}
    for kind in sorted({key.partition("#")[0] for key in restore.resources_status or {}}):
        # The names only help to read the page.
        with contextlib.suppress(Failure):
            found |= {
                f"{kind}#{each.id}": str(each.name or "") for each in api.some(client.protectable_instances, kind)
            }
    return found


def _made(restore: Any, names: Mapping[str, str], made_names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the rows of what a restore has made or has found out about, by original and ID.

    :param names: of originals, by ``Type#id``
    :param made_names: of what was made
    """
    originals = {state["result"]: key for key, state in restore.progress_now().resources.items() if state.get("result")}
    rows = [
        {
            "key": key,
            "original": names.get(originals.get(key, "")) or originals.get(key, "").partition("#")[2],
            "type": texts.resource_type(key.partition("#")[0]),
            "id": key.partition("#")[2],
            "name": made_names.get(key),
            # What is in another cloud has no page here.
            "url": None if restore.restore_target else _page_of(key),
            "state": status,
            "status": texts.status(status),
            "reason": (restore.resources_reason or {}).get(key),
        }
        for key, status in (restore.resources_status or {}).items()
    ]
    return sorted(rows, key=lambda row: (row["type"], row["original"], row["id"]))


def _context(
    restore: Any, names: Mapping[str, str], made_names: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """Return what the changing part of a restore's page shows. Parameters as of :func:`_made`."""
    plan = restore.plan if isinstance(restore.plan, dict) else {}
    planned = {each.get("resource"): str(each.get("name") or "") for each in plan.get("actions") or ()}
    made = _made(restore, names, made_names)
    return {
        **progress.context(restore, {**planned, **names}),
        "poll_url": reverse("horizon:data_protection:restores:progress", args=[restore.id]),
        "made": [] if restore.dry_run else made,
        "conflicts": made if restore.dry_run else [],
        "dry_run": restore.dry_run,
        "dry": {**plan, "size": texts.size(plan.get("bytes"))} if plan else None,
    }


class DetailView(listing.DetailView):
    template_name = "karbor_like_dashboard/restore.html"
    rule = "restore:get"
    unable = gettext_lazy("Unable to show the restore")

    def back(self) -> str:
        return reverse(_INDEX)

    def fetch(self) -> Any:
        return api.client(self.request).get_restore(str(self.kwargs["restore_id"]))

    def more(self, shown: Any) -> dict[str, Any]:
        listing.with_provider_name(self.request, [shown])
        return {
            "actions": restore_tables.Restores(self.request).render_row_actions(shown),
            "url": self.back(),
            "parameters": parameters.rows(
                shown.parameters or {}, parameters.schemas(self.request, shown.provider_id, "restore_schema")
            ),
            **_context(shown, _original_names(self.request, shown), _restored_names(self.request, shown)),
        }


class ProgressView(progress.View):
    """The fragment of the page that changes while the restore runs."""

    template_name = "karbor_like_dashboard/restore_progress.html"

    def fragment(self) -> dict[str, Any]:
        shown = api.client(self.request).get_restore(str(self.kwargs["restore_id"]))
        return _context(shown, _original_names(self.request, shown), _restored_names(self.request, shown))


class CreateView(horizon_forms.ModalFormView):
    """The wizard: what, how and where; then what it would do; then the start."""

    form_class = restore_forms.Restore
    template_name = "karbor_like_dashboard/restore_create.html"
    page_title = gettext_lazy("Restore")

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        if not listing.allows(request, "restore:create"):
            raise exceptions.NotAuthorized
        return super().dispatch(request, *args, **kwargs)

    @memoized.memoized_method
    def _objects(self) -> dict[str, Any]:
        provider_id, checkpoint_id = (self.request.GET.get(name, "") for name in ("provider", "checkpoint"))
        back = reverse("horizon:data_protection:checkpoints:index")
        with api.reporting(self.request, _("Unable to show the checkpoint"), redirect=back):
            provider = next((each for each in api.providers(self.request) if each.id == provider_id), None)
            if provider is None or not checkpoint_id:
                raise Failure(_("The provider or the checkpoint does not exist any more."))
            found = api.client(self.request).get_checkpoint(provider_id, checkpoint_id)
            return {"provider": provider, "checkpoint": named(found, provider_id)}
        raise exceptions.NotFound

    def get_initial(self) -> dict[str, Any]:
        return dict(self._objects())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        objects = self._objects()
        form = context["form"]
        context.update(
            checkpoint=objects["checkpoint"],
            created=texts.moment(objects["checkpoint"].created_at),
            provider=objects["provider"],
            groups=form.groups(),
            candidates={**self._existing(form), **self._offered(form)},
            dry_run_id=form.dry_run_to_show,
        )
        if form.dry_run_to_show:
            with api.reporting(self.request, _("Unable to show the dry run")):
                dry = api.client(self.request).get_restore(form.dry_run_to_show)
                context["check"] = _context(dry, trees.names(objects["checkpoint"].resource_graph))
        return context

    def _existing(self, form: restore_forms.Restore) -> dict[str, list[candidates.Choice]]:
        """Return the user's resources that a field takes, by the id of the list; one request for each type."""
        client = api.client(self.request)
        found: dict[str, list[candidates.Choice]] = {}
        with api.reporting(self.request, _("Unable to list the existing resources")):
            listed = {kind.name for kind in client.protectables()}
            for kind in sorted(listed & form.mapped_types()):
                instances = api.some(client.protectable_instances, kind)
                found[restore_forms.list_id(kind)] = [(str(each.id), str(each.name or each.id)) for each in instances]
        return found

    def _offered(self, form: restore_forms.Restore) -> dict[str, list[candidates.Choice]]:
        """Return what this cloud has for parameters, by the id of the list."""
        offered = candidates.fetch(self.request, form.offered())
        return {restore_forms.list_id(name): choices for name, choices in offered.items()}

    def form_invalid(self, form: Any) -> Any:
        return self.render_to_response(self.get_context_data(form=form))

    def form_valid(self, form: Any) -> Any:
        started = form.handle(self.request, form.cleaned_data)
        if not started:
            return self.form_invalid(form)
        messages.success(self.request, _("The restore was started."))
        return HttpResponseRedirect(reverse("horizon:data_protection:restores:detail", args=[started.id]))
