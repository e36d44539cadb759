"""Objects that operations create in a cloud: created once however often a hook runs, and awaited.

The order is always the same: record the intention in the journal, look for an object with the unique name that an earlier
attempt created, create it, record its id, wait for it. A process may therefore die between any two of these steps.
:mod:`karbor_like.plugins.toolkit.cleanup` deletes the objects.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from karbor_like import exception
from karbor_like.clients.factory import Clients
from karbor_like.plugins.protection import Entry, HookContext
from karbor_like.plugins.toolkit import ownership

#: Creates an object with a name and metadata, and returns its id.
Create = Callable[[str, Mapping[str, str]], str]


class CloudObjects(ABC):
    """The objects of one type in a cloud. Every method may raise what ``translated`` raises."""

    #: The type in messages, such as "volume".
    noun: ClassVar[str]
    #: The state in which an object is usable.
    ready: ClassVar[str]
    #: The states that an object does not leave by itself and in which the cloud deletes it. None: any.
    deletable: ClassVar[frozenset[str] | None]

    def __init__(self, clients: Clients) -> None:
        self.clients = clients

    @abstractmethod
    def get(self, cloud_id: str) -> Any:
        """Return the current object, which has a ``status``. Raises ResourceNotFound."""

    @abstractmethod
    def find(self, name: str) -> Sequence[str]:
        """Return the ids of the project's objects with exactly this name. Clouds may ignore a filter by name."""

    @abstractmethod
    def delete(self, current: Any) -> None:
        """Ask the cloud to delete the object."""

    @abstractmethod
    def failure(self, current: Any) -> str | None:
        """Return the cloud's reason why the object will never be ready, or None if it may become so."""


def ensure(context: HookContext, objects: CloudObjects, role: str, create: Create, *, keep: bool = False) -> str:
    """Return the id of this operation's object *role*. Create it unless an earlier attempt did."""
    entry = context.journal.intend(role, keep=keep)
    if entry.cloud_id:
        if exists(context, objects, entry.cloud_id):
            return entry.cloud_id
        context.journal.gone(role)
        entry = context.journal.intend(role, keep=keep)
    markers = ownership.markers(context.operation_id, role, context.resource.key)

    def find_or_create() -> str:
        # Also on a retry: the answer to the first request may be lost.
        ids = objects.find(entry.name)
        return ids[0] if ids else create(entry.name, markers)

    cloud_id = context.waiter.call(find_or_create, check=context.check)
    context.journal.made(role, cloud_id)
    return cloud_id


def fetch(context: HookContext, objects: CloudObjects, cloud_id: str) -> Any:
    """Return the current object. Raises ResourceNotFound."""
    return context.waiter.call(lambda: objects.get(cloud_id), check=context.check)


def find_existing(context: HookContext, objects: CloudObjects, role: str) -> str | None:
    """Return the id of this operation's object *role*, or None if it was not created or no longer exists."""
    for entry in context.journal.entries():
        if entry.role == role:
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
