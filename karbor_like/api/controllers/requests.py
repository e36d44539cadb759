"""What restores and verifications have in common: a row that asks for something to be done with a checkpoint."""

from collections.abc import Mapping
from typing import Any, ClassVar

from karbor_like import exception
from karbor_like.api import errors, parameters, progress, validation, views
from karbor_like.api.controllers import base
from karbor_like.db import operations
from karbor_like.db.repository import Repository
from karbor_like.domain import states


class Requests(base.Controller):
    """Subclasses say whose rows, and how the work begins."""

    noun: ClassVar[str]
    repository: ClassVar[Repository[Any]]
    #: The provider's map of schemas that parameters are held against.
    options_of: ClassVar[str]

    def view(self, row: Any, progress: Mapping[str, Any]) -> dict[str, Any]:
        """The row as clients know it, with the *progress* of its operation."""
        raise NotImplementedError

    def begin(self, request_id: str, auth: Mapping[str, Any] | None = None) -> None:
        """Tell the protection service to do what the row *request_id* asks."""
        raise NotImplementedError

    def listing(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """A page."""
        page = self.page(query)
        found = self.rows(self.repository, query, page, for_members=("status",), show=self._shown)
        return self.links(f"{self.noun}s", found, page)

    def shown(self, request_id: str) -> dict[str, Any]:
        """One."""
        with self.deps.database.reader() as session:
            row = self.repository.get(session, request_id, self.scope)
            return {self.noun: self._shown(session, [row])[0]}

    def _shown(self, session: Any, rows: list[Any]) -> list[dict[str, Any]]:
        shown = progress.of(session, f"{self.noun}_id", [row.id for row in rows])
        return [self.view(row, shown[row.id]) for row in rows]

    def started(
        self, asked: Mapping[str, Any], *, auth: Mapping[str, Any] | None = None, **columns: Any
    ) -> dict[str, Any]:
        """Check what is asked, write it down, begin, and show the row; *columns* are the subclass's own.

        Nothing is written where it cannot begin for a reason that is known before. A reason that only the protection
        service finds is shown as ``fail``.
        """
        request_id, again = self.new_id()
        if again and self._exists(request_id):
            return self._begun(request_id, auth)
        values = {**self._checked(asked), **columns}
        values.update(id=request_id, project_id=self.project_id, status=states.IN_PROGRESS)
        try:
            self.deps.database.write(lambda session: self.repository.insert(session, **values))
        except exception.Conflict:
            # Of two same requests at once, one finds what the other wrote.
            if not self._exists(request_id):
                raise
        return self._begun(request_id, auth)

    def _exists(self, request_id: str) -> bool:
        with self.deps.database.reader() as session:
            return self.repository.find(session, request_id, self.project_id) is not None

    def _checked(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        provider_id, checkpoint_id = (validation.canonical_id(asked[name]) for name in ("provider_id", "checkpoint_id"))
        provider = views.provider(self.deps.protection.show_provider(self.context, provider_id=provider_id))
        checkpoint = self.checkpoint(provider_id, checkpoint_id)
        if checkpoint["status"] != states.AVAILABLE:
            raise errors.BadRequest(
                exception.CheckpointNotAvailable(
                    f"{self.noun}.checkpoint_id: checkpoint {checkpoint_id} is {checkpoint['status']!r}, not 'available'"
                )
            )
        given = parameters.checked(
            asked.get("parameters", {}),
            provider["extended_info_schema"][self.options_of],
            root=f"{self.noun}.parameters",
            strict=True,
            installed=self.resource_types,
        )
        return {"provider_id": provider_id, "checkpoint_id": checkpoint_id, "parameters": given}

    def _begun(self, request_id: str, auth: Mapping[str, Any] | None) -> dict[str, Any]:
        try:
            if self._waits(request_id):
                self.begin(request_id, auth)
        except exception.Unavailable:
            if self.deps.database.write(lambda session: self._withdraw(session, request_id)):
                raise
        except exception.KarborLikeError as error:
            reason = error.message
            self.deps.database.write(
                lambda session: self.repository.update(
                    session, request_id, {"status": states.FAIL, "reason": reason}, {"status": states.IN_PROGRESS}
                )
            )
        return self.shown(request_id)

    def _waits(self, request_id: str) -> bool:
        """Whether nobody has begun yet: not so where the same request was sent before."""
        with self.deps.database.reader() as session:
            row = self.repository.get(session, request_id)
            begun = operations.latest_of(session, **{f"{self.noun}_id": request_id})
            return row.status == states.IN_PROGRESS and begun is None

    def _withdraw(self, session: Any, request_id: str) -> bool:
        """Remove a row that nobody works on. False where somebody does: the answer was lost, not the question."""
        # The lock first: who began meanwhile, has.
        row = self.repository.find(session, request_id, lock=True)
        if row is None:
            return True
        if row.status != states.IN_PROGRESS or operations.latest_of(session, **{f"{self.noun}_id": request_id}):
            return False
        return self.repository.delete(session, request_id)

    def cancelled(self, request_id: str) -> None:
        """Cancel the work behind a row. Raises Conflict where it has ended."""
        with self.deps.database.reader() as session:
            row = self.repository.get(session, request_id, self.scope)
            unfinished = operations.unfinished_of(session, **{f"{self.noun}_id": request_id})
        if not unfinished:
            raise exception.OperationEnded(f"{self.noun} {request_id} is {row.status!r}: there is nothing to cancel")
        for operation in unfinished:
            self.deps.protection.cancel(self.context, operation_id=operation.id)
