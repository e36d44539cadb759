"""A separate sandbox for every test, and the real clients for it."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cinderclient import client as cinderclient
from glanceclient import client as glanceclient
from novaclient import client as novaclient
from swiftclient import client as swiftclient

from karbor_like.clients.waiter import Waiter
from karbor_like.clock import SystemClock
from karbor_like.sandbox.cloud import Connection, Sandbox

GIBIBYTE = 16 << 20
"""Actual bytes of a volume of 1 GiB in these tests."""


class Clients:
    """The Python clients of one user."""

    def __init__(self, cloud: Connection, user: str) -> None:
        self.session = cloud.session(user)
        self.cinder: Any = cinderclient.Client("3.70", session=self.session)
        self.glance: Any = glanceclient.Client("2", session=self.session)
        self.nova: Any = novaclient.Client("2.60", session=self.session)
        self.swift: Any = swiftclient.Connection(session=self.session, retries=0)

    def settled(self, manager: Any, resource_id: str, status: str = "available") -> Any:
        """Wait until a resource has a status; another final status fails the test."""
        return waiter().until(
            f"{resource_id} to be {status}",
            lambda: manager.get(resource_id),
            done=lambda shown: shown.status == status,
            failed=lambda shown: shown.status if "error" in shown.status.lower() and shown.status != status else None,
        )

    def volume(self, size: int = 1, **kwargs: Any) -> Any:
        """Create a volume and wait until it is available."""
        return self.settled(self.cinder.volumes, self.cinder.volumes.create(size, **kwargs).id)

    def image(self, data: Any = b"image bytes", **kwargs: Any) -> Any:
        """Create an active image."""
        values = {"name": "image", "disk_format": "raw", "container_format": "bare", **kwargs}
        image_id = self.glance.images.create(**values).id
        self.glance.images.upload(image_id, io.BytesIO(data) if isinstance(data, bytes) else data)
        return self.glance.images.get(image_id)


def waiter() -> Waiter:
    return Waiter(SystemClock(), timeout=120, interval=0.02, max_interval=0.1)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "cloud") as sandbox:
        sandbox.settings(job_delay=0.0, gib=GIBIBYTE)
        yield sandbox


@pytest.fixture
def alice(cloud: Sandbox) -> Clients:
    return Clients(cloud, "alice")


@pytest.fixture
def bob(cloud: Sandbox) -> Clients:
    return Clients(cloud, "bob")


@pytest.fixture
def admin(cloud: Sandbox) -> Clients:
    return Clients(cloud, "admin")
