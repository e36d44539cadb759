"""Protect a plan, then delete what its retention policy no longer keeps."""

import json

from karbor_like.domain import copies, retention
from karbor_like.operationengine.operations import protect
from karbor_like.operationengine.restapi import created_at
from karbor_like.plugins import operation


class RetentionProtect(protect.Protect):
    """``retention_protect``: as ``protect``; the rules are those of :mod:`karbor_like.domain.retention`.

    They apply after the new checkpoint is available, so nothing is deleted when protecting fails. They are about all
    available checkpoints of the plan at the operation's provider, whoever made them, but about no copy of one: whoever
    copied it keeps it on purpose.
    """

    def finish(self, api: operation.Api, run: operation.ScheduledCall) -> str | None:
        rules = retention.policy(run.definition)
        provider_id = run.definition["provider_id"]
        candidates = [
            retention.Candidate(checkpoint["id"], created_at(checkpoint))
            for checkpoint in api.checkpoints(provider_id, run.definition["plan_id"])
            if copies.source_of(json.loads(checkpoint["extra_info"]) or {}) is None
        ]
        old = [decision.id for decision in retention.decide(candidates, rules, run.now) if decision.delete]
        # Oldest first: whatever interrupts this, what is left is the newest.
        kept = [checkpoint_id for checkpoint_id in reversed(old) if not api.delete(provider_id, checkpoint_id)]
        done = f"retention: {len(old) - len(kept)} of {len(candidates)} checkpoints are being deleted"
        return f"{done}, {len(kept)} could not be deleted now (gone or in use)" if kept else done
