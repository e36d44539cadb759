"""Objects that operations create in a cloud: created once however often a hook runs, and awaited.

The order is always the same: record the intention in the journal, look for an object with the unique name if an earlier
attempt may have created one, create it, record its id, wait for it. A process may therefore die between any two of these
steps.
:mod:`karbor_like.plugins.toolkit.cleanup` deletes the objects.

A process may also be stopped between two steps, and continue when another one has taken the operation over, or has ended it.
So the claim is checked directly before the request that creates, and what was created nevertheless is deleted.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.waiter import Waiter
from karbor_like.plugins.objects import CloudObjects
from karbor_like.plugins.protection import Entry, HookContext
from karbor_like.plugins.toolkit import ownership

LOG = logging.getLogger(__name__)

#: Deletion requests for an object that the cloud continues to show as usable.
_DELETE_REQUESTS: Final = 5
#: Seconds for the deletion of what was created for an operation that this process has lost.
_WITHDRAWAL: Final = 60.0

#: Creates an object with a name and metadata, and returns its id.
Create = Callable[[str, Mapping[str, str]], str]


def ensure(context: HookContext, objects: CloudObjects, role: str, create: Create, *, keep: bool = False) -> str:
    """Return the id of this operation's object *role*. Create it unless an earlier attempt did.

    Raises what *create* and ``context.check`` raise. If the operation was lost meanwhile, nothing of this attempt remains.
    """
    # Without an earlier attempt, there is no object to look for, unless another resource of the operation created it.
    is_new = not objects.shared and context.journal.peek(role) is None
    entry = context.journal.intend(role, keep=keep)
    if entry.cloud_id:
        if exists(context, objects, entry.cloud_id):
            return entry.cloud_id
        context.journal.gone(role)
        entry = context.journal.intend(role, keep=keep)
    markers = ownership.markers(context.operation_id, role, context.resource.key)
    requested = False

    def find_or_create() -> str:
        nonlocal requested
        # Also on a retry: the answer to the first request may be lost.
        ids = objects.find(entry.name) if requested or not is_new else ()
        if ids:
            return ids[0]
        # The journal checks the claim in the database, the clock how long it is good.
        context.journal.intend(role, keep=keep)
        context.check()
        requested = True
        return create(entry.name, markers)

    try:
        cloud_id = context.waiter.call(find_or_create, check=context.check)
        context.journal.made(role, cloud_id)
    except exception.LeaseLost:
        if requested:
            _withdraw(context, objects, entry)
        raise
    return cloud_id


def _withdraw(context: HookContext, objects: CloudObjects, entry: Entry) -> None:
    """Delete what this process created as *entry* for an operation that it has lost, unless the operation uses it."""

    def present() -> Entry | None:
        current = context.journal.peek(entry.role)
        if current is not None and current.cloud_id is None:
            # The present owner will find this object, or is creating another one.
            raise exception.Unavailable(f"{objects.noun} {entry.name}: its owner has not recorded it")
        return current

    try:
        current = context.waiter.until(
            f"the owner of {objects.noun} {entry.name}",
            present,
            done=lambda current: True,
            timeout=_WITHDRAWAL,
        )
        for cloud_id in objects.find(entry.name):
            if current is None or cloud_id != current.cloud_id:
                LOG.warning("%s %s is deleted: the operation was lost when it was created", objects.noun, cloud_id)
                delete(context, objects, cloud_id, timeout=_WITHDRAWAL)
    except Exception as error:  # noqa: BLE001 - this process must leave the operation; its end finds what remains
        LOG.warning("%s: what was created as %s may remain: %s", context.resource.key, entry.name, error)


def fetch(context: HookContext, objects: CloudObjects, cloud_id: str) -> Any:
    """Return the current object. Raises ResourceNotFound."""
    return context.waiter.call(lambda: objects.get(cloud_id), check=context.check)


def find_existing(context: HookContext, objects: CloudObjects, role: str) -> str | None:
    """Return the id of this operation's object *role*, or None if it was not created or no longer exists."""
    for entry in context.journal.entries():
        if entry.role == role:
            if entry.cloud_id and exists(context, objects, entry.cloud_id):
                return entry.cloud_id
            ids = candidates(context, objects, entry)
            return next((cloud_id for cloud_id in ids if exists(context, objects, cloud_id)), None)
    return None


def wait(context: HookContext, objects: CloudObjects, cloud_id: str, timeout: float | None = None) -> Any:
    """Wait until the object is ready and return it.

    :param timeout: seconds; None: that of the waiter

    Raises ResourceFailed with the cloud's reason, Timeout, or what ``context.check`` raises.
    """
    return context.waiter.until(
        f"{objects.noun} {cloud_id} to become {objects.ready}",
        lambda: objects.get(cloud_id),
        done=lambda current: current.status == objects.ready,
        failed=objects.failure,
        timeout=timeout,
        check=context.check,
    )


def delete(
    context: HookContext | Waiter,
    objects: CloudObjects,
    cloud_id: str,
    *,
    timeout: float | None = None,
    check: Callable[[], None] | None = None,
) -> None:
    """Delete an object and wait until it is deleted. Does nothing if it does not exist.

    :param context: of a hook, or the waiter alone
    :param timeout: seconds; None: that of the waiter

    Raises ResourceFailed if the cloud does not delete it, Timeout, or what *check* raises.
    """
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
            answers.append(exception.public_text(error))
        return current

    waiter = context if isinstance(context, Waiter) else context.waiter
    waiter.until_gone(
        f"{objects.noun} {cloud_id}",
        ask,
        failed=lambda current: objects.failure(current) if current.status == "error_deleting" else None,
        timeout=timeout,
        check=check,
    )


def candidates(context: HookContext, objects: CloudObjects, entry: Entry) -> list[str]:
    """Return the ids of all objects of *entry*: the recorded one, and those with its name whose id was not recorded."""
    ids = context.waiter.call(lambda: objects.find(entry.name), check=context.check)
    return list(dict.fromkeys([*([entry.cloud_id] if entry.cloud_id else []), *ids]))


def exists(context: HookContext, objects: CloudObjects, cloud_id: str) -> bool:
    """Return whether the object exists."""
    try:
        fetch(context, objects, cloud_id)
    except exception.ResourceNotFound:
        return False
    return True
