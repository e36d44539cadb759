"""What restores and verifications have in common: a row that requests an operation on a checkpoint."""

from collections.abc import Mapping
from typing import Any, ClassVar

from karbor_like import exception
from karbor_like.api import validation
from karbor_like.api.controllers import base
from karbor_like.api.progress import progress_of
from karbor_like.db import operations
from karbor_like.db.repository import Repository


class Requests(base.Controller):
    """Base of the controllers of restores and verifications."""

    noun: ClassVar[str]
    repository: ClassVar[Repository[Any]]

    def view(self, row: Any, progress: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row as clients know it, with the progress of its operation."""
        raise NotImplementedError

    def list_requests(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """List a page of rows."""
        page = self.page(query)
        rows = self.rows(self.repository, query, page, for_members=("status",), show=self._views)
        return self.links(f"{self.noun}s", rows, page)

    def show_request(self, request_id: str) -> dict[str, Any]:
        """Show a row."""
        with self.deps.database.reader() as session:
            row = self.repository.get(session, request_id, self.context.scope)
            return {self.noun: self._views(session, [row])[0]}

    def _views(self, session: Any, rows: list[Any]) -> list[dict[str, Any]]:
        shown = progress_of(session, f"{self.noun}_id", [row.id for row in rows])
        return [self.view(row, shown[row.id]) for row in rows]

    def arguments(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the RPC calls ``restore`` and ``verify`` both take."""
        return {
            "provider_id": validation.canonical_id(asked["provider_id"]),
            "checkpoint_id": validation.canonical_id(asked["checkpoint_id"]),
            "parameters": asked.get("parameters", {}),
        }

    def cancel_request(self, request_id: str) -> None:
        """Cancel the operation of a row.

        :raises Conflict: it has ended
        """
        with self.deps.database.reader() as session:
            row = self.repository.get(session, request_id, self.context.scope)
            unfinished = operations.unfinished_of(session, **{f"{self.noun}_id": request_id})
        if not unfinished:
            raise exception.OperationEnded(f"{self.noun} {request_id} is {row.status!r}: there is nothing to cancel")
        for operation in unfinished:
            self.deps.protection.cancel(self.context, operation_id=operation.id)
