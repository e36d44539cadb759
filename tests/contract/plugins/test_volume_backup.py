"""The plugin that makes backups of volumes with Cinder: the contract suites, and what is specific to it."""

import base64
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from karbor_like import exception
from karbor_like.bank import Bank
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.domain.actions import Action
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.cinder.volume_backup import VolumeBackupProtection
from karbor_like.sandbox.cloud import Sandbox
from karbor_like.testing import sandbox
from karbor_like.testing.host import Host, memory_bank
from karbor_like.testing.protection import Belongings
from karbor_like.testing.sandbox import Struck
from tests.contract.plugins.test_volume_glance import SIZE, VolumeSubject, settled

#: The id of an object of another tenant.
OTHER = "0badc0de-0000-4000-8000-000000000000"


class SmallBackups(VolumeBackupProtection):
    """The plugin in a cloud with small volumes."""

    gib = sandbox.SMALL_GIB


class BackupSubject(VolumeSubject):
    plugin_name = f"{__name__}:SmallBackups"

    def belongings(self) -> Belongings:
        return super().belongings() | {"backups": {backup.id for backup in self.cinder.backups.list()}}

    def write(self, seed: int) -> str:
        """Write other bytes to a part of the volume, and return the digest of the whole."""
        self.cloud.write_volume(self.resource.id, random.Random(seed).randbytes(4096), offset=seed * 8192)
        return self.digest(self.resource.id)


@pytest.fixture
def subject(cloud: Sandbox, factory: ClientFactory) -> BackupSubject:
    return BackupSubject(cloud, factory.for_context(sandbox.context_of(cloud)))


class TestVolumeBackup(sandbox.CloudContract, sandbox.ProtectionContract):
    size = SIZE * sandbox.SMALL_GIB
    kept = frozenset({"backup"})

    @pytest.fixture
    def host(self, clients: Clients, bank: Bank, subject: BackupSubject, factory: ClientFactory) -> Host:
        return Host(subject.plugin, clients, bank, factory.as_service())

    @pytest.fixture
    def chain(self, host: Host, subject: BackupSubject) -> list[tuple[str, str]]:
        """Checkpoint and digest of a full backup and two incremental ones."""
        return protect_chain(host, subject)

    def test_name_and_description_of_the_backup(self, host: Host, subject: BackupSubject) -> None:
        host.protect(subject.resource, backup_name="weekly", description="of the shop", container="kept")
        (backup,) = subject.cinder.backups.list()
        assert (backup.name, backup.description, backup.container) == ("weekly", "of the shop", "kept")
        assert not backup.is_incremental

    def test_volume_in_use(self, host: Host, subject: BackupSubject) -> None:
        subject.attach()
        digest = subject.digest(subject.resource.id)
        assert subject.digest(host.restore(subject.resource, host.protect(subject.resource).checkpoint_id)) == digest

    def test_chain_is_restored_and_verified(
        self, host: Host, subject: BackupSubject, chain: list[tuple[str, str]]
    ) -> None:
        assert sorted(backup.is_incremental for backup in subject.cinder.backups.list()) == [False, True, True]
        for checkpoint, digest in chain:
            host.perform(host.operation(OperationType.VERIFY, subject.resource, checkpoint))
            assert subject.digest(host.restore(subject.resource, checkpoint)) == digest

    def test_full_backup_after_the_longest_chain(self, host: Host, subject: BackupSubject) -> None:
        subject.plugin.conf.max_chain = 2
        for _ in range(5):
            host.protect(subject.resource, backup_mode="incremental")
        listed = sorted(subject.cinder.backups.list(), key=lambda backup: backup.data_timestamp)
        assert [backup.is_incremental for backup in listed] == [False, True, False, True, False]

    def test_full_backup_where_cinder_refuses_an_incremental_one(
        self, host: Host, subject: BackupSubject, checkpoint: str
    ) -> None:
        body = '{"badRequest": {"code": 400, "message": "No backups available to do an incremental backup."}}'
        with Struck(subject.cloud, "/backups$", method="POST", kind="status", status=400, body=body) as struck:
            later = host.protect(subject.resource, backup_mode="incremental").checkpoint_id
        assert struck.once
        assert not any(backup.is_incremental for backup in subject.cinder.backups.list())
        host.perform(host.operation(OperationType.VERIFY, subject.resource, later))

    @pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
    def test_deletion_in_any_order(
        self, host: Host, subject: BackupSubject, chain: list[tuple[str, str]], order: tuple[int, ...]
    ) -> None:
        left = dict(chain)
        for index in order:
            checkpoint = chain[index][0]
            result = host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))
            del left[checkpoint]
            names = [backup.name for backup in subject.cinder.backups.list()]
            assert (f"karbor-like-orphan-{checkpoint}" in names) == bool(result["remarks"])
            for remaining, digest in left.items():
                assert subject.digest(host.restore(subject.resource, remaining)) == digest
        assert subject.belongings()["backups"] == set()

    def test_deletion_leaves_backups_of_the_tenant(self, host: Host, subject: BackupSubject) -> None:
        own = subject.cinder.backups.create(subject.resource.id, name="mine")
        settled(subject.cinder.backups.get, own.id)
        checkpoint = host.protect(subject.resource, backup_mode="incremental").checkpoint_id
        host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))
        assert subject.belongings()["backups"] == {own.id}

    def test_backup_that_was_deleted(self, host: Host, subject: BackupSubject, checkpoint: str) -> None:
        (backup,) = subject.belongings()["backups"]
        subject.cinder.backups.delete(backup)
        subject.waiter.until("the deletion", subject.belongings, done=lambda b: not b["backups"], failed=lambda b: None)
        with pytest.raises(
            exception.CheckpointDamaged, match="does not exist in this cloud: it was deleted, or made in"
        ):
            host.perform(host.operation(OperationType.VERIFY, subject.resource, checkpoint))
        host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))

    def test_failed_backup(self, host: Host, subject: BackupSubject, before: Belongings) -> None:
        subject.cloud.fault(service="volume", method="POST", path="/backups$", kind="error", reason="the store is full")
        with pytest.raises(exception.ResourceFailed, match="waiting for backup .*'error': the store is full"):
            host.protect(subject.resource)
        subject.cloud.clear_faults()
        assert subject.belongings() == before

    def test_lost_data_fail_the_restore(self, host: Host, subject: BackupSubject, checkpoint: str) -> None:
        before = subject.belongings()
        fault = Struck(subject.cloud, "/restore$", service="volume", method="POST", kind="lose")
        with fault, pytest.raises(exception.ResourceFailed, match=r"'error_restoring': .*failed to restore"):
            host.restore(subject.resource, checkpoint)
        assert subject.belongings() == before

    def test_restore_into_a_volume_of_the_tenant(self, host: Host, subject: BackupSubject, checkpoint: str) -> None:
        digest = subject.digest(subject.resource.id)
        target = settled(subject.cinder.volumes.get, subject.cinder.volumes.create(SIZE, name="target").id)
        before = subject.belongings()
        operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint, volume_id=target.id)
        (line,) = host.plan(operation)
        assert (line.action, line.takes) == (Action.MAP, f"OS::Cinder::Volume#{target.id}")
        assert host.perform(operation)["restored"] == {subject.resource.key: target.id}
        assert subject.digest(target.id) == digest
        assert subject.cinder.volumes.get(target.id).name == "target"
        assert subject.belongings() == before

    def test_failed_restore_into_a_volume_of_the_tenant_keeps_it(
        self, host: Host, subject: BackupSubject, checkpoint: str
    ) -> None:
        target = settled(subject.cinder.volumes.get, subject.cinder.volumes.create(SIZE).id)
        fault = Struck(subject.cloud, "/restore$", service="volume", method="POST", kind="lose")
        with fault, pytest.raises(exception.ResourceFailed, match="failed to restore"):
            host.restore(subject.resource, checkpoint, volume_id=target.id)
        assert target.id in subject.belongings()["volumes"]

    @pytest.mark.parametrize(
        ("how", "reason"),
        [
            ("larger", rf"has {SIZE + 1} GiB, and must have {SIZE}, the size of the backup"),
            ("attached", "is 'in-use', and must be available"),
            ("foreign", "could not be found|does not exist"),
            ("typed", "the volume type of an existing volume cannot change"),
        ],
    )
    def test_volume_that_cannot_be_restored_into(
        self, host: Host, factory: ClientFactory, subject: BackupSubject, checkpoint: str, how: str, reason: str
    ) -> None:
        bob = factory.for_context(sandbox.context_of(subject.cloud, "bob")).cinder()
        owner, size = (bob if how == "foreign" else subject.cinder), SIZE + (how == "larger")
        target: str = settled(owner.volumes.get, owner.volumes.create(size).id).id
        if how == "attached":
            subject.attach()
            target = subject.resource.id
        given = {"volume_type": "sandbox"} if how == "typed" else {}
        subject.cloud.forget_calls()
        with pytest.raises(exception.Conflict, match=reason):
            host.restore(subject.resource, checkpoint, volume_id=target, **given)
        assert not [call for call in subject.cloud.calls(service="volume") if call["method"] != "GET"]

    @pytest.mark.parametrize("service", ["none", "member"])
    def test_backup_without_records_is_restorable_here_only(
        self, host: Host, factory: ClientFactory, subject: BackupSubject, service: str
    ) -> None:
        other = factory.for_context(sandbox.context_of(subject.cloud, "bob")) if service == "member" else None
        host.service = other
        operation = host.operation(OperationType.PROTECT, subject.resource)
        (remark,) = host.perform(operation)["remarks"]
        assert "can be restored in this cloud only" in remark
        digest = subject.digest(subject.resource.id)
        host.perform(host.operation(OperationType.VERIFY, subject.resource, operation.checkpoint_id))
        assert subject.digest(host.restore(subject.resource, operation.checkpoint_id)) == digest

    def test_backup_of_another_project(
        self, host: Host, factory: ClientFactory, subject: BackupSubject, checkpoint: str
    ) -> None:
        """The service user sees the backups of all projects. A document that names one must not give the tenant its data."""
        bob = factory.for_context(sandbox.context_of(subject.cloud, "bob")).cinder()
        volume = settled(bob.volumes.get, bob.volumes.create(SIZE).id)
        foreign = settled(bob.backups.get, bob.backups.create(volume.id).id)
        rewrite(host, subject, checkpoint, "metadata", lambda d: {**d, "backup": {**d["backup"], "id": foreign.id}})
        with pytest.raises(exception.Conflict, match="is another project's"):
            host.restore(subject.resource, checkpoint)
        with pytest.raises(exception.ResourceFailed, match="is another project's"):
            host.perform(host.operation(OperationType.VERIFY, subject.resource, checkpoint))
        (remark,) = host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))["remarks"]
        assert "was not deleted" in remark
        assert bob.backups.get(foreign.id).status == "available"

    def test_backup_of_another_volume(self, host: Host, subject: BackupSubject, checkpoint: str) -> None:
        volume = settled(subject.cinder.volumes.get, subject.cinder.volumes.create(SIZE).id)
        other = settled(subject.cinder.backups.get, subject.cinder.backups.create(volume.id).id)
        rewrite(host, subject, checkpoint, "metadata", lambda d: {**d, "backup": {**d["backup"], "id": other.id}})
        with pytest.raises(exception.Conflict, match=f"is one of volume {volume.id}"):
            host.restore(subject.resource, checkpoint)
        host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))
        assert other.id in subject.belongings()["backups"]

    def test_checkpoint_of_another_plugin(self, host: Host, subject: BackupSubject) -> None:
        glance = Host(sandbox.make_plugin("karbor_like.testing.sandbox:SmallVolumes"), host.clients, host.bank)
        checkpoint = glance.protect(subject.resource).checkpoint_id
        for kind in (OperationType.VERIFY, OperationType.RESTORE):
            with pytest.raises(exception.KarborLikeError, match="another plugin made it"):
                host.perform(host.operation(kind, subject.resource, checkpoint))

    def test_missing_ancestor(self, host: Host, subject: BackupSubject, chain: list[tuple[str, str]]) -> None:
        admin = host.service.cinder() if host.service else None
        full = next(backup for backup in subject.cinder.backups.list() if not backup.is_incremental)
        assert admin
        admin.backups.reset_state(full.id, "error")
        with pytest.raises(exception.CheckpointDamaged, match=f"backup {full.id} cannot be restored"):
            host.perform(host.operation(OperationType.VERIFY, subject.resource, chain[-1][0]))


def protect_chain(host: Host, subject: BackupSubject) -> list[tuple[str, str]]:
    made = []
    for seed in range(3):
        digest = subject.write(seed)
        made.append((host.protect(subject.resource, backup_mode="incremental").checkpoint_id, digest))
    return made


def rewrite(
    host: Host,
    subject: BackupSubject,
    checkpoint: str,
    name: str,
    change: Callable[[dict[str, Any]], Mapping[str, Any]],
) -> None:
    """Change a document in the bank."""
    with host.bank.leases.acquire(holder="test") as lease:
        section = host.section(checkpoint, subject.resource, lease)
        section.put(name, change(section.get(name)))


class TestSecondSite:
    """Another cloud that shares nothing with the first one but the bank and the store of the backups."""

    @pytest.fixture
    def elsewhere(self, tmp_path: Path) -> Iterator[Sandbox]:
        with Sandbox(tmp_path / "elsewhere", backups_dir=tmp_path / "backups") as sandbox_cloud:
            sandbox_cloud.settings(job_delay=0.0, gib=sandbox.SMALL_GIB)
            yield sandbox_cloud

    @pytest.fixture
    def cloud(self, tmp_path: Path) -> Iterator[Sandbox]:
        with Sandbox(tmp_path / "cloud", backups_dir=tmp_path / "backups") as sandbox_cloud:
            sandbox_cloud.settings(job_delay=0.0, gib=sandbox.SMALL_GIB)
            yield sandbox_cloud

    @pytest.fixture
    def bank(self) -> Iterator[Bank]:
        bank = memory_bank()
        yield bank
        bank.close()

    @pytest.fixture
    def host(self, subject: BackupSubject, bank: Bank, factory: ClientFactory, cloud: Sandbox) -> Host:
        return Host(subject.plugin, factory.for_context(sandbox.context_of(cloud)), bank, factory.as_service())

    @pytest.fixture
    def there(self, host: Host, elsewhere: Sandbox) -> Host:
        factory = ClientFactory(sandbox.make_conf(elsewhere))
        clients = factory.for_context(sandbox.context_of(elsewhere))
        return Host(host.plugin, clients, host.bank, factory.as_service(), project_id=host.project_id)

    @pytest.fixture
    def chain(self, host: Host, subject: BackupSubject) -> list[tuple[str, str]]:
        return protect_chain(host, subject)

    def test_chain_is_restored_and_deleted_in_any_order(
        self, host: Host, there: Host, subject: BackupSubject, elsewhere: Sandbox, chain: list[tuple[str, str]]
    ) -> None:
        (full, first, second), (_, middle, digest) = zip(*chain, strict=True)
        assert elsewhere.volume_digest(there.restore(subject.resource, second)) == digest
        assert there.clients.cinder().backups.list() == [], "the tenant could delete the data"
        assert len(imported(there)) == 3
        there.perform(there.operation(OperationType.VERIFY, subject.resource, second))
        assert subject.digest(host.restore(subject.resource, second)) == digest

        assert delete(there, subject, second, others=[full, first]) == []
        (remark,) = delete(there, subject, full, others=[first])
        assert f"checkpoint {first} has an incremental backup that needs it" in remark
        assert elsewhere.volume_digest(there.restore(subject.resource, first)) == middle
        assert subject.digest(host.restore(subject.resource, first)) == middle
        assert delete(there, subject, first) == []
        assert imported(there) == []

    def test_deletion_where_the_backup_was_never_imported(
        self, host: Host, there: Host, subject: BackupSubject, chain: list[tuple[str, str]]
    ) -> None:
        """Cinder there knows neither the backup nor those that depend on it."""
        (full, first, second), digests = zip(*chain, strict=True)
        (remark,) = delete(there, subject, full, others=[second, first])
        assert f"checkpoint {second} has an incremental backup" in remark
        assert subject.digest(host.restore(subject.resource, second)) == digests[2]
        assert delete(there, subject, second, others=[first]) == []
        assert delete(there, subject, first) == []
        assert imported(there) == []
        for backup in subject.belongings()["backups"]:
            assert subject.cinder.backups.get(backup).status == "available", "this site does not know"

    def test_lost_answers(
        self, there: Host, subject: BackupSubject, elsewhere: Sandbox, chain: list[tuple[str, str]]
    ) -> None:
        checkpoint, digest = chain[-1]
        for path in ("/import_record$", "/restore$", "/volumes$"):
            with Struck(elsewhere, path, method="POST", kind="cut", where="response") as struck:
                restored = there.restore(subject.resource, checkpoint)
            assert struck.once or path == "/import_record$"
            assert elsewhere.volume_digest(restored) == digest
        assert len(imported(there)) == 3

    def test_site_that_cannot_import(self, there: Host, subject: BackupSubject, host: Host) -> None:
        checkpoint = host.protect(subject.resource).checkpoint_id
        with pytest.raises(exception.ResourceFailed, match="does not exist in this cloud"):
            there.perform(there.operation(OperationType.VERIFY, subject.resource, checkpoint))
        service, there.service = there.service, None
        with pytest.raises(exception.Conflict, match="only the service user"):
            there.restore(subject.resource, checkpoint)
        assert "If it was made in another one" in delete(there, subject, checkpoint)[0]

        assert service
        project = service.session.get_project_id()
        service.cinder().quotas.update(project, backups=0)
        there.service = service
        checkpoint = host.protect(subject.resource).checkpoint_id
        with pytest.raises(exception.OverQuota, match="backups"):
            there.restore(subject.resource, checkpoint)
        assert there.clients.cinder().volumes.list() == []
        assert "was not deleted" in delete(there, subject, checkpoint)[0]

    def test_checkpoint_without_records(self, there: Host, subject: BackupSubject, host: Host) -> None:
        host.service = None
        checkpoint = host.protect(subject.resource).checkpoint_id
        with pytest.raises(exception.Conflict, match="no record with which it could be imported"):
            there.restore(subject.resource, checkpoint)

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"project_id": "f" * 32}, "the project_id of backup"),
            ({"volume_id": OTHER}, "the volume_id of backup"),
            ({"id": OTHER}, "they describe backup"),
            ({"parent_id": OTHER}, "the parent_id of backup"),
            ({"service_metadata": f"volume_{OTHER}/20260101/az_nova_backup_{OTHER}"}, f"where those of {OTHER} are"),
            ({"service_metadata": "volume"}, "nothing shows that the data"),
            ({"container": f"of-{OTHER}"}, f"where those of {OTHER} are"),
        ],
    )
    def test_record_that_lies(
        self, host: Host, there: Host, subject: BackupSubject, changes: Mapping[str, Any], reason: str
    ) -> None:
        checkpoint = host.protect(subject.resource).checkpoint_id

        def lie(document: dict[str, Any]) -> dict[str, Any]:
            (record,) = document["records"]
            content = json.loads(base64.b64decode(record["backup_url"])) | changes
            return {"records": [{**record, "backup_url": base64.b64encode(json.dumps(content).encode()).decode()}]}

        rewrite(host, subject, checkpoint, "records", lie)
        with pytest.raises(exception.Conflict, match=f"records of the Cinder backup cannot be used: .*{reason}"):
            there.restore(subject.resource, checkpoint)
        assert imported(there) == there.clients.cinder().volumes.list() == []
        assert "was not deleted" in delete(there, subject, checkpoint)[0]
        assert imported(there) == []


def imported(host: Host) -> list[Any]:
    """Return the backups in the project of the service."""
    assert host.service
    backups: list[Any] = host.service.cinder().backups.list()
    return backups


def delete(host: Host, subject: BackupSubject, checkpoint: str, others: Sequence[str] = ()) -> list[str]:
    """Delete a checkpoint and return the remarks."""
    operation = host.operation(OperationType.DELETE, subject.resource, checkpoint)
    operation.others = others
    remarks: list[str] = host.perform(operation)["remarks"]
    return remarks
