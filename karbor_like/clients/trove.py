"""A client of Trove, version 1.0 of its API: https://docs.openstack.org/api-ref/database/."""

from typing import Any
from urllib import parse

from karbor_like.clients import rest
from karbor_like.clients.rest import Objects, Values


class Trove(rest.RestClient):
    """The collections ``instances``, ``backups`` and ``configurations``, and the flavors that Trove offers.

    :param version: of the API, which the URL in the catalogue contains
    :param endpoint: keyword arguments of a keystoneauth ``Adapter``
    """

    service = "Trove"

    def __init__(self, version: str, **endpoint: Any) -> None:
        super().__init__("", **endpoint)

    def _next_marker(self, name: str, body: Values) -> str | None:
        # Markers of backups are numbers, and no ids.
        link = rest.next_link(body.get("links")) or {}
        return next(iter(parse.parse_qs(parse.urlsplit(str(link.get("href"))).query).get("marker", ())), None)

    def rename(self, instance_id: str, name: str) -> None:
        """Change the name of an instance."""
        self._adapter.patch(self._path("instances", instance_id), json={"instance": {"name": name}})

    def flavors(self) -> Objects:
        """Return the flavors, each with ``id`` and ``name``. Trove shows ids that are numbers as such."""
        found = self._objects("flavors", self._body(self._adapter.get(self._path("flavors")), "flavors"), "flavors")
        return [{**each, "id": str(each.get("str_id") or each.get("id"))} for each in found]
