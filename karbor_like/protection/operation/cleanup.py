"""Removal of the cloud resources that an operation created: temporary snapshots, volumes and images, and results.

The journal names them. When a flow is reverted, each resource's first task cleans up; :func:`retry` repeats what failed.
What remains then, or after a success, is left to :mod:`karbor_like.protection.orphans`.
"""

import functools
import logging
from collections.abc import Callable, Sequence

from karbor_like import exception
from karbor_like.db import operations
from karbor_like.db.models import JournalEntry
from karbor_like.domain.resource import Resource
from karbor_like.protection.operation.session import OperationSession

LOG = logging.getLogger(__name__)

#: Pauses in seconds before each repetition of a failed clean-up: a cloud may be unreachable for a minute.
_RETRY_PAUSES = (1, 5, 30)
_LEFT_BEHIND = "left behind: "


def clean(operation: OperationSession, resource: Resource, *, temporary_only: bool = False) -> None:
    """Remove from the cloud everything that the operation created for *resource*. Idempotent.

    :param temporary_only: leave results, for an operation that succeeded

    Raises what the plugin's clean-up raises.
    """
    context = operation.cleanup_context(resource, operation.progress(resource))
    plugin = operation.resource_operation(resource)
    (plugin.release if temporary_only else plugin.cleanup)(context)


def remove_deployed(operation: OperationSession) -> None:
    """Delete from the cloud what a restore created from its template, dependents first. Idempotent.

    Raises ResourceFailed that names what could not be deleted.
    """
    entries = operation.deployed()
    if not entries:
        return
    contributor = operation.implementing("contribute")[0]
    context = operation.cleanup_context(contributor, operation.progress(contributor))
    created = sorted(entries, key=lambda entry: entry.seq, reverse=True)
    described = [entry.resource_key.partition("#") for entry in created]
    operation.deployment(context).remove(Resource(kind, name) for kind, _, name in described)


def retry(operation: OperationSession) -> None:
    """Clean up the resources again whose clean-up failed while the flow was reverted. Raises LeaseLost."""
    for pause in _RETRY_PAUSES:
        if not journal_remains(operation, temporary_only=False):
            return
        for _ in range(pause):
            operation.claim.ensure_held()
            operation.env.clock.sleep(1)
        repeat(operation, temporary_only=False)


def repeat(operation: OperationSession, *, temporary_only: bool) -> None:
    """Call :func:`clean` for each resource that the journal names. An error is logged: the journal still names what remains.

    :raises LeaseLost: the claim is lost
    """
    if not temporary_only:
        _try(operation, "the template", lambda: remove_deployed(operation))
    keys = {entry.resource_key for entry in _journal(operation)}
    for resource in operation.spec.graph.nodes:
        if resource.key in keys:
            again = functools.partial(clean, operation, resource, temporary_only=temporary_only)
            _try(operation, str(resource), again)
    operation.claim.ensure_held()


def journal_remains(operation: OperationSession, *, temporary_only: bool) -> list[str]:
    """Describe the cloud resources that the journal still names.

    :param temporary_only: leave out results, which stay in the cloud after a success
    """
    return [
        f"{entry.role} {entry.cloud_id or entry.name} of {entry.resource_key}"
        for entry in _journal(operation)
        if not (temporary_only and entry.keep)
    ]


def has_created(operation: OperationSession) -> bool:
    """Return whether the operation has ever created something in the cloud, or intended to."""
    return operation.database.read(lambda session: operations.has_journal(session, operation.spec.id))


def _journal(operation: OperationSession) -> Sequence[JournalEntry]:
    return operation.database.read(lambda session: operations.journal(session, operation.spec.id))


def remark(remains: Sequence[str]) -> list[str]:
    """Return what the reason of an operation says about what remains: at most one text, which is the last of the reason."""
    return [f"{_LEFT_BEHIND}{', '.join(remains)}"] if remains else []


def replace_remark(reason: str | None, remains: Sequence[str]) -> str | None:
    """Return the *reason* of an operation with a new remark on what remains."""
    head, mark, _ = (reason or "").rpartition(_LEFT_BEHIND)
    if not mark:
        return reason
    return "; ".join([*filter(None, [head.removesuffix("; ")]), *remark(remains)]) or None


def _try(operation: OperationSession, what: str, clean_up: Callable[[], None]) -> None:
    with operation.activity():
        try:
            clean_up()
        except exception.LeaseLost:
            raise
        except exception.KarborLikeError as error:
            LOG.warning("Operation %s: clean-up of %s failed: %s", operation.spec.id, what, error)
        except Exception:  # noqa: BLE001 - a plugin's clean-up
            LOG.exception("Operation %s: clean-up of %s failed unexpectedly", operation.spec.id, what)
