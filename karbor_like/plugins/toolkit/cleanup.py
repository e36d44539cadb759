"""Deletion of the objects that an operation created in a cloud: temporary ones at its end, all of them after a failure."""

from collections.abc import Mapping
from typing import Any, Final

from karbor_like import exception
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit.cloud_objects import CloudObjects, candidates

#: Deletion requests for an object that the cloud continues to show as usable.
_DELETE_REQUESTS: Final = 5


def remove(context: HookContext, objects: CloudObjects, role: str) -> None:
    """Delete this operation's object *role*, wait until it is deleted, and record that. Does nothing if none exists."""
    for entry in context.journal.entries():
        if entry.role == role:
            for cloud_id in candidates(context, objects, entry):
                _remove(context, objects, cloud_id)
            context.journal.gone(role)


def remove_all(context: HookContext, roles: Mapping[str, CloudObjects]) -> None:
    """Delete everything that the journal names, newest first. If an object cannot be deleted, continue with the next.

    :param roles: the type of object of each role

    Raises ResourceFailed that names the objects which could not be deleted.
    """
    failures = []
    for entry in reversed(context.journal.entries()):
        try:
            remove(context, roles[entry.role], entry.role)
        except exception.LeaseLost:
            raise
        except exception.KarborLikeError as error:
            failures.append(f"{roles[entry.role].noun} {entry.name} ({entry.cloud_id or 'id unknown'}): {error}")
    if failures:
        raise exception.ResourceFailed(f"not deleted from the cloud, delete manually: {'; '.join(failures)}")


def _remove(context: HookContext, objects: CloudObjects, cloud_id: str) -> None:
    answers: list[str] = []

    def ask() -> Any:
        current = objects.get(cloud_id)
        if objects.deletable is not None and current.status not in objects.deletable:
            return current  # the cloud is busy with it or is deleting it
        if len(answers) == _DELETE_REQUESTS:
            raise exception.ResourceFailed(f"{objects.noun} {cloud_id}: the cloud does not delete it: {answers[-1]}")
        try:
            objects.delete(current)
            answers.append(f"after {_DELETE_REQUESTS} requests it is still {current.status!r}")
        except (exception.ResourceFailed, exception.Conflict) as error:
            answers.append(str(error))
        return current

    context.waiter.until_gone(
        f"{objects.noun} {cloud_id}",
        ask,
        failed=lambda current: objects.failure(current) if current.status == "error_deleting" else None,
        check=context.check,
    )
