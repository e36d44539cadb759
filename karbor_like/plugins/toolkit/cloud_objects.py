"""What operations create in a cloud: made once however often a hook runs, waited for, and removed whatever happens.

The order is always the same: say in the journal what is about to be made, look whether an earlier attempt made it (by its
unique name), make it, note its id, wait for it. So a process may die between any two of these.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.plugins.protection import Entry, HookContext
from karbor_like.plugins.toolkit import ownership

#: How often a cloud is asked to delete something that it then goes on showing as usable.
_DELETE_REQUESTS: Final = 5

#: Creates something under a name, with metadata, and returns its id.
Create = Callable[[str, Mapping[str, str]], str]


class CloudObjects(ABC):
    """One kind of thing that a cloud can be asked to create. Every method may raise what ``translated`` raises."""

    noun: ClassVar[str]
    #: The state in which it can be used.
    ready: ClassVar[str]
    #: The states that it does not leave by itself and in which the cloud deletes it; None: any.
    deletable: ClassVar[frozenset[str] | None]

    def __init__(self, clients: Clients) -> None:
        self.clients = clients

    @abstractmethod
    def get(self, cloud_id: str) -> Any:
        """The thing as it is now, with a ``status``. Raises ResourceNotFound."""

    @abstractmethod
    def find(self, name: str) -> Sequence[str]:
        """Ids of the project's things with exactly this name: a cloud may ignore a filter that its operator did not allow."""

    @abstractmethod
    def delete(self, thing: Any) -> None:
        """Ask the cloud to delete it."""

    @abstractmethod
    def failure(self, thing: Any) -> str | None:
        """The cloud's reason why it will never be ready, or None where it may be."""


class _Cinder(CloudObjects):
    ready = "available"

    def failure(self, thing: Any) -> str | None:
        if not thing.status.startswith("error"):
            return None
        return f"Cinder put it into state {thing.status!r}: {cinder_message(self.clients, thing.id)}"


class Volumes(_Cinder):
    noun = "volume"
    deletable = frozenset({"available", "error", "error_restoring", "error_extending", "error_managing"})

    def get(self, cloud_id: str) -> Any:
        with translated(f"volume {cloud_id}"):
            return self.clients.cinder().volumes.get(cloud_id)

    def find(self, name: str) -> Sequence[str]:
        with translated(f"volumes named {name}"):
            found = self.clients.cinder().volumes.list(search_opts={"name": name})
        return [volume.id for volume in found if volume.name == name]

    def delete(self, thing: Any) -> None:
        with translated(f"deleting volume {thing.id}"):
            self.clients.cinder().volumes.delete(thing.id)


class Snapshots(_Cinder):
    noun = "snapshot"
    deletable = frozenset({"available", "error"})

    def get(self, cloud_id: str) -> Any:
        with translated(f"snapshot {cloud_id}"):
            return self.clients.cinder().volume_snapshots.get(cloud_id)

    def find(self, name: str) -> Sequence[str]:
        with translated(f"snapshots named {name}"):
            found = self.clients.cinder().volume_snapshots.list(search_opts={"name": name})
        return [snapshot.id for snapshot in found if snapshot.name == name]

    def delete(self, thing: Any) -> None:
        with translated(f"deleting snapshot {thing.id}"):
            self.clients.cinder().volume_snapshots.delete(thing.id)


class Images(CloudObjects):
    noun = "image"
    ready = "active"
    deletable = None

    def get(self, cloud_id: str) -> Any:
        with translated(f"image {cloud_id}"):
            image = self.clients.glance().images.get(cloud_id)
        if image.status in ("deleted", "pending_delete"):
            raise exception.ResourceNotFound(f"image {cloud_id} was deleted")
        return image

    def find(self, name: str) -> Sequence[str]:
        # Everybody's public images are in the list too: only the project's own can be its operation's.
        filters = {"name": name, "owner": self.clients.project_id}
        with translated(f"images named {name}"):
            found = list(self.clients.glance().images.list(filters=filters))
        return [image.id for image in found if image.name == name and image.owner == self.clients.project_id]

    def delete(self, thing: Any) -> None:
        with translated(f"deleting image {thing.id}"):
            if thing.protected:
                self.clients.glance().images.update(thing.id, protected=False)
            self.clients.glance().images.delete(thing.id)

    def failure(self, thing: Any) -> str | None:
        if thing.status not in ("killed", "deactivated"):
            return None
        return f"Glance put it into state {thing.status!r}" + (f": {thing.message}" if thing.get("message") else "")


def cinder_message(clients: Clients, cloud_id: str) -> str:
    """The last thing that Cinder told its users about something, where it did."""
    try:
        with translated("messages"):
            found = clients.cinder().messages.list(search_opts={"resource_uuid": cloud_id})
    except exception.KarborLikeError:  # the state is what matters; the words for it are a courtesy
        found = []
    newest = max(found, key=lambda message: message.created_at, default=None)
    return newest.user_message if newest else "no reason given"


def ensure(run: HookContext, things: CloudObjects, role: str, create: Create, *, keep: bool = False) -> str:
    """The id of what this operation made as *role*; it is made now unless an earlier attempt did."""
    entry = run.journal.intend(role, keep=keep)
    if entry.cloud_id:
        if _exists(run, things, entry.cloud_id):
            return entry.cloud_id
        run.journal.gone(role)
        entry = run.journal.intend(role, keep=keep)
    marks = ownership.make(run.operation_id, role, run.resource.key)

    def look_or_create() -> str:
        # Also when this is a second try: the answer to the first may be what got lost.
        found = things.find(entry.name)
        return found[0] if found else create(entry.name, marks)

    cloud_id = run.waiter.call(look_or_create, check=run.check)
    run.journal.made(role, cloud_id)
    return cloud_id


def look(run: HookContext, things: CloudObjects, cloud_id: str) -> Any:
    """The thing as it is now. Raises ResourceNotFound."""
    return run.waiter.call(lambda: things.get(cloud_id), check=run.check)


def known(run: HookContext, things: CloudObjects, role: str) -> str | None:
    """The id of what this operation made as *role* and what still exists, or None."""
    for entry in run.journal.entries():
        if entry.role == role:
            return next((cloud_id for cloud_id in _ids(run, things, entry) if _exists(run, things, cloud_id)), None)
    return None


def wait(run: HookContext, things: CloudObjects, cloud_id: str, timeout: float | None = None) -> Any:
    """Wait until it is ready. Raises ResourceFailed with the cloud's reason, Timeout, or what ``run.check`` raises."""
    return run.waiter.until(
        f"{things.noun} {cloud_id} to become {things.ready}",
        lambda: things.get(cloud_id),
        done=lambda thing: thing.status == things.ready,
        failed=things.failure,
        timeout=timeout,
        check=run.check,
    )


def remove(run: HookContext, things: CloudObjects, role: str) -> None:
    """Delete what this operation made as *role*, wait until it is gone, and note that. Nothing made: nothing happens."""
    for entry in run.journal.entries():
        if entry.role == role:
            for cloud_id in _ids(run, things, entry):
                _remove(run, things, cloud_id)
            run.journal.gone(role)


def remove_all(run: HookContext, roles: Mapping[str, CloudObjects]) -> None:
    """Delete everything that the journal names, newest first, going on where something cannot be deleted.

    :param roles: what the roles are

    Raises ResourceFailed naming what is left over.
    """
    left = []
    for entry in reversed(run.journal.entries()):
        try:
            remove(run, roles[entry.role], entry.role)
        except exception.LeaseLost:
            raise
        except exception.KarborLikeError as error:
            left.append(f"{roles[entry.role].noun} {entry.name} ({entry.cloud_id or 'id unknown'}): {error}")
    if left:
        raise exception.ResourceFailed(f"left over in the cloud, to be deleted by hand: {'; '.join(left)}")


def _ids(run: HookContext, things: CloudObjects, entry: Entry) -> list[str]:
    """All that may be *entry*'s: what the journal knows, and what bears its name because nobody lived to note its id."""
    found = run.waiter.call(lambda: things.find(entry.name), check=run.check)
    return list(dict.fromkeys([*([entry.cloud_id] if entry.cloud_id else []), *found]))


def _exists(run: HookContext, things: CloudObjects, cloud_id: str) -> bool:
    try:
        look(run, things, cloud_id)
    except exception.ResourceNotFound:
        return False
    return True


def _remove(run: HookContext, things: CloudObjects, cloud_id: str) -> None:
    refusals: list[str] = []

    def ask() -> Any:
        thing = things.get(cloud_id)
        if things.deletable is not None and thing.status not in things.deletable:
            return thing  # the cloud is still busy with it, or has begun to delete it
        if len(refusals) == _DELETE_REQUESTS:
            raise exception.ResourceFailed(f"the cloud does not delete {things.noun} {cloud_id}: {refusals[-1]}")
        try:
            things.delete(thing)
            refusals.append(f"asked {_DELETE_REQUESTS} times, it is still {thing.status!r}")
        except (exception.ResourceFailed, exception.Conflict) as error:
            refusals.append(str(error))
        return thing

    run.waiter.until_gone(
        f"{things.noun} {cloud_id}",
        ask,
        failed=lambda thing: things.failure(thing) if thing.status == "error_deleting" else None,
        check=run.check,
    )
