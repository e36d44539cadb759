"""What all controllers share: who asks, whose rows that is, pages of tables, and requests that are sent again."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from karbor_like import exception
from karbor_like.api import paging
from karbor_like.api.context import ServiceContext
from karbor_like.api.expose import Call
from karbor_like.context import RequestContext
from karbor_like.db import idempotency
from karbor_like.db.models import base as models
from karbor_like.db.repository import Repository
from karbor_like.domain import coercion
from karbor_like.secret import Cipher

M = TypeVar("M", bound=models.Base)

_MAX_KEY = 255


class Controller:
    """One request to one noun. Made per request, so it may keep what belongs to the request."""

    def __init__(self, deps: ServiceContext, call: Call) -> None:
        self.deps = deps
        self.call = call

    @property
    def context(self) -> RequestContext:
        """The caller."""
        return self.call.context

    @property
    def project_id(self) -> str:
        """The caller's project."""
        return str(self.context.project_id)

    def all_tenants(self, query: Mapping[str, Any], *, strict: bool = False) -> bool:
        """Whether the caller asked for every project's objects, and may.

        Raises InvalidInput for a value that is no boolean; a member's is not even read, unless *strict*.
        """
        if not (strict or self.context.is_admin) or "all_tenants" not in query:
            return False
        wanted = coercion.boolean(query["all_tenants"])
        if wanted is None:
            raise exception.InvalidInput(f"all_tenants: {query['all_tenants']!r} is not a boolean; use true or false")
        return wanted and bool(self.context.is_admin)

    def page(self, query: Mapping[str, Any]) -> paging.Page:
        """The part of a list that is wanted."""
        return paging.page_of(query, self.deps.conf.api.max_limit)

    def links(self, member: str, items: list[dict[str, Any]], page: paging.Page) -> dict[str, Any]:
        """The answer of a list: *items* under *member*, and a link where there may be more."""
        answer: dict[str, Any] = {member: items}
        if items and len(items) >= page.limit:
            answer[f"{member}_links"] = paging.next_link(
                self.call.request, self.deps.conf.api.public_url, items[-1]["id"]
            )
        return answer

    def rows(
        self,
        repository: Repository[M],
        query: Mapping[str, Any],
        page: paging.Page,
        *,
        for_members: Iterable[str],
        show: Callable[[Any, list[M]], list[dict[str, Any]]],
        strict: bool = False,
    ) -> list[dict[str, Any]]:
        """A page of a table as *show* (session, rows) puts it. Members may filter by *for_members*, administrators by all
        that the table can be filtered by.
        """
        allowed = repository.filters if self.context.is_admin else for_members
        project_id = None if self.all_tenants(query, strict=strict) else self.project_id
        with self.deps.database.reader() as session:
            found = repository.list(
                session,
                project_id=project_id,
                filters={name: query[name] for name in allowed if name in query},
                sort=page.sort,
                marker=page.marker,
                limit=page.limit,
                offset=page.offset,
            )
            return show(session, list(found))

    def new_id(self) -> str:
        """Return the id of the object that this request creates: the same for each repeat of an ``Idempotency-Key``.

        :raises InvalidInput: the key is malformed
        :raises Conflict: the key was sent with another request
        """
        key = self.call.request.headers.get("Idempotency-Key")
        if key is None:
            return models.new_id()
        if not 0 < len(key) <= _MAX_KEY or not key.isprintable() or not key.isascii():
            raise exception.InvalidInput(f"Idempotency-Key: must be 1 to {_MAX_KEY} printable ASCII characters")
        request = [self.call.request.method, self.call.request.path_info, self.call.body]
        fingerprint, *former = Cipher.from_conf(self.deps.conf).fingerprints(json.dumps(request, sort_keys=True))
        return self.deps.database.write(
            lambda session: idempotency.reserve(session, self.project_id, key, fingerprint, former)
        )
