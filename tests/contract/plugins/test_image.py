"""The image plugin: the contract suites, and what is specific to images."""

import io
import random
from typing import Any

import pytest

from karbor_like import exception
from karbor_like.clients.factory import ClientFactory
from karbor_like.domain import resource
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.sandbox.cloud import Sandbox
from karbor_like.testing import sandbox
from karbor_like.testing.host import Host
from karbor_like.testing.protection import Belongings, sha256
from tests.contract.plugins.streams import GlanceStreamContract

KEY = "6f1b2c3d-0000-4000-8000-000000000000"
BYTES = random.Random(2).randbytes(1_500_000)


class ImageSubject(sandbox.Subject):
    """An image with every kind of property."""

    def __init__(self, cloud: Sandbox, clients: Any, data: bytes = BYTES, **arguments: Any) -> None:
        super().__init__(cloud, clients)
        self.plugin = sandbox.make_plugin("image")
        values = {
            "name": "golden",
            "disk_format": "qcow2",
            "container_format": "bare",
            "visibility": "private",
            "min_disk": 3,
            "min_ram": 64,
            "tags": ["web", "tested"],
            "protected": False,
            "os_distro": "debian",
            "hw_disk_bus": "scsi",
            "licence": "Grüße",
        }
        made = self.glance.images.create(**{**values, **arguments})
        self.glance.images.upload(made.id, io.BytesIO(data))
        self.resource = Resource(resource.IMAGE, made.id, "golden")

    def digest(self, resource_id: str) -> str:
        return sha256(self.glance.images.data(resource_id))

    def looks(self, resource_id: str) -> dict[str, Any]:
        its_own = {"id", "created_at", "updated_at", "file", "self", "schema", "direct_url"}
        image = {key: value for key, value in self.glance.images.get(resource_id).items() if key not in its_own}
        return {**image, "tags": sorted(image["tags"])}

    def destroy(self) -> None:
        self.glance.images.delete(self.resource.id)


@pytest.fixture
def subject(cloud: Sandbox, factory: ClientFactory) -> ImageSubject:
    return ImageSubject(cloud, factory.for_context(sandbox.context_of(cloud)))


class TestImage(sandbox.CopyContract, GlanceStreamContract, sandbox.ProtectionContract):
    size = len(BYTES)

    def test_upload_whose_answer_is_late_is_awaited(
        self, host: Host, cloud: Sandbox, subject: ImageSubject, checkpoint: str
    ) -> None:
        """Glance's store may take longer than the timeout of a request. The image is not sent again."""
        conf = sandbox.make_conf(cloud)
        conf.set_override("timeout", 2, "glance_client")
        impatient = Host(subject.plugin, ClientFactory(conf).for_context(host.clients.context), host.bank)
        cloud.fault(service="image", method="PUT", path="/file$", kind="hold")
        cloud.forget_calls()

        def check() -> None:
            calls = [(call["method"], call["path"].endswith("/file")) for call in cloud.calls("image")]
            if ("PUT", True) in calls and calls[calls.index(("PUT", True)) :].count(("GET", False)) > 3:
                cloud.clear_faults()

        result = impatient.perform(
            impatient.operation(OperationType.RESTORE, subject.resource, checkpoint), check=check
        )
        assert subject.digest(result["restored"][subject.resource.key]) == subject.digest(subject.resource.id)
        assert len(cloud.calls("image", "PUT", "/file$")) == 1

    def test_protected_image(self, host: Host, cloud: Sandbox, factory: ClientFactory) -> None:
        """The flag is restored, and does not prevent the clean-up of an operation that fails later."""
        subject = ImageSubject(cloud, host.clients, protected=True)
        checkpoint = host.protect(subject.resource).checkpoint_id
        before = subject.belongings()
        restore = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
        restored = host.perform(restore)["restored"][subject.resource.key]
        assert subject.looks(restored)["protected"] is True
        host.cleanup(restore)
        assert subject.belongings() == before

    def test_public_image_of_another_project(self, host: Host, cloud: Sandbox, factory: ClientFactory) -> None:
        admin = factory.for_context(sandbox.context_of(cloud, "admin"))
        theirs = ImageSubject(cloud, admin, visibility="public")
        restored = host.restore(theirs.resource, host.protect(theirs.resource).checkpoint_id)
        image = host.clients.glance().images.get(restored)
        assert image.visibility == "private"
        assert image.owner == host.clients.context.project_id
        assert theirs.digest(restored) == theirs.digest(theirs.resource.id)

    def test_public_image_is_restored_private(
        self,
        cloud: Sandbox,
        factory: ClientFactory,
        bank: Any,
    ) -> None:
        admin = factory.for_context(sandbox.context_of(cloud, "admin"))
        subject = ImageSubject(cloud, admin, visibility="public")
        host = Host(subject.plugin, admin, bank)
        checkpoint = host.protect(subject.resource).checkpoint_id
        result = host.perform(host.operation(OperationType.RESTORE, subject.resource, checkpoint))
        assert admin.glance().images.get(result["restored"][subject.resource.key]).visibility == "private"
        assert result["remarks"] == ["the image was public; the restored one is private"]

    def test_empty_image(self, host: Host, cloud: Sandbox) -> None:
        subject = ImageSubject(cloud, host.clients, data=b"")
        restored = host.restore(subject.resource, host.protect(subject.resource).checkpoint_id)
        assert host.clients.glance().images.get(restored).size == 0

    @pytest.mark.parametrize(
        ("properties", "reason"),
        [
            (
                {"cinder_encryption_key_id": KEY, "cinder_encryption_key_deletion_policy": "on_image_deletion"},
                "encrypted",
            ),
            ({"os_encrypt_key_id": KEY, "os_encrypt_key_deletion_policy": "on_image_deletion"}, "encrypted"),
            ({"block_device_mapping": f'[{{"snapshot_id": "{KEY}"}}]', "bdm_v2": "True"}, f"snapshot {KEY}"),
        ],
        ids=["cinder", "glance", "server"],
    )
    def test_image_that_its_bytes_do_not_restore(
        self, host: Host, cloud: Sandbox, properties: dict[str, str], reason: str
    ) -> None:
        other = ImageSubject(cloud, host.clients, data=b"", **properties)
        with pytest.raises(exception.ResourceNotProtectable, match=reason):
            host.protect(other.resource)

    def test_copy_has_no_power_over_objects_of_the_original(
        self, host: Host, subject: ImageSubject, checkpoint: str
    ) -> None:
        """Earlier versions protected encrypted images."""
        looks = subject.looks(subject.resource.id)
        with host.bank.leases.acquire(holder="test") as lease:
            section = host.section(checkpoint, subject.resource, lease)
            document = section.get("metadata")
            dropped = {
                "cinder_encryption_key_id": KEY,
                "cinder_encryption_key_deletion_policy": "on_image_deletion",
                "block_device_mapping": "[]",
                "backup_type": "daily",
            }
            section.put("metadata", {**document, "attributes": {**document["attributes"], **dropped}})
            result = host.perform(host.operation(OperationType.RESTORE, subject.resource, checkpoint))
        assert subject.looks(result["restored"][subject.resource.key]) == looks
        for name in dropped:
            assert f"property {name} was not restored" in str(result["remarks"])

    def test_projects_that_the_image_is_shared_with(self, host: Host, cloud: Sandbox) -> None:
        shared = ImageSubject(cloud, host.clients, visibility="shared")
        host.clients.glance().image_members.create(shared.resource.id, "bob")
        checkpoint = host.protect(shared.resource).checkpoint_id
        result = host.perform(host.operation(OperationType.RESTORE, shared.resource, checkpoint))
        restored = result["restored"][shared.resource.key]
        assert shared.looks(restored) == shared.looks(shared.resource.id)
        assert list(host.clients.glance().image_members.list(restored)) == []
        assert result["remarks"] == ["the image was shared with bob; the restored one is not shared"]

    def test_list_of_members_that_glance_refuses(self, host: Host, cloud: Sandbox) -> None:
        shared = ImageSubject(cloud, host.clients, visibility="shared")
        with sandbox.Struck(cloud, "/members$", kind="status", status=403):
            result = host.perform(host.operation(OperationType.PROTECT, shared.resource))
        assert "shared with are not in the checkpoint" in result["remarks"][0]

    def test_refused_property_is_a_remark(self, host: Host, subject: ImageSubject, checkpoint: str) -> None:
        """All other properties are restored."""
        looks = subject.looks(subject.resource.id)
        with host.bank.leases.acquire(holder="test") as lease:
            section = host.section(checkpoint, subject.resource, lease)
            document = section.get("metadata")
            refused = {"min_disk": -1, "licence": 3}
            section.put("metadata", {**document, "attributes": {**document["attributes"], **refused}})
            result = host.perform(host.operation(OperationType.RESTORE, subject.resource, checkpoint))
        restored = subject.looks(result["restored"][subject.resource.key])
        assert restored == {**{name: value for name, value in looks.items() if name != "licence"}, "min_disk": 0}
        assert len(result["remarks"]) == 2
        assert "licence could not be restored" in str(result["remarks"])
        assert "min_disk could not be restored" in str(result["remarks"])

    def test_recorded_name_that_this_cloud_refuses(self, host: Host, subject: ImageSubject, checkpoint: str) -> None:
        with host.bank.leases.acquire(holder="test") as lease:
            section = host.section(checkpoint, subject.resource, lease)
            section.put("metadata", {**section.get("metadata"), "name": "n" * 256})
            result = host.perform(host.operation(OperationType.RESTORE, subject.resource, checkpoint))
        assert subject.looks(result["restored"][subject.resource.key])["name"] == "n" * 255
        assert "name could not be restored" in result["remarks"][0]

    def test_image_without_bytes(self, host: Host, subject: ImageSubject, before: Belongings) -> None:
        queued = subject.glance.images.create(name="nothing yet", disk_format="raw", container_format="bare")
        with pytest.raises(exception.Conflict, match="'queued'"):
            host.protect(Resource(resource.IMAGE, queued.id, "nothing yet"))

    def test_restored_image_is_compared_with_the_original(
        self, host: Host, subject: ImageSubject, checkpoint: str
    ) -> None:
        """The bank checks the bytes that it returns. Glance's hash of the original checks the bytes that Glance received."""
        before = subject.belongings()
        with host.bank.leases.acquire(holder="test") as lease:
            section = host.bank.section(checkpoint, subject.project_id, subject.resource.key, lease=lease)
            document = section.get("metadata")
            section.put("metadata", {**document, "image": {**document["image"], "os_hash_value": "00"}})
            with pytest.raises(exception.ResourceFailed, match="differs from the protected one; its os_hash_value"):
                host.restore(subject.resource, checkpoint)
        assert subject.belongings() == before
