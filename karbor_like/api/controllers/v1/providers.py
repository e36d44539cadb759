from collections.abc import Mapping
from typing import Any

from karbor_like.api import validation, views
from karbor_like.api.controllers import base
from karbor_like.api.expose import expose
from karbor_like.api.schemas import providers as schemas
from karbor_like.policies import providers as rules


class Providers(base.Controller):
    """Providers: configured sets of plugins and a bank, the same for all projects."""

    @expose(policy=rules.GET_ALL, query=schemas.LIST, response=schemas.PAGE)
    def list(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """List providers, sorted by id."""
        page = self.page(query)
        names = ("id", "name", "description") if self.context.is_admin else ("name", "description")
        filters = {name: query[name] for name in names if name in query}
        providers = [views.provider(provider) for provider in self.deps.protection.list_providers(self.context)]
        if page.marker in {provider["id"] for provider in providers}:
            providers = [provider for provider in providers if provider["id"] > page.marker]
        matching = [
            provider for provider in providers if all(provider[name] == value for name, value in filters.items())
        ]
        return self.links("providers", matching[: page.limit], page)

    @expose(policy=rules.GET, response=schemas.SHOWN)
    def show(self, provider_id: str) -> dict[str, Any]:
        """Show a provider with the schemas of its options."""
        provider = self.deps.protection.show_provider(
            self.context, provider_id=validation.path_id("provider_id", provider_id)
        )
        return {"provider": views.provider(provider)}
