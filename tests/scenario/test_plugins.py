"""The plugins without the services, on real OpenStack: it must behave like the sandbox, on which their suites run.

Tests of volumes run only on real OpenStack. On the sandbox, ``tests/contract/plugins`` covers the same with smaller volumes.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from oslo_config import cfg

from karbor_like import exception
from karbor_like.bank.bank import Bank
from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.bank.options import BankOptions
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.clients.waiter import Waiter
from karbor_like.clock import SystemClock
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import IMAGE, VOLUME, Resource
from karbor_like.plugins import loader
from karbor_like.testing.host import Host
from karbor_like.testing.sandbox import context_of, make_conf
from tests.fixtures.cloud import CloudHandle
from tests.scenario.tenant import Tenant, random_bytes

#: Attributes in which a copy differs from the original.
_VOLUME = {"id", "created_at", "updated_at", "links", "user_id", "snapshot_id", "os-vol-mig-status-attr:migstat"}
_IMAGE = {"id", "created_at", "updated_at", "file", "schema", "self", "direct_url"}


@pytest.fixture
def clients(cloud: CloudHandle) -> Clients:
    return ClientFactory(make_conf(cloud)).for_context(context_of(cloud))


@pytest.fixture
def alice(cloud: CloudHandle) -> Tenant:
    return Tenant(cloud, "alice")


@pytest.fixture
def bank() -> Iterator[Bank]:
    bank = Bank(MemoryStore(), keyring=None, options=BankOptions(), clock=SystemClock())
    yield bank
    bank.close()


def host(name: str, clients: Clients, bank: Bank) -> Host:
    """Create a minimal protection service with one plugin."""
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[])
    plugin_host = Host(loader.load_protection(name, conf, "test"), clients, bank)
    plugin_host.waiter = Waiter(SystemClock())
    return plugin_host


def of(operation_id: str, alice: Tenant) -> list[str]:
    """List the names of the objects of an operation in the cloud."""
    objects = [*alice.cinder.volumes.list(), *alice.cinder.volume_snapshots.list(), *alice.glance.images.list()]
    return [item.name for item in objects if item.name and operation_id in item.name]


def test_an_image_is_restored_with_all_its_attributes(clients: Clients, alice: Tenant, bank: Bank) -> None:
    data = b"".join(random_bytes(1, 3))
    image = alice.image(
        "golden",
        data,
        min_disk=1,
        min_ram=64,
        tags=["b", "a"],
        os_distro="debian",
        licence="Grüße",
        visibility="private",
    )
    images = host("image", clients, bank)
    resource = Resource(IMAGE, image.id, "golden")
    restored = images.restore(resource, images.protect(resource).checkpoint_id)
    assert b"".join(alice.glance.images.data(restored)) == data
    assert looks(alice.glance.images.get(restored), _IMAGE) == looks(alice.glance.images.get(image.id), _IMAGE)
    for image_id in (image.id, restored):
        alice.glance.images.delete(image_id)


@pytest.mark.cloud
def test_a_volume_is_restored_with_all_its_attributes(
    cloud: CloudHandle, clients: Clients, alice: Tenant, bank: Bank
) -> None:
    image = alice.image("os", b"".join(random_bytes(2, 3)), os_distro="debian")
    volume = alice.volume("root", imageRef=image.id, description="what it is", metadata={"colour": "blue"})
    alice.cinder.volumes.update_readonly_flag(volume.id, True)
    volumes = host("volume-glance", clients, bank)
    resource = Resource(VOLUME, volume.id, "root")
    protect = volumes.protect(resource)
    restore = volumes.operation(OperationType.RESTORE, resource, protect.checkpoint_id)
    restored = volumes.perform(restore)["restored"][resource.key]
    assert cloud.volume_digest(restored) == cloud.volume_digest(volume.id)
    original, copy = (alice.cinder.volumes.get(i).to_dict() for i in (volume.id, restored))
    assert looks(copy, _VOLUME) == looks(original, _VOLUME)
    assert original["bootable"] == "true"
    assert original["volume_image_metadata"]["os_distro"] == "debian"
    assert of(protect.id, alice) + of(restore.id, alice) == []
    for volume_id in (volume.id, restored):
        alice.delete_volume(volume_id)
    alice.glance.images.delete(image.id)


@pytest.mark.cloud
def test_protection_is_cancelled_during_the_upload_by_cinder(clients: Clients, alice: Tenant, bank: Bank) -> None:
    """Cinder refuses to delete a volume during its upload. Deletes the image first, then retries the volume."""
    volume = alice.volume("busy")
    volumes = host("volume-glance", clients, bank)
    operation = volumes.operation(OperationType.PROTECT, Resource(VOLUME, volume.id, "busy"))

    def check() -> None:
        if any(entry.role == "temporary-image" and entry.cloud_id for entry in operation.journal.entries()):
            raise exception.Cancelled("cancelled by the test")

    with pytest.raises(exception.Cancelled):
        volumes.perform(operation, check=check)
    assert of(operation.id, alice) == []
    alice.delete_volume(volume.id)


def looks(item: Any, own: set[str]) -> dict[str, Any]:
    """Return the attributes of *item* except for *own*, with sorted tags."""
    shared = {key: value for key, value in dict(item).items() if key not in own}
    return {**shared, "tags": sorted(shared["tags"])} if "tags" in shared else shared
