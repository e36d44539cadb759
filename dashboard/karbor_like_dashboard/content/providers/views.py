"""The pages about providers."""

from collections.abc import Mapping
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from horizon import tables

from karbor_like_dashboard import api
from karbor_like_dashboard.common import listing, parameters, texts


class Checkpoints(tables.LinkAction):
    name = "checkpoints"
    verbose_name = _("Show Checkpoints")
    icon = "list"
    policy_rules = listing.rules("provider:checkpoint_get_all")

    def get_link_url(self, datum: Any = None) -> str:
        return f"{reverse('horizon:data_protection:checkpoints:index')}?provider={datum.id}"


class Providers(listing.Table):
    name = tables.Column("name", verbose_name=_("Name"), link="horizon:data_protection:providers:detail")
    description = tables.Column("description", verbose_name=_("Description"))
    types = tables.Column(
        lambda provider: ", ".join(
            texts.resource_type(kind) for kind in (provider.extended_info_schema or {}).get("options_schema") or {}
        ),
        verbose_name=_("Protects"),
    )

    class Meta:
        name = "providers"
        verbose_name = _("Providers")
        multi_select = False
        row_actions = (Checkpoints,)


class IndexView(listing.ListView):
    table_class = Providers
    page_title = _("Providers")
    rule = "provider:get_all"
    unable = _("Unable to list the providers")

    def fetch(self, query: Mapping[str, Any]) -> api.Page:
        return api.Page(api.providers(self.request))


_SCHEMAS = (
    ("options_schema", _("Options of plans")),
    ("restore_schema", _("Options of restores")),
    ("verify_schema", _("Options of verifications")),
)


class DetailView(listing.DetailView):
    template_name = "karbor_like_dashboard/provider.html"
    rule = "provider:get"
    unable = _("Unable to show the provider")

    def back(self) -> str:
        return reverse("horizon:data_protection:providers:index")

    def fetch(self) -> Any:
        return api.client(self.request).get_provider(str(self.kwargs["provider_id"]))

    def more(self, shown: Any) -> dict[str, Any]:
        known = shown.extended_info_schema or {}
        return {
            "url": self.back(),
            "schemas": [(title, _options(known.get(name) or {})) for name, title in _SCHEMAS],
        }


def _options(schemas: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the options that schemas describe, as rows."""
    return [
        {
            "type": texts.resource_type(kind),
            "title": parameters.title(name, option),
            "name": name,
            "values": ", ".join(str(value) for value in option.get("enum") or ()) or option.get("type"),
            "default": option.get("default"),
            "description": option.get("description"),
        }
        for kind, schema in sorted(schemas.items())
        for name, option in parameters.properties(schema).items()
        if isinstance(option, Mapping)
    ]
