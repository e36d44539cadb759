"""Providers: configured sets of plugins and a bank."""

from collections.abc import Generator
from typing import Any

from openstack import proxy, resource

from karbor_like_client.v1 import base


class Provider(base.Resource):
    """A provider. Operators configure it."""

    resource_key = "provider"
    resources_key = "providers"
    base_path = "/providers"
    allow_fetch = allow_list = True
    _query_mapping = resource.QueryParameters("name", "description", "sort")

    description = resource.Body("description")
    #: JSON Schemas by resource type: ``options_schema``, ``restore_schema``, ``saved_info_schema``, ``verify_schema``.
    extended_info_schema = resource.Body("extended_info_schema", type=dict)


class Providers(proxy.Proxy):
    """Requests about providers."""

    def providers(self, **query: Any) -> Generator[Provider, None, None]:
        """Yield providers.

        :param query: ``name``, ``description``, ``limit``, ``marker``
        """
        return self._list(Provider, **query)

    def get_provider(self, provider: str | Provider) -> Provider:
        """Return a provider by its id.

        :raises NotFound: there is none
        """
        return self._get(Provider, provider)

    def find_provider(self, name_or_id: str, ignore_missing: bool = True) -> Provider | None:
        """Return the provider with a name or an id.

        :raises NotFound: there is none, and *ignore_missing* is false
        """
        return self._find(Provider, name_or_id, ignore_missing=ignore_missing)
