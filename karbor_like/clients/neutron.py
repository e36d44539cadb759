"""A client of Neutron, version 2.0 of its API: https://docs.openstack.org/api-ref/network/v2/.

The library python-neutronclient is deprecated.
"""

from typing import Any

from karbor_like.clients import rest
from karbor_like.clients.rest import Values


class Neutron(rest.RestClient):
    """Lists, shows, creates, changes and deletes objects, see :class:`karbor_like.clients.rest.RestClient`.

    Lists accept the filter ``fields``, a list of the attributes to return, which must contain ``id``.

    :param version: of the API
    :param endpoint: keyword arguments of a keystoneauth ``Adapter``
    """

    service = "Neutron"
    singular = {"policies": "policy"}

    def __init__(self, version: str, **endpoint: Any) -> None:
        super().__init__(f"/v{version}", **endpoint)

    def call(self, collection: str, key: str, action: str, body: Values) -> dict[str, Any]:
        """Call an action of an object, such as ``add_router_interface`` of a router, or replace its ``tags``."""
        return self._body(self._adapter.put(self._path(collection, key, action), json=body), collection)

    def _next_marker(self, name: str, body: Values) -> str | None:
        return self._id(body[name][-1], name) if rest.next_link(body.get(f"{name}_links")) else None
