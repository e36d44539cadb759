"""Copies of checkpoints to the bank of another provider."""

from typing import Any

from openstack import proxy, resource

from karbor_like_client.v1 import base
from karbor_like_client.v1.providers import Provider


class Copy(base.Created):
    """A request to copy checkpoints."""

    resource_key = "copy"
    base_path = "/providers/%(provider_id)s/checkpoints/action"
    allow_create = True

    provider_id = resource.URI("provider_id")
    plan_id = resource.Body("plan_id")
    #: The provider to copy to. If absent, the one that the operator has configured.
    target_provider_id = resource.Body("target_provider_id")
    #: Only for a request: the checkpoints to copy. If absent, all that were not copied before.
    checkpoint_ids = resource.Body("checkpoint_ids", type=list)
    #: The pairs of checkpoints: objects with ``checkpoint_protect_id`` and ``checkpoint_copy_id``.
    pairs = resource.Body("checkpoint_id", type=list)
    parameters = resource.Body("parameters", type=dict)
    project_id = resource.Body("project_id")


class Copies(proxy.Proxy):
    """Requests about copies."""

    def create_copy(self, provider: str | Provider, **attributes: Any) -> Copy:
        """Copy checkpoints of a plan. Returns when the copies are queued. They are checkpoints, see ``pairs``.

        :param provider: the provider that has the checkpoints
        :param attributes: ``plan_id`` and possibly ``target_provider_id``, ``checkpoint_ids``, ``parameters`` and
            ``idempotency_key``
        """
        return self._create(Copy, provider_id=resource.Resource._get_id(provider), **attributes)
