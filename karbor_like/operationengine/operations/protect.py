"""Protect a plan."""

from karbor_like.plugins import operation


class Protect(operation.ScheduledOperationType):
    """``protect``: a checkpoint of the plan in the definition."""

    def begin(self, api: operation.Api, run: operation.ScheduledCall) -> str:
        definition = run.definition
        return api.protect(definition["provider_id"], definition["plan_id"], run.extra_info, run.key)
