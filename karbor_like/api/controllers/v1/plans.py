from collections.abc import Mapping, Sequence
from typing import Any

from karbor_like import exception
from karbor_like.api import errors, validation, views
from karbor_like.api.controllers import base
from karbor_like.api.expose import expose
from karbor_like.api.schemas import plans as schemas
from karbor_like.db import plans, quotas, scheduled_operations
from karbor_like.db.models import Plan
from karbor_like.db.plans import PLANS
from karbor_like.db.session import Queryable
from karbor_like.domain import states
from karbor_like.policies import plans as rules


class Plans(base.Controller):
    """Plans: which resources to protect, and how."""

    @expose(policy=rules.GET_ALL, query=schemas.LIST, response=schemas.PAGE)
    def list(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """List plans."""
        page = self.page(query)
        found = self.rows(
            PLANS,
            query,
            page,
            for_members=("name", "status", "description"),
            show=_shown,
        )
        return self.links("plans", found, page)

    @expose(policy=rules.GET, response=schemas.SHOWN)
    def show(self, plan_id: str) -> dict[str, Any]:
        """Show a plan."""
        plan_id = validation.path_id("plan_id", plan_id)
        row = PLANS.look_up(self.deps.database, plan_id, self.context.scope)
        with self.deps.database.lookup() as connection:
            return {"plan": _shown(connection, [row])[0]}

    @expose(policy=rules.CREATE, body=schemas.CREATE, response=schemas.SHOWN)
    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create a plan, suspended."""
        asked = body["plan"]
        provider_id = validation.canonical_id(asked["provider_id"])
        resources = _resources(asked["resources"])
        values = {
            "project_id": self.project_id,
            "name": asked["name"],
            "description": asked.get("description"),
            "provider_id": provider_id,
            "status": states.SUSPENDED,
            "resources": resources,
            "parameters": self._check(provider_id, resources, asked["parameters"]),
        }
        limits = dict(self.deps.conf.quota)

        def insert(session: Any) -> Plan:
            quotas.enforce(session, self.project_id, "plans", limits)
            return PLANS.insert(session, **values)

        return {"plan": views.plan(self.deps.database.write(insert), None)}

    @expose(policy=rules.UPDATE, body=schemas.UPDATE, response=schemas.SHOWN)
    def update(self, plan_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change a plan that is suspended; start or suspend it."""
        asked = dict(body["plan"])
        plan_id = validation.path_id("plan_id", plan_id)
        if "resources" in asked:
            asked["resources"] = _resources(asked["resources"])
            with self.deps.database.reader() as session:
                provider_id = PLANS.get(session, plan_id, self.context.scope).provider_id
            self._check(provider_id, asked["resources"], {})

        def change(session: Any) -> dict[str, Any]:
            row = PLANS.get(session, plan_id, self.context.scope, lock=True)
            if row.status != states.SUSPENDED and set(asked) != {"status"}:
                raise exception.PlanNotSuspended(
                    f"plan {plan_id} is {row.status!r} and can only be changed while suspended; "
                    "send the status 'suspended' alone first"
                )
            if asked.get("resources", row.resources) != row.resources:
                self.check_enabled_users(f"plan {plan_id}", scheduled_operations.of_plan(session, plan_id))
            PLANS.update(session, plan_id, asked)
            session.refresh(row)
            return _shown(session, [row])[0]

        return {"plan": self.deps.database.write(change)}

    @expose(policy=rules.DELETE)
    def delete(self, plan_id: str) -> None:
        """Delete a plan. Its checkpoints stay."""
        plan_id = validation.path_id("plan_id", plan_id)

        def remove(session: Any) -> None:
            PLANS.get(session, plan_id, self.context.scope, lock=True)
            used = scheduled_operations.of_plan(session, plan_id)
            if used:
                names = ", ".join(f"{row.name} ({row.id})" for row in used)
                raise exception.PlanInUse(f"plan {plan_id} is used by scheduled operations: {names}; delete them first")
            PLANS.delete(session, plan_id)

        self.deps.database.write(remove)

    def _check(
        self, provider_id: str, resources: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Ask the protection service whether the provider can protect the plan. Return the normalized parameters."""
        types = {resource["type"] for resource in resources}
        try:
            return self.deps.protection.check_plan(
                self.context, provider_id=provider_id, resource_types=types, parameters=parameters
            )
        except exception.Unsupported as error:
            advice = "remove the others from the plan, or choose another provider"
            raise errors.BadRequest(error, f"plan.resources: {error}; {advice}") from None
        except exception.ProviderNotFound:
            raise errors.InvalidRequest(
                [errors.Field("plan.provider_id", "enum", f"there is no provider {provider_id}")]
            ) from None


def _shown(session: Queryable, rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Return plans as the API shows them, with one query for all of them."""
    last = plans.last_checkpoints(session, [row.id for row in rows])
    return [views.plan(row, last.get(row.id)) for row in rows]


def _resources(asked: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the resources without unknown members.

    :raises InvalidRequest: a resource is named twice
    """
    seen = set()
    resources = []
    for index, item in enumerate(asked):
        key = item["type"], item["id"]
        if key in seen:
            raise errors.InvalidRequest(
                [errors.Field(f"plan.resources[{index}]", "uniqueItems", f"{key[0]} {key[1]} is named twice")]
            )
        seen.add(key)
        resource = {"id": item["id"], "type": item["type"], "name": item["name"] or ""}
        if item.get("extra_info"):
            resource["extra_info"] = item["extra_info"]
        resources.append(resource)
    return resources
