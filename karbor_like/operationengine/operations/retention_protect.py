"""Scheduled operation ``retention_protect``."""

import json

from karbor_like.domain import retention
from karbor_like.operationengine.operations import protect
from karbor_like.operationengine.restapi import created_at
from karbor_like.plugins import operation


class RetentionProtect(protect.Protect):
    """Creates a checkpoint, then deletes those that the rules of :mod:`karbor_like.domain.retention` no longer keep.

    The rules are applied after the new checkpoint is available, so nothing is deleted if protecting fails. They apply to all
    available checkpoints of the plan at the operation's provider, including those that were created manually. Copies are
    exempt.

    Ages are those at the creation of the new checkpoint. So the clock that dates checkpoints is the only one that counts: by
    that of an engine which is ahead, all checkpoints may be too old.
    """

    def finish(self, api: operation.Api, run: operation.ScheduledCall) -> str | None:
        rules = retention.policy(run.definition)
        provider_id = run.definition["provider_id"]
        available = api.checkpoints(provider_id, run.definition["plan_id"])
        made_at = next((created_at(each) for each in available if each["id"] == run.checkpoint_id), None)
        if made_at is None:
            return f"retention: nothing is deleted, because checkpoint {run.checkpoint_id} is no longer available"
        candidates = retention.candidates(
            (
                checkpoint["id"],
                created_at(checkpoint),
                json.loads(checkpoint["extra_info"]),
                bool(checkpoint["left_out"]),
            )
            for checkpoint in available
        )
        old = [decision.id for decision in retention.decide(candidates, rules, made_at) if decision.delete]
        # Oldest first: if this is interrupted, the newest checkpoints remain.
        kept = [checkpoint_id for checkpoint_id in reversed(old) if not api.delete(provider_id, checkpoint_id)]
        summary = f"retention: {len(old) - len(kept)} of {len(candidates)} checkpoints are being deleted"
        return f"{summary}, {len(kept)} could not be deleted now (already deleted or in use)" if kept else summary
