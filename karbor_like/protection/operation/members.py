"""Members of a plan: resources that a protect found below those that the plan names.

A member that cannot be protected, or that vanished since it was found, does not fail the checkpoint. It is left out: the rest
of its hooks do nothing, and the checkpoint names it with the reason.
"""

import logging
from typing import Final

from karbor_like import exception
from karbor_like.domain import states
from karbor_like.domain.resource import Resource
from karbor_like.protection.operation import cleanup
from karbor_like.protection.operation.session import OperationSession

LOG = logging.getLogger(__name__)

#: Errors of hooks that may be due to the state of the resource. Others are not: a cloud or a bank that does not answer.
#: Glance refuses access to the bytes of a deactivated image with NotAuthorized.
FAILURES: Final = (
    exception.NotFound,
    exception.NotAuthorized,
    exception.Conflict,
    exception.ResourceFailed,
)


def obstacle(operation: OperationSession, resource: Resource, error: exception.KarborLikeError) -> str | None:
    """Return why a resource, of which a hook failed, is left out. Return None if its failure is that of the operation.

    The hook says so itself, or the resource no longer exists, or has a state that forbids protecting it.
    """
    if not operation.spec.is_member(resource):
        return None
    if isinstance(error, exception.ResourceNotProtectable):
        return exception.public_text(error)
    try:
        operation.env.protectables.get(resource.type).show(operation.clients, resource.id)
    except (exception.ResourceNotFound, exception.Conflict) as now:
        return exception.public_text(now)
    except exception.KarborLikeError as failure:
        LOG.warning("Operation %s: the state of %s is unknown: %s", operation.spec.id, resource.key, failure)
    return None


def leave_out(operation: OperationSession, resource: Resource, reason: str) -> None:
    """Leave a resource out, and delete what the operation created for it in the cloud.

    Raises LeaseLost. What cannot be deleted is reported at the end of the operation.
    """
    LOG.warning("Operation %s: %s is left out: %s", operation.spec.id, resource.key, reason)
    # In this order: a process that continues the operation calls the hook again, unless it finds the record.
    try:
        cleanup.clean(operation, resource)
    except exception.LeaseLost:
        raise
    except Exception:  # noqa: BLE001 - a plugin's clean-up; the journal still names what remains
        LOG.exception("Operation %s: clean-up of %s failed", operation.spec.id, resource)
    operation.record(resource.key, status=states.LEFT_OUT, reason=reason)
