"""The plugin for pods: the contract suite of descriptions, and what is specific to pods."""

import itertools
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from karbor_like import exception
from karbor_like.bank import Bank
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.domain.actions import Action
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import POD, Resource
from karbor_like.sandbox.cloud import Sandbox
from karbor_like.testing import protection, sandbox
from karbor_like.testing.host import Host, memory_bank
from karbor_like.testing.protection import Belongings
from karbor_like.testing.sandbox import Struck
from tests.contract.plugins import kubernetes
from tests.contract.plugins.test_protectables import make_volume


class PodSubject(sandbox.Subject):
    """A pod with a Cinder volume by a claim, and with members that are not stored."""

    def __init__(self, cloud: Sandbox, clients: Clients) -> None:
        super().__init__(cloud, clients)
        self.clients, self.client = clients, kubernetes.client_of(clients)
        self.plugin = sandbox.make_plugin("karbor-pod-protection-plugin")
        self.volume = make_volume(clients)
        csi = {"csi": {"driver": "cinder.csi.openstack.org", "volumeHandle": self.volume.id, "fsType": "ext4"}}
        volumes = [
            kubernetes.claim(clients, "data", csi),
            {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}},
            {"name": "node", "hostPath": {"path": "/"}},
        ]
        container = {
            "name": "main",
            "image": "nginx:1",
            "env": [
                {"name": "MODE", "value": "secret"},
                {"name": "EMPTY"},
                {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "k"}}},
            ],
            "volumeMounts": [
                {"name": "data-volume", "mountPath": "/data"},
                {"name": "scratch", "mountPath": "/tmp", "subPathExpr": "$(MODE)"},
                {"name": "node", "mountPath": "/node"},
            ],
            "securityContext": {"privileged": True, "runAsNonRoot": True},
        }
        self.resource = kubernetes.make_pod(clients, volumes=volumes, hostNetwork=True, containers=[container])

    def digest(self, resource_id: str) -> str:
        return ""

    def looks(self, resource_id: str) -> dict[str, Any]:
        return dict(self.client.pod(resource_id)["spec"])

    def belongings(self) -> Belongings:
        return {"pods": {pod["metadata"]["name"] for pod in self.client.pods()}}

    def destroy(self) -> None:
        found = self.client.pod("web")
        self.client.delete_pod("web", found["metadata"]["uid"])
        kubernetes.WAITER.until("gone", self.belongings, done=lambda found: "web" not in found["pods"])


@pytest.fixture
def factory(cloud: Sandbox, tmp_path: Path) -> ClientFactory:
    return kubernetes.make_factory(cloud, tmp_path)


@pytest.fixture
def clients(factory: ClientFactory, cloud: Sandbox) -> Clients:
    return factory.for_context(sandbox.context_of(cloud))


@pytest.fixture
def subject(cloud: Sandbox, clients: Clients) -> PodSubject:
    return PodSubject(cloud, clients)


class TestPod(protection.DescriptionContract):
    def test_restored_pod(self, host: Host, subject: PodSubject) -> None:
        protect = host.operation(OperationType.PROTECT, subject.resource)
        assert host.perform(protect)["remarks"] == [
            "these members of the pod are not in the checkpoint: hostNetwork",
            "these members of container main are not in the checkpoint: securityContext.privileged, env KEY,"
            " subPathExpr of /tmp",
            "these volumes of the pod are not in the checkpoint, nor their mounts: node",
            "the environment variables of the pod are not in the checkpoint, because the bank is not encrypted",
        ]
        subject.destroy()
        operation = host.operation(OperationType.RESTORE, subject.resource, protect.checkpoint_id)
        result = host.perform(operation)
        name = result["restored"][subject.resource.key]
        assert name == f"karbor-restored-pod-{uuid.uuid5(uuid.UUID(operation.id), subject.resource.key)}"
        assert result["remarks"] == [
            "volume data-volume of the restored pod is the Cinder volume itself: claim data and its persistent volume are"
            " not restored"
        ]
        restored = subject.client.pod(name)
        assert restored["metadata"]["labels"] == {"app": "shop"}
        assert restored["metadata"]["annotations"] == {}
        assert restored["spec"] == {
            "restartPolicy": "Always",
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": "main",
                    "image": "nginx:1",
                    "volumeMounts": [
                        {"name": "data-volume", "mountPath": "/data"},
                        {"name": "scratch", "mountPath": "/tmp"},
                    ],
                    "securityContext": {"runAsNonRoot": True},
                }
            ],
            "initContainers": [],
            "volumes": [
                {
                    "name": "data-volume",
                    "cinder": {"volumeID": subject.volume.id, "readOnly": False, "fsType": "ext4"},
                },
                {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}},
            ],
        }

    def test_the_restored_volume_is_used(self, host: Host, subject: PodSubject, checkpoint: str) -> None:
        other = make_volume(subject.clients, "restored")
        operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint, restore_name="again")
        operation.mapping = {subject.volume.key: other.id}
        assert host.perform(operation)["restored"] == {subject.resource.key: "again"}
        assert subject.looks("again")["volumes"][0]["cinder"]["volumeID"] == other.id

    @pytest.mark.parametrize("whose", ["bob", "no project"])
    def test_volumes_of_others_are_refused(
        self, host: Host, subject: PodSubject, checkpoint: str, factory: ClientFactory, whose: str
    ) -> None:
        """Kubernetes would attach them: its account may see all projects."""
        volume_id = str(uuid.UUID(int=7))
        if whose == "bob":
            volume_id = make_volume(factory.for_context(sandbox.context_of(subject.cloud, "bob"))).id
        before = subject.belongings()
        operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
        operation.mapping = {subject.volume.key: volume_id}
        assert [line.action for line in host.plan(operation)] == [Action.CONFLICT]
        with pytest.raises(exception.Conflict, match=f"volume {volume_id} does not exist in the project"):
            host.perform(operation)
        assert subject.belongings() == before

    def test_name_that_is_taken(self, host: Host, subject: PodSubject, checkpoint: str) -> None:
        with pytest.raises(exception.Conflict, match="has a pod web already: choose another name"):
            host.restore(subject.resource, checkpoint, restore_name="web")
        assert subject.belongings() == {"pods": {"web"}}

    def test_pod_that_does_not_start(self, host: Host, subject: PodSubject, checkpoint: str) -> None:
        with (
            Struck(subject.cloud, "/pods$", method="POST", kind="error", reason="the image does not exist"),
            pytest.raises(exception.ResourceFailed, match="phase 'Failed': the image does not exist"),
        ):
            host.restore(subject.resource, checkpoint)
        assert subject.belongings() == {"pods": {"web"}}

    def test_the_search_recognizes_a_pod_until_it_is_restored(
        self, host: Host, subject: PodSubject, checkpoint: str
    ) -> None:
        operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
        with (
            Struck(subject.cloud, "/pods$", method="POST", kind="error", reason="the image does not exist"),
            pytest.raises(exception.ResourceFailed),
        ):
            host.attempt(operation)
        (entry,) = operation.journal.entries()
        assert protection.marked(host) == {entry.cloud_id: operation.id}
        host.cleanup(operation)
        host.restore(subject.resource, checkpoint)
        assert protection.marked(host) == {}

    def test_admission_that_refuses(self, host: Host, subject: PodSubject, checkpoint: str) -> None:
        body = '{"kind": "Status", "message": "pods is forbidden: violates PodSecurity", "code": 403}'
        with (
            Struck(subject.cloud, "/pods$", method="POST", kind="status", status=403, body=body),
            pytest.raises(exception.NotAuthorized, match="violates PodSecurity"),
        ):
            host.restore(subject.resource, checkpoint)

    def test_cleanup_keeps_another_pod_with_the_name(self, host: Host, subject: PodSubject, checkpoint: str) -> None:
        operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint, restore_name="again")
        host.perform(operation)
        subject.client.delete_pod("again", subject.client.pod("again")["metadata"]["uid"])
        kubernetes.WAITER.until("gone", subject.belongings, done=lambda found: "again" not in found["pods"])
        kubernetes.make_pod(subject.clients, "again")
        host.cleanup(operation)
        assert subject.belongings() == {"pods": {"web", "again"}}

    @pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
    def test_restore_continues_after_a_crash_at_any_request(
        self, host: Host, subject: PodSubject, checkpoint: str, line: sandbox.Line, answered: bool
    ) -> None:
        for nth in itertools.count(1):
            before = subject.belongings()
            operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
            crashed = sandbox.crashes(host, line, operation, nth, answered)
            if not crashed:
                break
            name = host.perform(operation)["restored"][subject.resource.key]
            assert protection.added(before, subject.belongings()) == {name}, f"after a crash at request {nth}"

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            (["containers", 0, "securityContext"], {"privileged": True}),
            (["containers", 0, "env"], []),
            (["containers", 0, "image"], 7),
            (["containers"], []),
            (["volumes", 0, "volume_id"], "../x"),
            (["hostNetwork"], True),
            (["serviceAccountName"], "admin"),
            (["labels"], {"statefulset.kubernetes.io/pod-name": "x"}),
            (["securityContext"], {"seccompProfile": {"type": "Unconfined"}}),
            (["scratch"], [{"name": "x", "hostPath": {"path": "/"}}]),
        ],
    )
    def test_documents_of_a_hostile_bank(
        self, host: Host, subject: PodSubject, checkpoint: str, path: list[Any], value: Any
    ) -> None:
        with host.bank.leases.acquire(holder="test") as lease:
            section = host.section(checkpoint, subject.resource, lease)
            document = section.get("metadata")
            inner = document["pod"]
            for step in path[:-1]:
                inner = inner[step]
            inner[path[-1]] = value
            section.put("metadata", document)
        with pytest.raises(exception.CheckpointDamaged, match="stored description of the pod is damaged"):
            host.perform(host.operation(OperationType.VERIFY, subject.resource, checkpoint))
        with pytest.raises(exception.Conflict, match="is damaged"):
            host.restore(subject.resource, checkpoint)
        assert subject.belongings() == {"pods": {"web"}}

    def test_pods_of_other_projects(
        self, factory: ClientFactory, cloud: Sandbox, bank: Bank, subject: PodSubject
    ) -> None:
        for user in ("bob", "admin"):
            other = Host(subject.plugin, factory.for_context(sandbox.context_of(cloud, user)), bank)
            with pytest.raises(exception.ResourceNotFound):
                other.protect(subject.resource)

    def test_restores_are_in_the_namespace_of_the_project(
        self, factory: ClientFactory, cloud: Sandbox, host: Host, subject: PodSubject, checkpoint: str
    ) -> None:
        """Regardless of the namespace in the description."""
        bob = factory.for_context(sandbox.context_of(cloud, "bob"))
        operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint, restore_name="again")
        operation.mapping = {subject.volume.key: make_volume(bob).id}
        described = host.section(checkpoint, subject.resource).get("metadata")["pod"]
        assert described["namespace"] == subject.client.namespace
        other = Host(subject.plugin, bob, host.bank)
        other.project_id = host.project_id
        other.perform(operation)
        assert [pod["metadata"]["name"] for pod in kubernetes.client_of(bob).pods()] == ["again"]
        assert subject.belongings() == {"pods": {"web"}}


class TestEncryptedBank(protection.CopyContract):
    """The environment variables are in banks with encryption only."""

    size = 0

    @pytest.fixture
    def host(self, clients: Clients, subject: PodSubject) -> Iterator[Host]:
        bank = memory_bank()
        yield Host(subject.plugin, clients, bank)
        bank.close()

    test_copy_is_as_good_as_its_source = None  # type: ignore[assignment]
    test_failed_copy_leaves_nothing = None  # type: ignore[assignment]

    def test_environment(self, host: Host, elsewhere: Host, subject: PodSubject) -> None:
        checkpoint = elsewhere.protect(subject.resource).checkpoint_id
        elsewhere.perform(elsewhere.operation(OperationType.VERIFY, subject.resource, checkpoint))
        subject.destroy()
        restored = elsewhere.restore(subject.resource, checkpoint)
        assert subject.looks(restored)["containers"][0]["env"] == [
            {"name": "MODE", "value": "secret"},
            {"name": "EMPTY", "value": ""},
        ]
        copied = host.copy(elsewhere, subject.resource, checkpoint)
        assert host.section(copied.checkpoint_id, subject.resource).names() == ["metadata"]


def test_projects_without_a_namespace(cloud: Sandbox, tmp_path: Path) -> None:
    factory = kubernetes.make_factory(cloud, tmp_path, namespaces={"0" * 32: "theirs"})
    clients = factory.for_context(sandbox.context_of(cloud))
    assert clients.kubernetes() is None
    bank = memory_bank()
    host = Host(sandbox.make_plugin("pod"), clients, bank)
    with pytest.raises(exception.Unsupported, match="no namespace in a Kubernetes"):
        host.protect(Resource(POD, str(uuid.UUID(int=1))))
    bank.close()
    assert not [call for call in cloud.calls() if call["service"] == "kubernetes"]
