"""Checkpoints: the states of a plan's resources at one time."""

from collections.abc import Generator
from typing import Any, Self

from openstack import resource

from karbor_like_client import errors
from karbor_like_client.v1 import formats, work
from karbor_like_client.v1.providers import Provider


class Checkpoint(work.Work):
    """A checkpoint. All requests need the provider too."""

    resource_key = "checkpoint"
    resources_key = "checkpoints"
    base_path = "/providers/%(provider_id)s/checkpoints"
    allow_create = allow_fetch = allow_delete = allow_list = True
    _query_mapping = resource.QueryParameters(
        "plan_id",
        "status",
        "start_date",
        "end_date",
        "project_id",
        "sort",
        all_projects="all_tenants",
    )
    unfinished = frozenset({"protecting", "copying", "wait_copying", "deleting"})
    successful = frozenset({"available"})

    provider_id = resource.URI("provider_id")
    #: Only for a request to create one.
    plan_id = resource.Body("plan_id")
    #: The plan as it was: ``id``, ``name``, ``provider_id``, ``resources``.
    protection_plan = resource.Body("protection_plan", type=dict)
    #: ``[nodes, adjacency]``: see the documentation of the API.
    resource_graph = resource.Body("resource_graph", type=formats.JsonText)
    #: The date of creation, UTC, as text.
    created_on = resource.Body("created_at")
    #: The time of creation.
    created_at = resource.Body("timestamp", type=formats.Time)
    #: Key-value pairs of the creator.
    extra_info = resource.Body("extra_info", type=formats.JsonText)
    #: Resources that the checkpoint does not contain: objects with ``type``, ``id``, ``name`` and ``reason``.
    left_out = resource.Body("left_out", type=list)

    def reset_state(self, session: Any, state: str) -> Self:
        """Set the status, without changing any data.

        :param state: ``available`` or ``error``
        """
        url = self._prepare_request(requires_id=True).url
        errors.raise_for(session.put(url, json={"os-resetState": {"state": state}}))
        return self


class Checkpoints(work.Waiting):
    """Requests about checkpoints."""

    def checkpoints(self, provider: str | Provider, **query: Any) -> Generator[Checkpoint, None, None]:
        """Yield the checkpoints of a provider, newest first.

        :param query: ``plan_id``, ``status``, ``start_date`` and ``end_date`` (YYYY-MM-DD, UTC, inclusive), ``all_projects``,
            ``project_id``, ``sort``, ``limit``, ``marker``
        """
        return self._list(Checkpoint, provider_id=resource.Resource._get_id(provider), **query)

    def get_checkpoint(self, provider: str | Provider, checkpoint: str | Checkpoint) -> Checkpoint:
        """Return a checkpoint by its id. A deleted one exists, with the status ``deleted``, until it is purged.

        :raises NotFound: there is none
        """
        return self._get(Checkpoint, checkpoint, provider_id=resource.Resource._get_id(provider))

    def create_checkpoint(self, provider: str | Provider, **attributes: Any) -> Checkpoint:
        """Protect a plan. Returns when the operation has started, see :meth:`wait_for_checkpoint`.

        :param attributes: ``plan_id`` and possibly ``extra_info`` and ``idempotency_key``
        """
        return self._create(Checkpoint, provider_id=resource.Resource._get_id(provider), **attributes)

    def delete_checkpoint(
        self, provider: str | Provider, checkpoint: str | Checkpoint, ignore_missing: bool = True
    ) -> None:
        """Delete a checkpoint, or cancel it if it is being created: its status then becomes ``error``."""
        self._delete(
            Checkpoint, checkpoint, ignore_missing=ignore_missing, provider_id=resource.Resource._get_id(provider)
        )

    def reset_checkpoint_state(
        self, provider: str | Provider, checkpoint: str | Checkpoint, state: str = "error"
    ) -> Checkpoint:
        """Set the status of a checkpoint to ``available`` or ``error``.

        :raises BadRequest: its status does not allow that
        """
        provider_id = resource.Resource._get_id(provider)
        return self._get_resource(Checkpoint, checkpoint, provider_id=provider_id).reset_state(self, state)

    def wait_for_checkpoint(
        self,
        checkpoint: Checkpoint,
        *,
        progress: work.Callback | None = None,
        interval: float = work.INTERVAL,
        wait: float | None = None,
    ) -> Checkpoint:
        """Wait until a checkpoint is available.

        :param progress: is called with each progress
        :param interval: seconds between two requests
        :param wait: seconds after which to stop waiting; None for no limit
        :raises OperationFailed: it failed
        :raises openstack.exceptions.ResourceTimeout: it has not ended in time
        """
        return self._wait(checkpoint, progress, interval, wait)

    def wait_for_deleted_checkpoint(
        self, checkpoint: Checkpoint, *, interval: float = work.INTERVAL, wait: float | None = None
    ) -> Checkpoint:
        """Wait until a checkpoint is deleted, as :meth:`wait_for_checkpoint` does."""
        return self._wait(
            checkpoint.fetch(self, skip_cache=True), None, interval, wait, successful=frozenset({"deleted"})
        )
