"""The contract of protection plugins, which protect, restore, delete, verify and copy resources of some types.

The host (``karbor_like.protection``) decides when and where hooks run and persists the state that must survive a crash. A
hook receives everything that it needs as a :class:`HookContext`. Plugins import no database, no TaskFlow and no bank
internals.

Hooks run **at least once**. If a process is killed, another process runs the interrupted hook again from the start. Before
a hook creates something in the cloud, it therefore records the intention in the :class:`Journal`, where it also finds what
an earlier attempt created.

Order of the hooks:

* of one resource: ``prepare_begin``, ``prepare_finish``, ``main``, ``complete``;
* of parent and child: parent.prepare_begin before child.prepare_begin, child.prepare_finish before parent.prepare_finish,
  child.complete before parent.complete;
* of a restore, if a resource depends on others: their ``main`` before its ``main``, their ``complete`` before its
  ``complete``;
* otherwise ``main`` runs in parallel with that of every other resource.

A restore calls three more hooks, each in one step for all resources that implement it: ``plan`` and ``needs`` before any
other hook, and ``contribute`` after every ``main`` and before any ``complete``. It then creates what the contributions
describe, see :mod:`karbor_like.plugins.deployable`.

If any hook of any resource fails, the host calls :meth:`ResourceOperation.cleanup` of every resource whose hooks ran,
children first.

A protect continues without a resource that the plan does not name, if a hook of it raises ResourceNotProtectable, or if a
hook fails and the resource no longer exists or its state forbids protecting it. The host then calls its ``cleanup`` and none
of its other hooks, and the checkpoint names it with the reason.
"""

from abc import ABC
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Final, Protocol, TypeVar

from oslo_config import cfg

from karbor_like.bank import ResourceSection, Section
from karbor_like.clients.factory import Clients
from karbor_like.clients.waiter import Waiter
from karbor_like.domain.actions import PlannedAction
from karbor_like.domain.operation import OperationType
from karbor_like.domain.quota import Quota
from karbor_like.domain.resource import Resource
from karbor_like.domain.template import Template
from karbor_like.plugins.deployable import Deployable
from karbor_like.plugins.objects import CloudObjects

#: Pieces of a stream.
P = TypeVar("P", bound=bytes | memoryview)

#: Version of this contract. It rises when plugins written for an earlier version stop working.
API_VERSION: Final = 1

#: Hooks that run once per resource, in order.
HOOKS: Final = ("prepare_begin", "prepare_finish", "main", "complete")
#: Hooks of a restore that the host calls in one step for all resources.
RESTORE_HOOKS: Final = ("plan", "needs", "contribute")

#: Restore parameter of ``Type#id``: the id of an existing resource of the target to use in place of that resource. A plugin
#: that supports it adds the parameter, with schema :data:`MAP_TO_SCHEMA`, to its restore schema.
MAP_TO: Final = "map_to"
MAP_TO_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "string",
    "title": "Map To",
    "description": "The ID of an existing resource to use instead of restoring this one.",
}


@dataclass(frozen=True)
class Entry:
    """An object that this operation creates in the cloud for one resource.

    :param role: its purpose, unique per resource and operation, such as ``snapshot`` or ``temporary-image``
    :param name: the unique, deterministic name to create it under. By it a retry finds the object even if the process died
        between the creation and :meth:`Journal.made`.
    :param cloud_id: its id, or None while it is unknown whether the object was created
    :param keep: False for temporary objects, which must be deleted before the operation ends; True for results, such as a
        restored volume, which are deleted only if the operation fails
    """

    role: str
    name: str
    cloud_id: str | None
    keep: bool = False


class Journal(Protocol):
    """Durable record of the objects that this operation creates for this resource. All calls are idempotent."""

    def intend(self, role: str, *, keep: bool = False) -> Entry:
        """Record the intention to create an object. Return its entry, with the id if an earlier attempt recorded one."""
        ...

    def made(self, role: str, cloud_id: str) -> Entry:
        """Record the id of the created object. Call it before waiting for the object."""
        ...

    def gone(self, role: str) -> None:
        """Record that the object no longer exists."""
        ...

    def peek(self, role: str) -> Entry | None:
        """Return the present entry of *role*, or None if it was deleted. For a process that has lost the operation, too."""
        ...

    def entries(self) -> Sequence[Entry]:
        """Return the objects that were intended and are not recorded as gone, in order of :meth:`intend`."""
        ...


class ProgressRecorder(Protocol):
    """Records the progress of a resource. Calls are cheap: the host throttles what it stores."""

    def step(self, name: str) -> None:
        """Record the current step, in a few words. If the operation fails in it, the error message names it."""
        ...

    def progress(self, done: int, total: int | None) -> None:
        """Record the bytes done and the total bytes of the resource (None if unknown)."""
        ...

    def sizes(self, *, logical: int, new: int, stored: int) -> None:
        """Record sizes in bytes: of the resource, of its data that no base has, and of what the bank stored for that."""
        ...


class Pace(Protocol):
    """Limits the rate of a stream."""

    def __call__(self, pieces: Iterable[P]) -> Iterable[P]:
        """Return the pieces, each when it may pass. Iterating raises what :attr:`HookContext.check` raises."""
        ...


def _unlimited(pieces: Iterable[P]) -> Iterable[P]:
    return pieces


@dataclass(frozen=True)
class HookContext:
    """Everything that one hook call receives.

    :param operation_id: UUID of the operation. Objects created in the cloud carry it in their metadata
        (``karbor_like_operation``) and in their names.
    :param project_id: the project of the checkpoint in the bank. That of the clients may be another one if
        another site made the checkpoint
    :param resource: the resource to protect, or the protected one (restore, delete, verify, copy)
    :param parameters: the options for this resource, checked against the plugin's schema: those of its type overlaid with
        those of ``Type#id``, without nulls
    :param clients: act in the cloud as the owner of the operation; for a restore elsewhere, in the target cloud
    :param section: the resource's part of the checkpoint in the bank (copy: of the new checkpoint, in its bank). Only a
        protect or copy operation may write to it; a deletion may delete it
    :param bases: sections of this resource in earlier checkpoints, newest first, to deduplicate against
    :param restored: original ``Type#id`` -> id of the restored resource, for all hooks that have returned (restore)
    :param check: raises Cancelled or LeaseLost when the hook must stop; call it in every loop
    :param source: the resource's part of the checkpoint to copy, in another provider's bank (copy)
    :param dependencies: resources of the checkpoint that this one depends on
    :param mapping: original ``Type#id`` -> id of the existing resource that the restore request maps it to (restore);
        includes resources that are not in the checkpoint
    :param template: the contributions of all resources (``complete`` of a restore)
    :param is_dry_run: whether nothing is created: ``main`` has not run, and texts in brackets stand for new ids in *restored*
        (``plan`` and ``contribute``; the latter also in a restore that compares what it needs with the quotas)
    :param find_service: returns :attr:`service`
    :param find_siblings: returns :attr:`siblings`
    :param others: sections of this resource in the provider's other available checkpoints (delete)
    :param is_member: whether the plan does not name the resource, which was found as a child. If it cannot be protected, the
        host leaves it out and protects the others (protect)
    :param paced: yields the pieces of a stream from or to the cloud as fast as the limits on bytes per second allow, and
        otherwise returns them as they are
    """

    operation_id: str
    checkpoint_id: str
    project_id: str
    resource: Resource
    children: Sequence[Resource]
    parameters: Mapping[str, Any]
    clients: Clients
    section: Section
    bases: Sequence[ResourceSection]
    journal: Journal
    report: ProgressRecorder
    waiter: Waiter
    restored: Mapping[str, str]
    check: Callable[[], None]
    source: Section | None = None
    dependencies: Sequence[Resource] = ()
    mapping: Mapping[str, str] = field(default_factory=dict)
    template: Template | None = None
    is_member: bool = False
    find_service: Callable[[], Clients | None] = lambda: None
    others: Sequence[Section] = ()
    is_dry_run: bool = False
    find_siblings: Callable[[], Sequence[Resource]] = tuple
    paced: Pace = _unlimited

    @cached_property
    def service(self) -> Clients | None:
        """Act as the service user in this cloud, for what a tenant may not do: few plugins need it.

        A plugin must check whose objects it names with them. None if there is no service user, and for a restore in another
        cloud.
        """
        return self.find_service()

    @cached_property
    def siblings(self) -> Sequence[Resource]:
        """The other resources of the operation. A protect has left out none of them so far, but may do so later."""
        return self.find_siblings()


class ResourceOperation(ABC):  # noqa: B024 - a plugin implements only the hooks that it needs, possibly none
    """One type of operation on resources of one type.

    A subclass implements the hooks that it needs. Hooks that it does not implement create no task. A hook may return a JSON
    object with these members:

    * ``restored``: ``{"Type#id": "new id"}``, added to :attr:`HookContext.restored`;
    * ``remarks``: a list of sentences on what could not be restored as it was, or could not be deleted from the cloud. They
      become the resource's reason although nothing failed, and replace the remarks of earlier hooks.
    """

    def __init__(self, plugin: "ProtectionPlugin") -> None:
        self.plugin = plugin

    def plan(self, context: HookContext) -> Sequence[PlannedAction]:
        """Return what a restore of this resource would do. Create and change nothing, and leave the journal alone.

        If any resource plans a conflict, the restore fails with the reasons of all conflicts before any other hook runs.
        """
        raise NotImplementedError

    def needs(self, context: HookContext) -> Mapping[str, int]:
        """Return by how much a restore of this resource uses up quotas of the project, by names in
        :attr:`ProtectionPlugin.quotas`. Create and change nothing.

        What the resource contributes to the template does not count: see :meth:`Deployable.needs`. A need that is not certain
        does not either, because a restore that needs more than is free fails before it creates anything. A negative number
        is by how much the restore raises a quota before it needs it.
        """
        raise NotImplementedError

    def prepare_begin(self, context: HookContext) -> dict[str, Any] | None:
        """Run before ``prepare_begin`` of the children."""
        raise NotImplementedError

    def prepare_finish(self, context: HookContext) -> dict[str, Any] | None:
        """Run after ``prepare_finish`` of the children."""
        raise NotImplementedError

    def main(self, context: HookContext) -> dict[str, Any] | None:
        """Run in parallel with ``main`` of other resources. Move the bytes here: the host bounds concurrent transfers."""
        raise NotImplementedError

    def contribute(self, context: HookContext, template: Template) -> None:
        """Add to the one template of the whole restore.

        Create and change nothing: the host may call the hook repeatedly, also in another process. Children and
        dependencies contribute first. ``complete`` reads the finished template from :attr:`HookContext.template`.
        """
        raise NotImplementedError

    def complete(self, context: HookContext) -> dict[str, Any] | None:
        """Run after ``complete`` of the children."""
        raise NotImplementedError

    def cleanup(self, context: HookContext) -> None:
        """Delete everything that the journal names from the cloud, dependents first. Called when the operation failed.

        Runs at least once. Objects may already be deleted. If one cannot be deleted, continue with the next, and raise
        ResourceFailed at the end that names the remaining ones. ``context.check`` raises LeaseLost only: cancelled
        operations are cleaned up as well.
        """

    def release(self, context: HookContext) -> Sequence[str]:
        """Delete the temporary objects that the journal names from the cloud, dependents first. Return a remark for each one
        that remains, and leave its entry in the journal.

        An operation calls it itself when its result is complete: an object that cannot be deleted must not make it fail. The
        host calls it again later, as long as the journal of an operation that succeeded names temporary objects.
        ``context.check`` then raises LeaseLost only.
        """
        return ()

    @classmethod
    def hooks(cls) -> tuple[str, ...]:
        """Return the names of the hooks that this class implements: :data:`HOOKS` in order, then :data:`RESTORE_HOOKS`."""
        names = (*HOOKS, *RESTORE_HOOKS)
        return tuple(hook for hook in names if getattr(cls, hook) is not getattr(ResourceOperation, hook))


@dataclass(frozen=True)
class Schemas:
    """JSON schemas (objects) of the options of one resource type and of the information shown about it.

    Clients generate forms from them and send null for empty fields, and some schemas, which are older than this code,
    require members whose default is null. The host therefore drops nulls before it validates, and ignores ``required``.
    """

    options: Mapping[str, Any]
    restore: Mapping[str, Any]
    saved_info: Mapping[str, Any]
    verify: Mapping[str, Any]


EMPTY_SCHEMA: Mapping[str, Any] = {"type": "object", "properties": {}}


class ProtectionPlugin(ABC):  # noqa: B024 - plugins declare everything as class attributes
    """The way in which a provider protects resources of some types. One instance per provider."""

    #: The version of the contract that the plugin was written for. The loader refuses any other than :data:`API_VERSION`.
    api_version: ClassVar[int | None] = None
    #: Section of the provider's file that holds :attr:`options`.
    group: ClassVar[str] = ""
    options: ClassVar[Sequence[cfg.Opt]] = ()
    #: The schemas of each resource type that the plugin protects.
    schemas: Mapping[str, Schemas] = {}
    #: Whether the plugin serves only those types that no other plugin of the provider serves.
    is_fallback: ClassVar[bool] = False
    #: The operations offered; others are answered with Unsupported. A plugin that keeps everything in the bank copies with
    #: :class:`karbor_like.plugins.toolkit.copying.SectionCopy`.
    operations: ClassVar[Mapping[OperationType, type[ResourceOperation]]] = {}
    #: Types of the template of a restore, such as ``OS::Neutron::Net`` -> what creates and deletes their resources.
    deployables: ClassVar[Mapping[str, type[Deployable]]] = {}
    #: Types of the other objects that the operations create in the cloud. The search for orphaned resources goes through
    #: these and the deployables, by :meth:`CloudObjects.scan <karbor_like.plugins.objects.CloudObjects.scan>`.
    creates: ClassVar[Sequence[type[CloudObjects]]] = ()
    #: Functions that return quotas of the project that the clients act in, by name, for :meth:`ResourceOperation.needs` and
    #: :meth:`Deployable.needs`. Names are unique in the cloud. The host skips a function that the cloud refuses.
    quotas: ClassVar[Sequence[Callable[[Clients], Mapping[str, Quota]]]] = ()
    #: Why operations are not offered, each a clause for the message of Unsupported.
    refusals: ClassVar[Mapping[OperationType, str]] = {}

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self.conf: Any = conf[self.group] if self.group else None

    def operation(self, kind: OperationType, resource_type: str) -> ResourceOperation | None:
        """Create the operation of type *kind*. Return None if the plugin does not offer it."""
        operation = self.operations.get(kind)
        return operation(self) if operation and resource_type in self.schemas else None
