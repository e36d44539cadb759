import builtins
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from oslo_utils import uuidutils

from karbor_like import exception
from karbor_like.api import errors, validation, views
from karbor_like.api.controllers import base
from karbor_like.api.expose import expose
from karbor_like.api.progress import progress_of
from karbor_like.api.schemas import checkpoints as schemas
from karbor_like.db import checkpoints
from karbor_like.db.checkpoints import CHECKPOINTS
from karbor_like.db.models import Checkpoint
from karbor_like.domain.operation import CREATING
from karbor_like.policies import checkpoints as rules

#: Errors with which the protection service refuses to protect a plan. Old clients expect one status for all of them.
_REFUSED = (
    exception.InvalidInput,
    exception.NotFound,
    exception.Conflict,
    exception.Unsupported,
    exception.ResourceFailed,
)


_FIRST_DAY = date(1970, 1, 1)
_LAST_DAY = date(9998, 12, 31)


class Checkpoints(base.Controller):
    """Checkpoints of plans at providers."""

    @expose(policy=rules.GET_ALL, query=schemas.LIST, response=schemas.PAGE)
    def list(self, provider_id: str, query: Mapping[str, Any]) -> dict[str, Any]:
        """List the checkpoints of a provider that are not deleted, newest first."""
        page = self.page(query)
        provider_id = _canonical(provider_id, exception.ProviderNotFound)
        with self.deps.database.reader() as session:
            rows = checkpoints.page(
                session,
                provider_id,
                project_id=self._project(query),
                filters={name: query[name] for name in ("plan_id", "status") if name in query},
                **_days(query),
                limit=page.limit,
                marker=_canonical(page.marker, exception.CheckpointNotFound) if page.marker else None,
                sort=page.sort,
            )
            found = self._views(session, rows)
        if not found:
            # An unknown provider has no checkpoints either.
            self.deps.protection.show_provider(self.context, provider_id=provider_id)
        return self.links("checkpoints", found, page)

    def _project(self, query: Mapping[str, Any]) -> str | None:
        return query.get("project_id") if self.all_tenants(query) else self.project_id

    @expose(policy=rules.GET, response=schemas.SHOWN)
    def show(self, provider_id: str, checkpoint_id: str) -> dict[str, Any]:
        """Show a checkpoint. A deleted one is shown until it is purged."""
        return self._show(**_ids(provider_id, checkpoint_id))

    @expose(policy=rules.CREATE, body=schemas.CREATE, response=schemas.SHOWN, starts_operation=True)
    def create(self, provider_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Protect a plan. Returns when the checkpoint exists in the bank, and the operation continues."""
        asked = body["checkpoint"]
        provider_id = validation.path_id("provider_id", provider_id)
        extra_info = asked.get("extra-info") or asked.get("extra_info") or {"created_by": "manual"}
        checkpoint_id = self.new_id()
        try:
            self.deps.protection.protect(
                self.context,
                checkpoint_id=checkpoint_id,
                plan_id=validation.canonical_id(asked["plan_id"]),
                provider_id=provider_id,
                extra_info={name: value for name, value in extra_info.items() if value is not None},
            )
        except exception.PlanNotFound:
            raise
        except (*_REFUSED, exception.LeaseLost) as error:
            # The status of an existing checkpoint shows what happened. After a lost lease, another service creates it.
            if not self._exists(checkpoint_id):
                if isinstance(error, exception.LeaseLost):
                    raise
                raise errors.BadRequest(error, f"create failed: {error}") from None
        return self._show(provider_id, checkpoint_id)

    @expose(policy=(rules.GET, rules.DELETE), response=schemas.NOTHING)
    def delete(self, provider_id: str, checkpoint_id: str) -> dict[str, Any]:
        """Delete a checkpoint. If it is still being created, that is cancelled and the status becomes ``error``."""
        self.deps.protection.delete_checkpoint(self.context, **_ids(provider_id, checkpoint_id))
        return {}

    @expose(policy=(rules.GET, rules.UPDATE), body=schemas.RESET, response=schemas.NOTHING)
    def reset(self, provider_id: str, checkpoint_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Reset the state of a checkpoint."""
        with errors.as_bad_request(exception.WrongState):
            self.deps.protection.reset_checkpoint(
                self.context, **_ids(provider_id, checkpoint_id), state=body["os-resetState"]["state"]
            )
        return {}

    def _exists(self, checkpoint_id: str) -> bool:
        with self.deps.database.reader() as session:
            return CHECKPOINTS.find(session, checkpoint_id, self.context.scope) is not None

    def _show(self, provider_id: str, checkpoint_id: str) -> dict[str, Any]:
        with self.deps.database.reader() as session:
            row = checkpoints.get(session, checkpoint_id, provider_id, self.context.scope)
            return {"checkpoint": self._views(session, [row])[0]}

    def _views(self, session: Any, rows: Sequence[Checkpoint]) -> builtins.list[dict[str, Any]]:
        shown = progress_of(session, "checkpoint_id", [row.id for row in rows], CREATING)
        return [views.checkpoint(row, shown[row.id]) for row in rows]


def _ids(provider_id: str, checkpoint_id: str) -> dict[str, str]:
    """Return the ids of a path in canonical form.

    :raises InvalidInput: one is not a UUID
    """
    return {
        "provider_id": validation.path_id("provider_id", provider_id),
        "checkpoint_id": validation.path_id("checkpoint_id", checkpoint_id),
    }


def _canonical(text: str, error: type[exception.NotFound]) -> str:
    """Return an id in canonical form. An object whose id is not a UUID does not exist."""
    if not uuidutils.is_uuid_like(text):
        raise error(f"{text!r} could not be found")
    return validation.canonical_id(text)


def _days(query: Mapping[str, Any]) -> dict[str, date]:
    """Return the filters by day. As always in this API, an end without a start is ignored."""
    if "start_date" not in query:
        return {}
    return {name: _day(name, query[name]) for name in ("start_date", "end_date") if name in query}


def _day(name: str, text: str) -> date:
    """Return a day, or the nearest one that every database can compare: clients write the first and last days for "ever"."""
    try:
        return min(max(date.fromisoformat(text), _FIRST_DAY), _LAST_DAY)
    except ValueError:
        raise exception.InvalidInput(f"{name}: {text!r} is not a day; use YYYY-MM-DD") from None
