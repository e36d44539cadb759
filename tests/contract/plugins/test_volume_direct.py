"""The direct plugin for volumes: the contract suites, and what is specific to it."""

import functools
import itertools
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from oslo_config import cfg

from karbor_like import exception
from karbor_like.bank import Bank
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.datapath.contract import Extent
from karbor_like.datapath.errors import CannotOpen, SourceGone
from karbor_like.domain import resource
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.plugins.protection import ProtectionPlugin
from karbor_like.sandbox.cloud import Sandbox
from karbor_like.sandbox.volume import volumes
from karbor_like.testing import sandbox
from karbor_like.testing.direct import Meter, SandboxBackend, SmallDirectVolumes
from karbor_like.testing.host import Host, memory_bank
from karbor_like.testing.protection import Belongings, added
from karbor_like.testing.sandbox import Struck
from tests.contract.plugins.test_volume_glance import LUKS2, QCOW2, SIZE, VMDK, VolumeSubject, changes, settled


def make_plugin(kind: type[SmallDirectVolumes] = SmallDirectVolumes, **options: Any) -> SmallDirectVolumes:
    """Return a plugin with the backend of the sandbox for all hosts, and *options*."""
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[])
    conf.register_opts(kind.options, group=kind.group)
    for name, value in {"backends": ["*:sandbox"], **options}.items():
        conf.set_override(
            name,
            value,
            kind.group,
        )
    return kind(conf)


@pytest.fixture(autouse=True)
def meter(monkeypatch: pytest.MonkeyPatch) -> Meter:
    """What the readers and writers of the test do."""
    monkeypatch.setattr(SandboxBackend, "meter", Meter())
    return SandboxBackend.meter


@pytest.fixture
def clients(factory: ClientFactory, cloud: Sandbox) -> Clients:
    return factory.for_context(sandbox.context_of(cloud))


@pytest.fixture
def bank() -> Iterator[Bank]:
    opened = memory_bank()
    yield opened
    opened.close()


@pytest.fixture
def host(clients: Clients, bank: Bank, subject: VolumeSubject) -> Host:
    return Host(subject.plugin, clients, bank)


@pytest.fixture
def before(subject: VolumeSubject) -> Belongings:
    """What the tenant has at the beginning of the test."""
    return subject.belongings()


@pytest.fixture
def checkpoint(host: Host, subject: VolumeSubject) -> str:
    """The id of a finished checkpoint."""
    return host.protect(subject.resource).checkpoint_id


@pytest.fixture
def plugin() -> ProtectionPlugin:
    return make_plugin()


@pytest.fixture
def subject(cloud: Sandbox, factory: ClientFactory, plugin: ProtectionPlugin) -> VolumeSubject:
    made = VolumeSubject(cloud, factory.for_context(sandbox.context_of(cloud)))
    made.plugin = plugin
    return made


class TestVolumeDirect(sandbox.CopyContract, sandbox.ProtectionContract):
    size = SIZE * sandbox.SMALL_GIB

    def test_steps_of_protect(self, host: Host, subject: VolumeSubject) -> None:
        subject.cloud.forget_calls()
        host.protect(subject.resource)
        assert changes(subject.cloud) == ["POST snapshots", "DELETE snapshots"]

    def test_steps_of_restore(self, host: Host, subject: VolumeSubject, checkpoint: str) -> None:
        subject.cloud.forget_calls()
        host.restore(subject.resource, checkpoint)
        attachments = [
            (c["method"], c["status"]) for c in subject.cloud.calls(path="/attachments") if c["method"] != "GET"
        ]
        assert attachments == [("POST", 200), ("POST", 204), ("DELETE", 200)]
        assert "images" not in str(changes(subject.cloud))

    def test_only_what_is_allocated_is_read_and_written(self, host: Host, subject: VolumeSubject, meter: Meter) -> None:
        checkpoint = host.protect(subject.resource).checkpoint_id
        assert meter.read < self.size * 3 // 4
        host.restore(subject.resource, checkpoint)
        assert meter.written < self.size * 3 // 4

    def test_checkpoint_has_the_content_of_the_snapshot(self, host: Host, subject: VolumeSubject, meter: Meter) -> None:
        """Bytes written while the snapshot is read are not in the checkpoint."""
        digest = subject.digest(subject.resource.id)
        meter.before = lambda number, kind: subject.cloud.write_volume(subject.resource.id, b"later")
        checkpoint = host.protect(subject.resource).checkpoint_id
        assert subject.digest(host.restore(subject.resource, checkpoint)) == digest

    @pytest.mark.parametrize("head", [LUKS2, QCOW2, VMDK], ids=["luks2", "qcow2", "vmdk"])
    def test_content_that_looks_like_a_disk_image(self, host: Host, subject: VolumeSubject, head: bytes) -> None:
        subject.cloud.settings(inspect_content=True)
        subject.cloud.write_volume(subject.resource.id, head)
        protect = host.operation(OperationType.PROTECT, subject.resource)
        assert host.perform(protect)["remarks"] == []
        restored = host.restore(subject.resource, protect.checkpoint_id)
        assert subject.digest(restored) == subject.digest(subject.resource.id)

    def test_volume_in_use(self, host: Host, subject: VolumeSubject) -> None:
        subject.attach()
        restored = host.restore(subject.resource, host.protect(subject.resource).checkpoint_id)
        assert subject.digest(restored) == subject.digest(subject.resource.id)
        assert subject.cinder.volumes.get(restored).status == "available"

    def test_volume_that_several_clients_use(self, host: Host, subject: VolumeSubject) -> None:
        cinder = host.clients.client("cinder", "3.44")
        body = {"volume": {"size": 1, "name": "shared", "multiattach": True}}
        created = settled(subject.cinder.volumes.get, cinder.client.post("/volumes", body=body)[1]["volume"]["id"])
        subject.cloud.write_volume(created.id, b"shared")
        for _ in range(2):
            cinder.attachments.complete(cinder.attachments.create(created.id, {"host": "client"})["id"])
        shared = Resource(resource.VOLUME, created.id, "shared")
        restored = host.restore(shared, host.protect(shared).checkpoint_id)
        assert subject.digest(restored) == subject.digest(created.id)
        assert len(subject.cinder.volumes.get(created.id).attachments) == 2

    def test_read_only_volume(self, host: Host, subject: VolumeSubject, line: sandbox.Line) -> None:
        """Also if the restore is continued when the new volume is already read-only."""
        subject.cinder.volumes.update_readonly_flag(subject.resource.id, True)
        checkpoint = host.protect(subject.resource).checkpoint_id
        operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
        host.attempt(operation)
        operation.done.clear()
        restored = host.perform(operation)["restored"][subject.resource.key]
        assert subject.looks(restored) == subject.looks(subject.resource.id)

    def test_encrypted_volume_is_refused(self, host: Host, subject: VolumeSubject) -> None:
        secret = subject.cinder.volumes.create(1, volume_type="sandbox-encrypted")
        settled(subject.cinder.volumes.get, secret.id)
        before = subject.belongings()
        with pytest.raises(exception.ResourceNotProtectable, match=r"encrypted by Cinder.*key.*Cinder backups"):
            host.protect(Resource(resource.VOLUME, secret.id))
        assert subject.belongings() == before

    def test_snapshot_that_is_removed_while_it_is_read(
        self, host: Host, subject: VolumeSubject, meter: Meter, before: Belongings
    ) -> None:
        def remove(number: int, kind: str) -> None:
            if number == 1:
                (snapshot,) = subject.belongings()["snapshots"]
                subject.cinder.volume_snapshots.delete(snapshot)
                subject.waiter.until("gone", subject.belongings, done=lambda seen: not seen["snapshots"])

        subject.cloud.write_volume(subject.resource.id, b"a range of its own")
        meter.before = remove
        with pytest.raises(SourceGone):
            host.protect(subject.resource)
        assert subject.belongings() == before

    def test_attachment_that_another_deletes(
        self, host: Host, subject: VolumeSubject, checkpoint: str, meter: Meter
    ) -> None:
        before, manager = subject.belongings(), host.clients.client("cinder", "3.44").attachments

        def delete(number: int, kind: str) -> None:
            if kind == "write" and number == 1:
                (attachment,) = manager.list()
                manager.delete(attachment.id)

        meter.before = delete
        with pytest.raises(exception.ResourceFailed, match="attachment .* is 'deleted': the volume was detached"):
            host.restore(subject.resource, checkpoint)
        assert subject.belongings() == before

    def test_attachment_of_another_client_after_the_end(
        self, host: Host, subject: VolumeSubject, checkpoint: str
    ) -> None:
        """A restore that was taken over is looked at again when the tenant already uses the volume without a server."""
        operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
        restored = host.perform(operation)["restored"][subject.resource.key]
        manager = host.clients.client("cinder", "3.44").attachments
        used = manager.create(restored, {"host": "client"})["id"]
        manager.complete(used)
        operation.journal.intend("attachment")
        assert not host.release(operation)
        assert not operation.journal.peek("attachment")
        assert [each.id for each in manager.list()] == [used]

    @pytest.mark.parametrize("kind", [OperationType.PROTECT, OperationType.RESTORE])
    def test_death_at_each_read_and_write(
        self, host: Host, subject: VolumeSubject, meter: Meter, kind: OperationType
    ) -> None:
        subject.cloud.write_volume(subject.resource.id, b"a range of its own")
        checkpoint = host.protect(subject.resource).checkpoint_id
        digest = subject.digest(subject.resource.id)
        for nth in itertools.count(1):
            before, operation = subject.belongings(), self.first(host, subject, kind, checkpoint)
            meter.forget()
            meter.before = functools.partial(die, nth)
            try:
                host.attempt(operation)
            except exception.KarborLikeError:
                meter.before = Meter().before
            else:
                break
            if nth % 2:
                host.cleanup(operation)
                assert subject.belongings() == before
                continue
            host.perform(operation)
            restored = operation.kind is OperationType.RESTORE and {subject.resource.key}
            assert len(added(before, subject.belongings())) == bool(restored)
        checkpoint_id = operation.checkpoint_id
        meter.before = Meter().before
        assert nth > 2
        assert subject.digest(host.restore(subject.resource, checkpoint_id)) == digest

    def test_target_that_is_smaller_than_the_stream(
        self, host: Host, subject: VolumeSubject, checkpoint: str, meter: Meter, before: Belongings
    ) -> None:
        with host.bank.leases.acquire(holder="test") as lease:
            section = host.section(checkpoint, subject.resource, lease)
            document = section.get("metadata")
            section.put("metadata", {**document, "volume": {**document["volume"], "size": 1}})
            with pytest.raises(exception.CheckpointDamaged, match=rf"volume: {self.size // 2}, stored: {self.size}"):
                host.restore(subject.resource, checkpoint)
        assert meter.written == 0
        assert subject.belongings() == before


class TestFallback:
    """Volumes that no backend fits, or that the worker cannot reach."""

    def test_unknown_host(
        self,
        cloud: Sandbox,
        factory: ClientFactory,
        bank: Bank,
        subject: VolumeSubject,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Only administrators of the cloud may know hosts, so tenants see no more than that it was so."""
        host = make_host(make_plugin(backends=["dp@ceph:sandbox"]), cloud, factory, bank)
        operation = host.operation(OperationType.PROTECT, subject.resource)
        (remark,) = host.perform(operation)["remarks"]
        assert remark == f"the volume was copied through an image: {CannotOpen.public}"
        assert "no backend is configured for the host sandbox@" in caplog.text
        assert host.section(operation.checkpoint_id, subject.resource).get("metadata")["route"]["kind"] == "glance"
        before = subject.belongings()
        restore = host.operation(OperationType.RESTORE, subject.resource, operation.checkpoint_id)
        result = host.perform(restore)
        assert result["remarks"][0] == remark
        restored = result["restored"][subject.resource.key]
        assert subject.digest(restored) == subject.digest(subject.resource.id)
        assert added(before, subject.belongings()) == {restored}

    @pytest.mark.parametrize("pattern", ["sandbox@files", "sandbox@files#files", "*@files", "sand*#*"])
    def test_patterns(
        self, cloud: Sandbox, factory: ClientFactory, bank: Bank, subject: VolumeSubject, pattern: str
    ) -> None:
        host = make_host(make_plugin(backends=["other@files:sandbox", f"{pattern}:sandbox"]), cloud, factory, bank)
        assert host.perform(host.operation(OperationType.PROTECT, subject.resource))["remarks"] == []

    @pytest.mark.parametrize("options", [{"backends": ["sandbox@files:sandbox"]}, {"backends": []}], ids=str)
    def test_nothing_without_a_service_user(
        self, cloud: Sandbox, factory: ClientFactory, bank: Bank, subject: VolumeSubject, options: dict[str, Any]
    ) -> None:
        clients = factory.for_context(sandbox.context_of(cloud))
        host = Host(make_plugin(**options, fallback="error"), clients, bank)
        before = subject.belongings()
        with pytest.raises(exception.ResourceFailed, match="fallback is 'error': the host of the volume is unknown"):
            host.protect(subject.resource)
        assert subject.belongings() == before

    @pytest.mark.parametrize("keep_mark", ["none", "cinder"])
    @pytest.mark.parametrize("lacking", ["missing", "breakage"])
    def test_worker_that_lacks_something(
        self,
        host: Host,
        subject: VolumeSubject,
        meter: Meter,
        before: Belongings,
        lacking: str,
        keep_mark: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """The route is recorded: the hook continues through Glance although the next worker lacks nothing."""
        host.plugin = make_plugin(keep_mark=keep_mark)
        setattr(meter, lacking, "qemu-nbd is not installed")
        operation = host.operation(OperationType.PROTECT, subject.resource)
        struck = Struck(subject.cloud, "/file$", kind="status", status=403)
        with struck, pytest.raises(exception.NotAuthorized):
            host.attempt(operation)
        setattr(meter, lacking, None)
        remarks = host.perform(operation)["remarks"]
        assert remarks[0] == f"the volume was copied through an image: {CannotOpen.public}"
        assert "qemu-nbd is not installed" in caplog.text
        assert meter.read == 0
        assert subject.belongings() == before
        digest = subject.digest(subject.resource.id)
        assert subject.digest(host.restore(subject.resource, operation.checkpoint_id)) == digest

    @pytest.mark.parametrize("lacking", ["missing", "breakage"])
    def test_restore_by_a_worker_that_lacks_something(
        self, host: Host, subject: VolumeSubject, checkpoint: str, meter: Meter, lacking: str
    ) -> None:
        setattr(meter, lacking, "no route")
        before = subject.belongings()
        operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
        struck = Struck(subject.cloud, "/file$", method="PUT", kind="status", status=403)
        with struck, pytest.raises(exception.NotAuthorized):
            host.attempt(operation)
        setattr(meter, lacking, None)
        result = host.perform(operation)
        restored = result["restored"][subject.resource.key]
        assert meter.written == 0
        assert added(before, subject.belongings()) == {restored}
        assert subject.digest(restored) == subject.digest(subject.resource.id)
        host.plugin = make_plugin(fallback="error")
        setattr(meter, lacking, "no route")
        with pytest.raises(exception.ResourceFailed, match="fallback is 'error': .*no route"):
            host.restore(subject.resource, checkpoint)
        assert added(before, subject.belongings()) == {restored}

    def test_encrypted_target(
        self,
        host: Host,
        subject: VolumeSubject,
        checkpoint: str,
        meter: Meter,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Cinder encrypts what it copies itself."""
        monkeypatch.setattr(volumes, "TYPES", (volumes.ENCRYPTED,))
        result = host.perform(host.operation(OperationType.RESTORE, subject.resource, checkpoint))
        assert "would not be encrypted" in result["remarks"][0]
        assert subject.digest(result["restored"][subject.resource.key]) == subject.digest(subject.resource.id)
        assert meter.written == 0


class TestBothPlugins:
    """Either plugin restores, verifies, copies and deletes the checkpoints of the other."""

    @pytest.mark.parametrize("way", [("glance", "direct"), ("direct", "glance")], ids="-".join)
    def test_checkpoint_of_the_other(self, host: Host, subject: VolumeSubject, way: tuple[str, str]) -> None:
        plugins = {"direct": host.plugin, "glance": sandbox.make_plugin(VolumeSubject.plugin_name)}
        host.plugin = plugins[way[0]]
        checkpoint = host.protect(subject.resource, backup_name="b").checkpoint_id
        host.plugin = plugins[way[1]]
        host.perform(host.operation(OperationType.VERIFY, subject.resource, checkpoint))
        restored = host.restore(subject.resource, checkpoint)
        assert subject.digest(restored) == subject.digest(subject.resource.id)
        assert subject.looks(restored) == subject.looks(subject.resource.id)
        assert host.protect(subject.resource, bases=[checkpoint]).report.new == 0
        host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))


class TestMarks:
    """Snapshots that are kept in Cinder, and protects that read only what has changed since."""

    @pytest.fixture
    def plugin(self) -> ProtectionPlugin:
        return make_plugin(keep_mark="cinder")

    def test_incremental_protects(self, host: Host, subject: VolumeSubject, meter: Meter, before: Belongings) -> None:
        chain = [protect(host, subject)]
        for number in range(3):
            meter.forget()
            subject.cloud.write_volume(subject.resource.id, bytes([number + 1]) * 20_000, offset=100_000)
            chain.append(protect(host, subject, chain[-1]))
            assert 20_000 <= meter.read <= 512 * 1024, "the blocks of the change only"
            assert len(subject.belongings()["snapshots"]) <= 2, "the last one and the one before"
        digest = subject.digest(subject.resource.id)
        assert subject.digest(host.restore(subject.resource, chain[-1])) == digest
        held = subject.belongings()["volumes"]
        for checkpoint in chain:
            host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))
        assert subject.belongings()["snapshots"] == before["snapshots"]
        assert subject.belongings()["volumes"] == held

    def test_unchanged_volume_is_not_read(self, host: Host, subject: VolumeSubject, meter: Meter) -> None:
        first = protect(host, subject)
        meter.forget()
        protect(host, subject, first)
        assert meter.read == 0

    def test_failed_protect_keeps_nothing(
        self, host: Host, subject: VolumeSubject, meter: Meter, before: Belongings
    ) -> None:
        meter.before = functools.partial(die, 1)
        with pytest.raises(exception.ResourceFailed):
            protect(host, subject)
        assert subject.belongings() == before

    @pytest.mark.parametrize("damage", ["deleted", "hostile", "foreign", "unmarked"])
    def test_mark_that_is_of_no_use(self, host: Host, subject: VolumeSubject, meter: Meter, damage: str) -> None:
        first = protect(host, subject)
        (snapshot,) = subject.belongings()["snapshots"]
        if damage == "deleted":
            subject.cinder.volume_snapshots.delete(snapshot)
            subject.waiter.until("gone", subject.belongings, done=lambda seen: not seen["snapshots"])
        elif damage == "unmarked":
            subject.cinder.volume_snapshots.update_all_metadata(snapshot, {})
        else:
            with host.bank.leases.acquire(holder="test") as lease:
                section = host.section(first, subject.resource, lease)
                mark = section.get("mark")
                hostile = {"chain": "x" * 9, "snapshot": {"id": "../volumes", "operation": [1]}, "replaced": [None, 7]}
                foreign = {"content": {"kind": "rbd", "snapshot": {"id": 4}}}
                section.put("mark", {**mark, **(hostile if damage == "hostile" else foreign)})
        subject.cloud.write_volume(subject.resource.id, b"new", offset=5)
        meter.forget()
        second = protect(host, subject, first)
        assert meter.read > 512 * 1024, "everything that is allocated"
        assert subject.digest(host.restore(subject.resource, second)) == subject.digest(subject.resource.id)

    def test_mark_that_is_deleted_while_it_is_used(self, host: Host, subject: VolumeSubject, meter: Meter) -> None:
        first = protect(host, subject)
        (snapshot,) = subject.belongings()["snapshots"]
        subject.cloud.write_volume(subject.resource.id, b"new", offset=5)

        def delete(number: int, kind: str) -> None:
            if number == 1 and snapshot in subject.belongings()["snapshots"]:
                subject.cinder.volume_snapshots.delete(snapshot)
                subject.waiter.until("gone", subject.belongings, done=lambda seen: snapshot not in seen["snapshots"])

        meter.forget()
        meter.before = delete
        second = protect(host, subject, first)
        assert meter.read > 512 * 1024
        assert subject.digest(host.restore(subject.resource, second)) == subject.digest(subject.resource.id)

    def test_volume_that_grew(self, host: Host, subject: VolumeSubject, meter: Meter) -> None:
        first = protect(host, subject)
        subject.cinder.volumes.extend(subject.resource.id, SIZE + 1)
        settled(subject.cinder.volumes.get, subject.resource.id)
        subject.cloud.write_volume(subject.resource.id, b"end", offset=(SIZE + 1) * sandbox.SMALL_GIB - 3)
        meter.forget()
        second = protect(host, subject, first)
        assert 0 < meter.read <= 512 * 1024
        restored = host.restore(subject.resource, second)
        assert subject.cinder.volumes.get(restored).size == SIZE + 1
        assert subject.digest(restored) == subject.digest(subject.resource.id)

    def test_volume_of_the_same_name(self, host: Host, subject: VolumeSubject) -> None:
        """Another volume has another section, of which no checkpoint is a base."""
        first = protect(host, subject)
        created = settled(subject.cinder.volumes.get, subject.cinder.volumes.create(1, name="data-1").id)
        subject.cloud.write_volume(created.id, b"another")
        other = Resource(resource.VOLUME, created.id, "data-1")
        second = host.protect(other, bases=[first]).checkpoint_id
        assert subject.digest(host.restore(other, second)) == subject.digest(created.id)

    def test_marks_are_no_longer_kept(self, host: Host, subject: VolumeSubject, before: Belongings) -> None:
        """The operator changes the option: the next protect but one deletes the last mark."""
        first = protect(host, subject)
        host.plugin = make_plugin()
        second = protect(host, subject, first)
        assert len(subject.belongings()["snapshots"]) == 1
        protect(host, subject, second)
        assert subject.belongings() == before

    def test_copy_has_no_mark(self, host: Host, subject: VolumeSubject, before: Belongings) -> None:
        checkpoint = protect(host, subject)
        bank = memory_bank()
        elsewhere = Host(host.plugin, host.clients, bank)
        copied = elsewhere.copy(host, subject.resource, checkpoint).checkpoint_id
        elsewhere.perform(elsewhere.operation(OperationType.DELETE, subject.resource, copied))
        bank.close()
        assert added(before, subject.belongings()), "the snapshot of the original"

    def test_deletion_by_the_other_plugin(self, host: Host, subject: VolumeSubject, before: Belongings) -> None:
        checkpoint = protect(host, subject)
        host.plugin = sandbox.make_plugin(VolumeSubject.plugin_name)
        host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))
        assert subject.belongings() == before

    @pytest.mark.parametrize("backends", [["*:sandbox"], ["other@files:rbd=volumes"]], ids=str)
    def test_deletion_when_another_storage_has_the_volume(
        self, cloud: Sandbox, factory: ClientFactory, bank: Bank, subject: VolumeSubject, backends: list[str]
    ) -> None:
        """The storage that kept the mark deleted it with the image when Cinder moved the volume."""
        host = make_host(make_plugin(backends=backends), cloud, factory, bank)
        checkpoint = protect_with_storage_mark(host, subject)
        assert not host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))["remarks"]

    def test_deletion_by_a_worker_that_cannot_reach_the_mark(
        self, cloud: Sandbox, factory: ClientFactory, bank: Bank, subject: VolumeSubject
    ) -> None:
        host = make_host(make_plugin(), cloud, factory, bank)
        checkpoint = protect_with_storage_mark(host, subject)
        host.plugin = make_plugin(backends=["*:rbd=volumes"], rbd_conf="/missing/ceph.conf")
        with pytest.raises(exception.ResourceFailed, match="cannot be reached: the backend rbd: there is no file"):
            host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))

    def test_protect_continues_after_a_crash_at_any_request(
        self, host: Host, subject: VolumeSubject, line: sandbox.Line
    ) -> None:
        first = protect(host, subject)
        last = protect(host, subject, first)
        for nth in itertools.count(1):
            operation = host.operation(OperationType.PROTECT, subject.resource)
            try:
                with line.crash(nth, answered=True):
                    host.attempt(operation, bases=[last])
                break
            except sandbox.Crash:
                host.perform(operation, bases=[last])
                last = operation.checkpoint_id
            assert len(subject.belongings()["snapshots"]) == 2, f"after a crash at request {nth}"


class TestMapsThatLie:
    """The periodic comparison with everything."""

    @pytest.fixture
    def plugin(self) -> ProtectionPlugin:
        return make_plugin(keep_mark="cinder", full_every=2)

    def test_honest_map(self, host: Host, subject: VolumeSubject, meter: Meter) -> None:
        chain = [protect(host, subject)]
        read = []
        for number in range(6):
            meter.forget()
            subject.cloud.write_volume(subject.resource.id, bytes([number + 1]))
            operation = host.operation(OperationType.PROTECT, subject.resource)
            assert host.perform(operation, bases=chain[-1:])["remarks"] == []
            chain.append(operation.checkpoint_id)
            read.append(meter.read > SIZE * sandbox.SMALL_GIB)
        assert read == [False, False, True, False, False, True]

    def test_lying_map(
        self, host: Host, subject: VolumeSubject, meter: Meter, caplog: pytest.LogCaptureFixture
    ) -> None:
        chain = [protect(host, subject)]
        meter.lies = [Extent(0, 16 * 1024)]
        subject.cloud.write_volume(subject.resource.id, b"left out")
        for _ in range(2):
            chain.append(protect(host, subject, chain[-1]))
        assert subject.digest(host.restore(subject.resource, chain[-1])) != subject.digest(subject.resource.id)
        operation = host.operation(OperationType.PROTECT, subject.resource)
        (remark,) = host.perform(operation, bases=chain[-1:])["remarks"]
        assert "was wrong" in remark
        assert f"{chain[0]} was read completely" in remark
        assert f"{chain[1]}, {chain[2]}" in remark
        assert [record.levelname for record in caplog.records if "left out changes" in record.message] == ["ERROR"]
        digest = subject.digest(subject.resource.id)
        assert subject.digest(host.restore(subject.resource, operation.checkpoint_id)) == digest

        # The map is not believed any more, and the snapshots are not kept for nothing.
        subject.cloud.write_volume(subject.resource.id, b"left out again")
        last = operation.checkpoint_id
        for _ in range(3):
            meter.forget()
            last = protect(host, subject, last)
            assert meter.read > 512 * 1024
            assert subject.digest(host.restore(subject.resource, last)) == subject.digest(subject.resource.id)
        assert subject.belongings()["snapshots"] == set()


class TestAttached:
    """Snapshots that are read through a temporary volume in the project of the service user."""

    @pytest.fixture
    def plugin(self) -> ProtectionPlugin:
        return make_plugin(backends=["*:sandbox-attach"], fallback="error")

    @pytest.fixture
    def service(self, factory: ClientFactory) -> Clients:
        return factory.as_service()

    @pytest.fixture
    def host(self, clients: Clients, service: Clients, bank: Bank, subject: VolumeSubject) -> Host:
        return Host(subject.plugin, clients, bank, service=service)

    def test_protect_and_restore(
        self, host: Host, service: Clients, subject: VolumeSubject, before: Belongings, meter: Meter
    ) -> None:
        seen: list[int] = []
        meter.before = lambda number, kind: (
            seen.append(len(service.cinder().volumes.list())) if kind == "open" else None
        )
        checkpoint = protect(host, subject)
        assert seen == [1]
        assert subject.belongings() == before
        assert service.cinder().volumes.list() == []
        assert subject.digest(host.restore(subject.resource, checkpoint)) == subject.digest(subject.resource.id)

    def test_volume_that_grows_after_its_snapshot(self, host: Host, subject: VolumeSubject) -> None:
        def extend() -> None:
            if subject.belongings()["snapshots"] and subject.cinder.volumes.get(subject.resource.id).size == SIZE:
                subject.cinder.volumes.extend(subject.resource.id, SIZE + 1)

        digest, operation = subject.digest(subject.resource.id), host.operation(OperationType.PROTECT, subject.resource)
        host.perform(operation, check=extend)
        assert subject.cinder.volumes.get(subject.resource.id).size == SIZE + 1
        assert subject.digest(host.restore(subject.resource, operation.checkpoint_id)) == digest

    def test_new_volume_that_is_not_zero(self, host: Host, subject: VolumeSubject, meter: Meter) -> None:
        checkpoint, before = protect(host, subject), subject.belongings()

        def soil(number: int, kind: str) -> None:
            if kind == "target":
                (volume,) = added(before, subject.belongings())
                subject.cloud.write_volume(volume, b"left" * (SIZE * sandbox.SMALL_GIB // 4))

        meter.before = soil
        assert subject.digest(host.restore(subject.resource, checkpoint)) == subject.digest(subject.resource.id)

    def test_crash_at_any_request(
        self,
        host: Host,
        service: Clients,
        subject: VolumeSubject,
        before: Belongings,
        line: sandbox.Line,
    ) -> None:
        for nth in itertools.count(1):
            operation = host.operation(OperationType.PROTECT, subject.resource)
            try:
                with line.crash(nth, answered=True):
                    host.attempt(operation)
                break
            except sandbox.Crash:
                if nth % 2:
                    host.cleanup(operation)
                else:
                    host.perform(operation)
            assert subject.belongings() == before, f"after a crash at request {nth}"
            assert service.cinder().volumes.list() == [], f"after a crash at request {nth}"

    def test_attachment_that_is_deleted(
        self, host: Host, service: Clients, subject: VolumeSubject, before: Belongings, meter: Meter
    ) -> None:
        manager = service.client("cinder", "3.44").attachments

        def delete(number: int, kind: str) -> None:
            if number == 1:
                (attachment,) = manager.list()
                manager.delete(attachment.id)

        meter.before = delete
        with pytest.raises(exception.ResourceFailed, match="is 'deleted': the volume was detached"):
            protect(host, subject)
        assert subject.belongings() == before
        assert service.cinder().volumes.list() == []

    @pytest.mark.parametrize(
        ("kind", "completed", "successor"),
        [
            (OperationType.PROTECT, True, "worker-2"),
            (OperationType.RESTORE, True, "worker-2"),
            (OperationType.RESTORE, True, "worker-1"),
            (OperationType.RESTORE, False, "worker-1"),
        ],
        ids=str,
    )
    def test_continuation_of_what_is_attached(
        self,
        host: Host,
        service: Clients,
        subject: VolumeSubject,
        meter: Meter,
        kind: OperationType,
        completed: bool,
        successor: str,
    ) -> None:
        """The storage lets in the host for which the volume was attached. That host may still have its device."""
        checkpoint = protect(host, subject)
        before = subject.belongings()
        operation = host.operation(kind, subject.resource, checkpoint if kind is OperationType.RESTORE else None)
        if completed:
            meter.before = functools.partial(die, 0)
            with pytest.raises(exception.ResourceFailed, match="died"):
                host.attempt(operation)
        else:
            struck = Struck(subject.cloud, "/attachments/.*/action", kind="status", status=403)
            with struck, pytest.raises(exception.NotAuthorized):
                host.attempt(operation)
        meter.before = Meter().before
        kept = completed and meter.host == successor
        meter.host = successor
        subject.cloud.forget_calls()
        result = host.perform(operation)
        requests = subject.cloud.calls(path="/attachments$", method="POST")
        assert len(requests) == (0 if kept else 1)
        if kind is OperationType.RESTORE:
            restored = result["restored"][subject.resource.key]
            assert added(before, subject.belongings()) == {restored}
        else:
            restored = host.restore(subject.resource, operation.checkpoint_id)
        assert subject.digest(restored) == subject.digest(subject.resource.id)
        assert service.cinder().volumes.list() == []

    def test_without_a_service_user(self, clients: Clients, bank: Bank, subject: VolumeSubject) -> None:
        with pytest.raises(exception.ResourceFailed, match="backend sandbox-attach: it needs .service_auth."):
            protect(Host(subject.plugin, clients, bank), subject)


@pytest.mark.parametrize("backends", [["x"], ["*:unknown"], [":sandbox"], ["*:sandbox="]], ids=str)
def test_backends_that_are_wrong(backends: list[str]) -> None:
    with pytest.raises(exception.ConfigurationError, match="is not PATTERN:KIND"):
        make_plugin(backends=backends)


def make_host(plugin: ProtectionPlugin, cloud: Sandbox, factory: ClientFactory, bank: Bank) -> Host:
    """Return a host with a service user."""
    clients = factory.for_context(sandbox.context_of(cloud))
    return Host(plugin, clients, bank, service=factory.as_service())


def protect(host: Host, subject: VolumeSubject, base: str | None = None) -> str:
    """Protect the volume with a checkpoint as base, and return the id of the new checkpoint."""
    return host.protect(subject.resource, bases=[base] if base else []).checkpoint_id


def protect_with_storage_mark(host: Host, subject: VolumeSubject) -> str:
    """Protect the volume, and let the checkpoint name a mark that Ceph keeps."""
    checkpoint = protect(host, subject)
    with host.bank.leases.acquire(holder="test") as lease:
        kept = {"id": str(uuid.uuid4()), "operation": str(uuid.uuid4()), "keeper": "rbd"}
        host.section(checkpoint, subject.resource, lease).put("mark", {"snapshot": kept})
    return checkpoint


def die(nth: int, number: int, kind: str) -> None:
    """Fail at the *nth* read or write; at 0, before the first one."""
    if number == nth:
        raise exception.ResourceFailed("the process died")
