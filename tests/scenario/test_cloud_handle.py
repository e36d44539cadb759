"""What every scenario relies on: both clouds do the same for whoever holds their handle."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from cinderclient import client, exceptions
from keystoneauth1.exceptions import Unauthorized

from karbor_like.clients.waiter import Waiter
from karbor_like.clock import SystemClock
from tests.cloud.cloud import Cloud
from tests.cloud.layout import Layout
from tests.fixtures.cloud import CloudHandle
from tests.fixtures.system import System
from tests.scenario.tenant import PATIENCE, member_role

PIECE = bytes(range(256)) * 4096
"""One mebibyte."""


@pytest.fixture
def cinder(cloud: CloudHandle) -> Any:
    return client.Client("3.70", session=cloud.session("alice"))


@pytest.fixture
def volume(cinder: Any) -> Iterator[str]:
    """The id of an available volume."""
    volume_id = cinder.volumes.create(1, name="cloud-handle").id
    available(cinder.volumes, volume_id)
    yield volume_id
    deleted(cinder.volumes, volume_id)


def available(manager: Any, resource_id: str) -> None:
    Waiter(SystemClock(), timeout=PATIENCE).until(
        f"{resource_id} to become available",
        lambda: manager.get(resource_id),
        done=lambda found: found.status == "available",
        failed=lambda found: found.status if "error" in found.status else None,
    )


def digest(cloud: CloudHandle, *pieces: bytes) -> str:
    """The SHA-256 of a volume that starts with *pieces* and is zero after them, as hex."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    for _ in range((cloud.gib - sum(map(len, pieces))) // len(PIECE)):
        digest.update(bytes(len(PIECE)))
    return digest.hexdigest()


def deleted(manager: Any, resource_id: str) -> None:
    manager.delete(resource_id)
    Waiter(SystemClock(), timeout=PATIENCE).until(
        f"{resource_id} to be gone",
        manager.list,
        done=lambda found: resource_id not in [one.id for one in found],
        failed=lambda found: next(
            (one.status for one in found if one.id == resource_id and "error" in one.status), None
        ),
    )


def test_bytes_written_are_bytes_read(cloud: CloudHandle, volume: str) -> None:
    cloud.write_volume(volume, iter([PIECE, PIECE]))
    cloud.write_volume(volume, PIECE[::-1], offset=len(PIECE))

    assert cloud.volume_digest(volume) == digest(cloud, PIECE, PIECE[::-1])
    assert next(cloud.read_volume(volume))[: len(PIECE)] == PIECE


def test_bytes_can_be_written_after_a_snapshot(cloud: CloudHandle, cinder: Any, volume: str) -> None:
    cloud.write_volume(volume, PIECE)
    snapshot = cinder.volume_snapshots.create(volume).id
    available(cinder.volume_snapshots, snapshot)
    cloud.write_volume(volume, PIECE, offset=len(PIECE))

    assert cloud.volume_digest(volume) == digest(cloud, PIECE, PIECE)

    copy = cinder.volumes.create(1, snapshot_id=snapshot).id
    available(cinder.volumes, copy)
    assert cloud.volume_digest(copy) == digest(cloud, PIECE)

    # A snapshot can go only when what was made of it is gone.
    deleted(cinder.volumes, copy)
    deleted(cinder.volume_snapshots, snapshot)


def test_tenants_are_apart(cloud: CloudHandle, volume: str) -> None:
    bob = client.Client("3.70", session=cloud.session("bob"))
    with pytest.raises(exceptions.NotFound):
        bob.volumes.get(volume)


def test_what_is_published_is_in_the_catalogue(cloud: CloudHandle) -> None:
    cloud.publish("cloud-handle-test", "http://127.0.0.1:1/v1/%(project_id)s")

    session = cloud.session("alice")
    found = session.get_endpoint(service_type="cloud-handle-test")
    assert found == f"http://127.0.0.1:1/v1/{session.get_project_id()}"


@pytest.mark.cloud
def test_a_role_that_a_killed_run_took_away_is_there_again(cloud: CloudHandle) -> None:
    admin = cloud.session("admin")
    admin.delete(member_role(cloud, admin, cloud.session("bob")))
    with pytest.raises(Unauthorized):
        cloud.session("bob").get_token()

    Cloud(Layout.from_environment()).up()

    assert cloud.session("bob").get_token()


@pytest.mark.cloud
def test_a_running_system_stays_in_the_catalogue_when_the_cloud_is_brought_up_again(
    cloud: CloudHandle, system: System
) -> None:
    Cloud(Layout.from_environment()).up()

    session = cloud.session("alice")
    assert session.get_endpoint(service_type="data-protect") == f"{system.url}/v1/{session.get_project_id()}"
