"""What the clients of services have in common whose requests are so regular that a keystoneauth adapter is enough."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

import requests
from keystoneauth1 import adapter

from karbor_like import exception

#: Objects that one request of a list asks for. An object has about one kilobyte.
PAGE: Final = 500
#: Objects that a list may have. Quotas of projects are far below; a service that never ends a list must not fill the memory.
MAX_OBJECTS: Final = 100_000

_SEGMENT: Final = re.compile(r"(?!\.+\Z)[A-Za-z0-9._-]{1,255}")

Values = Mapping[str, Any]
Objects = list[dict[str, Any]]


class RestClient:
    """Lists, shows, creates, changes and deletes the objects of collections such as ``networks`` or ``security-groups``.

    A collection may be below an object: ``floatingips/ID/port_forwardings``.

    All methods raise the exceptions of keystoneauth, for :func:`karbor_like.clients.errors.translated`; Unavailable if the
    response is not the one that the API describes; InvalidInput if a collection or an id cannot be a part of a path.

    :param root: what precedes the collections in paths
    :param endpoint: keyword arguments of a keystoneauth ``Adapter``
    """

    #: The service in messages.
    service: ClassVar[str]
    #: Singular names that are not the plural name without its last letter.
    singular: ClassVar[Mapping[str, str]] = {}

    def __init__(self, root: str, **endpoint: Any) -> None:
        self._root = root
        self._adapter = adapter.Adapter(**endpoint)

    def list(self, collection: str, **filters: Any) -> Objects:
        """Return the objects of a collection that match the filters, page by page.

        :param filters: attributes and the values that they must have

        Raises ResourceFailed if there are more than :data:`MAX_OBJECTS`.
        """
        found: dict[str, dict[str, Any]] = {}
        for page in self._pages(collection, filters):
            before = len(found)
            found.update((self._id(each, collection), each) for each in page)
            if len(found) > MAX_OBJECTS:
                raise exception.ResourceFailed(f"{self.service} lists more than {MAX_OBJECTS} {collection}")
            if len(found) == before and page:
                raise self._misunderstood(collection, "it repeats a page of the list")
        return [*found.values()]

    def _pages(self, collection: str, filters: Values) -> Iterator[Objects]:
        name = plural(collection)
        query: dict[str, Any] = {**filters, "limit": PAGE}
        while True:
            body = self._body(self._adapter.get(self._path(collection), params=query), collection)
            page = self._objects(collection, body, name)
            yield page
            marker = self._next_marker(name, body) if page else None
            if marker is None:
                return
            query["marker"] = marker

    def _next_marker(self, name: str, body: Values) -> str | None:
        """Return the marker of the next page of a list, or None if there is none.

        :param name: of the list in *body*, which has at least one object
        """
        raise NotImplementedError

    def show(self, collection: str, key: str) -> dict[str, Any]:
        """Return one object."""
        return self._object(collection, self._adapter.get(self._path(collection, key)))

    def create(self, collection: str, values: Values) -> dict[str, Any]:
        """Create an object and return it. The request is not repeated if its answer is lost."""
        body = {self._singular(collection): values}
        return self._object(collection, self._adapter.post(self._path(collection), json=body))

    def update(self, collection: str, key: str, values: Values) -> dict[str, Any]:
        """Change attributes of an object and return it."""
        body = {self._singular(collection): values}
        return self._object(collection, self._adapter.put(self._path(collection, key), json=body))

    def delete(self, collection: str, key: str) -> None:
        """Delete an object."""
        self._adapter.delete(self._path(collection, key))

    def _path(self, *parts: str) -> str:
        segments = "/".join(parts).split("/")
        for segment in segments:
            if not _SEGMENT.fullmatch(segment):
                raise exception.InvalidInput(f"{segment[:255]!r} is not an id in {self.service}")
        return "/".join((self._root, *segments))

    def _object(self, collection: str, response: requests.Response) -> dict[str, Any]:
        name = self._singular(collection)
        found = self._body(response, collection).get(name)
        if not isinstance(found, dict):
            raise self._misunderstood(collection, f"it has no object {name!r}")
        return found

    def _objects(self, collection: str, body: Values, name: str) -> Objects:
        """Return the objects in the member *name* of a response about a collection."""
        found = body.get(name)
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise self._misunderstood(collection, f"it has no list {name!r}")
        return found

    def _singular(self, collection: str) -> str:
        name = plural(collection)
        return self.singular.get(name, name.removesuffix("s"))

    def _body(self, response: requests.Response, collection: str) -> dict[str, Any]:
        try:
            body = response.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise self._misunderstood(collection, "it is not a JSON object")
        return body

    def _id(self, found: Values, collection: str) -> str:
        if not isinstance(found.get("id"), str):
            raise self._misunderstood(collection, "an object has no id")
        return found["id"]

    def _misunderstood(self, collection: str, why: str) -> exception.Unavailable:
        return exception.Unavailable(f"{self.service}'s response about {collection} cannot be understood: {why}")


def next_link(links: Any) -> Values | None:
    """Return the link to the next page in a list of links, or None."""
    found = links if isinstance(links, list) else []
    return next((link for link in found if isinstance(link, dict) and link.get("rel") == "next"), None)


def plural(collection: str) -> str:
    """Return the name that the objects of a collection have in responses."""
    return collection.rpartition("/")[2].replace("-", "_")
