from collections.abc import Mapping
from typing import Any

from karbor_like.api import validation
from karbor_like.api.controllers import base
from karbor_like.api.expose import expose
from karbor_like.api.schemas import copies as schemas
from karbor_like.policies import copies as rules


class Copies(base.Controller):
    """Copies of the checkpoints of a plan."""

    @expose(policy=rules.CREATE, body=schemas.CREATE, response=schemas.SHOWN, starts_operation=True)
    def create(self, provider_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Copy checkpoints of a plan to the bank of another provider. Returns when the copies are queued."""
        asked = body["copy"]
        target, chosen = asked.get("target_provider_id"), asked.get("checkpoint_ids")
        copy = self.deps.protection.copy(
            self.context,
            copy_id=self.new_id(),
            plan_id=validation.canonical_id(asked["plan_id"]),
            provider_id=validation.path_id("provider_id", provider_id),
            target_provider_id=validation.canonical_id(target) if target else None,
            checkpoint_ids=[validation.canonical_id(checkpoint_id) for checkpoint_id in chosen] if chosen else None,
            parameters=asked.get("parameters", {}),
        )
        return {"copy": copy}
