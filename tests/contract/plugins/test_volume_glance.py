"""The volume plugin: the contract suites, and what is specific to volumes."""

import io
import random
import re
import struct
from typing import Any

import pytest

from karbor_like import exception
from karbor_like.clients.factory import ClientFactory
from karbor_like.clients.waiter import Waiter
from karbor_like.clock import ManualClock, SystemClock
from karbor_like.domain import resource
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.plugins.cinder.volume_glance import VolumeGlanceProtection
from karbor_like.plugins.glance.protectable import ImageProtectable
from karbor_like.sandbox.cloud import Sandbox
from karbor_like.testing import sandbox
from karbor_like.testing.host import Host
from karbor_like.testing.protection import Belongings, added
from karbor_like.testing.sandbox import Struck
from tests.contract.plugins.streams import GlanceStreamContract

#: GiB, as Cinder counts.
SIZE = 2

# The beginning of volumes in which a guest stores something that looks like a disk image.
LUKS2 = b"LUKS\xba\xbe\x00\x02"
VMDK = b"KDMV" + bytes([1, 0, 0, 0])
VDI = b"<<< Oracle VM VirtualBox Disk Image >>>\n".ljust(64, b"\0") + bytes.fromhex("7f10dabe")
QCOW2 = b"QFI\xfb" + struct.pack(">IQIIQ", 3, 0, 0, 16, 65536)


def settled(get: Any, resource_id: str, status: str = "available") -> Any:
    """Wait until the object has *status* and return it."""
    return Waiter(SystemClock(), interval=0.005, max_interval=0.05, timeout=120).until(
        f"{resource_id} to become {status}",
        lambda: get(resource_id),
        done=lambda seen: seen.status == status,
        failed=lambda seen: seen.status if "error" in seen.status and seen.status != status else None,
    )


class VolumeSubject(sandbox.Subject):
    """A volume with every kind of property."""

    plugin_name = "karbor_like.testing.sandbox:SmallVolumes"
    waiter = Waiter(SystemClock(), interval=0.005, max_interval=0.05, timeout=120)

    def __init__(self, cloud: Sandbox, clients: Any, **arguments: Any) -> None:
        super().__init__(cloud, clients)
        self.nova = clients.nova()
        self.plugin = sandbox.make_plugin(self.plugin_name)
        values = {
            "name": "data-1",
            "description": "what the shop sold",
            "volume_type": "sandbox-fast",
            "availability_zone": "nova",
            "metadata": {"colour": "blue"},
        }
        created = self.cinder.volumes.create(SIZE, **{**values, **arguments})
        settled(self.cinder.volumes.get, created.id)
        cloud.write_volume(created.id, random.Random(1).randbytes(sandbox.SMALL_GIB), offset=sandbox.SMALL_GIB // 2)
        self.resource = Resource(resource.VOLUME, created.id, "data-1")

    def digest(self, resource_id: str) -> str:
        return self.cloud.volume_digest(resource_id)

    def looks(self, resource_id: str) -> dict[str, Any]:
        volume = self.cinder.volumes.get(resource_id)
        names = ["name", "description", "size", "volume_type", "availability_zone", "metadata", "bootable", "status"]
        return {name: getattr(volume, name) for name in names} | {
            "image": getattr(volume, "volume_image_metadata", None) or {}
        }

    def attach(self) -> None:
        """Attach the volume to a server."""
        image = self.glance.images.create(name="boot", disk_format="raw", container_format="bare")
        self.glance.images.upload(image.id, io.BytesIO(b"boot"))
        server = self.nova.servers.create("web", image.id, "1")
        settled(self.nova.servers.get, server.id, "ACTIVE")
        self.nova.volumes.create_server_volume(server.id, self.resource.id)
        settled(self.cinder.volumes.get, self.resource.id, "in-use")

    def destroy(self) -> None:
        self.cinder.volumes.delete(self.resource.id)
        self.waiter.until("gone", self.belongings, done=lambda b: self.resource.id not in b["volumes"])


@pytest.fixture
def subject(cloud: Sandbox, factory: ClientFactory) -> VolumeSubject:
    return VolumeSubject(cloud, factory.for_context(sandbox.context_of(cloud)))


class TestVolumeGlance(sandbox.CopyContract, GlanceStreamContract, sandbox.ProtectionContract):
    size = SIZE * sandbox.SMALL_GIB

    def test_steps_of_protect(self, host: Host, subject: VolumeSubject) -> None:
        subject.cloud.forget_calls()
        host.protect(subject.resource)
        assert changes(subject.cloud) == [
            "POST snapshots",
            "POST volumes",
            "POST volumes/action",
            "PATCH images",
            "GET images/file",
            "DELETE images",
            "DELETE volumes",
            "DELETE snapshots",
        ]

    def test_steps_of_restore(self, host: Host, subject: VolumeSubject, checkpoint: str) -> None:
        subject.cloud.forget_calls()
        host.restore(subject.resource, checkpoint)
        assert changes(subject.cloud)[:4] == ["POST images", "PUT images/file", "POST volumes", "DELETE images"]

    def test_temporary_object_that_cannot_be_deleted_is_a_remark(
        self, host: Host, subject: VolumeSubject, before: Belongings
    ) -> None:
        operation = host.operation(OperationType.PROTECT, subject.resource)
        with Struck(subject.cloud, "/snapshots/", kind="status", status=409, method="DELETE", times=0, body="in use"):
            (remark,) = host.attempt(operation)["remarks"]
        assert re.search("not deleted when .*: snapshot karbor.*: the cloud does not delete it: .*409", remark)
        assert [entry.role for entry in operation.journal.entries()] == ["snapshot"], "the others are deleted"
        host.perform(host.operation(OperationType.VERIFY, subject.resource, operation.checkpoint_id))
        assert host.release(operation) == []
        assert subject.belongings() == before

    def test_restored_volume_is_kept_if_its_image_cannot_be_deleted(
        self, host: Host, subject: VolumeSubject, checkpoint: str, before: Belongings
    ) -> None:
        operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
        with Struck(subject.cloud, "/images/", kind="status", status=409, method="DELETE", times=0, body="in use"):
            result = host.attempt(operation)
        assert "image" in result["remarks"][0]
        restored = result["restored"][subject.resource.key]
        assert subject.digest(restored) == subject.digest(subject.resource.id)
        assert host.release(operation) == []
        assert added(before, subject.belongings()) == {restored}

    def test_created_objects_name_their_operation(self, host: Host, subject: VolumeSubject, before: Belongings) -> None:
        operation = host.operation(OperationType.PROTECT, subject.resource)
        with Struck(subject.cloud, "/file$", kind="status", status=403), pytest.raises(exception.NotAuthorized):
            host.attempt(operation)
        (snapshot,) = subject.belongings()["snapshots"]
        (volume,) = subject.belongings()["volumes"] - before["volumes"]
        (image,) = subject.belongings()["images"]
        for marks, role in (
            (subject.cinder.volume_snapshots.get(snapshot).metadata, "snapshot"),
            (subject.cinder.volumes.get(volume).metadata, "temporary-volume"),
            (subject.glance.images.get(image), "temporary-image"),
        ):
            assert marks["karbor_like_operation"] == operation.id
            assert marks["karbor_like_role"] == role
            assert marks["karbor_like_resource"] == subject.resource.key
        host.cleanup(operation)
        assert subject.belongings() == before

    def test_image_that_cannot_be_marked(self, host: Host, subject: VolumeSubject, before: Belongings) -> None:
        with Struck(subject.cloud, "/images/", method="PATCH", times=0, kind="status", status=403):
            checkpoint = host.protect(subject.resource).checkpoint_id
        assert subject.belongings() == before
        assert subject.digest(host.restore(subject.resource, checkpoint)) == subject.digest(subject.resource.id)

    def test_image_is_not_changed_before_cinder_has_filled_it(self, host: Host, subject: VolumeSubject) -> None:
        """With every change Glance writes the state that the image had when the change began.

        A concurrent upload would lose its state. Until the image has its markers, its name identifies the operation.
        """
        subject.cloud.fault(service="volume", method="POST", path="/action$", kind="hold")
        subject.cloud.forget_calls()

        def stop() -> None:
            if len(subject.cloud.calls(service="image", method="GET", path=r"/images/[^/]+$")) >= 3:
                raise exception.Cancelled("seen enough")

        operation = host.operation(OperationType.PROTECT, subject.resource)
        with pytest.raises(exception.Cancelled):
            host.attempt(operation, stop)
        assert subject.cloud.calls(service="image", method="PATCH") == []
        (image,) = subject.belongings()["images"]
        assert subject.glance.images.get(image).status == "queued"
        images = ImageProtectable()
        assert images.list(host.clients) == []
        with pytest.raises(exception.Conflict, match=f"belongs to operation {operation.id}"):
            images.show(host.clients, image)
        subject.cloud.clear_faults()
        host.cleanup(operation)
        assert subject.belongings()["images"] == set()

    def test_snapshot_is_taken_before_bytes_move(self, subject: VolumeSubject) -> None:
        assert subject.plugin.operation(OperationType.PROTECT, resource.VOLUME).hooks() == ("prepare_finish", "main")

    def test_checkpoint_has_the_content_of_the_snapshot(self, host: Host, subject: VolumeSubject) -> None:
        """Bytes written after the first hook are not in the checkpoint."""
        digest = subject.digest(subject.resource.id)
        operation = host.operation(OperationType.PROTECT, subject.resource)
        struck = Struck(subject.cloud, "/volumes$", method="POST", kind="status", status=403)
        with struck, pytest.raises(exception.NotAuthorized):
            host.attempt(operation)
        subject.cloud.write_volume(subject.resource.id, b"later")
        host.perform(operation)
        assert subject.digest(host.restore(subject.resource, operation.checkpoint_id)) == digest

    @pytest.mark.parametrize("left", [0, size // 2, size - 1])
    def test_image_without_all_bytes_of_the_volume(
        self, host: Host, subject: VolumeSubject, before: Belongings, left: int
    ) -> None:
        subject.cloud.fault(service="volume", method="POST", path="/action$", kind="short", after_bytes=left)
        with pytest.raises(exception.ResourceFailed, match=rf"size in bytes .*volume: {self.size}, image: {left}"):
            host.protect(subject.resource)
        assert subject.belongings() == before

    @pytest.mark.parametrize("head", [LUKS2, VMDK, VDI], ids=["luks", "vmdk", "vdi"])
    def test_refused_content(self, host: Host, subject: VolumeSubject, before: Belongings, head: bytes) -> None:
        """Cinder does not say why it gives up."""
        subject.cloud.settings(inspect_content=True)
        subject.cloud.write_volume(subject.resource.id, head)
        with pytest.raises(
            exception.ResourceFailed, match=r"at backend\..*begin with the header of a disk format.*LUKS"
        ):
            host.protect(subject.resource)
        assert subject.belongings() == before

    def test_content_that_cinder_converts(self, host: Host, subject: VolumeSubject, before: Belongings) -> None:
        subject.cloud.settings(inspect_content=True)
        subject.cloud.write_volume(subject.resource.id, QCOW2)
        with pytest.raises(exception.ResourceFailed, match=f"volume: {self.size}, image: 65536.*header"):
            host.protect(subject.resource)
        assert subject.belongings() == before

    @pytest.mark.parametrize(("head", "found"), [(LUKS2, "luks"), (VDI, "vdi")])
    def test_content_that_is_refused_at_restore(
        self, host: Host, subject: VolumeSubject, head: bytes, found: str
    ) -> None:
        """Glance refuses the one, Cinder the other."""
        subject.cloud.write_volume(subject.resource.id, head)
        protect = host.operation(OperationType.PROTECT, subject.resource)
        (remark,) = host.perform(protect)["remarks"]
        assert f"begins with the header of the disk format {found}" in remark
        before = subject.belongings()
        subject.cloud.settings(inspect_content=True)
        with pytest.raises(exception.ResourceFailed, match=f"content may be the reason: .* format {found}"):
            host.restore(subject.resource, protect.checkpoint_id)
        assert subject.belongings() == before

    def test_keys_and_signatures_do_not_get_into_the_temporary_image(self, host: Host, subject: VolumeSubject) -> None:
        """Glance would delete the key together with the image."""
        named = {"cinder_encryption_key_id": "k", "cinder_encryption_key_deletion_policy": "on_image_deletion"}
        subject.cinder.volumes.set_image_metadata(
            subject.resource.id, {**named, "img_signature": "s", "os_distro": "debian"}
        )
        operation = host.operation(OperationType.PROTECT, subject.resource)
        with Struck(subject.cloud, "/file$", kind="status", status=403), pytest.raises(exception.NotAuthorized):
            host.attempt(operation)
        (image,) = subject.belongings()["images"]
        shown = subject.glance.images.get(image)
        assert shown["os_distro"] == "debian"
        assert not {*named, "img_signature"} & set(shown)
        host.cleanup(operation)

    def test_volume_that_is_extended_before_its_snapshot(self, host: Host, subject: VolumeSubject) -> None:
        larger = subject.cinder.volumes.create(SIZE + 1)
        settled(subject.cinder.volumes.get, larger.id)
        operation = host.operation(OperationType.PROTECT, subject.resource)
        snapshot = subject.cinder.volume_snapshots.create(
            larger.id, name=operation.journal.intend("snapshot").name, force=True
        )
        settled(subject.cinder.volume_snapshots.get, snapshot.id)
        with pytest.raises(exception.ResourceFailed, match=rf"size in GiB .*volume: {SIZE}, snapshot: {SIZE + 1}"):
            host.perform(operation)

    def test_incomplete_checkpoint_is_neither_verified_nor_restored(
        self, host: Host, subject: VolumeSubject, checkpoint: str
    ) -> None:
        with host.bank.leases.acquire(holder="test") as lease:
            section = host.section(checkpoint, subject.resource, lease)
            document = section.get("metadata")
            section.put("metadata", {**document, "volume": {**document["volume"], "size": SIZE + 1}})
            stated = (SIZE + 1) * sandbox.SMALL_GIB
            for kind in (OperationType.VERIFY, OperationType.RESTORE):
                with pytest.raises(exception.ResourceFailed, match=rf"volume: {stated}, stored: {self.size}"):
                    host.perform(host.operation(kind, subject.resource, checkpoint, level="quick"))

    def test_volume_in_use(self, host: Host, subject: VolumeSubject) -> None:
        subject.attach()
        restored = host.restore(subject.resource, host.protect(subject.resource).checkpoint_id)
        assert subject.digest(restored) == subject.digest(subject.resource.id)
        assert subject.cinder.volumes.get(restored).status == "available"

    def test_bootable_volume_keeps_its_image_metadata(self, host: Host, subject: VolumeSubject) -> None:
        glance = host.clients.glance()
        image = glance.images.create(name="os", disk_format="raw", container_format="bare", os_distro="debian")
        glance.images.upload(image.id, io.BytesIO(b"kernel"))
        created = settled(
            subject.cinder.volumes.get, subject.cinder.volumes.create(SIZE, name="root", imageRef=image.id).id
        )
        root = Resource(resource.VOLUME, created.id, "root")
        restored = host.restore(root, host.protect(root).checkpoint_id)
        assert subject.looks(restored) == subject.looks(created.id)
        assert subject.looks(restored)["image"]["os_distro"] == "debian"
        assert subject.looks(restored)["bootable"] == "true"

    def test_image_metadata_without_power_over_objects_of_the_original(
        self, host: Host, subject: VolumeSubject
    ) -> None:
        key = {"cinder_encryption_key_id": "k", "cinder_encryption_key_deletion_policy": "on_image_deletion"}
        subject.cinder.volumes.set_image_metadata(subject.resource.id, {"os_distro": "debian", **key})
        checkpoint = host.protect(subject.resource).checkpoint_id
        result = host.perform(host.operation(OperationType.RESTORE, subject.resource, checkpoint))
        assert subject.looks(result["restored"][subject.resource.key])["image"] == {"os_distro": "debian"}
        assert len(result["remarks"]) == 2
        assert all("image metadata cinder_encryption_key" in remark for remark in result["remarks"])

    @pytest.mark.parametrize(
        ("method", "path", "status", "names"),
        [
            (
                "POST",
                "/action$",
                400,
                ["bootable flag", "image metadata without the temporary image's", "read-only flag"],
            ),
            ("PUT", "/volumes/[^/]*$", 403, ["name", "description"]),
            ("", "/metadata$", 403, ["metadata colour", "metadata without the operation's markers"]),
            ("PUT", "/metadata$", 400, ["metadata without the operation's markers"]),
        ],
    )
    def test_refused_detail_is_a_remark(
        self, host: Host, subject: VolumeSubject, method: str, path: str, status: int, names: list[str]
    ) -> None:
        subject.cinder.volumes.update_readonly_flag(subject.resource.id, True)
        checkpoint = host.protect(subject.resource).checkpoint_id
        body = f'{{"forbidden": {{"code": {status}, "message": "not allowed here"}}}}'
        refused = Struck(
            subject.cloud, path, service="volume", method=method, times=0, kind="status", status=status, body=body
        )
        with refused:
            result = host.perform(host.operation(OperationType.RESTORE, subject.resource, checkpoint))
        restored = result["restored"][subject.resource.key]
        assert subject.digest(restored) == subject.digest(subject.resource.id)
        assert result["remarks"] == [
            f"{', '.join(names)} could not be restored: volume {restored}: not allowed here (HTTP {status})"
        ]

    def test_read_only_volume_is_restored_read_only(self, host: Host, subject: VolumeSubject) -> None:
        subject.cinder.volumes.update_readonly_flag(subject.resource.id, True)
        restored = host.restore(subject.resource, host.protect(subject.resource).checkpoint_id)
        assert subject.looks(restored) == subject.looks(subject.resource.id)

    def test_missing_type_and_zone_are_replaced_by_defaults(
        self, host: Host, subject: VolumeSubject, checkpoint: str
    ) -> None:
        with host.bank.leases.acquire(holder="test") as lease:
            section = host.bank.section(checkpoint, subject.project_id, subject.resource.key, lease=lease)
            document = section.get("metadata")
            elsewhere = {**document["volume"], "volume_type": "gold", "availability_zone": "moon"}
            section.put("metadata", {**document, "volume": elsewhere})
            restore = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
            before = subject.belongings()
            with pytest.raises(exception.Conflict) as strict:
                host.restore(subject.resource, checkpoint, strict=True)
            assert subject.belongings() == before
            result = host.perform(restore)
        assert "type 'gold'; it offers sandbox, sandbox-fast: choose with 'volume_type'" in str(strict.value)
        assert "zone 'moon'; it offers nova: choose with 'availability_zone'" in str(strict.value)
        assert subject.digest(result["restored"][subject.resource.key]) == subject.digest(subject.resource.id)
        assert len(result["remarks"]) == 2
        assert result["remarks"] == [
            "the volume type is 'sandbox' instead of 'gold'",
            "the availability zone is 'nova' instead of 'moon'",
        ]

    def test_requested_type_and_name(self, host: Host, subject: VolumeSubject, checkpoint: str) -> None:
        how = {"volume_type": "sandbox-fast", "availability_zone": "nova", "strict": True, "name_prefix": "test-"}
        result = host.perform(host.operation(OperationType.RESTORE, subject.resource, checkpoint, **how))
        restored = subject.cinder.volumes.get(result["restored"][subject.resource.key])
        original = subject.cinder.volumes.get(subject.resource.id)
        assert (restored.volume_type, restored.name) == ("sandbox-fast", f"test-{original.name}")
        assert result["remarks"] == []
        with pytest.raises(exception.Conflict, match="does not offer the volume type 'moon'"):
            host.restore(subject.resource, checkpoint, volume_type="moon")

    @pytest.mark.parametrize(
        ("path", "noun"),
        [("/snapshots$", "snapshot"), ("/volumes$", "volume"), ("/action$", "image")],
    )
    def test_reason_of_cinder_ends_the_wait(
        self, host: Host, subject: VolumeSubject, before: Belongings, path: str, noun: str
    ) -> None:
        subject.cloud.fault(service="volume", method="POST", path=path, kind="error", reason="the disk caught fire")
        with pytest.raises(exception.ResourceFailed, match=f"waiting for {noun}.*the disk caught fire"):
            host.protect(subject.resource)
        subject.cloud.clear_faults()
        assert subject.belongings() == before

    def test_restored_volume_in_error(self, host: Host, subject: VolumeSubject, checkpoint: str) -> None:
        before = subject.belongings()
        subject.cloud.fault(service="volume", method="POST", path="/volumes$", kind="error", reason="no valid host")
        with pytest.raises(exception.ResourceFailed, match=r"waiting for volume.*'error': no valid host"):
            host.restore(subject.resource, checkpoint)
        subject.cloud.clear_faults()
        assert subject.belongings() == before

    def test_snapshot_that_is_never_ready_causes_a_timeout(self, host: Host, subject: VolumeSubject) -> None:
        fault = subject.cloud.fault(service="volume", method="POST", path="/snapshots$", kind="hold")
        host.waiter.timeout = 0.2
        operation = host.operation(OperationType.PROTECT, subject.resource)
        with pytest.raises(exception.Timeout, match="timed out .* for snapshot .* to become available.*'creating'"):
            host.attempt(operation)
        subject.cloud.clear_faults(fault)
        host.waiter.timeout = 120
        host.cleanup(operation)
        assert subject.belongings()["snapshots"] == set()

    @pytest.mark.parametrize("status", ["error", "deleting", "error_deleting", "maintenance", "reserved"])
    def test_volume_in_a_bad_state(
        self,
        host: Host,
        factory: ClientFactory,
        cloud: Sandbox,
        subject: VolumeSubject,
        status: str,
    ) -> None:
        admin = factory.for_context(sandbox.context_of(cloud, "admin"))
        admin.cinder().volumes.reset_state(subject.resource.id, status)
        with pytest.raises(exception.ResourceNotProtectable, match=f"'{status}'"):
            host.protect(subject.resource)

    def test_volume_that_stays_busy(
        self, host: Host, factory: ClientFactory, cloud: Sandbox, subject: VolumeSubject
    ) -> None:
        admin = factory.for_context(sandbox.context_of(cloud, "admin"))
        admin.cinder().volumes.reset_state(subject.resource.id, "detaching")
        host.waiter.timeout = 0.2
        with pytest.raises(exception.ResourceNotProtectable, match="timed out .*'detaching'"):
            host.protect(subject.resource)
        cloud.fault(service="volume", method="GET", path="/volumes/", kind="status", status=503, times=0)
        with pytest.raises(exception.Unavailable):
            host.protect(subject.resource)

    def test_volume_that_becomes_busy_before_its_snapshot(
        self, host: Host, factory: ClientFactory, cloud: Sandbox, subject: VolumeSubject, before: Belongings
    ) -> None:
        admin = factory.for_context(sandbox.context_of(cloud, "admin"))
        operation = host.operation(OperationType.PROTECT, subject.resource)

        def check() -> None:
            if operation.report.steps[-1:] == ["making the snapshot"]:
                admin.cinder().volumes.reset_state(subject.resource.id, "attaching")

        with pytest.raises(exception.ResourceNotProtectable, match="became 'attaching' before its snapshot was made"):
            host.perform(operation, check=check)
        assert subject.belongings() == before

    @pytest.mark.parametrize(("is_member", "seconds"), [(True, 300), (False, 1800)])
    def test_wait_for_a_busy_volume(
        self,
        host: Host,
        factory: ClientFactory,
        cloud: Sandbox,
        subject: VolumeSubject,
        is_member: bool,
        seconds: int,
    ) -> None:
        """A volume that the plan does not name delays the others by minutes only."""
        admin = factory.for_context(sandbox.context_of(cloud, "admin"))
        admin.cinder().volumes.reset_state(subject.resource.id, "backing-up")
        host.waiter = Waiter(ManualClock())
        operation = host.operation(OperationType.PROTECT, subject.resource)
        operation.is_member = is_member
        with pytest.raises(exception.ResourceNotProtectable, match=f"timed out after {seconds} s .*'backing-up'"):
            host.attempt(operation)

    def test_failed_deletion_is_reported(self, host: Host, subject: VolumeSubject) -> None:
        cloud = subject.cloud
        cloud.fault(service="volume", method="DELETE", path="/volumes/", kind="error", reason="lvremove: busy")
        operation = host.operation(OperationType.PROTECT, subject.resource)
        volume, snapshot = host.attempt(operation)["remarks"]
        assert "lvremove: busy" in volume
        assert "dependent" in snapshot
        with pytest.raises(
            exception.ResourceFailed, match=r"not deleted from the cloud.*volume .*snapshot .*dependent"
        ):
            host.cleanup(operation)
        assert {entry.role for entry in operation.journal.entries()} == {"snapshot", "temporary-volume"}

    def test_image_that_a_user_deletes(self, host: Host, subject: VolumeSubject, before: Belongings) -> None:
        """Cinder's upload then never ends, and the wait ends early."""
        operation = host.operation(OperationType.PROTECT, subject.resource)
        with Struck(subject.cloud, "/file$", kind="status", status=403), pytest.raises(exception.NotAuthorized):
            host.attempt(operation)
        (image,) = subject.belongings()["images"]
        subject.glance.images.delete(image)
        host.perform(operation)
        assert subject.belongings() == before


def test_schemas_are_those_that_clients_know() -> None:
    schemas = VolumeGlanceProtection.schemas[resource.VOLUME]
    assert schemas.options["required"] == ["backup_name"]
    assert schemas.options["properties"]["backup_name"]["default"] is None
    assert set(schemas.options["properties"]) == {"backup_name", "description"}
    assert schemas.restore["required"] == ["restore_name"]
    placement = {"volume_type", "availability_zone", "strict"}
    assert set(schemas.restore["properties"]) == {"restore_name", "name_prefix", *placement}


def changes(cloud: Sandbox) -> list[str]:
    """Return the requests that change something or move bytes, as "METHOD collection[/part]"."""
    found = []
    for call in cloud.calls():
        path = call["path"].rstrip("/").split("/")
        if call["service"] not in ("volume", "image") or call["method"] == "GET" and path[-1] != "file":
            continue
        names = [part for part in path if part in ("volumes", "snapshots", "images", "action", "file")]
        found.append(f"{call['method']} {'/'.join(names)}")
    return found
