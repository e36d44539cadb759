"""Removal of the cloud resources that a failed operation created: temporary snapshots, volumes and images, and results.

The journal names them. When a flow is reverted, each resource's first task cleans up; :func:`retry` repeats what failed.
"""

import logging

from karbor_like import exception
from karbor_like.db import operations
from karbor_like.domain.resource import Resource
from karbor_like.protection.operation.session import OperationSession

LOG = logging.getLogger(__name__)

#: Pauses in seconds before each repetition of a failed clean-up: a cloud may be unreachable for a minute.
_RETRY_PAUSES = (1, 5, 30)


def clean(operation: OperationSession, resource: Resource) -> None:
    """Remove from the cloud everything that the operation created for *resource*. Idempotent.

    Raises what the plugin's clean-up raises.
    """
    context = operation.cleanup_context(resource, operation.progress(resource))
    operation.resource_operation(resource).cleanup(context)


def retry(operation: OperationSession) -> None:
    """Clean up the resources again whose clean-up failed while the flow was reverted. Raises LeaseLost."""
    for pause in _RETRY_PAUSES:
        keys = _journaled_keys(operation)
        if not keys:
            return
        for resource in operation.spec.graph.nodes:
            if resource.key in keys:
                _try_clean(operation, resource)
        operation.claim.ensure_held()
        if _journaled_keys(operation):
            operation.env.clock.sleep(pause)


def journal_remains(operation: OperationSession, *, temporary_only: bool) -> list[str]:
    """Describe the cloud resources that the journal still names.

    :param temporary_only: leave out results, which stay in the cloud after a success
    """
    with operation.env.database.reader() as session:
        return [
            f"{entry.role} {entry.cloud_id or entry.name} of {entry.resource_key}"
            for entry in operations.journal(session, operation.spec.id)
            if not (temporary_only and entry.keep)
        ]


def _journaled_keys(operation: OperationSession) -> set[str]:
    with operation.env.database.reader() as session:
        return {entry.resource_key for entry in operations.journal(session, operation.spec.id)}


def _try_clean(operation: OperationSession, resource: Resource) -> None:
    with operation.activity():
        try:
            clean(operation, resource)
        except exception.LeaseLost:
            raise
        except Exception:  # noqa: BLE001 - a plugin's clean-up; the journal still names what remains
            LOG.exception("Operation %s: clean-up of %s failed", operation.spec.id, resource)
