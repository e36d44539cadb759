"""Trove's instances and backups as objects that operations create and delete."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.plugins.objects import CloudObjects, Mark
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import ownership

#: State of an instance that works.
ACTIVE: Final = "ACTIVE"
#: State of a backup that can be restored.
COMPLETED: Final = "COMPLETED"


@dataclass(frozen=True)
class Found:
    """An object in Trove."""

    id: str
    status: str
    values: Mapping[str, Any]


class _Trove(CloudObjects):
    #: The collection of the client.
    collection: ClassVar[str]
    #: States from which an object never becomes ready.
    failed: ClassVar[frozenset[str]]

    def get(self, cloud_id: str) -> Found:
        with translated(f"{self.noun} {cloud_id}"):
            values = self.clients.trove().show(self.collection, cloud_id)
        return Found(cloud_id, str(values.get("status")), values)

    def all(self) -> list[dict[str, Any]]:
        """Return the objects of the project, as Trove lists them."""
        with translated(f"the {self.noun}s of the project"):
            return self.clients.trove().list(self.collection)

    def delete(self, current: Found) -> None:
        with translated(f"deleting {self.noun} {current.id}"):
            self.clients.trove().delete(self.collection, current.id)

    def scan(self) -> Iterable[Found]:
        return [Found(str(each.get("id")), str(each.get("status")), each) for each in self.all()]

    def mark(self, current: Found) -> Mark | None:
        marks = (
            ownership.mark(current.id, name, {}, current.values.get("created"))
            for name in (current.values.get("name"), *words(current.values))
        )
        return next(filter(None, marks), None)

    def failure(self, current: Found) -> str | None:
        if current.status not in self.failed:
            return None
        fault = current.values.get("fault")
        reason = fault.get("message") if isinstance(fault, Mapping) else None
        return f"Trove put it into state {current.status!r}: {reason or 'no reason given'}"


class Instances(_Trove):
    """Instances of the project."""

    noun = "database instance"
    collection = "instances"
    ready = ACTIVE
    deletable = frozenset({ACTIVE, "ERROR", "FAILED", "BLOCKED", "RESTART_REQUIRED"})
    failed = frozenset({"ERROR", "FAILED"})

    def find(self, name: str) -> Sequence[str]:
        return [str(each["id"]) for each in self.all() if each.get("name") == name]


class OwnInstances(Instances):
    """Instances of the project: those of others, which administrators see, do not exist."""

    def get(self, cloud_id: str) -> Found:
        found = super().get(cloud_id)
        owner = found.values.get("tenant_id") or found.values.get("project_id")
        # Some versions do not show the owner, but list the instances of the project only.
        own = owner == self.clients.project_id if owner else any(each["id"] == cloud_id for each in self.all())
        if not own:
            raise exception.ResourceNotFound(f"{self.noun} {cloud_id} does not exist")
        return found


class Backups(_Trove):
    """Backups of the project. Their names cannot be changed, so the name of the journal is a word of their description."""

    noun = "database backup"
    collection = "backups"
    ready = COMPLETED
    deletable = frozenset({COMPLETED, "FAILED", "DELETE_FAILED"})
    failed = frozenset({"FAILED", "DELETE_FAILED"})

    def __init__(self, clients: Clients) -> None:
        super().__init__(clients)
        # The state of a backup does not show that Trove is deleting it.
        self._asked: set[str] = set()

    def get(self, cloud_id: str) -> Found:
        found = super().get(cloud_id)
        if found.id in self._asked and found.status == COMPLETED:
            return replace(found, status="(being deleted)")
        return found

    def delete(self, current: Found) -> None:
        super().delete(current)
        self._asked.add(current.id)

    def find(self, name: str) -> Sequence[str]:
        return [str(each["id"]) for each in self.all() if name in words(each)]


def words(backup: Mapping[str, Any]) -> list[str]:
    """Return the words of the description of a backup, one of which is the name in the journal."""
    return str(backup.get("description") or "").split()


def read(context: HookContext, what: str, ask: Callable[[], Any]) -> Any:
    """Return what *ask* reads from a service, with retries. Raises what ``translated`` raises."""

    def call() -> Any:
        with translated(what):
            return ask()

    return context.waiter.call(call, check=context.check)
