"""A client of Manila: https://docs.openstack.org/api-ref/shared-file-system/.

An adapter instead of python-manilaclient, which would be a further dependency, with packages for the command line: the few
requests are as regular as Neutron's.
"""

from collections.abc import Iterator
from typing import Any, Final

from karbor_like.clients import rest
from karbor_like.clients.rest import Objects, Values

#: Collections whose lists have all attributes below this name only.
_DETAILED: Final = frozenset({"shares", "snapshots"})


class Manila(rest.RestClient):
    """Lists, shows, creates, changes and deletes objects, see :class:`karbor_like.clients.rest.RestClient`.

    :param version: microversion
    :param endpoint: keyword arguments of a keystoneauth ``Adapter``
    """

    service = "Manila"

    def __init__(self, version: str, **endpoint: Any) -> None:
        # The URL in the catalogue has the version of the API.
        super().__init__("", default_microversion=version, **endpoint)

    def access_rules(self, share_id: str) -> Objects:
        """Return the access rules of a share."""
        collection = "share-access-rules"
        response = self._adapter.get(self._path(collection), params={"share_id": share_id})
        return self._objects(collection, self._body(response, collection), "access_list")

    def allow_access(self, share_id: str, rule: Values) -> None:
        """Add an access rule to a share. Manila applies it later."""
        self._adapter.post(self._path("shares", share_id, "action"), json={"allow_access": rule})

    def set_metadata(self, share_id: str, metadata: Values, *, replace: bool = False) -> None:
        """Set metadata of a share.

        :param replace: whether other metadata is deleted
        """
        send = self._adapter.put if replace else self._adapter.post
        send(self._path("shares", share_id, "metadata"), json={"metadata": metadata})

    def _pages(self, collection: str, filters: Values) -> Iterator[Objects]:
        path = self._path(collection, "detail") if collection in _DETAILED else self._path(collection)
        # Oldest first: what others create meanwhile shifts nothing.
        query: dict[str, Any] = {
            **filters,
            "limit": rest.PAGE,
            "offset": 0,
            "sort_key": "created_at",
            "sort_dir": "asc",
        }
        while True:
            response = self._adapter.get(path, params=query)
            page = self._objects(collection, self._body(response, collection), rest.plural(collection))
            yield page
            # A page may be shorter than asked for, and its links do not say then that more follow.
            if not page:
                return
            query["offset"] += len(page)
