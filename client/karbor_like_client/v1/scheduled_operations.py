"""Scheduled operations: what runs when a trigger fires."""

from collections.abc import Generator
from typing import Any

from openstack import proxy, resource

from karbor_like_client import errors
from karbor_like_client.v1 import base


class ScheduledOperation(base.Resource):
    """A scheduled operation."""

    resource_key = "scheduled_operation"
    resources_key = "operations"
    base_path = "/scheduled_operations"
    allow_create = allow_fetch = allow_commit = allow_delete = allow_list = True
    _query_mapping = resource.QueryParameters(
        "name", "operation_type", "trigger_id", "operation_definition", **base.PAGING
    )

    description = resource.Body("description")
    #: ``protect`` or ``retention_protect``.
    operation_type = resource.Body("operation_type")
    trigger_id = resource.Body("trigger_id")
    #: ``plan_id``, ``provider_id``, and the rules of a ``retention_protect``, such as ``max_backups``.
    operation_definition = resource.Body("operation_definition")
    enabled = resource.Body("enabled", type=bool)
    #: Why the service has disabled it.
    disabled_reason = resource.Body("disabled_reason")
    #: The next five times in UTC; none while it is disabled. None if they are unknown.
    next_runs = resource.Body("next_runs", type=list)

    def retention(self, session: Any) -> dict[str, Any]:
        """Return which checkpoints the rules would delete now: ``rules`` and ``checkpoints``. Deletes nothing."""
        response = session.get(f"{self._prepare_request(requires_id=True).url}/retention")
        errors.raise_for(response)
        found: dict[str, Any] = response.json()["retention"]
        return found


class Run(base.Created):
    """One run of a scheduled operation, outside its times."""

    resource_key = "run"
    base_path = "/scheduled_operations/%(scheduled_operation_id)s/action"
    allow_create = True

    scheduled_operation_id = resource.URI("scheduled_operation_id")
    #: ``started``; ``skipped`` if another run had not ended; or, of a request that was repeated, how the run ended.
    status = resource.Body("status")
    reason = resource.Body("reason")
    due_at = resource.Body("due_at")
    #: None until the service has started the checkpoint.
    checkpoint_id = resource.Body("checkpoint_id")


class ScheduledOperations(proxy.Proxy):
    """Requests about scheduled operations."""

    def scheduled_operations(self, **query: Any) -> Generator[ScheduledOperation, None, None]:
        """Yield scheduled operations.

        :param query: ``name`` (a part of it), ``operation_type``, ``trigger_id``, ``operation_definition``, ``all_projects``,
            ``project_id``, ``sort``, ``limit``, ``marker``
        """
        return self._list(ScheduledOperation, **query)

    def get_scheduled_operation(self, scheduled_operation: str | ScheduledOperation) -> ScheduledOperation:
        """Return a scheduled operation by its id.

        :raises NotFound: there is none
        """
        return self._get(ScheduledOperation, scheduled_operation)

    def find_scheduled_operation(
        self, name_or_id: str, ignore_missing: bool = True, **query: Any
    ) -> ScheduledOperation | None:
        """Return the scheduled operation with a name or an id.

        :raises NotFound: there is none, and *ignore_missing* is false
        :raises openstack.exceptions.DuplicateResource: several have the name
        """
        return self._find(ScheduledOperation, name_or_id, ignore_missing=ignore_missing, **query)

    def create_scheduled_operation(self, **attributes: Any) -> ScheduledOperation:
        """Create a scheduled operation. It acts as the caller, by a trust.

        :param attributes: ``name``, ``operation_type``, ``trigger_id``, ``operation_definition`` and ``description``
        """
        return self._create(ScheduledOperation, **attributes)

    def update_scheduled_operation(
        self, scheduled_operation: str | ScheduledOperation, *, enabled: bool
    ) -> ScheduledOperation:
        """Enable or disable a scheduled operation. Only its creator can enable it."""
        # An object that the API has shown already has the value, and would not be sent.
        id_ = resource.Resource._get_id(scheduled_operation)
        return self._update(ScheduledOperation, id_, enabled=enabled)

    def delete_scheduled_operation(
        self, scheduled_operation: str | ScheduledOperation, ignore_missing: bool = True
    ) -> None:
        """Delete a scheduled operation. A run that has started continues."""
        self._delete(ScheduledOperation, scheduled_operation, ignore_missing=ignore_missing)

    def run_scheduled_operation(self, scheduled_operation: str | ScheduledOperation, **attributes: Any) -> Run:
        """Run a scheduled operation at once and once, in the name of its user.

        :param attributes: possibly ``idempotency_key``
        :returns: the run, whose ``status`` is ``skipped`` if another run has not ended
        :raises ApiError: ``object.wrong_state``: it is disabled
        """
        id_ = resource.Resource._get_id(scheduled_operation)
        return self._create(Run, scheduled_operation_id=id_, **attributes)

    def get_retention(self, scheduled_operation: str | ScheduledOperation) -> dict[str, Any]:
        """Return which checkpoints the rules of a scheduled operation would delete now, and why. Deletes nothing.

        :returns: ``rules``, and ``checkpoints``: objects with ``id``, ``timestamp``, ``delete`` and ``reason``
        """
        return self._get_resource(ScheduledOperation, scheduled_operation).retention(self)
