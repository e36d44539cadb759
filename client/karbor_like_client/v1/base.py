"""What all resources of the API have in common."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Self
from urllib import parse

from openstack import exceptions, resource

#: The header that identifies a request and its repetitions.
KEY = "Idempotency-Key"

#: Parameters of the lists of a project's objects, in addition to filters.
PAGING: Mapping[str, Any] = {
    "all_projects": "all_tenants",
    "project_id": "project_id",
    "sort": "sort",
    "offset": "offset",
}


class Resource(resource.Resource):
    """Base of all resources. Members that are unknown to this version of the client are attributes too."""

    _allow_unknown_attrs_in_body = True

    _sent: dict[str, Any] | None = None

    def raw(self) -> dict[str, Any]:
        """Return the members as the API sent them."""
        # An object of a list has no other attributes. Another one may have those of the request.
        return {**self._unknown_attrs_in_body, **self._body.attributes} if self._sent is None else self._sent

    def _prepare_request(
        self, *, requires_id: bool | None = None, base_path: str | None = None, **kwargs: Any
    ) -> resource._Request:
        """Do what the library does, with an id that cannot change the path: users enter names where ids are possible.

        :raises openstack.exceptions.NotFoundException: the id has no form that is part of a path
        """
        if requires_id is None:
            requires_id = self.requires_id
        if requires_id and self.id is not None:
            if str(self.id) in ("", ".", ".."):
                raise exceptions.NotFoundException(f"{str(self.id)!r} is not an id")
            quoted = parse.quote(str(self.id), safe=":")
            base_path = f"{base_path or self.base_path}/{quoted.replace('%', '%%')}"
            requires_id = False
        return super()._prepare_request(requires_id=requires_id, base_path=base_path, **kwargs)

    def _translate_response(self, response: Any, has_body: bool | None = None, *args: Any, **kwargs: Any) -> None:
        super()._translate_response(response, has_body, *args, **kwargs)
        if has_body is not False and response.content:
            self._sent = response.json().get(self.resource_key)

    @classmethod
    def _get_one_match(cls, name_or_id: str, results: Iterable[Self]) -> Self | None:
        matching = [found for found in results if name_or_id in (found.id, found.name)]
        if len(matching) > 1:
            candidates = ", ".join(str(found.id) for found in matching)
            raise exceptions.DuplicateResource(
                f"{len(matching)} objects are named {name_or_id!r}; use the id of one of them: {candidates}"
            )
        return matching[0] if matching else None

    @classmethod
    def _get_next_link(
        cls,
        uri: str,
        response: Any,
        data: dict[str, Any],
        marker: str | None,
        limit: Any,
        total_yielded: int,
    ) -> tuple[str | None, Mapping[str, Any]]:
        # The address in the link may be unreachable from here, for example if a proxy ends TLS.
        if f"{cls.resources_key}_links" not in data:
            return None, {}
        return uri, {"marker": marker} | ({"limit": limit} if limit else {})


class Created(Resource):
    """Base of resources whose creation starts an operation: the request can be repeated without starting a second one.

    :ivar idempotency_key: the same for all attempts to create the object; random unless it is given
    """

    idempotency_key = resource.Header(KEY)

    def create(self, session: Any, *args: Any, **kwargs: Any) -> Self:
        """Create the object. Failed attempts are repeated with the same key."""
        if not self.idempotency_key:
            self.idempotency_key = str(uuid.uuid4())
        return super().create(session, *args, **kwargs)
