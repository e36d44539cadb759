"""A client of Neutron, version 2.0 of its API: https://docs.openstack.org/api-ref/network/v2/.

The library python-neutronclient is deprecated. Neutron's requests are so regular that a keystoneauth adapter is enough.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import requests
from keystoneauth1 import adapter

from karbor_like import exception

#: Objects that one request of a list asks for. An object has about one kilobyte.
PAGE: Final = 500
#: Objects that a list may have. Quotas of projects are far below; a service that never ends a list must not fill the memory.
MAX_OBJECTS: Final = 100_000

_SEGMENT: Final = re.compile(r"(?!\.+\Z)[A-Za-z0-9._-]{1,255}")
#: Singular names that are not the plural name without its last letter.
_SINGULAR: Final = {"policies": "policy"}

Values = Mapping[str, Any]
Objects = list[dict[str, Any]]


class Neutron:
    """Lists, shows, creates, changes and deletes the objects of collections such as ``networks`` or ``security-groups``.

    A collection may be below an object: ``floatingips/ID/port_forwardings``.

    All methods raise the exceptions of keystoneauth, for :func:`karbor_like.clients.errors.translated`; Unavailable if the
    response is not the one that the API describes; InvalidInput if a collection or an id cannot be a part of a path.

    :param version: of the API
    :param endpoint: keyword arguments of a keystoneauth ``Adapter``
    """

    def __init__(self, version: str, **endpoint: Any) -> None:
        self._root = f"/v{version}"
        self._adapter = adapter.Adapter(**endpoint)

    def list(self, collection: str, **filters: Any) -> Objects:
        """Return the objects of a collection that match the filters, page by page.

        :param filters: attributes and the values that they must have; ``fields`` is a list of the attributes to return, which
            must contain ``id``

        Raises ResourceFailed if there are more than :data:`MAX_OBJECTS`.
        """
        found: dict[str, dict[str, Any]] = {}
        for page in self._pages(collection, filters):
            before = len(found)
            found.update((_id(each, collection), each) for each in page)
            if len(found) > MAX_OBJECTS:
                raise exception.ResourceFailed(f"Neutron lists more than {MAX_OBJECTS} {collection}")
            if len(found) == before and page:
                raise _misunderstood(collection, "it repeats a page of the list")
        return [*found.values()]

    def _pages(self, collection: str, filters: Values) -> Iterator[Objects]:
        name = _plural(collection)
        query: dict[str, Any] = {**filters, "limit": PAGE}
        while True:
            body = _body(self._adapter.get(self._path(collection), params=query), collection)
            page = body.get(name)
            if not isinstance(page, list) or not all(isinstance(each, dict) for each in page):
                raise _misunderstood(collection, f"it has no list {name!r}")
            yield page
            links = body.get(f"{name}_links")
            if not page or not isinstance(links, list) or not any(_is_next(link) for link in links):
                return
            query["marker"] = _id(page[-1], collection)

    def show(self, collection: str, key: str) -> dict[str, Any]:
        """Return one object."""
        return self._object(collection, self._adapter.get(self._path(collection, key)))

    def create(self, collection: str, values: Values) -> dict[str, Any]:
        """Create an object and return it. The request is not repeated if its answer is lost."""
        return self._object(
            collection, self._adapter.post(self._path(collection), json={_singular(collection): values})
        )

    def update(self, collection: str, key: str, values: Values) -> dict[str, Any]:
        """Change attributes of an object and return it."""
        body = {_singular(collection): values}
        return self._object(collection, self._adapter.put(self._path(collection, key), json=body))

    def delete(self, collection: str, key: str) -> None:
        """Delete an object."""
        self._adapter.delete(self._path(collection, key))

    def call(self, collection: str, key: str, action: str, body: Values) -> dict[str, Any]:
        """Call an action of an object, such as ``add_router_interface`` of a router, or replace its ``tags``."""
        return _body(self._adapter.put(self._path(collection, key, action), json=body), collection)

    def _path(self, *parts: str) -> str:
        segments = "/".join(parts).split("/")
        for segment in segments:
            if not _SEGMENT.fullmatch(segment):
                raise exception.InvalidInput(f"{segment[:255]!r} is not an id in Neutron")
        return "/".join((self._root, *segments))

    def _object(self, collection: str, response: requests.Response) -> dict[str, Any]:
        name = _singular(collection)
        found = _body(response, collection).get(name)
        if not isinstance(found, dict):
            raise _misunderstood(collection, f"it has no object {name!r}")
        return found


def _plural(collection: str) -> str:
    return collection.rpartition("/")[2].replace("-", "_")


def _singular(collection: str) -> str:
    plural = _plural(collection)
    return _SINGULAR.get(plural, plural.removesuffix("s"))


def _body(response: requests.Response, collection: str) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise _misunderstood(collection, "it is not a JSON object")
    return body


def _id(found: Values, collection: str) -> str:
    if not isinstance(found.get("id"), str):
        raise _misunderstood(collection, "an object has no id")
    return found["id"]


def _is_next(link: Any) -> bool:
    return isinstance(link, dict) and link.get("rel") == "next"


def _misunderstood(collection: str, why: str) -> exception.Unavailable:
    return exception.Unavailable(f"Neutron's response about {collection} cannot be understood: {why}")
