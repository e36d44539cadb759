"""The plugin for database instances: the contract suites, and what is specific to it."""

import hashlib
from typing import Any

import pytest

from karbor_like import exception
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.domain.actions import Action
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import DATABASE, Resource
from karbor_like.plugins.trove.database import REMARK
from karbor_like.sandbox.cloud import Sandbox
from karbor_like.testing import sandbox
from karbor_like.testing.host import Host
from karbor_like.testing.protection import Belongings
from karbor_like.testing.sandbox import Struck
from tests.contract.plugins.test_protectables import make_database
from tests.contract.plugins.test_volume_glance import VolumeSubject

NETWORK_KEY = "OS::Neutron::Net#{}"


class DatabaseSubject(sandbox.Subject):
    """An instance with two databases in a network."""

    waiter = VolumeSubject.waiter

    def __init__(self, cloud: Sandbox, clients: Clients) -> None:
        super().__init__(cloud, clients)
        self.plugin = sandbox.make_plugin("karbor-database-protection-plugin")
        self.trove, self.neutron = clients.trove(), clients.neutron()
        self.network = self.neutron.create("networks", {"name": "inner"})["id"]
        made = self.trove.create(
            "instances",
            {
                "name": "shop",
                "flavorRef": "2",
                "volume": {"size": 2},
                "datastore": {"type": "postgresql", "version": "16"},
                "nics": [{"net-id": self.network}],
                "access": {"is_public": True, "allowed_cidrs": ["203.0.113.0/24"]},
            },
        )["id"]
        self.resource = Resource(DATABASE, made, "shop")
        self.settled(made)
        self.trove._adapter.post(f"/instances/{made}/databases", json={"databases": [{"name": "a"}, {"name": "b"}]})

    def settled(self, instance_id: str) -> None:
        self.waiter.until(
            "ACTIVE",
            lambda: self.trove.show("instances", instance_id),
            done=lambda seen: seen["status"] == "ACTIVE",
        )

    def digest(self, resource_id: str) -> str:
        return hashlib.sha256(self.trove._adapter.get(f"/instances/{resource_id}/databases").content).hexdigest()

    def looks(self, resource_id: str) -> dict[str, Any]:
        found = self.trove.show("instances", resource_id)
        return {
            name: found[name] for name in ("name", "flavor", "volume", "datastore", "addresses", "access", "status")
        }

    def belongings(self) -> Belongings:
        return {name: {each["id"] for each in self.trove.list(name)} for name in ("instances", "backups")}

    def destroy(self) -> None:
        self.trove.delete("instances", self.resource.id)
        self.waiter.until("gone", self.belongings, done=lambda found: self.resource.id not in found["instances"])


@pytest.fixture
def subject(cloud: Sandbox, factory: ClientFactory) -> DatabaseSubject:
    return DatabaseSubject(cloud, factory.for_context(sandbox.context_of(cloud)))


class TestDatabase(sandbox.CloudContract, sandbox.ProtectionContract):
    size = 1 << 28  # a quarter of a GiB, as the sandbox says of every backup
    kept = frozenset({"backup"})

    def test_name_and_description_of_the_backup(self, host: Host, subject: DatabaseSubject) -> None:
        operation = host.operation(OperationType.PROTECT, subject.resource)
        assert host.perform(operation) == {"remarks": [REMARK]}
        host.protect(subject.resource, backup_name="before the upgrade", description="of the shop " * 30)
        first, second = sorted(subject.trove.list("backups"), key=lambda backup: backup["created"] + backup["name"])
        if first["name"] == "before the upgrade":
            first, second = second, first
        assert first["name"] == f"backup{subject.resource.id}"
        assert first["description"] == operation.journal.entries()[0].name
        assert (second["name"], second["description"][:11]) == ("before the upgrade", "of the shop")
        assert len(second["description"]) <= 255

    def test_parameters_of_the_restore(self, host: Host, subject: DatabaseSubject, checkpoint: str) -> None:
        other = subject.neutron.create("networks", {"name": "other"})["id"]
        restored = host.restore(subject.resource, checkpoint, flavor="m1.medium", restore_net_id=other)
        looks = subject.looks(restored)
        assert (looks["flavor"]["id"], looks["addresses"][0]["network"]) == ("3", other)

    def test_the_network_of_the_original_is_mapped(self, host: Host, subject: DatabaseSubject, checkpoint: str) -> None:
        other = subject.neutron.create("networks", {"name": "other"})["id"]
        operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
        operation.mapping = {NETWORK_KEY.format(subject.network): other}
        restored = host.perform(operation)["restored"][subject.resource.key]
        assert subject.looks(restored)["addresses"][0]["network"] == other

    @pytest.mark.parametrize(
        ("parameters", "reason"),
        [
            ({"flavor": "huge"}, "does not offer the flavor 'huge'"),
            ({"restore_net_id": "4c9c0000-0000-4000-8000-000000000000"}, "network 4c9c.* does not exist"),
            ({"restore_net_id": "../x"}, "does not exist"),
        ],
    )
    def test_what_the_cloud_does_not_offer(
        self, host: Host, subject: DatabaseSubject, checkpoint: str, parameters: dict[str, str], reason: str
    ) -> None:
        operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint, **parameters)
        assert [line.action for line in host.plan(operation)] == [Action.CONFLICT]
        subject.cloud.forget_calls()
        with pytest.raises(exception.Conflict, match=reason):
            host.perform(operation)
        assert not [call for call in subject.cloud.calls() if call["method"] != "GET"]

    def test_a_network_that_no_longer_exists(self, host: Host, subject: DatabaseSubject, checkpoint: str) -> None:
        subject.neutron.delete("networks", subject.network)
        with pytest.raises(exception.Conflict, match="choose one with the parameter 'restore_net_id'"):
            host.restore(subject.resource, checkpoint)

    def test_backup_that_was_deleted(self, host: Host, subject: DatabaseSubject, checkpoint: str) -> None:
        (backup,) = subject.belongings()["backups"]
        subject.trove.delete("backups", backup)
        subject.waiter.until("gone", subject.belongings, done=lambda found: not found["backups"])
        for kind in (OperationType.VERIFY, OperationType.RESTORE):
            with pytest.raises(exception.KarborLikeError, match="does not exist in this cloud: it was deleted"):
                host.perform(host.operation(kind, subject.resource, checkpoint))
        host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))

    def test_backup_of_something_else(self, host: Host, subject: DatabaseSubject, checkpoint: str) -> None:
        """A document that names another backup of the tenant must not make us restore or delete it."""
        other = make_database(host.clients, "other")
        ours = {each["id"] for each in subject.trove.list("backups")}
        foreign = [
            subject.trove.create("backups", {"instance": instance, "name": "mine"})["id"]
            for instance in (other.id, subject.resource.id)
        ]
        subject.waiter.until(
            "all backups",
            lambda: subject.trove.list("backups"),
            done=lambda found: all(each["status"] == "COMPLETED" for each in found),
        )
        for backup_id in foreign:
            with host.bank.leases.acquire(holder="test") as lease:
                section = host.section(checkpoint, subject.resource, lease)
                document = section.get("metadata")
                section.put("metadata", {**document, "backup": {**document["backup"], "id": backup_id}})
            with pytest.raises(exception.Conflict, match="cannot be restored: (it is a backup of|another operation)"):
                host.restore(subject.resource, checkpoint)
        (remark,) = host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))["remarks"]
        assert "was not deleted: another operation" in remark
        assert subject.belongings()["backups"] == {*ours, *foreign}

    def test_backups_that_are_based_on_ours_are_kept(
        self, host: Host, subject: DatabaseSubject, checkpoint: str
    ) -> None:
        """Trove would delete them as well."""
        (ours,) = subject.belongings()["backups"]
        child = subject.trove.create(
            "backups", {"instance": subject.resource.id, "name": "increment", "parent_id": ours}
        )["id"]
        (remark,) = host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))["remarks"]
        assert remark == f"database backup {ours} was not deleted: incremental backups are based on it: {child}"
        assert subject.belongings()["backups"] == {ours, child}

    @pytest.mark.parametrize(
        ("member", "value"),
        [("networks", ["../../x"]), ("volume", -1), ("name", 7), ("access", {"is_public": True}), ("flavor", None)],
    )
    def test_documents_of_a_hostile_bank(
        self, host: Host, subject: DatabaseSubject, checkpoint: str, member: str, value: Any
    ) -> None:
        with host.bank.leases.acquire(holder="test") as lease:
            section = host.section(checkpoint, subject.resource, lease)
            document = section.get("metadata")
            section.put("metadata", {**document, "instance": {**document["instance"], member: value}})
        with pytest.raises(exception.CheckpointDamaged, match="description of the database instance is damaged"):
            host.perform(host.operation(OperationType.VERIFY, subject.resource, checkpoint))
        with pytest.raises(exception.Conflict, match="is damaged"):
            host.restore(subject.resource, checkpoint)

    def test_failed_backup_leaves_nothing(self, host: Host, subject: DatabaseSubject, before: Belongings) -> None:
        with (
            Struck(subject.cloud, "/backups$", method="POST", kind="error"),
            pytest.raises(exception.ResourceFailed, match="Trove put it into state 'FAILED'"),
        ):
            host.protect(subject.resource)
        assert subject.belongings() == before

    def test_failed_restore_leaves_nothing(self, host: Host, subject: DatabaseSubject, checkpoint: str) -> None:
        before = subject.belongings()
        with (
            Struck(subject.cloud, "/instances$", method="POST", kind="error", reason="no valid host"),
            pytest.raises(exception.ResourceFailed, match="state 'ERROR': no valid host"),
        ):
            host.restore(subject.resource, checkpoint)
        assert subject.belongings() == before

    def test_copies_are_refused(self, subject: DatabaseSubject) -> None:
        assert subject.plugin.operation(OperationType.COPY, DATABASE) is None
        assert "backup in Trove" in subject.plugin.refusals[OperationType.COPY]

    def test_configuration_group_that_no_longer_exists(
        self, host: Host, subject: DatabaseSubject, checkpoint: str
    ) -> None:
        with host.bank.leases.acquire(holder="test") as lease:
            section = host.section(checkpoint, subject.resource, lease)
            document = section.get("metadata")
            lost = {"configuration": "4c9c0000-0000-4000-8000-000000000000", "replica_of": subject.resource.id}
            section.put("metadata", {**document, "instance": {**document["instance"], **lost}})
        result = host.perform(host.operation(OperationType.RESTORE, subject.resource, checkpoint))
        assert result["remarks"] == [
            f"the original was a replica of database instance {subject.resource.id}: the restored one is independent",
            "the configuration group 4c9c0000-0000-4000-8000-000000000000 of the original does not exist any more: the"
            " restored one has none",
        ]
