from collections.abc import Mapping
from datetime import date
from typing import Any

from oslo_utils import uuidutils

from karbor_like import exception
from karbor_like.api import errors, progress, validation, views
from karbor_like.api.controllers import base
from karbor_like.api.expose import expose
from karbor_like.api.schemas import checkpoints as schemas
from karbor_like.db import operations
from karbor_like.db.checkpoints import CHECKPOINTS
from karbor_like.db.plans import PLANS
from karbor_like.domain import states
from karbor_like.policies import checkpoints as rules

#: Deleting a checkpoint in these states cancels the operation that is making it.
_UNFINISHED = (states.PROTECTING, states.WAIT_COPYING, states.COPYING)

#: Why the protection service may find that a plan cannot be protected: to the client it is all one, a bad request.
_REFUSED = (
    exception.InvalidInput,
    exception.NotFound,
    exception.Conflict,
    exception.Unsupported,
    exception.ResourceFailed,
)


class Checkpoints(base.Controller):
    """What providers hold of plans."""

    @expose(policy=rules.GET_ALL, query=schemas.LIST, response=schemas.PAGE)
    def list(self, provider_id: str, query: Mapping[str, Any]) -> dict[str, Any]:
        """List the checkpoints of a provider that are not deleted, newest first."""
        page = self.page(query)
        provider_id = _known(provider_id, exception.ProviderNotFound)
        if page.marker:
            _known(page.marker, exception.CheckpointNotFound)
        found = self.deps.protection.list_checkpoints(
            self.context,
            provider_id=provider_id,
            filters=self._filters(query),
            limit=page.limit,
            marker=page.marker,
            sort=page.sort,
        )
        return self.links("checkpoints", self._shown(found), page)

    def _filters(self, query: Mapping[str, Any]) -> dict[str, Any]:
        filters = {name: query[name] for name in ("plan_id", "status") if name in query}
        if not self.all_tenants(query):
            filters["project_id"] = self.project_id
        elif "project_id" in query:
            filters["project_id"] = query["project_id"]
        # An end without a start has never meant anything.
        for name in ("start_date", "end_date") if "start_date" in query else ():
            if name in query:
                filters[name] = _day(name, query[name])
        return filters

    @expose(policy=rules.GET, response=schemas.SHOWN)
    def show(self, provider_id: str, checkpoint_id: str) -> dict[str, Any]:
        """Show a checkpoint; for some time also one that is deleted."""
        return {"checkpoint": self._shown([self._get(provider_id, checkpoint_id)])[0]}

    @expose(policy=rules.CREATE, body=schemas.CREATE, response=schemas.SHOWN, starts_operation=True)
    def create(self, provider_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Protect a plan. Answers when the checkpoint stands in the bank and its operation goes on by itself."""
        asked = body["checkpoint"]
        checkpoint_id, again = self.new_id()
        if again and (made := self._made(checkpoint_id)):
            return {"checkpoint": made}
        plan_id = self._plan(provider_id, asked["plan_id"])
        extra_info = asked.get("extra-info") or asked.get("extra_info") or {"created_by": "manual"}
        try:
            checkpoint = self.deps.protection.protect(
                self.context,
                plan_id=plan_id,
                provider_id=validation.canonical_id(provider_id),
                extra_info={name: value for name, value in extra_info.items() if value is not None},
                checkpoint_id=checkpoint_id,
            )
        except (*_REFUSED, exception.LeaseLost) as error:
            # Of two same requests at once, one finds what the other made; and what a service lost, another goes on with.
            if made := self._made(checkpoint_id):
                return {"checkpoint": made}
            if isinstance(error, exception.LeaseLost):
                raise
            raise errors.BadRequest(error, f"create failed: {error}") from None
        return {"checkpoint": self._shown([checkpoint])[0]}

    def _made(self, checkpoint_id: str) -> dict[str, Any] | None:
        with self.deps.database.reader() as session:
            row = CHECKPOINTS.find(session, checkpoint_id)
        if row is None:
            return None
        found = self.deps.protection.show_checkpoint(
            self.context, provider_id=row.provider_id, checkpoint_id=checkpoint_id
        )
        return self._shown([found])[0]

    def _plan(self, provider_id: str, plan_id: str) -> str:
        with self.deps.database.reader() as session:
            plan = PLANS.get(session, validation.canonical_id(plan_id), self.scope)
            if validation.path_id("provider_id", provider_id) != plan.provider_id:
                raise exception.PlanWrongProvider(
                    f"plan {plan.id} is for provider {plan.provider_id}, not for {provider_id} as the path says"
                )
            return plan.id

    @expose(policy=(rules.GET, rules.DELETE), response=schemas.NOTHING)
    def delete(self, provider_id: str, checkpoint_id: str) -> dict[str, Any]:
        """Delete a checkpoint. One that is still being made is cancelled instead, and ends in ``error``."""
        checkpoint = self._get(provider_id, checkpoint_id)
        if checkpoint["status"] in _UNFINISHED and self._cancel(checkpoint["id"]):
            return {}
        self.deps.protection.delete_checkpoint(
            self.context, provider_id=validation.canonical_id(provider_id), checkpoint_id=checkpoint["id"]
        )
        return {}

    def _cancel(self, checkpoint_id: str) -> bool:
        with self.deps.database.reader() as session:
            found = operations.unfinished_of(session, checkpoint_id=checkpoint_id)
            making = [row.id for row in found if row.operation_type in progress.MAKING]
        for operation_id in making:
            self.deps.protection.cancel(self.context, operation_id=operation_id)
        return bool(making)

    @expose(policy=(rules.GET, rules.UPDATE), body=schemas.RESET, response=schemas.NOTHING)
    def reset(self, provider_id: str, checkpoint_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Reset the state of a checkpoint."""
        checkpoint = self._get(provider_id, checkpoint_id)
        if checkpoint["status"] not in states.RESETTABLE:
            raise errors.BadRequest(
                exception.WrongState(
                    f"checkpoint {checkpoint['id']} is {checkpoint['status']!r}; its state can only be reset from "
                    f"{', '.join(sorted(states.RESETTABLE))}"
                )
            )
        self.deps.protection.reset_checkpoint(
            self.context,
            provider_id=validation.canonical_id(provider_id),
            checkpoint_id=checkpoint["id"],
            state=body["os-resetState"]["state"],
        )
        return {}

    def _get(self, provider_id: str, checkpoint_id: str) -> dict[str, Any]:
        return self.checkpoint(
            validation.path_id("provider_id", provider_id), validation.path_id("checkpoint_id", checkpoint_id)
        )

    def _shown(self, found: Any) -> Any:
        with self.deps.database.reader() as session:
            shown = progress.of(session, "checkpoint_id", [one["id"] for one in found], progress.MAKING)
        return [views.checkpoint(one, shown[one["id"]]) for one in found]


def _known(text: str, error: type[exception.NotFound]) -> str:
    """An id in its canonical form; one that cannot be an id is one that does not exist."""
    if not uuidutils.is_uuid_like(text):
        raise error(f"{text!r} could not be found")
    return validation.canonical_id(text)


def _day(name: str, text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise exception.InvalidInput(f"{name}: {text!r} is not a day; use YYYY-MM-DD") from None
