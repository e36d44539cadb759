"""The plugin that keeps snapshots of volumes: the contract suites, and what is specific to it."""

import dataclasses
import itertools
import random
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from karbor_like import exception
from karbor_like.bank import Bank
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.domain import resource
from karbor_like.domain.actions import Action
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.plugins.cinder.volume_snapshot import REMARK, VolumeSnapshotProtection
from karbor_like.sandbox.cloud import Sandbox
from karbor_like.testing import sandbox
from karbor_like.testing.host import Host, Operation
from karbor_like.testing.protection import Belongings, added
from karbor_like.testing.sandbox import Line, Struck
from tests.contract.plugins.test_volume_glance import SIZE, VolumeSubject, settled


class SmallSnapshots(VolumeSnapshotProtection):
    """The plugin in a cloud with small volumes."""

    gib = sandbox.SMALL_GIB


class SnapshotSubject(VolumeSubject):
    plugin_name = f"{__name__}:SmallSnapshots"

    def destroy(self) -> None:
        """Overwrite the volume: Cinder does not delete it before its snapshots."""
        self.cloud.write_volume(self.resource.id, random.Random(2).randbytes(SIZE * sandbox.SMALL_GIB), offset=0)


@pytest.fixture
def subject(cloud: Sandbox, factory: ClientFactory) -> SnapshotSubject:
    # A volume of a snapshot has its type, which the sandbox does not know: it has the default type.
    return SnapshotSubject(cloud, factory.for_context(sandbox.context_of(cloud)), volume_type="sandbox")


class TestVolumeSnapshot(sandbox.CloudContract, sandbox.ProtectionContract):
    size = SIZE * sandbox.SMALL_GIB
    kept = frozenset({"snapshot"})

    def test_name_and_description_of_the_snapshot(self, host: Host, subject: SnapshotSubject) -> None:
        operation = host.protect(subject.resource, snapshot_name="before the upgrade", description="of the shop")
        (snapshot,) = subject.cinder.volume_snapshots.list()
        assert (snapshot.name, snapshot.description) == ("before the upgrade", "of the shop")
        assert snapshot.metadata["karbor_like_operation"] == operation.id

    def test_checkpoint_says_what_it_does_not_survive(self, host: Host, subject: SnapshotSubject) -> None:
        assert host.perform(host.operation(OperationType.PROTECT, subject.resource))["remarks"] == [REMARK]

    def test_description_of_the_restored_volume(self, host: Host, subject: SnapshotSubject, checkpoint: str) -> None:
        restored = host.restore(subject.resource, checkpoint, restore_description="a copy")
        assert subject.cinder.volumes.get(restored).description == "a copy"

    @pytest.mark.parametrize(("name", "label"), [("volume_type", "type"), ("availability_zone", "zone")])
    def test_placement_that_the_cloud_does_not_offer(
        self, host: Host, subject: SnapshotSubject, checkpoint: str, before: Belongings, name: str, label: str
    ) -> None:
        before = subject.belongings()
        with pytest.raises(exception.Conflict, match=f"does not offer the .*{label} 'moon'"):
            host.restore(subject.resource, checkpoint, **{name: "moon"})
        assert subject.belongings() == before

    def test_a_strict_restore_of_a_volume_of_another_type(
        self, host: Host, subject: SnapshotSubject, checkpoint: str
    ) -> None:
        """The new volume would have the type that the volume of the snapshot has now."""
        with host.bank.leases.acquire(holder="test") as lease:
            section = host.bank.section(checkpoint, subject.project_id, subject.resource.key, lease=lease)
            document = section.get("metadata")
            section.put("metadata", {**document, "volume": {**document["volume"], "volume_type": "sandbox-fast"}})
        with pytest.raises(exception.Conflict, match="the volume type is 'sandbox' instead of 'sandbox-fast'"):
            host.restore(subject.resource, checkpoint, strict=True)

    def test_volume_in_use(self, host: Host, subject: SnapshotSubject) -> None:
        subject.attach()
        digest = subject.digest(subject.resource.id)
        assert subject.digest(host.restore(subject.resource, host.protect(subject.resource).checkpoint_id)) == digest

    def test_snapshot_that_was_deleted_with_its_volume(
        self, host: Host, subject: SnapshotSubject, checkpoint: str
    ) -> None:
        subject.cinder.volumes.delete(subject.resource.id, cascade=True)
        settled_away(subject)
        with pytest.raises(
            exception.CheckpointDamaged, match="does not exist in this cloud: it was deleted, .* its volume"
        ):
            host.perform(host.operation(OperationType.VERIFY, subject.resource, checkpoint))
        with pytest.raises(exception.Conflict, match="does not exist in this cloud"):
            host.restore(subject.resource, checkpoint)
        assert not any(subject.belongings().values())
        host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))

    def test_snapshot_in_error(
        self, host: Host, factory: ClientFactory, subject: SnapshotSubject, checkpoint: str
    ) -> None:
        admin = factory.for_context(sandbox.context_of(subject.cloud, "admin"))
        (snapshot,) = subject.belongings()["snapshots"]
        admin.cinder().volume_snapshots.reset_state(snapshot, "error")
        for kind in (OperationType.VERIFY, OperationType.RESTORE):
            with pytest.raises(exception.KarborLikeError, match="cannot be restored: Cinder put it into state 'error'"):
                host.perform(host.operation(kind, subject.resource, checkpoint))

    def test_snapshot_of_something_else(self, host: Host, subject: SnapshotSubject, checkpoint: str) -> None:
        """A document that names another snapshot of the tenant must not make us restore or delete it."""
        other = settled(subject.cinder.volumes.get, subject.cinder.volumes.create(1).id)
        foreign = subject.cinder.volume_snapshots.create(other.id)
        settled(subject.cinder.volume_snapshots.get, foreign.id)
        later = host.protect(subject.resource)
        for snapshot_id in (foreign.id, later.journal.entries()[0].cloud_id):
            with host.bank.leases.acquire(holder="test") as lease:
                section = host.section(checkpoint, subject.resource, lease)
                document = section.get("metadata")
                section.put("metadata", {**document, "snapshot": {**document["snapshot"], "id": snapshot_id}})
            with pytest.raises(
                exception.Conflict, match="cannot be restored: (it is a snapshot of|operation .* took it)"
            ):
                host.restore(subject.resource, checkpoint)
        before = subject.belongings()
        (remark,) = host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))["remarks"]
        assert "was not deleted: operation" in remark
        assert subject.belongings() == before

    def test_checkpoint_of_another_plugin(self, host: Host, subject: SnapshotSubject) -> None:
        """The provider had another plugin for volumes when the checkpoint was made."""
        glance = Host(sandbox.make_plugin("karbor_like.testing.sandbox:SmallVolumes"), host.clients, host.bank)
        checkpoint = glance.protect(subject.resource).checkpoint_id
        for kind in (OperationType.VERIFY, OperationType.RESTORE):
            with pytest.raises(exception.KarborLikeError, match="another plugin made it"):
                host.perform(host.operation(kind, subject.resource, checkpoint))
        host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))
        assert host.section(checkpoint, subject.resource).names() == []

    def test_snapshot_that_cannot_be_deleted_keeps_the_checkpoint(
        self, host: Host, subject: SnapshotSubject, checkpoint: str, before: Belongings
    ) -> None:
        restored = host.restore(subject.resource, checkpoint)
        with pytest.raises(exception.ResourceFailed, match=f"has dependent volumes .*{restored}"):
            host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))
        host.perform(host.operation(OperationType.VERIFY, subject.resource, checkpoint))
        subject.cinder.volumes.delete(restored)
        settled_away(subject, restored)
        host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))
        assert subject.belongings()["snapshots"] == set()

    @pytest.mark.parametrize("how", ["attached", "later", "larger", "gone", "moved"])
    def test_reversion_that_cinder_would_refuse(self, host: Host, subject: SnapshotSubject, how: str) -> None:
        checkpoint, parameters = host.protect(subject.resource).checkpoint_id, {"mode": "revert"}
        match how:
            case "attached":
                subject.attach()
                reason = "it is 'in-use', and must be available"
            case "later":
                later = host.protect(subject.resource)
                reason = f"snapshot {later.journal.entries()[0].cloud_id} of it is later"
            case "larger":
                with host.bank.leases.acquire(holder="test") as lease:
                    section = host.section(checkpoint, subject.resource, lease)
                    document = section.get("metadata")
                    section.put("metadata", {**document, "snapshot": {**document["snapshot"], "size": SIZE - 1}})
                reason = f"it has {SIZE} GiB now, and the snapshot {SIZE - 1} GiB"
            case "gone":
                subject.cinder.volumes.delete(subject.resource.id, cascade=True)
                settled_away(subject)
                reason = "does not exist in this cloud"
            case "moved":
                parameters["availability_zone"] = "nova"
                reason = "the availability zone of a reverted volume cannot change"
        operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint, **parameters)
        assert [line.action for line in host.plan(operation)] == [Action.CONFLICT]
        subject.cloud.forget_calls()
        with pytest.raises(exception.Conflict, match=reason):
            host.perform(operation)
        assert not [call for call in subject.cloud.calls() if call["method"] != "GET"]

    def test_reversion(self, host: Host, subject: SnapshotSubject, checkpoint: str) -> None:
        digest, before = subject.digest(subject.resource.id), subject.belongings()
        subject.destroy()
        operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint, mode="revert")
        operation.parameters = {**operation.parameters, "restore_name": "as it was"}
        assert [line.action for line in host.plan(operation)] == [Action.REUSE]
        result = host.perform(operation)
        assert result == {"restored": {subject.resource.key: subject.resource.id}, "remarks": []}
        assert subject.digest(subject.resource.id) == digest
        volume = subject.cinder.volumes.get(subject.resource.id)
        assert (volume.name, volume.description, volume.status) == ("as it was", "what the shop sold", "available")
        assert subject.belongings() == before

    @pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
    def test_reversion_continues_after_a_crash_at_any_request(
        self, host: Host, subject: SnapshotSubject, checkpoint: str, line: Line, answered: bool
    ) -> None:
        digest, before = subject.digest(subject.resource.id), subject.belongings()
        for nth in itertools.count(1):
            subject.destroy()
            operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint, mode="revert")
            crashed = sandbox.crashes(host, line, operation, nth, answered)
            if crashed:
                host.perform(operation)
            assert subject.digest(subject.resource.id) == digest, f"after a crash at request {nth}"
            assert subject.belongings() == before
            if not crashed:
                break

    @pytest.mark.parametrize("how", [{"kind": "status", "status": 503}, {"kind": "cut", "where": "response"}], ids=str)
    def test_reversion_without_an_answer(
        self, host: Host, subject: SnapshotSubject, checkpoint: str, how: dict[str, Any]
    ) -> None:
        digest = subject.digest(subject.resource.id)
        subject.destroy()
        with Struck(subject.cloud, "/action$", service="volume", **how) as struck:
            host.restore(subject.resource, checkpoint, mode="revert")
        assert struck.once
        assert subject.digest(subject.resource.id) == digest

    def test_failed_reversion_keeps_the_volume(self, host: Host, subject: SnapshotSubject, checkpoint: str) -> None:
        before = subject.belongings()
        with (
            Struck(subject.cloud, "/action$", service="volume", kind="error", reason="the disk caught fire"),
            pytest.raises(exception.ResourceFailed, match=f"waiting for volume {subject.resource.id}"),
        ):
            host.restore(subject.resource, checkpoint, mode="revert")
        assert subject.belongings() == before

    def test_failed_restore_leaves_nothing(self, host: Host, subject: SnapshotSubject, checkpoint: str) -> None:
        before = subject.belongings()
        with (
            Struck(subject.cloud, "/volumes$", service="volume", method="POST", kind="error", reason="no valid host"),
            pytest.raises(exception.ResourceFailed, match=r"waiting for volume.*'error': no valid host"),
        ):
            host.restore(subject.resource, checkpoint)
        assert subject.belongings() == before


class GroupSubject(SnapshotSubject):
    """A volume that is in a group together with another one."""

    def __init__(self, cloud: Sandbox, clients: Any, admin: Any) -> None:
        super().__init__(cloud, clients, volume_type="sandbox")
        kind = admin.cinder().group_types.create("together")
        self.group = self.cinder.groups.create(kind.id, "sandbox").id
        settled(self.cinder.groups.get, self.group)
        self.other = self.join(self.cinder.volumes.create(1, volume_type="sandbox").id)
        self.join(self.resource.id)

    def join(self, volume_id: str) -> Resource:
        """Add a volume to the group."""
        settled(self.cinder.volumes.get, volume_id)
        self.cinder.groups.update(self.group, add_volumes=volume_id)
        settled(self.cinder.groups.get, self.group)
        return Resource(resource.VOLUME, volume_id)

    def belongings(self) -> Belongings:
        """The snapshots of a group snapshot are counted as that one object."""
        snapshots = {s.id for s in self.cinder.volume_snapshots.list() if s.group_snapshot_id is None}
        taken = {taken.id for taken in self.cinder.group_snapshots.list()}
        return {**super().belongings(), "snapshots": snapshots, "group snapshots": taken}

    def users(self, snapshot_id: str) -> set[str]:
        """Return the ids of the volumes whose snapshots in the group snapshot are marked."""
        members = [s for s in self.cinder.volume_snapshots.list() if s.group_snapshot_id == snapshot_id]
        return {s.volume_id for s in members if "karbor_like_operation" in s.metadata}


class TestVolumeOfGroup(sandbox.CloudContract, sandbox.ProtectionContract):
    """The volume and the other one are protected by one operation."""

    size = SIZE * sandbox.SMALL_GIB
    kept = frozenset({"group-snapshot", "snapshot"})

    @pytest.fixture
    def subject(self, cloud: Sandbox, factory: ClientFactory) -> GroupSubject:
        admin = factory.for_context(sandbox.context_of(cloud, "admin"))
        return GroupSubject(cloud, factory.for_context(sandbox.context_of(cloud)), admin)

    @pytest.fixture
    def host(self, clients: Clients, bank: Bank, subject: GroupSubject) -> Host:
        host = Host(subject.plugin, clients, bank)
        host.siblings = [subject.other, subject.resource]
        return host

    @staticmethod
    def pair(host: Host, subject: GroupSubject) -> tuple[Operation, Operation]:
        """Return two parts of one protect: of the subject, and of the other volume.

        Each has a checkpoint, because the host takes a lease for each part.
        """
        first, second = (host.operation(OperationType.PROTECT, part) for part in (subject.resource, subject.other))
        return first, dataclasses.replace(second, id=first.id)

    def test_volumes_of_one_operation_share_a_group_snapshot(self, host: Host, subject: GroupSubject) -> None:
        subject.cloud.forget_calls()
        operations = self.pair(host, subject)
        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(host.perform, operations))
        assert results == [{"remarks": [REMARK]}] * 2
        posts = [call["path"].rpartition("/")[2] for call in subject.cloud.calls() if call["method"] == "POST"]
        assert sorted(set(posts) - {"metadata", "tokens"}) == ["group_snapshots"]
        assert posts.count("group_snapshots") == 1
        (taken,) = subject.belongings()["group snapshots"]
        assert {entry.cloud_id for operation in operations for entry in operation.journal.entries()} == {taken}
        assert subject.users(taken) == {subject.resource.id, subject.other.id}

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=str)
    def test_deletion_in_any_order(
        self, host: Host, subject: GroupSubject, before: Belongings, order: tuple[int, int]
    ) -> None:
        pair = self.pair(host, subject)
        for operation in pair:
            host.perform(operation)
        first, last = (pair[number] for number in order)
        for _ in range(2):
            host.perform(host.operation(OperationType.DELETE, first.resource, first.checkpoint_id))
        host.perform(host.operation(OperationType.VERIFY, last.resource, last.checkpoint_id))
        restored = host.restore(last.resource, last.checkpoint_id)
        assert subject.digest(restored) == subject.digest(last.resource.id)
        host.perform(host.operation(OperationType.DELETE, last.resource, last.checkpoint_id))
        assert added(before, subject.belongings()) == {restored}

    def test_concurrent_deletion(self, host: Host, subject: GroupSubject, before: Belongings) -> None:
        pair = self.pair(host, subject)
        for operation in pair:
            host.perform(operation)
        deletions = [host.operation(OperationType.DELETE, part.resource, part.checkpoint_id) for part in pair]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(host.perform, deletions))
        assert subject.belongings() == before

    @pytest.mark.parametrize("cleaned", [(0,), (1,), (0, 1), (1, 0)], ids=str)
    def test_cleanup_keeps_what_the_other_volume_needs(
        self, host: Host, subject: GroupSubject, before: Belongings, cleaned: tuple[int, ...]
    ) -> None:
        """As of a volume that is left out, and of an operation that fails."""
        pair = self.pair(host, subject)
        for operation in pair:
            host.attempt(operation)
        for number in cleaned:
            host.cleanup(pair[number])
        if len(cleaned) == 2:
            assert subject.belongings() == before
            return
        (kept,) = (part for number, part in enumerate(pair) if number not in cleaned)
        host.perform(host.operation(OperationType.VERIFY, kept.resource, kept.checkpoint_id))
        host.perform(host.operation(OperationType.DELETE, kept.resource, kept.checkpoint_id))
        assert subject.belongings() == before

    @pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
    def test_crash_of_one_volume_at_any_request(
        self, host: Host, subject: GroupSubject, before: Belongings, line: Line, answered: bool
    ) -> None:
        for nth in itertools.count(1):
            first, second = self.pair(host, subject)
            crashed = sandbox.crashes(host, line, first, nth, answered)
            host.perform(second)
            host.perform(first)
            (taken,) = subject.belongings()["group snapshots"]
            assert subject.users(taken) == {subject.resource.id, subject.other.id}, f"after a crash at request {nth}"
            for operation in (first, second):
                host.cleanup(operation)
            assert subject.belongings() == before
            if not crashed:
                break

    def test_volume_outside_the_operation(self, host: Host, subject: GroupSubject, before: Belongings) -> None:
        third = subject.join(subject.cinder.volumes.create(1, volume_type="sandbox").id)
        (_, remark) = host.perform(self.pair(host, subject)[0])["remarks"]
        assert remark.endswith(f"volume's group: the checkpoint does not include volume {third.id} of the group")
        host.siblings = [subject.resource]
        assert host.perform(self.pair(host, subject)[0])["remarks"] == [REMARK], "no other volume of the group is in it"
        assert subject.belongings()["group snapshots"] == before["group snapshots"]

    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            ({"kind": "status", "status": 403}, "403"),
            ({"kind": "status", "status": 404}, "404"),
            ({"kind": "error", "reason": "not together"}, "'error'"),
        ],
        ids=str,
    )
    def test_cloud_that_takes_no_group_snapshot(
        self, host: Host, subject: GroupSubject, before: Belongings, fault: dict[str, Any], reason: str
    ) -> None:
        with Struck(subject.cloud, "/group_snapshots$", service="volume", method="POST", times=0, **fault):
            operation = host.operation(OperationType.PROTECT, subject.resource)
            (_, remark) = host.perform(operation)["remarks"]
        assert re.search(f"was taken alone, not together with those of the volume's group: .*{reason}", remark)
        assert added(before, subject.belongings()) == self.results(operation)
        assert [entry.role for entry in operation.journal.entries()] == ["snapshot"]
        host.perform(host.operation(OperationType.DELETE, subject.resource, operation.checkpoint_id))
        assert subject.belongings() == before

    def test_other_volume_in_error(
        self, host: Host, factory: ClientFactory, subject: GroupSubject, before: Belongings
    ) -> None:
        admin = factory.for_context(sandbox.context_of(subject.cloud, "admin"))
        admin.cinder().volumes.reset_state(subject.other.id, "error")
        (_, remark) = host.perform(host.operation(OperationType.PROTECT, subject.resource))["remarks"]
        assert f"volume {subject.other.id} of it: it is in state 'error'" in remark

    def test_name_and_description(self, host: Host, subject: GroupSubject) -> None:
        host.protect(subject.resource, snapshot_name="before the upgrade", description="of the shop")
        ours, others = sorted(subject.cinder.volume_snapshots.list(), key=lambda s: s.volume_id != subject.resource.id)
        assert (ours.name, ours.description) == ("before the upgrade", "of the shop")
        assert others.name.startswith("karbor-like-")

    def test_reversion(self, host: Host, subject: GroupSubject, checkpoint: str) -> None:
        digest = subject.digest(subject.resource.id)
        subject.destroy()
        host.restore(subject.resource, checkpoint, mode="revert")
        assert subject.digest(subject.resource.id) == digest

    def test_group_snapshot_of_the_tenant(self, host: Host, subject: GroupSubject, checkpoint: str) -> None:
        """A document that names a group snapshot of the tenant must not make us delete it."""
        theirs = subject.cinder.group_snapshots.create(subject.group, name="mine").id
        settled(subject.cinder.group_snapshots.get, theirs)
        (snapshot_id,) = (
            s.id
            for s in subject.cinder.volume_snapshots.list()
            if (s.group_snapshot_id, s.volume_id) == (theirs, subject.resource.id)
        )
        with host.bank.leases.acquire(holder="test") as lease:
            section = host.section(checkpoint, subject.resource, lease)
            document = section.get("metadata")
            forged = {**document["snapshot"], "id": snapshot_id, "group_snapshot_id": theirs}
            section.put("metadata", {**document, "snapshot": forged})
        before = subject.belongings()
        (remark,) = host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))["remarks"]
        assert f"group snapshot {theirs} does not belong to this checkpoint" in remark
        assert subject.belongings() == before


def settled_away(subject: SnapshotSubject, volume_id: str | None = None) -> None:
    """Wait until the volume, by default the original, is deleted."""
    gone = volume_id or subject.resource.id
    subject.waiter.until(
        f"{gone} to be deleted", subject.belongings, done=lambda b: gone not in b["volumes"], failed=lambda b: None
    )


def test_schemas_are_those_that_clients_know() -> None:
    schemas = VolumeSnapshotProtection.schemas[resource.VOLUME]
    assert schemas.options["required"] == ["snapshot_name", "force"]
    assert set(schemas.options["properties"]) == {"snapshot_name", "description", "force"}
    assert schemas.options["properties"]["force"]["default"] is False
    assert schemas.restore["required"] == ["restore_name"]
    known = {"restore_name", "restore_description"}
    placement = {"volume_type", "availability_zone", "strict"}
    assert set(schemas.restore["properties"]) == {*known, "mode", "name_prefix", *placement}
    assert all(schemas.restore["properties"][name]["default"] is None for name in known)
