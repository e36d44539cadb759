"""Scheduled operation ``protect``."""

from karbor_like.plugins import operation


class Protect(operation.ScheduledOperationType):
    """Creates a checkpoint of the plan that the definition names."""

    def begin(self, api: operation.Api, run: operation.ScheduledCall) -> str:
        definition = run.definition
        return api.protect(definition["provider_id"], definition["plan_id"], run.extra_info, run.key)
