"""Contract of the cloud handles, on which all scenarios rely: the sandbox and real OpenStack behave alike."""

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
def volume(cinder: Any, request: pytest.FixtureRequest) -> Iterator[str]:
    """The id of an available volume, of the type that the test is parametrized with."""
    kind = getattr(request, "param", None)
    volume_id = cinder.volumes.create(1, name="cloud-handle", volume_type=kind).id
    available(cinder.volumes, volume_id)
    yield volume_id
    deleted(cinder.volumes, volume_id)


def available(manager: Any, resource_id: str) -> None:
    Waiter(SystemClock(), timeout=PATIENCE).until(
        f"{resource_id} to become available",
        lambda: manager.get(resource_id),
        done=lambda resource: resource.status == "available",
        failed=lambda resource: resource.status if "error" in resource.status else None,
    )


def digest(cloud: CloudHandle, *pieces: bytes) -> str:
    """Return the SHA-256, as hex, of a volume with *pieces* followed by zeros."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    for _ in range((cloud.gib - sum(map(len, pieces))) // len(PIECE)):
        digest.update(bytes(len(PIECE)))
    return digest.hexdigest()


def deleted(manager: Any, resource_id: str) -> None:
    manager.delete(resource_id)
    Waiter(SystemClock(), timeout=PATIENCE).until(
        f"{resource_id} to be deleted",
        manager.list,
        done=lambda resources: resource_id not in [resource.id for resource in resources],
        failed=lambda resources: next(
            (item.status for item in resources if item.id == resource_id and "error" in item.status), None
        ),
    )


@pytest.mark.parametrize("volume", [None, pytest.param("ceph", marks=pytest.mark.cloud)], indirect=True)
def test_volumes_return_the_bytes_that_were_written(cloud: CloudHandle, volume: str) -> None:
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

    # A snapshot can be deleted only after the volumes that were created from it.
    deleted(cinder.volumes, copy)
    deleted(cinder.volume_snapshots, snapshot)


def test_a_tenant_does_not_see_the_volumes_of_another_one(cloud: CloudHandle, volume: str) -> None:
    bob = client.Client("3.70", session=cloud.session("bob"))
    with pytest.raises(exceptions.NotFound):
        bob.volumes.get(volume)


def test_a_published_endpoint_is_in_the_catalogue(cloud: CloudHandle) -> None:
    cloud.publish("cloud-handle-test", "http://127.0.0.1:1/v1/%(project_id)s")

    session = cloud.session("alice")
    endpoint = session.get_endpoint(service_type="cloud-handle-test")
    assert endpoint == f"http://127.0.0.1:1/v1/{session.get_project_id()}"


@pytest.mark.cloud
def test_a_role_that_a_killed_run_revoked_is_granted_again(cloud: CloudHandle) -> None:
    admin = cloud.session("admin")
    admin.delete(member_role(cloud, admin, cloud.session("bob")))
    with pytest.raises(Unauthorized):
        cloud.session("bob").get_token()

    Cloud(Layout.from_environment()).up()

    assert cloud.session("bob").get_token()


@pytest.mark.turn(0)
@pytest.mark.cloud
def test_a_running_system_stays_in_the_catalogue_when_up_runs_again(cloud: CloudHandle, system: System) -> None:
    Cloud(Layout.from_environment()).up()

    session = cloud.session("alice")
    assert session.get_endpoint(service_type="data-protect") == f"{system.url}/v1/{session.get_project_id()}"
