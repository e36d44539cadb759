from collections.abc import Mapping
from typing import Any

from karbor_like import exception
from karbor_like.api import parameters, validation
from karbor_like.api.controllers import base
from karbor_like.api.expose import expose
from karbor_like.api.schemas import copies as schemas
from karbor_like.db.plans import PLANS
from karbor_like.policies import copies as rules


class Copies(base.Controller):
    """Checkpoints of a plan, copied."""

    @expose(policy=rules.CREATE, body=schemas.CREATE, response=schemas.SHOWN, starts_operation=True)
    def create(self, provider_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Copy checkpoints of a plan to another provider's bank. Answers when each copy has its id, and waits or goes on."""
        asked = body["copy"]
        provider_id = validation.path_id("provider_id", provider_id)
        with self.deps.database.reader() as session:
            plan = PLANS.get(session, validation.canonical_id(asked["plan_id"]), self.scope)
        if plan.provider_id != provider_id:
            raise exception.PlanWrongProvider(
                f"plan {plan.id} is for provider {plan.provider_id}, not for {provider_id}"
            )
        given = parameters.checked(
            asked.get("parameters", {}), {}, root="copy.parameters", strict=False, installed=self.resource_types
        )
        target, chosen = asked.get("target_provider_id"), asked.get("checkpoint_ids")
        copy_id, _ = self.new_id()
        copied = self.deps.protection.copy(
            self.context,
            plan_id=plan.id,
            provider_id=provider_id,
            target_provider_id=validation.canonical_id(target) if target else None,
            checkpoint_ids=[validation.canonical_id(one) for one in chosen] if chosen else None,
            parameters=given,
            copy_id=copy_id,
        )
        return {"copy": copied}
