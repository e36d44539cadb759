"""What every protection plugin that stores a resource's bytes promises. One class of tests per plugin inherits this.

A subclass offers a fixture ``subject``: the plugin, and a resource of its type in a sandbox.
"""

import base64
import hashlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import pytest

from karbor_like import exception
from karbor_like.bank.bank import Bank
from karbor_like.bank.keys.keyring import Keyring
from karbor_like.bank.keys.masters import ConfiguredMasterKeys
from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.bank.options import BankOptions
from karbor_like.clients.factory import ClientFactory
from karbor_like.clock import SystemClock
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.plugins.protection import HOOKS, ProtectionPlugin
from karbor_like.sandbox.cloud import Sandbox
from tests.contract.plugins import running
from tests.contract.plugins.running import Crash, Host, Line, Operation

Belongings = dict[str, set[str]]

#: Paths of calls to Glance and to Cinder.
ANY = "^/v2/|^/v3/[0-9a-f]{32}/"
ANY_BUT_STREAMS = "^/v2/(?!images/[^/]*/file$)|^/v3/[0-9a-f]{32}/"


class Subject(ABC):
    """A resource of alice's, and how to look at such resources from outside of the plugin."""

    plugin: ProtectionPlugin
    resource: Resource

    def __init__(self, cloud: Sandbox, clients: Any) -> None:
        self.cloud = cloud
        self.cinder, self.glance = clients.cinder(), clients.glance()
        self.project_id = clients.context.project_id

    @abstractmethod
    def digest(self, resource_id: str) -> str:
        """SHA-256 of its bytes."""

    @abstractmethod
    def looks(self, resource_id: str) -> dict[str, Any]:
        """All that a restored one must have in common with the original one, bytes aside."""

    @abstractmethod
    def destroy(self) -> None:
        """Delete the original; return when it is gone."""

    def belongings(self) -> Belongings:
        """Ids of all that alice has."""
        return {
            "volumes": {volume.id for volume in self.cinder.volumes.list()},
            "snapshots": {snapshot.id for snapshot in self.cinder.volume_snapshots.list()},
            "images": {image.id for image in self.glance.images.list(filters={"owner": self.project_id})},
        }


class CopyContract:
    """What a plugin that offers copies promises besides. Wants what :class:`ProtectionContract` has."""

    size: ClassVar[int]

    @pytest.fixture
    def elsewhere(self, host: Host) -> Iterator[Host]:
        """The same plugin with a bank of other keys."""
        store = MemoryStore()
        keyring = Keyring(store, ConfiguredMasterKeys([f"m:{base64.b64encode(bytes(32)).decode()}"]))
        bank = Bank(store, keyring=keyring, options=BankOptions(), clock=SystemClock())
        yield Host(host.plugin, host.clients, bank)
        bank.close()

    def test_copy_is_as_good_as_its_source(
        self, host: Host, elsewhere: Host, subject: Subject, checkpoint: str
    ) -> None:
        digest, looks = subject.digest(subject.resource.id), subject.looks(subject.resource.id)
        subject.cloud.forget_calls()
        copy = elsewhere.copy(host, subject.resource, checkpoint)
        assert subject.cloud.calls() == []
        assert copy.report.bytes_done == copy.report.bytes_total == copy.report.logical == self.size

        host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))
        subject.destroy()
        elsewhere.perform(elsewhere.operation(OperationType.VERIFY, subject.resource, copy.checkpoint_id))
        restored = elsewhere.restore(subject.resource, copy.checkpoint_id)
        assert subject.digest(restored) == digest
        assert subject.looks(restored) == looks

    def test_copy_that_failed_leaves_nothing(
        self, host: Host, elsewhere: Host, subject: Subject, checkpoint: str
    ) -> None:
        operation = elsewhere.operation(OperationType.COPY, subject.resource)
        operation.source = host.section(checkpoint, subject.resource)
        elsewhere.attempt(operation)
        elsewhere.cleanup(operation)
        assert elsewhere.section(operation.checkpoint_id, subject.resource).names() == []


class ProtectionContract:
    """Protect, restore, verify, delete; and the same with everything going wrong."""

    #: Bytes that the plugin stores of the subject.
    size: ClassVar[int]

    @pytest.fixture
    def host(self, factory: ClientFactory, cloud: Sandbox, bank: Bank, subject: Subject) -> Host:
        return Host(subject.plugin, factory.for_context(running.context_of(cloud)), bank)

    @pytest.fixture
    def before(self, subject: Subject) -> Belongings:
        """What alice has before anything is done."""
        return subject.belongings()

    @pytest.fixture
    def checkpoint(self, host: Host, subject: Subject) -> str:
        """Id of a finished checkpoint."""
        return host.protect(subject.resource).checkpoint_id

    # The normal course

    def test_restored_one_is_like_the_original(self, host: Host, subject: Subject, checkpoint: str) -> None:
        digest, looks = subject.digest(subject.resource.id), subject.looks(subject.resource.id)
        subject.destroy()
        restored = host.restore(subject.resource, checkpoint)
        assert restored != subject.resource.id
        assert subject.digest(restored) == digest
        assert subject.looks(restored) == looks

    def test_restore_under_another_name(self, host: Host, subject: Subject, checkpoint: str) -> None:
        looks = subject.looks(subject.resource.id)
        restored = host.restore(subject.resource, checkpoint, restore_name="another")
        assert subject.looks(restored) == {**looks, "name": "another"}

    def test_restore_twice_makes_two(self, host: Host, subject: Subject, checkpoint: str) -> None:
        assert host.restore(subject.resource, checkpoint) != host.restore(subject.resource, checkpoint)

    def test_nothing_temporary_is_left(self, host: Host, subject: Subject, before: Belongings) -> None:
        operation = host.protect(subject.resource)
        assert subject.belongings() == before
        restored = host.restore(subject.resource, operation.checkpoint_id)
        assert added(before, subject.belongings()) == {restored}

    def test_reports_steps_bytes_and_sizes(self, host: Host, subject: Subject) -> None:
        report = host.protect(subject.resource, backup_name="mine").report
        assert report.steps
        assert report.bytes_done == report.bytes_total == report.logical == self.size
        restore = host.operation(OperationType.RESTORE, subject.resource, host.protect(subject.resource).checkpoint_id)
        host.perform(restore)
        assert restore.report.steps
        assert restore.report.bytes_done == restore.report.bytes_total == self.size

    def test_second_checkpoint_stores_nothing_new(self, host: Host, subject: Subject, checkpoint: str) -> None:
        assert host.protect(subject.resource, bases=[checkpoint]).report.new == 0

    @pytest.mark.parametrize("level", ["quick", "full"])
    def test_verify(self, host: Host, subject: Subject, checkpoint: str, level: str) -> None:
        host.perform(host.operation(OperationType.VERIFY, subject.resource, checkpoint, level=level))

    def test_deleted_is_gone_and_deleting_again_is_fine(self, host: Host, subject: Subject, checkpoint: str) -> None:
        for _ in range(2):
            host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))
        with pytest.raises(exception.NotFound):
            host.perform(host.operation(OperationType.VERIFY, subject.resource, checkpoint))
        with pytest.raises(exception.NotFound):
            host.restore(subject.resource, checkpoint)

    def test_bank_alone_is_enough(self, host: Host, subject: Subject, checkpoint: str, before: Belongings) -> None:
        """Verify and delete ask the cloud for nothing."""
        subject.cloud.forget_calls()
        for kind in (OperationType.VERIFY, OperationType.DELETE):
            host.perform(host.operation(kind, subject.resource, checkpoint))
        assert subject.cloud.calls() == []

    # The process dies

    @pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
    def test_protect_goes_on_after_a_crash_at_any_call(
        self, host: Host, subject: Subject, before: Belongings, line: Line, answered: bool
    ) -> None:
        digest = subject.digest(subject.resource.id)
        for nth in itertools.count(1):
            operation = host.operation(OperationType.PROTECT, subject.resource)
            if not self._crashes(host, line, operation, nth, answered):
                break
            host.perform(operation)
            assert subject.belongings() == before, f"after a crash at call {nth}"
        restored = host.restore(subject.resource, operation.checkpoint_id)
        assert subject.digest(restored) == digest

    @pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
    def test_restore_goes_on_after_a_crash_at_any_call(
        self, host: Host, subject: Subject, checkpoint: str, line: Line, answered: bool
    ) -> None:
        digest, looks = subject.digest(subject.resource.id), subject.looks(subject.resource.id)
        for nth in itertools.count(1):
            before = subject.belongings()
            operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
            if not self._crashes(host, line, operation, nth, answered):
                break
            restored = host.perform(operation)["restored"][subject.resource.key]
            assert added(before, subject.belongings()) == {restored}, f"after a crash at call {nth}"
            assert subject.digest(restored) == digest
            assert subject.looks(restored) == looks

    @pytest.mark.parametrize("kind", [OperationType.PROTECT, OperationType.RESTORE])
    def test_cleanup_after_a_crash_at_any_call(
        self, host: Host, subject: Subject, checkpoint: str, before: Belongings, line: Line, kind: OperationType
    ) -> None:
        for nth in itertools.count(1):
            operation = self._first(host, subject, kind, checkpoint)
            if not self._crashes(host, line, operation, nth, answered=True):
                break
            host.cleanup(operation)
            assert subject.belongings() == before, f"after a crash at call {nth}"
            host.cleanup(operation)

    # The cloud fails

    @pytest.mark.parametrize("kind", [OperationType.PROTECT, OperationType.RESTORE])
    def test_refusal_at_any_call_leaves_nothing(
        self, host: Host, subject: Subject, checkpoint: str, before: Belongings, kind: OperationType
    ) -> None:
        for nth in itertools.count(1):
            with Struck(subject.cloud, ANY, nth=nth, kind="status", status=403) as struck:
                try:
                    host.perform(self._first(host, subject, kind, checkpoint))
                except exception.KarborLikeError:
                    assert struck.now()
            if not struck.once:
                break
            assert subject.belongings() == before, f"after a refusal of call {nth}"

    @pytest.mark.parametrize("how", [{"kind": "status", "status": 503}, {"kind": "cut", "where": "response"}], ids=str)
    @pytest.mark.parametrize("kind", [OperationType.PROTECT, OperationType.RESTORE])
    def test_hiccup_at_any_call_does_no_harm(
        self, host: Host, subject: Subject, checkpoint: str, kind: OperationType, how: dict[str, Any]
    ) -> None:
        """A call that is not answered is made again, and what it may have made is not made twice. Only a stream that is cut
        ends the operation.
        """
        for nth in itertools.count(1):
            before = subject.belongings()
            with Struck(subject.cloud, ANY_BUT_STREAMS, nth=nth, **how) as struck:
                result = host.perform(self._first(host, subject, kind, checkpoint)) or {}
            if not struck.once:
                break
            assert added(before, subject.belongings()) == set(result.get("restored", {}).values())

    def test_cut_download_ends_it(self, host: Host, subject: Subject, before: Belongings) -> None:
        for done in (0, 1, self.size // 2, self.size - 1):
            subject.cloud.fault(service="image", method="GET", path="/file$", kind="cut", after_bytes=done)
            operation = host.operation(OperationType.PROTECT, subject.resource)
            with pytest.raises(exception.Unavailable, match="downloading image"):
                host.perform(operation)
            subject.cloud.clear_faults()
            assert subject.belongings() == before
            with pytest.raises(exception.NotFound):
                host.perform(host.operation(OperationType.VERIFY, subject.resource, operation.checkpoint_id))

    def test_cut_upload_ends_it(self, host: Host, subject: Subject, checkpoint: str, before: Belongings) -> None:
        for done in (0, self.size // 2):
            subject.cloud.fault(
                service="image", method="PUT", path="/file$", kind="cut", where="request", after_bytes=done
            )
            with pytest.raises(exception.Unavailable, match="uploading image"):
                host.restore(subject.resource, checkpoint)
            subject.cloud.clear_faults()
            assert subject.belongings() == before

    def test_expired_token_does_not_matter(self, host: Host, subject: Subject, cloud: Sandbox) -> None:
        cloud.expire_token(host.clients.context.auth_token)
        host.restore(subject.resource, host.protect(subject.resource).checkpoint_id)

    # Somebody wants it to stop

    @pytest.mark.parametrize("kind", [OperationType.PROTECT, OperationType.RESTORE])
    def test_cancel_anywhere_leaves_nothing(
        self, host: Host, subject: Subject, checkpoint: str, before: Belongings, kind: OperationType
    ) -> None:
        for nth in itertools.count(1):
            check = Cancel(nth)
            try:
                host.perform(self._first(host, subject, kind, checkpoint), check=check)
            except exception.Cancelled:
                assert subject.belongings() == before
            if check.left > 0:
                break

    # Wrong requests

    def test_unknown_resource(self, host: Host, subject: Subject, before: Belongings) -> None:
        unknown = Resource(subject.resource.type, "6f1b2c3d-0000-4000-8000-000000000000", "unknown")
        with pytest.raises(exception.ResourceNotFound):
            host.protect(unknown)
        assert subject.belongings() == before

    def test_foreign_resource(self, factory: ClientFactory, cloud: Sandbox, bank: Bank, subject: Subject) -> None:
        bob = Host(subject.plugin, factory.for_context(running.context_of(cloud, "bob")), bank)
        admin = Host(subject.plugin, factory.for_context(running.context_of(cloud, "admin")), bank)
        for host in (bob, admin):
            with pytest.raises(exception.ResourceNotFound):
                host.protect(subject.resource)

    def test_document_of_a_later_version(self, host: Host, subject: Subject, checkpoint: str) -> None:
        with host.bank.leases.acquire(holder="test") as lease:
            section = host.bank.section(checkpoint, subject.project_id, subject.resource.key, lease=lease)
            section.put("metadata", {**section.get("metadata"), "version": 99})
            with pytest.raises(exception.ResourceFailed, match="later version"):
                host.restore(subject.resource, checkpoint)

    # What it declares

    def test_declarations(self, subject: Subject) -> None:
        plugin = subject.plugin
        assert subject.resource.type in plugin.schemas
        for schemas in plugin.schemas.values():
            for schema in (schemas.options, schemas.restore, schemas.saved_info, schemas.verify):
                assert schema["type"] == "object"
                assert isinstance(schema["properties"], dict)
        for kind, operation in plugin.operations.items():
            assert set(operation.hooks()) <= set(HOOKS)
            assert isinstance(plugin.operation(kind, subject.resource.type), operation)
            assert plugin.operation(kind, "OS::Un::Known") is None

    # How the tests do it

    @staticmethod
    def _first(host: Host, subject: Subject, kind: OperationType, checkpoint: str) -> Operation:
        return host.operation(kind, subject.resource, checkpoint if kind is OperationType.RESTORE else None)

    @staticmethod
    def _crashes(host: Host, line: Line, operation: Operation, nth: int, answered: bool) -> bool:
        try:
            with line.crash(nth, answered=answered):
                host.attempt(operation)
        except Crash:
            return True
        return False


class Struck:
    """Within this, calls to Cinder and Glance go wrong. ``once`` tells afterwards whether any did."""

    def __init__(self, cloud: Sandbox, path: str, **fault: Any) -> None:
        self._cloud = cloud
        self._fault = {"path": path, **fault}
        self.once = False

    def __enter__(self) -> "Struck":
        self._cloud.fault(**self._fault)
        return self

    def now(self) -> bool:
        return any(fault["struck"] for fault in self._cloud.faults())

    def __exit__(self, *exc_info: object) -> None:
        self.once = self.now()
        self._cloud.clear_faults()


class Cancel:
    """Raises at the n-th call."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise exception.Cancelled("told to stop")


def sha256(pieces: Iterable[bytes]) -> str:
    """Of the pieces one after the other."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def added(before: Belongings, after: Belongings) -> set[str]:
    """Ids of what there is more than before. Nothing may be less."""
    for kind, ids in before.items():
        assert ids <= after[kind]
    return {made for kind, ids in after.items() for made in ids - before[kind]}
