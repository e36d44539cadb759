"""The plugin that keeps snapshots of shares: the contract suites, and what is specific to it."""

from typing import Any

import pytest

from karbor_like import exception
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.clients.waiter import Waiter
from karbor_like.clock import SystemClock
from karbor_like.domain import resource
from karbor_like.domain.actions import Action
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.plugins.manila import metadata
from karbor_like.plugins.manila.share_snapshot import REMARK, ShareSnapshotProtection
from karbor_like.sandbox.cloud import Sandbox
from karbor_like.testing import sandbox
from karbor_like.testing.host import Host
from karbor_like.testing.protection import Belongings
from karbor_like.testing.sandbox import Struck

#: GiB.
SIZE = 2
RULE = {"access_type": "ip", "access_to": "10.0.0.0/24", "access_level": "ro", "metadata": {"for": "shop"}}


def settled(clients: Clients, collection: str, key: str, status: str = "available") -> dict[str, Any]:
    return Waiter(SystemClock(), interval=0.005, max_interval=0.05, timeout=120).until(
        f"{key} to become {status}",
        lambda: clients.manila().show(collection, key),
        done=lambda found: found["status"] == status,
    )


class ShareSubject(sandbox.Subject):
    """A share with every kind of property."""

    def __init__(self, cloud: Sandbox, clients: Clients, **arguments: Any) -> None:
        super().__init__(cloud, clients)
        self.clients = clients
        self.manila = clients.manila()
        self.plugin = sandbox.make_plugin("share-snapshot")
        network = self.manila.create("share-networks", {"name": "inner"})["id"]
        values = {
            "name": "data-1",
            "description": "what the shop sold",
            "size": SIZE,
            "share_proto": "NFS",
            "share_network_id": network,
            "metadata": {"colour": "blue"},
        }
        share = self.make(**{**values, **arguments})
        self.manila.allow_access(share, RULE)
        cloud.write_share(share, "first")
        self.resource = Resource(resource.SHARE, share, "data-1")

    def make(self, **values: Any) -> str:
        share = self.manila.create("shares", values)["id"]
        return settled(self.clients, "shares", share)["id"]

    def digest(self, resource_id: str) -> str:
        return self.cloud.read_share(resource_id)

    def looks(self, resource_id: str) -> dict[str, Any]:
        share = self.manila.show("shares", resource_id)
        members = ("name", "description", "size", "share_proto", "share_type", "share_network_id", "metadata", "status")
        rules = [{name: rule[name] for name in RULE} for rule in self.manila.access_rules(resource_id)]
        return {**{name: share[name] for name in members}, "rules": rules}

    def destroy(self) -> None:
        """Overwrite the share: Manila does not delete it before its snapshots."""
        self.cloud.write_share(self.resource.id, "second")

    def belongings(self) -> Belongings:
        return {name: {each["id"] for each in self.manila.list(name)} for name in ("shares", "snapshots")}


@pytest.fixture
def subject(cloud: Sandbox, factory: ClientFactory) -> ShareSubject:
    return ShareSubject(cloud, factory.for_context(sandbox.context_of(cloud)))


@pytest.fixture
def admin(cloud: Sandbox, factory: ClientFactory) -> Clients:
    return factory.for_context(sandbox.context_of(cloud, "admin"))


def reset(admin: Clients, collection: str, key: str, status: str) -> None:
    admin.adapter("manila").post(
        f"/{collection}/{key}/action", json={"reset_status": {"status": status}}, microversion="2.73"
    )


class TestShareSnapshot(sandbox.CloudContract, sandbox.ProtectionContract):
    size = SIZE * ShareSnapshotProtection.gib
    kept = frozenset({"snapshot"})

    def test_name_and_description_of_the_snapshot(self, host: Host, subject: ShareSubject) -> None:
        operation = host.operation(
            OperationType.PROTECT, subject.resource, snapshot_name="before the upgrade", description="of the shop"
        )
        assert host.perform(operation)["remarks"] == [REMARK]
        (snapshot,) = subject.manila.list("snapshots")
        assert (snapshot["name"], snapshot["description"]) == ("before the upgrade", "of the shop")
        assert snapshot["metadata"]["karbor_like_operation"] == operation.id

    def test_restore_without_access_rules(self, host: Host, subject: ShareSubject, checkpoint: str) -> None:
        parameters = {"access_rules": "none", "restore_description": "a copy"}
        restored = host.restore(subject.resource, checkpoint, **parameters)
        assert subject.manila.show("shares", restored)["description"] == "a copy"
        assert subject.looks(restored)["rules"] == []

    def test_access_rule_that_cannot_be_applied(self, host: Host, subject: ShareSubject, checkpoint: str) -> None:
        operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
        with Struck(subject.cloud, "/action$", service="share", kind="error"):
            result = host.perform(operation)
        assert result["remarks"] == ["Manila could not apply access rule ip:10.0.0.0/24"]
        with Struck(subject.cloud, "/action$", service="share", kind="status", status=400, body="not here"):
            (remark,) = host.perform(host.operation(OperationType.RESTORE, subject.resource, checkpoint))["remarks"]
        assert remark.startswith("access rule ip:10.0.0.0/24 could not be restored: ")
        assert "not here" in remark

    def test_public_share(self, host: Host, subject: ShareSubject, admin: Clients) -> None:
        """Only administrators may make a share public."""
        admin.manila().update("shares", subject.resource.id, {"is_public": True})
        checkpoint = host.protect(subject.resource).checkpoint_id
        (remark,) = host.perform(host.operation(OperationType.RESTORE, subject.resource, checkpoint))["remarks"]
        assert remark.startswith("is_public could not be restored: ")

    def test_what_a_share_of_a_snapshot_cannot_have(self, host: Host, subject: ShareSubject, checkpoint: str) -> None:
        with host.bank.leases.acquire(holder="test") as lease:
            section = host.section(checkpoint, subject.resource, lease)
            document = section.get("metadata")
            share = {**document["share"], "has_replicas": True, "share_group_id": "g", "replication_type": "dr"}
            section.put("metadata", {**document, "share": share})
        operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
        assert host.needs(operation) == {
            "shares": 1,
            "share_gigabytes": SIZE,
            "share_replicas": 1,
            "replica_gigabytes": SIZE,
        }
        assert host.perform(operation)["remarks"] == [
            "the replicas of the share are not restored",
            "the share was part of share group g, and the restored one is not",
        ]

    @pytest.mark.parametrize(
        ("share_type", "words"), [("sandbox-plain", "support snapshots"), ("sandbox-frozen", "shares of snapshots")]
    )
    def test_types_without_snapshots(self, host: Host, subject: ShareSubject, share_type: str, words: str) -> None:
        plain = subject.make(size=1, share_proto="NFS", share_type=share_type)
        before = subject.belongings()
        with pytest.raises(exception.ResourceNotProtectable, match=f"its share type does not .*{words}"):
            host.protect(Resource(resource.SHARE, plain))
        assert subject.belongings() == before

    def test_zone_that_manila_refuses(self, host: Host, subject: ShareSubject, checkpoint: str) -> None:
        before = subject.belongings()
        with pytest.raises(exception.ResourceFailed, match="must be the same as the parent share"):
            host.restore(subject.resource, checkpoint, availability_zone="moon")
        assert subject.belongings() == before
        host.restore(subject.resource, checkpoint, availability_zone="nova")

    def test_snapshot_that_was_deleted(self, host: Host, subject: ShareSubject, checkpoint: str) -> None:
        """As in another cloud, where the snapshot never was."""
        (snapshot,) = subject.belongings()["snapshots"]
        subject.manila.delete("snapshots", snapshot)
        Waiter(SystemClock(), interval=0.005).until(
            "gone", subject.belongings, done=lambda found: not found["snapshots"]
        )
        with pytest.raises(exception.CheckpointDamaged, match="does not exist in this cloud: .* its share"):
            host.perform(host.operation(OperationType.VERIFY, subject.resource, checkpoint))
        operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
        assert [line.action for line in host.plan(operation)] == [Action.CONFLICT]
        subject.cloud.forget_calls()
        with pytest.raises(exception.Conflict, match="does not exist in this cloud"):
            host.perform(operation)
        assert not [call for call in subject.cloud.calls() if call["method"] != "GET"]
        host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))

    def test_snapshot_in_error(self, host: Host, subject: ShareSubject, admin: Clients, checkpoint: str) -> None:
        (snapshot,) = subject.belongings()["snapshots"]
        reset(admin, "snapshots", snapshot, "error")
        for kind in (OperationType.VERIFY, OperationType.RESTORE):
            with pytest.raises(exception.KarborLikeError, match="cannot be restored: Manila put it into state 'error'"):
                host.perform(host.operation(kind, subject.resource, checkpoint))

    def test_documents_that_are_wrong(self, host: Host, subject: ShareSubject, checkpoint: str) -> None:
        """A document that names another snapshot of the tenant must not make us restore or delete it."""
        other = subject.make(size=SIZE, share_proto="NFS")
        foreign = settled(subject.clients, "snapshots", subject.manila.create("snapshots", {"share_id": other})["id"])
        later = host.protect(subject.resource)
        section = host.section(checkpoint, subject.resource)
        document = section.get("metadata")
        for snapshot, words in (
            ({"id": "../shares"}, "is damaged"),
            ({"size": "2"}, "is damaged"),
            ({"id": foreign["id"]}, "cannot be restored: it is a snapshot of share"),
            ({"id": later.journal.entries()[0].cloud_id}, "cannot be restored: operation .* took it"),
        ):
            with host.bank.leases.acquire(holder="test") as lease:
                written = host.section(checkpoint, subject.resource, lease)
                written.put("metadata", {**document, "snapshot": {**document["snapshot"], **snapshot}})
            with pytest.raises(exception.Conflict, match=words):
                host.restore(subject.resource, checkpoint)
        before = subject.belongings()
        (remark,) = host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))["remarks"]
        assert "was not deleted: operation" in remark
        assert subject.belongings() == before

    def test_failures_have_the_reason_of_manila(self, host: Host, subject: ShareSubject, checkpoint: str) -> None:
        before = subject.belongings()
        how = {"service": "share", "method": "POST", "kind": "error", "reason": "no valid host"}
        with (
            Struck(subject.cloud, "/shares$", **how),
            pytest.raises(exception.ResourceFailed, match=r"waiting for share .*'error': no valid host"),
        ):
            host.restore(subject.resource, checkpoint)
        with (
            Struck(subject.cloud, "/snapshots$", **how),
            pytest.raises(exception.ResourceFailed, match=r"waiting for snapshot .*'error': no valid host"),
        ):
            host.protect(subject.resource)
        assert subject.belongings() == before

    def test_quota(self, host: Host, subject: ShareSubject, admin: Clients, checkpoint: str) -> None:
        before = subject.belongings()
        admin.manila().update("quota-sets", host.project_id, {"gigabytes": SIZE, "snapshots": 1})
        with pytest.raises(exception.OverQuota, match="gigabytes quota"):
            host.restore(subject.resource, checkpoint)
        with pytest.raises(exception.OverQuota, match="number of snapshots"):
            host.protect(subject.resource)
        assert subject.belongings() == before
        assert host.free()["share_gigabytes"] == 0

    def test_state_that_does_not_end(self, host: Host, subject: ShareSubject, admin: Clients) -> None:
        reset(admin, "shares", subject.resource.id, "migrating")
        with pytest.raises(exception.ResourceNotProtectable, match="it is in state 'migrating'"):
            host.protect(subject.resource)

    def test_many_access_rules_and_hidden_ones(
        self, host: Host, subject: ShareSubject, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(metadata, "MAX_RULES", 1)
        for client in ("10.0.1.0/24", "******"):
            kind = "user" if "*" in client else "ip"
            subject.manila.allow_access(subject.resource.id, {"access_type": kind, "access_to": client})
        operation = host.operation(OperationType.PROTECT, subject.resource)
        assert host.perform(operation)["remarks"][1:] == [
            "1 access rules that their owners hide are not in the checkpoint",
            "only 1 of its 2 access rules are in the checkpoint",
        ]
        restored = host.restore(subject.resource, operation.checkpoint_id)
        assert subject.looks(restored)["rules"] == [RULE]

    def test_secrets_of_access_rules_are_not_stored(self, host: Host, subject: ShareSubject) -> None:
        subject.manila.allow_access(subject.resource.id, {"access_type": "cephx", "access_to": "shop"})
        checkpoint = host.protect(subject.resource).checkpoint_id
        stored = host.section(checkpoint, subject.resource).get("metadata")["share"]["access_rules"]
        assert [set(rule) for rule in stored] == [set(RULE)] * 2

    def test_cloud_without_manila(
        self, host: Host, subject: ShareSubject, checkpoint: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("karbor_like.clients.manila.Manila.show", _missing)
        (line,) = host.plan(host.operation(OperationType.RESTORE, subject.resource, checkpoint))
        assert line.action is Action.CONFLICT
        assert "does not exist in this cloud" in line.reason


def _missing(*args: Any) -> None:
    raise exception.Unsupported("the catalogue has no Manila")
