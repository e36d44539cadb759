"""Base of all controllers: the caller, pages of tables, links and idempotent requests."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from karbor_like import exception
from karbor_like.api import paging
from karbor_like.api.context import ServiceContext
from karbor_like.api.expose import Call
from karbor_like.context import RequestContext
from karbor_like.db import idempotency
from karbor_like.db.models import ScheduledOperation
from karbor_like.db.models import base as models
from karbor_like.db.repository import Repository
from karbor_like.domain import coercion
from karbor_like.secret import Cipher

M = TypeVar("M", bound=models.Base)
T = TypeVar("T")

_MAX_KEY = 255


class Controller:
    """Handles one request. There is one instance per request, so it may keep the state of the request."""

    def __init__(self, deps: ServiceContext, call: Call) -> None:
        self.deps = deps
        self.call = call

    @property
    def context(self) -> RequestContext:
        """Identity of the caller."""
        return self.call.context

    @property
    def project_id(self) -> str:
        """Project of the caller."""
        return str(self.context.project_id)

    def all_tenants(self, query: Mapping[str, Any], *, strict: bool = False) -> bool:
        """Return whether the caller requests the objects of all projects and is allowed to.

        :param strict: whether to check the value if the caller is no administrator, whose value counts as false
        :raises InvalidInput: the value is not a boolean
        """
        if not (strict or self.context.is_admin) or "all_tenants" not in query:
            return False
        wanted = coercion.boolean(query["all_tenants"])
        if wanted is None:
            raise exception.InvalidInput(f"all_tenants: {query['all_tenants']!r} is not a boolean; use true or false")
        return wanted and bool(self.context.is_admin)

    def page(self, query: Mapping[str, Any]) -> paging.Page:
        """Return the part of a list that the query string selects."""
        return paging.page_of(query, self.deps.conf.api.max_limit)

    def links(self, member: str, items: list[dict[str, Any]], page: paging.Page) -> dict[str, Any]:
        """Return the response of a list: *items* under *member*, and a link to the next page if the page is full."""
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
        show: Callable[[Any, list[M]], list[T]],
        strict: bool = False,
    ) -> list[T]:
        """Return a page of a table.

        :param for_members: filters that members may use; administrators may use all filters of the table
        :param show: converts rows to what is returned, in the transaction
        :param strict: see :meth:`all_tenants`
        """
        allowed = repository.filters if self.context.is_admin else for_members
        project_id = None if self.all_tenants(query, strict=strict) else self.project_id
        with self.deps.database.reader() as session:
            rows = repository.list(
                session,
                project_id=project_id,
                filters={name: query[name] for name in allowed if name in query},
                sort=page.sort,
                marker=page.marker,
                limit=page.limit,
                offset=page.offset,
            )
            return show(session, list(rows))

    def check_enabled_users(self, noun: str, used: Iterable[ScheduledOperation]) -> None:
        """Check that the caller may change what scheduled operations do.

        They act by their users' trusts, so that otherwise a change would be carried out with an authority that the caller
        does not have, or no longer has. A disabled operation does nothing until its user has enabled it.

        :param noun: what is changed, such as ``plan <id>``
        :param used: the scheduled operations that use it
        :raises NotAuthorized: one of them is enabled, and the caller is neither its user nor an administrator, or has a token
            of a trust or of a restricted application credential
        """
        caller = self.context
        others = [
            f"{row.name} ({row.id})"
            for row in used
            if row.enabled and (caller.is_delegated or not (caller.is_admin or row.user_id == caller.user_id))
        ]
        if others:
            raise exception.NotAuthorized(
                f"{noun}: scheduled operations use it in the name of their users: {', '.join(others)}; disable them first, "
                "or change it as their user or as administrator, with a token that is not of a trust or of a restricted "
                "application credential"
            )

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
