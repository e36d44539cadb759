from collections.abc import Mapping
from typing import Any

from karbor_like import exception, foreign
from karbor_like.api import validation, views
from karbor_like.api.controllers import base
from karbor_like.api.expose import expose
from karbor_like.api.next_runs import NextRuns
from karbor_like.api.schemas import triggers as schemas
from karbor_like.db import quotas, triggers
from karbor_like.db.models import Trigger
from karbor_like.policies import triggers as rules
from karbor_like.triggers import contract

TRIGGERS = triggers.TRIGGERS


class Triggers(base.Controller):
    """Triggers of scheduled operations. The operation engines read them from the database."""

    @expose(policy=rules.LIST, query=schemas.LIST, response=schemas.PAGE)
    def list(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """List triggers with their next due times."""
        page = self.page(query)
        found = self.rows(
            TRIGGERS,
            query,
            page,
            for_members=("name", "type", "properties"),
            show=lambda session, rows: [*rows],
            strict=True,
        )
        # Not in the transaction: computing the times may take long.
        times = NextRuns(self.deps)
        return self.links("triggers", [views.timed(views.trigger(row), times.of(row.id, row)) for row in found], page)

    @expose(policy=rules.GET, response=schemas.DETAIL)
    def show(self, trigger_id: str) -> dict[str, Any]:
        """Show a trigger with its next due times."""
        trigger_id = validation.path_id("trigger_id", trigger_id)
        row = TRIGGERS.look_up(self.deps.database, trigger_id, self.context.scope)
        return {"trigger_info": views.timed(views.trigger(row), NextRuns(self.deps).of(row.id, row))}

    @expose(policy=rules.CREATE, body=schemas.CREATE, response=schemas.SHOWN)
    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create a trigger."""
        asked = body["trigger_info"]
        kind = self._kind(asked["type"])
        timing = self._timing(kind, asked["properties"], new=True)
        limits = dict(self.deps.conf.quota)

        def insert(session: Any) -> Trigger:
            quotas.enforce(session, self.project_id, "triggers", limits)
            return TRIGGERS.insert(
                session, project_id=self.project_id, name=asked["name"], type=asked["type"], **timing
            )

        return {"trigger_info": views.trigger(self.deps.database.write(insert))}

    @expose(policy=rules.UPDATE, body=schemas.UPDATE, response=schemas.SHOWN)
    def update(self, trigger_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change a trigger's name, or all its properties."""
        asked = body["trigger_info"]
        trigger_id = validation.path_id("trigger_id", trigger_id)
        values: dict[str, Any] = {"name": asked["name"]} if "name" in asked else {}
        if asked.get("properties"):
            # Computing the times may take long, so no row is locked meanwhile. The type of a trigger does not change.
            with self.deps.database.reader() as session:
                kind = self._kind(TRIGGERS.get(session, trigger_id, self.context.scope).type)
            values.update(self._timing(kind, asked["properties"]))

        def change(session: Any) -> Trigger:
            row = TRIGGERS.get(session, trigger_id, self.context.scope, lock=True)
            # A copy, because another attempt may find that the engine has fired the run meanwhile.
            changes = dict(values)
            if row.next_run_at is not None and row.next_run_at <= self.deps.clock.now():
                # The due run is still to be fired. The engine then continues with the new properties.
                changes.pop("next_run_at", None)
            if changes.get("properties", row.properties) != row.properties:
                self.check_enabled_users(f"trigger {trigger_id}", triggers.users(session, trigger_id))
            if changes:
                TRIGGERS.update(session, trigger_id, changes)
                session.refresh(row)
            return row

        return {"trigger_info": views.trigger(self.deps.database.write(change))}

    @expose(policy=rules.DELETE)
    def delete(self, trigger_id: str) -> None:
        """Delete a trigger that no scheduled operation uses."""
        trigger_id = validation.path_id("trigger_id", trigger_id)

        def remove(session: Any) -> None:
            TRIGGERS.get(session, trigger_id, self.context.scope, lock=True)
            used = triggers.users(session, trigger_id)
            if used:
                names = ", ".join(f"{row.name} ({row.id})" for row in used)
                raise exception.TriggerInUse(f"trigger {trigger_id} is used by scheduled operations: {names}")
            TRIGGERS.delete(session, trigger_id)

        self.deps.database.write(remove)

    def _kind(self, name: str) -> contract.TriggerType:
        return contract.of_type(self.deps.trigger_types, name)

    def _timing(
        self, kind: contract.TriggerType, properties: Mapping[str, Any], *, new: bool = False
    ) -> dict[str, Any]:
        """Return the columns that determine when the trigger fires.

        :raises InvalidInput: the properties are invalid or exceed a limit
        """
        validation.check(validation.validator(kind.schema), properties, "trigger_info.properties")
        now = self.deps.clock.now()
        limits = contract.Limits.of(self.deps.conf)
        # Types and formats are plugins, and evaluate what a tenant wrote with libraries of other projects.
        with foreign.refused("trigger_info.properties"):
            properties = kind.completed(properties, now) if new else properties
            timing = kind.check(properties, limits, now)
            return {"properties": dict(properties), "next_run_at": timing.next(now)}
