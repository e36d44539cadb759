import contextlib
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from karbor_like import exception
from karbor_like.api import errors, validation, views
from karbor_like.api.controllers import base
from karbor_like.api.expose import expose
from karbor_like.api.next_runs import NextRuns, of_timing
from karbor_like.api.schemas import scheduled_operations as schemas
from karbor_like.db import checkpoints, plans, quotas, scheduled_runs, triggers, trusts
from karbor_like.db.models import ScheduledOperation, ScheduledRun, Trigger
from karbor_like.db.scheduled_operations import SCHEDULED_OPERATIONS
from karbor_like.db.triggers import TRIGGERS
from karbor_like.domain import left_out, retention
from karbor_like.policies import scheduled_operations as rules

LOG = logging.getLogger(__name__)

_DEFINITION = validation.validator(schemas.DEFINITION)
_PATH = "scheduled_operation.operation_definition"


class ScheduledOperations(base.Controller):
    """Operations that triggers start. The operation engines read the rows; RPC calls are only about trusts."""

    @expose(policy=rules.LIST, query=schemas.LIST, response=schemas.PAGE)
    def list(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """List scheduled operations with their next due times."""
        page = self.page(query)
        found = self.rows(
            SCHEDULED_OPERATIONS,
            query,
            page,
            for_members=("name", "operation_type", "trigger_id", "operation_definition"),
            show=_with_triggers,
            strict=True,
        )
        # Not in the transaction: computing the times may take long.
        times = NextRuns(self.deps)
        return self.links("operations", [_timed(times, *pair) for pair in found], page)

    @expose(policy=rules.GET, response=schemas.DETAIL)
    def show(self, scheduled_operation_id: str) -> dict[str, Any]:
        """Show a scheduled operation with its next due times."""
        operation_id = validation.path_id("scheduled_operation_id", scheduled_operation_id)
        row = SCHEDULED_OPERATIONS.look_up(self.deps.database, operation_id, self.context.scope)
        trigger = TRIGGERS.look_up(self.deps.database, row.trigger_id)
        return {"scheduled_operation": _timed(NextRuns(self.deps), row, trigger)}

    @expose(policy=rules.CREATE, body=schemas.CREATE, response=schemas.SHOWN)
    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Bind an operation to a trigger. It acts as the caller, by a trust that is created now with the caller's token."""
        asked = body["scheduled_operation"]
        definition = _definition(asked["operation_definition"])

        limits = dict(self.deps.conf.quota)

        def insert(session: Any) -> ScheduledOperation:
            quotas.enforce(session, self.project_id, "scheduled_operations", limits)
            self._check_trigger(session, validation.canonical_id(asked["trigger_id"]))
            self._check_plan(session, definition)
            return SCHEDULED_OPERATIONS.insert(
                session,
                project_id=self.project_id,
                user_id=str(self.context.user_id),
                name=asked["name"],
                description=asked.get("description"),
                operation_type=asked["operation_type"],
                trigger_id=validation.canonical_id(asked["trigger_id"]),
                plan_id=definition["plan_id"],
                operation_definition=definition,
                # It does not run before its trust exists.
                enabled=False,
            )

        row = self.deps.database.write(insert)
        with contextlib.ExitStack() as undo:
            # The engine may have created a trust though it did not answer in time.
            undo.callback(self._remove, row.id)
            self.deps.engine.make_trust(self.context, scheduled_operation_id=row.id)
            undo.pop_all()
        return {"scheduled_operation": self._switch(row.id, enabled=True)}

    @expose(policy=rules.UPDATE, body=schemas.UPDATE, response=schemas.SHOWN)
    def update(self, scheduled_operation_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Enable or disable a scheduled operation. Only the user as whom it acts can enable it, by a new trust."""
        operation_id = validation.path_id("scheduled_operation_id", scheduled_operation_id)
        enabled = body["scheduled_operation"]["enabled"]
        row = SCHEDULED_OPERATIONS.look_up(self.deps.database, operation_id, self.context.scope)
        if enabled:
            if (row.user_id, row.project_id) != (self.context.user_id, self.project_id):
                raise exception.NotAuthorized(
                    f"scheduled operation {operation_id} acts as user {row.user_id} in project {row.project_id}; "
                    "only that user can enable it, with a token for that project"
                )
            self.deps.engine.make_trust(self.context, scheduled_operation_id=operation_id)
        return {"scheduled_operation": self._switch(operation_id, enabled=enabled)}

    def _switch(self, operation_id: str, *, enabled: bool) -> dict[str, Any]:
        def switch(session: Any) -> ScheduledOperation:
            row = SCHEDULED_OPERATIONS.get(session, operation_id, self.context.scope, lock=True)
            if row.enabled != enabled:
                values = {"enabled": enabled, "disabled_reason": None}
                SCHEDULED_OPERATIONS.update(session, operation_id, values)
                session.refresh(row)
            return row

        return views.scheduled_operation(self.deps.database.write(switch))

    @expose(policy=rules.RUN, body=schemas.RUN, response=schemas.STARTED, starts_operation=True)
    def run(self, scheduled_operation_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Run a scheduled operation at once.

        The run is by the operation's trust, and is skipped if another one has not ended.
        """
        operation_id = validation.path_id("scheduled_operation_id", scheduled_operation_id)
        row = SCHEDULED_OPERATIONS.look_up(self.deps.database, operation_id, self.context.scope)
        window = self._window(TRIGGERS.look_up(self.deps.database, row.trigger_id))
        run_id, now = self.new_id(), self.deps.clock.now()

        def record(session: Any) -> ScheduledRun:
            operation = SCHEDULED_OPERATIONS.get(session, operation_id, self.context.scope, lock=True)
            known = scheduled_runs.RUNS.find(session, run_id)
            if known is not None:
                return known
            if not operation.enabled:
                raise exception.WrongState(f"scheduled operation {operation_id} is disabled; enable it first")
            return scheduled_runs.start_now(session, run_id, operation, now, window)

        return {"run": views.run(self.deps.database.write(record))}

    def _window(self, trigger: Any) -> timedelta:
        """Return how long after its due time a run may start."""
        known = of_timing(self.deps, trigger, lambda timing: timing.window)
        return timedelta(seconds=self.deps.conf.trigger.min_window if known is None else known)

    @expose(policy=rules.GET, response=schemas.RETENTION)
    def retention(self, scheduled_operation_id: str) -> dict[str, Any]:
        """Show which checkpoints the retention rules would delete or keep now, and why. Deletes nothing."""
        operation_id = validation.path_id("scheduled_operation_id", scheduled_operation_id)
        with self.deps.database.reader() as session:
            row = SCHEDULED_OPERATIONS.get(session, operation_id, self.context.scope)
            available = checkpoints.available_of_plan(
                session, row.operation_definition["provider_id"], row.project_id, row.plan_id
            )
            in_use = checkpoints.in_use(session, [checkpoint.id for checkpoint in available])
        limits = retention.policy(row.operation_definition) if row.operation_type == "retention_protect" else {}
        candidates = retention.candidates(
            (
                (checkpoint.id, checkpoint.created_at, checkpoint.extra_info, bool(left_out.entries(checkpoint.plan)))
                for checkpoint in available
            ),
            in_use,
        )
        decisions = retention.decide(candidates, limits, self.deps.clock.now())
        return {"retention": views.retention(limits, available, decisions)}

    def _check_trigger(self, session: Any, trigger_id: str) -> None:
        row = TRIGGERS.get(session, trigger_id, self.context.scope, lock=True)
        if row.project_id != self.project_id:
            raise exception.InvalidInput(
                f"scheduled_operation.trigger_id: trigger {trigger_id} belongs to another project"
            )

    def _check_plan(self, session: Any, definition: Mapping[str, Any]) -> None:
        try:
            plans.get(session, definition["plan_id"], definition["provider_id"], self.project_id, lock=True)
        except exception.PlanNotFound:
            raise errors.InvalidRequest(
                [errors.Field(f"{_PATH}.plan_id", "enum", f"there is no plan {definition['plan_id']}")]
            ) from None
        except exception.InvalidInput as error:
            raise errors.InvalidRequest([errors.Field(f"{_PATH}.provider_id", "const", error.message)]) from None

    @expose(policy=rules.DELETE)
    def delete(self, scheduled_operation_id: str) -> None:
        """Delete a scheduled operation. A run that has started continues."""
        self._remove(validation.path_id("scheduled_operation_id", scheduled_operation_id))

    def _remove(self, operation_id: str) -> None:
        def remove(session: Any) -> str | None:
            trust_id = SCHEDULED_OPERATIONS.get(session, operation_id, self.context.scope, lock=True).trust_id
            SCHEDULED_OPERATIONS.delete(session, operation_id)
            return trust_id if trust_id is not None and trusts.release(session, trust_id) else None

        released = self.deps.database.write(remove)
        if released is None:
            return
        try:
            self.deps.engine.delete_trust(self.context, trust_id=released)
        except exception.KarborLikeError as error:
            # The engines look for released trusts.
            LOG.warning("The trust of scheduled operation %s will be deleted later: %s", operation_id, error)


def _with_triggers(session: Any, rows: list[ScheduledOperation]) -> list[tuple[ScheduledOperation, Trigger]]:
    known = triggers.of_operations(session, rows)
    return [(row, known[row.trigger_id]) for row in rows]


def _timed(times: NextRuns, row: ScheduledOperation, trigger: Trigger) -> dict[str, Any]:
    return views.timed(views.scheduled_operation(row), times.of(trigger.id, trigger) if row.enabled else [])


def _definition(asked: Mapping[str, Any] | str) -> dict[str, Any]:
    """Return the definition as an object, with canonical ids. One client sends it as the text ``k=v,k=v``."""
    if isinstance(asked, str):
        items = (item.partition("=") for item in asked.split(",") if item)
        asked = {name.strip(): value.strip() for name, _, value in items}
    validation.check(_DEFINITION, asked, _PATH)
    try:
        retention.check(asked)
    except exception.InvalidInput as error:
        raise exception.InvalidInput(f"{_PATH}.{error}") from None
    ids = {name: validation.canonical_id(asked[name]) for name in ("provider_id", "plan_id")}
    return {**asked, **ids}
