"""The contract of a protection plugin: how resources of some types are protected, restored, deleted, verified and copied.

The host (``karbor_like.protection``) decides when and where hooks run, persists what must survive, and hands everything a
hook needs to it as a :class:`HookContext`. A plugin imports no database, no TaskFlow and no bank internals.

Hooks are **at least once**: a process may be killed anywhere and the hook runs again from the start, in another process.
So before a hook creates something in the cloud it says so in the :class:`Journal`, and finds there what an earlier
attempt made. Hooks of one resource run in the order ``prepare_begin``, ``prepare_finish``, ``main``, ``complete``;
between parent and child: parent.prepare_begin before child.prepare_begin, child.prepare_finish before
parent.prepare_finish, child.complete before parent.complete; every ``main`` runs in parallel with the others.

When any hook of any resource fails, the host calls :meth:`ResourceOperation.cleanup` of every resource whose hooks ran,
children first.
"""

from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol

from oslo_config import cfg

from karbor_like.bank import ResourceSection, Section
from karbor_like.clients.factory import Clients
from karbor_like.clients.waiter import Waiter
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource

#: Version of this contract. It rises when plugins written for an earlier version stop working.
API_VERSION: Final = 1

HOOKS = ("prepare_begin", "prepare_finish", "main", "complete")


@dataclass(frozen=True)
class Entry:
    """One thing that this operation makes in the cloud for one resource.

    :param role: what it is for, unique per resource and operation, such as ``snapshot`` or ``temporary-image``
    :param name: the unique, deterministic name to create it under, by which a re-run finds it in the cloud even when the
        process died between the creation and :meth:`Journal.made`
    :param cloud_id: its id, or None while nobody knows whether it was created
    :param keep: False for temporary things, which must be gone when the operation ends, however it ends; True for results
        (a restored volume), which are removed only when the operation fails
    """

    role: str
    name: str
    cloud_id: str | None
    keep: bool = False


class Journal(Protocol):
    """What this operation created for this resource: durable before the cloud is asked. All calls are idempotent."""

    def intend(self, role: str, *, keep: bool = False) -> Entry:
        """Say that something is about to be created. Returns the entry, with the id that an earlier attempt noted, if any."""
        ...

    def made(self, role: str, cloud_id: str) -> Entry:
        """Note the id of what was created, before it is waited for."""
        ...

    def gone(self, role: str) -> None:
        """Note that it does not exist (any more)."""
        ...

    def entries(self) -> Sequence[Entry]:
        """What was intended and is not gone, in order of :meth:`intend`."""
        ...


class ProgressRecorder(Protocol):
    """How a resource tells the world how it is doing. Cheap to call often; the host throttles what it stores."""

    def step(self, name: str) -> None:
        """The step that begins now, in a few words for people: it is named when the operation fails in it."""
        ...

    def progress(self, done: int, total: int | None) -> None:
        """Bytes of the resource done and in all (None: not known yet)."""
        ...

    def sizes(self, *, logical: int, new: int, stored: int) -> None:
        """Logical bytes of the resource, bytes that no base had, and bytes the bank stored for those."""
        ...


@dataclass(frozen=True)
class HookContext:
    """One hook call of one resource of one operation.

    :param operation_id: UUID of the operation; what is created in the cloud carries it in its metadata
        (``karbor_like_operation``) and in its name
    :param resource: what is protected, or what was protected (restore, delete, verify, copy)
    :param parameters: the options for this resource: those of its type overlaid with those of ``Type#id``, nulls left out,
        checked against the plugin's schema
    :param clients: acts in the cloud as the operation's owner (for a restore elsewhere: in the target cloud)
    :param section: this resource's part of the checkpoint in the bank (copy: of the new checkpoint, in its bank)
    :param bases: sections of this resource in earlier checkpoints, newest first, to store against
    :param restored: after a child's hook returned: original ``Type#id`` -> id of what was made for it (restore)
    :param check: raises Cancelled or LeaseLost when the hook must stop; call it in every loop
    :param source: this resource's part of the checkpoint that is copied, in another provider's bank (copy)
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


class ResourceOperation(ABC):  # noqa: B024 - a plugin implements the hooks that it needs, and may need none
    """One kind of operation on one resource type. Implement the hooks that are needed: a hook that is not implemented makes
    no task. A hook may return a JSON object: ``{"restored": {"Type#id": "new id"}}`` feeds :attr:`HookContext.restored`, and
    ``{"remarks": [...]}`` tells people in sentences what could not be as it was: it is the resource's reason, though nothing
    failed. What a later hook remarks takes its place.
    """

    def __init__(self, plugin: "ProtectionPlugin") -> None:
        self.plugin = plugin

    def prepare_begin(self, run: HookContext) -> dict[str, Any] | None:
        """Before the children's ``prepare_begin``."""
        raise NotImplementedError

    def prepare_finish(self, run: HookContext) -> dict[str, Any] | None:
        """After the children's ``prepare_finish``."""
        raise NotImplementedError

    def main(self, run: HookContext) -> dict[str, Any] | None:
        """In parallel with every other resource's."""
        raise NotImplementedError

    def complete(self, run: HookContext) -> dict[str, Any] | None:
        """After the children's ``complete``."""
        raise NotImplementedError

    def cleanup(self, run: HookContext) -> None:
        """The operation failed: remove from the cloud everything the journal names, dependents first. Runs at least once,
        may find anything already gone, and goes on to the next thing when one cannot be removed; raises ResourceFailed at
        the end naming what is left over. ``run.check`` raises LeaseLost only: a cancelled operation is cleaned up as well.
        """

    @classmethod
    def hooks(cls) -> tuple[str, ...]:
        """The hooks that this class implements, in order."""
        return tuple(hook for hook in HOOKS if getattr(cls, hook) is not getattr(ResourceOperation, hook))


@dataclass(frozen=True)
class Schemas:
    """JSON schemas (objects) of what a tenant may say about a resource of one type, and of what is shown of it.

    Clients make forms of them and send null for what nobody filled in, and some schemas, being older than this code,
    require what has null for its default. So the host drops nulls before it checks, and holds nobody to ``required``.
    """

    options: Mapping[str, Any]
    restore: Mapping[str, Any]
    saved_info: Mapping[str, Any]
    verify: Mapping[str, Any]


EMPTY_SCHEMA: Mapping[str, Any] = {"type": "object", "properties": {}}


class ProtectionPlugin(ABC):  # noqa: B024 - everything a plugin declares is class-level
    """How a provider protects resources of some types. One object per provider, built from the provider's file."""

    #: The version of the contract that the plugin was written for. The loader refuses any other than :data:`API_VERSION`.
    api_version: ClassVar[int | None] = None
    #: Section of the provider's file that holds :attr:`options`.
    group: ClassVar[str] = ""
    options: ClassVar[Sequence[cfg.Opt]] = ()
    #: The resource types served, each with its schemas.
    schemas: Mapping[str, Schemas] = {}
    #: The operations offered. A kind that is missing is answered with Unsupported. Where all of a checkpoint is in the bank,
    #: :class:`karbor_like.plugins.toolkit.copying.SectionCopy` copies it.
    operations: ClassVar[Mapping[OperationType, type[ResourceOperation]]] = {}

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self.conf: Any = conf[self.group] if self.group else None

    def operation(self, kind: OperationType, resource_type: str) -> ResourceOperation | None:
        """The operation of *kind*, or None where this plugin does not offer it."""
        operation = self.operations.get(kind)
        return operation(self) if operation and resource_type in self.schemas else None
