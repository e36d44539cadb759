"""The contract suite of protection plugins that store the bytes of a resource.

The tests of a plugin inherit :class:`ProtectionContract`, and :class:`CopyContract` if the plugin offers copies.
"""

import base64
import contextlib
import copy
import functools
import hashlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pytest

from karbor_like import exception
from karbor_like.bank import Bank
from karbor_like.bank.keys.keyring import Keyring
from karbor_like.bank.keys.masters import ConfiguredMasterKeys
from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.bank.options import BankOptions
from karbor_like.clients.factory import Clients
from karbor_like.clock import SystemClock
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.plugins.protection import API_VERSION, HOOKS, RESTORE_HOOKS, Entry, ProtectionPlugin
from karbor_like.testing.host import Host, Operation, memory_bank

#: Ids of a tenant's objects by kind.
Belongings = dict[str, set[str]]


class Subject(ABC):
    """A resource of the tenant, and ways to examine such resources without the plugin."""

    plugin: ProtectionPlugin
    resource: Resource

    @abstractmethod
    def digest(self, resource_id: str) -> str:
        """Return the SHA-256 of the resource's bytes."""

    @abstractmethod
    def looks(self, resource_id: str) -> dict[str, Any]:
        """Return the properties that a restored resource must have in common with the original."""

    @abstractmethod
    def destroy(self) -> None:
        """Delete the original and wait until it is deleted."""

    @abstractmethod
    def belongings(self) -> Belongings:
        """Return the ids of everything that the tenant has."""


class CopyContract:
    """The further contract of plugins that offer copies. Inherit it together with :class:`ProtectionContract`."""

    size: ClassVar[int]

    @pytest.fixture
    def elsewhere(self, host: Host) -> Iterator[Host]:
        """The same plugin with an encrypted bank."""
        store = MemoryStore()
        keyring = Keyring(store, ConfiguredMasterKeys([f"m:{base64.b64encode(bytes(32)).decode()}"]))
        bank = Bank(store, keyring=keyring, options=BankOptions(), clock=SystemClock())
        yield Host(host.plugin, host.clients, bank)
        bank.close()

    def test_copy_is_as_good_as_its_source(
        self, host: Host, elsewhere: Host, subject: Subject, checkpoint: str
    ) -> None:
        digest, looks = subject.digest(subject.resource.id), subject.looks(subject.resource.id)
        copied = elsewhere.copy(host, subject.resource, checkpoint)
        assert copied.report.bytes_done == copied.report.bytes_total == copied.report.logical == self.size

        host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))
        subject.destroy()
        elsewhere.perform(elsewhere.operation(OperationType.VERIFY, subject.resource, copied.checkpoint_id))
        restored = elsewhere.restore(subject.resource, copied.checkpoint_id)
        assert subject.digest(restored) == digest
        assert subject.looks(restored) == looks

    def test_failed_copy_leaves_nothing(self, host: Host, elsewhere: Host, subject: Subject, checkpoint: str) -> None:
        operation = elsewhere.operation(OperationType.COPY, subject.resource)
        operation.source = host.section(checkpoint, subject.resource)
        elsewhere.attempt(operation)
        elsewhere.cleanup(operation)
        assert elsewhere.section(operation.checkpoint_id, subject.resource).names() == []


class DescriptionContract:
    """Protect, restore, verify and delete; retries, cancellation and clean-up: for a plugin that stores descriptions.

    A subclass provides the fixtures ``subject`` and ``clients`` (of the tenant that owns the subject's resource).
    """

    #: Roles of the objects that a protect leaves in the cloud as its result. A plugin whose bytes are in the bank has none.
    kept: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def results(cls, operation: Operation, result: Mapping[str, Any] | None = None) -> set[str]:
        """Return the ids of the objects that must remain of a finished operation.

        :param result: what its hooks returned
        """
        kept = {entry.cloud_id for entry in operation.journal.entries() if entry.keep and entry.role in cls.kept}
        return {str(cloud_id) for cloud_id in kept} | set((result or {}).get("restored", {}).values())

    @pytest.fixture
    def bank(self) -> Iterator[Bank]:
        bank = memory_bank()
        yield bank
        bank.close()

    @pytest.fixture
    def host(self, clients: Clients, bank: Bank, subject: Subject) -> Host:
        return Host(subject.plugin, clients, bank)

    @pytest.fixture
    def before(self, subject: Subject) -> Belongings:
        """The tenant's belongings at the beginning of the test."""
        return subject.belongings()

    @pytest.fixture
    def checkpoint(self, host: Host, subject: Subject) -> str:
        """The id of a finished checkpoint."""
        return host.protect(subject.resource).checkpoint_id

    def test_declarations(self, subject: Subject) -> None:
        plugin = subject.plugin
        assert plugin.api_version == API_VERSION
        assert subject.resource.type in plugin.schemas
        for schemas in plugin.schemas.values():
            for schema in (schemas.options, schemas.restore, schemas.saved_info, schemas.verify):
                assert schema["type"] == "object"
                assert isinstance(schema["properties"], dict)
        for kind, operation in plugin.operations.items():
            assert set(operation.hooks()) <= {*HOOKS, *RESTORE_HOOKS}
            assert isinstance(plugin.operation(kind, subject.resource.type), operation)
            assert plugin.operation(kind, "OS::Un::Known") is None

    def test_verify(self, host: Host, subject: Subject, checkpoint: str) -> None:
        host.perform(host.operation(OperationType.VERIFY, subject.resource, checkpoint))

    def test_delete_is_idempotent(self, host: Host, subject: Subject, checkpoint: str) -> None:
        for _ in range(2):
            host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))
        with pytest.raises(exception.NotFound):
            host.perform(host.operation(OperationType.VERIFY, subject.resource, checkpoint))
        with pytest.raises(exception.NotFound):
            host.restore(subject.resource, checkpoint)

    def test_a_deletion_is_completed_after_it_was_stopped_at_its_end(self, host: Host, subject: Subject) -> None:
        checkpoint = host.protect(subject.resource).checkpoint_id
        host.commit(checkpoint)
        for _ in range(2):
            host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))

    def test_plan_and_contribution_change_nothing(
        self, host: Host, subject: Subject, checkpoint: str, before: Belongings
    ) -> None:
        operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
        hooks = subject.plugin.operations[OperationType.RESTORE].hooks()
        for _ in range(2):
            plan = host.plan(operation) if "plan" in hooks else []
            assert all(isinstance(line, PlannedAction) for line in plan)
            assert all(line.reason for line in plan if line.action is Action.CONFLICT)
        if "contribute" in hooks:
            assert host.contribute(operation).resources == host.contribute(operation).resources
        assert subject.belongings() == before
        assert operation.journal.entries() == []

    def test_a_restore_uses_what_it_needs(self, host: Host, subject: Subject, checkpoint: str) -> None:
        operation = self.first(host, subject, OperationType.RESTORE, checkpoint)
        before, belongings = host.free(), subject.belongings()
        needs = {name: number for name, number in host.needs(operation).items() if number}
        assert set(needs) <= set(before), "every need has a quota"
        assert subject.belongings() == belongings
        host.perform(operation)
        after = host.free()
        limited = {name for name in needs if after[name] is not None}
        used = {name: (before[name] or 0) - (after[name] or 0) for name in limited}
        assert used == {name: needs[name] for name in limited}

    @pytest.mark.parametrize("kind", [OperationType.PROTECT, OperationType.RESTORE])
    def test_cancellation_anywhere_leaves_nothing(
        self, host: Host, subject: Subject, checkpoint: str, before: Belongings, kind: OperationType
    ) -> None:
        for nth in itertools.count(1):
            check = Cancel(nth)
            try:
                host.perform(self.first(host, subject, kind, checkpoint), check=check)
            except exception.Cancelled:
                assert subject.belongings() == before
            if check.remaining > 0:
                break

    @pytest.mark.parametrize("kind", [OperationType.PROTECT, OperationType.RESTORE])
    def test_repeated_hooks_create_nothing_twice(
        self, host: Host, subject: Subject, checkpoint: str, kind: OperationType
    ) -> None:
        """Hooks run at least once: every hook runs again from the start, as after a crash at its end."""
        before = subject.belongings()
        operation = self.first(host, subject, kind, checkpoint)
        host.attempt(operation)
        operation.done.clear()
        result = host.perform(operation)
        assert added(before, subject.belongings()) == self.results(operation, result)

    def test_unknown_resource(self, host: Host, subject: Subject, before: Belongings) -> None:
        unknown = Resource(subject.resource.type, "6f1b2c3d-0000-4000-8000-000000000000", "unknown")
        with pytest.raises(exception.ResourceNotFound):
            host.protect(unknown)
        assert subject.belongings() == before

    @staticmethod
    def first(host: Host, subject: Subject, kind: OperationType, checkpoint: str) -> Operation:
        """Create an operation of type *kind*: a protect into a new checkpoint, or a restore of *checkpoint*."""
        return host.operation(kind, subject.resource, checkpoint if kind is OperationType.RESTORE else None)


class ProtectionContract(DescriptionContract):
    """The same, and what a plugin does that stores bytes and restores each resource as a new one."""

    #: Bytes that the plugin protects of the subject.
    size: ClassVar[int]

    def test_restored_resource_equals_the_original(self, host: Host, subject: Subject, checkpoint: str) -> None:
        digest, looks = subject.digest(subject.resource.id), subject.looks(subject.resource.id)
        subject.destroy()
        restored = host.restore(subject.resource, checkpoint)
        assert restored != subject.resource.id
        assert subject.digest(restored) == digest
        assert subject.looks(restored) == looks

    def test_restoring_twice_creates_two_resources(self, host: Host, subject: Subject, checkpoint: str) -> None:
        assert host.restore(subject.resource, checkpoint) != host.restore(subject.resource, checkpoint)

    def test_no_temporary_object_remains(self, host: Host, subject: Subject, before: Belongings) -> None:
        operation = host.protect(subject.resource)
        assert added(before, subject.belongings()) == self.results(operation)
        restored = host.restore(subject.resource, operation.checkpoint_id)
        assert added(before, subject.belongings()) == {restored, *self.results(operation)}
        # The search for orphaned resources recognizes what is kept, and no longer what is restored.
        assert not subject.plugin.creates or marked(host) == dict.fromkeys(self.results(operation), operation.id)

    def test_steps_bytes_and_sizes_are_recorded(self, host: Host, subject: Subject) -> None:
        protect = host.protect(subject.resource)
        assert protect.report.steps
        assert protect.report.bytes_done == protect.report.bytes_total == protect.report.logical == self.size
        restore = host.operation(OperationType.RESTORE, subject.resource, protect.checkpoint_id)
        host.perform(restore)
        assert restore.report.steps
        assert restore.report.bytes_done == restore.report.bytes_total == self.size

    def test_second_checkpoint_stores_nothing_new(self, host: Host, subject: Subject, checkpoint: str) -> None:
        assert host.protect(subject.resource, bases=[checkpoint]).report.new == 0

    @pytest.mark.parametrize("kind", [OperationType.PROTECT, OperationType.RESTORE])
    def test_late_riser_leaves_nothing(
        self, host: Host, subject: Subject, checkpoint: str, kind: OperationType
    ) -> None:
        """A process is stopped directly before it creates something, and continues when another has ended the operation."""
        for nth in itertools.count(1):
            before = subject.belongings()
            operation = self.first(host, subject, kind, checkpoint)
            late = LateRiser(nth, operation, functools.partial(host.perform, operation))
            with contextlib.suppress(exception.KarborLikeError):
                host.attempt(late.operation, check=late.check)
            if late.result is None:
                break
            assert added(before, subject.belongings()) == self.results(operation, late.result)


def marked(host: Host) -> dict[str, str]:
    """Return the ids of the objects in the cloud with the marks of an operation, and the ids of the operations."""
    scanned = (kind(host.clients) for kind in host.plugin.creates)
    marks = (objects.mark(current) for objects in scanned for current in objects.scan())
    return {mark.cloud_id: mark.operation_id for mark in marks if mark is not None}


class LateRiser:
    """A process that is stopped directly before it creates its n-th object, while *other* ends the operation.

    It is the journal of its operation and checks its claim. ``result`` is that of *other*, None if it did not run.
    """

    def __init__(self, nth: int, operation: Operation, other: Callable[[], Any]) -> None:
        self.operation = copy.copy(operation)
        self.operation.done = set()
        self.operation.journal = self  # type: ignore[assignment]
        self.result: Any = None
        self._journal = operation.journal
        self._left = nth
        self._other = other
        self._intended = self._lost = False

    def check(self) -> None:
        self._ensure_held()
        self._left -= self._intended
        if self._intended and not self._left:
            self._lost = True
            self.result = self._other() or {}
        self._intended = False

    def _ensure_held(self) -> None:
        if self._lost:
            raise exception.LeaseLost("another process has ended the operation")

    def intend(self, role: str, *, keep: bool = False) -> Entry:
        self._ensure_held()
        # The claim is checked for the second time after the intention when there is no such object.
        self._intended = self._journal.peek(role) is not None
        return self._journal.intend(role, keep=keep)

    def made(self, role: str, cloud_id: str) -> Entry:
        self._ensure_held()
        return self._journal.made(role, cloud_id)

    def gone(self, role: str) -> None:
        self._ensure_held()
        self._journal.gone(role)

    def peek(self, role: str) -> Entry | None:
        return self._journal.peek(role)

    def entries(self) -> Sequence[Entry]:
        return self._journal.entries()


class Cancel:
    """A ``check`` that raises Cancelled at its n-th call."""

    def __init__(self, nth: int) -> None:
        self.remaining = nth

    def __call__(self) -> None:
        self.remaining -= 1
        if self.remaining == 0:
            raise exception.Cancelled("cancelled by the test")


def sha256(pieces: Iterable[bytes]) -> str:
    """Return the SHA-256 of all *pieces*."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def added(before: Belongings, after: Belongings) -> set[str]:
    """Return the ids in *after* that are not in *before*. Check that none is missing."""
    for kind, ids in before.items():
        assert ids <= after[kind]
    return {new for kind, ids in after.items() for new in ids - before[kind]}
