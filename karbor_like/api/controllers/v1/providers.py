from collections.abc import Mapping
from typing import Any

from karbor_like.api import validation, views
from karbor_like.api.controllers import base
from karbor_like.api.expose import expose
from karbor_like.api.schemas import providers as schemas
from karbor_like.policies import providers as rules


class Providers(base.Controller):
    """Sets of plugins and a bank: configuration, the same for everybody."""

    @expose(policy=rules.GET_ALL, query=schemas.LIST, response=schemas.PAGE)
    def list(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """List providers, by id."""
        page = self.page(query)
        names = ("id", "name", "description") if self.context.is_admin else ("name", "description")
        wanted = {name: query[name] for name in names if name in query}
        found = sorted(
            map(views.provider, self.deps.protection.list_providers(self.context)), key=lambda one: one["id"]
        )
        if page.marker in (one["id"] for one in found):
            found = [one for one in found if one["id"] > page.marker]
        found = [one for one in found if all(one[name] == value for name, value in wanted.items())]
        return self.links("providers", found[: page.limit], page)

    @expose(policy=rules.GET, response=schemas.SHOWN)
    def show(self, provider_id: str) -> dict[str, Any]:
        """Show a provider with the schemas of its options."""
        found = self.deps.protection.show_provider(
            self.context, provider_id=validation.path_id("provider_id", provider_id)
        )
        return {"provider": views.provider(found)}
