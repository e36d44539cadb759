"""Fault injection, with the real clients."""

import io
import os
import threading
import time
from typing import Any

import pytest
import requests
from cinderclient import exceptions as cinder_exceptions
from glanceclient import exc
from keystoneauth1 import exceptions
from swiftclient import exceptions as swift_exceptions

from karbor_like import exception
from karbor_like.sandbox.cloud import Sandbox
from tests.functional.sandbox.conftest import Clients

DATA = os.urandom(3 << 20)


def test_a_status_strikes_the_nth_call(cloud: Sandbox, alice: Clients) -> None:
    cloud.fault(service="volume", method="GET", path="/volumes/detail$", nth=2, times=2, kind="status", status=503)
    results = []
    for _ in range(4):
        try:
            alice.cinder.volumes.list()
            results.append(200)
        except cinder_exceptions.ClientException as error:
            results.append(error.code)

    assert results == [200, 503, 503, 200]
    (fault,) = cloud.faults()
    assert (fault["matched"], fault["struck"]) == (4, 2)
    assert len(cloud.calls("volume", "GET", "detail")) == 4
    assert [call["status"] for call in cloud.calls("volume")] == results


def test_a_status_changes_nothing_and_reads_the_whole_body(cloud: Sandbox, alice: Clients) -> None:
    alice.swift.put_container("c")
    cloud.fault(service="object-store", method="PUT", path="/c/o", status=507, body="full")
    with pytest.raises(swift_exceptions.ClientException) as error:
        alice.swift.put_object("c", "o", iter([DATA, DATA]))
    assert error.value.http_status == 507
    alice.swift.put_object("c", "o", DATA)
    assert alice.swift.get_object("c", "o")[1] == DATA


def test_a_cut_interrupts_a_download(cloud: Sandbox, alice: Clients) -> None:
    image = alice.image(io.BytesIO(DATA))
    cloud.fault(service="image", method="GET", path="/file$", kind="cut", after_bytes=1_500_000)
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="1500000 bytes read"):
        list(alice.glance.images.data(image.id, do_checksum=False))
    assert b"".join(alice.glance.images.data(image.id)) == DATA


def test_a_cut_interrupts_an_upload(cloud: Sandbox, alice: Clients) -> None:
    cloud.fault(service="image", method="PUT", path="/file$", kind="cut", where="request", after_bytes=2_000_000)
    image = alice.glance.images.create(name="x", disk_format="raw", container_format="bare")
    with pytest.raises((exc.CommunicationError, exceptions.ConnectFailure)):
        alice.glance.images.upload(image.id, io.BytesIO(DATA))

    alice.settled(alice.glance.images, image.id, "queued")
    alice.glance.images.upload(image.id, io.BytesIO(DATA))
    assert alice.glance.images.get(image.id).status == "active"


def test_a_cut_can_lose_the_response_of_a_completed_call(cloud: Sandbox, alice: Clients) -> None:
    cloud.fault(service="volume", method="POST", path="/volumes$", kind="cut")
    with pytest.raises(exceptions.ConnectFailure):
        alice.cinder.volumes.create(1, name="created")
    assert [volume.name for volume in alice.cinder.volumes.list()] == ["created"]
    assert cloud.calls("volume", "POST")[0]["status"] == 0


def test_a_cut_can_lose_the_request(cloud: Sandbox, alice: Clients) -> None:
    cloud.fault(service="volume", method="POST", path="/volumes$", kind="cut", where="request")
    with pytest.raises(exceptions.ConnectFailure):
        alice.cinder.volumes.create(1, name="not created")
    assert alice.cinder.volumes.list() == []


def test_a_delay_postpones_the_call(cloud: Sandbox, alice: Clients) -> None:
    alice.cinder.volumes.list()
    cloud.fault(service="volume", kind="delay", seconds=0.3)
    start = time.monotonic()
    alice.cinder.volumes.list()
    assert time.monotonic() - start >= 0.3


def test_a_stall_lasts_until_it_is_cleared(cloud: Sandbox, alice: Clients) -> None:
    image = alice.image(io.BytesIO(DATA))
    fault = cloud.fault(service="image", method="GET", path="/file$", kind="stall", after_bytes=1000)
    outcome: list[Any] = []

    def download() -> None:
        try:
            outcome.append(b"".join(alice.glance.images.data(image.id, do_checksum=False)))
        except requests.exceptions.ChunkedEncodingError as error:
            outcome.append(error)

    thread = threading.Thread(target=download)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    cloud.clear_faults(fault)
    thread.join(60)
    assert isinstance(outcome[0], requests.exceptions.ChunkedEncodingError)


@pytest.mark.parametrize("kind", ["stall", "cut"])
def test_a_response_that_is_complete_before_is_not_struck(cloud: Sandbox, alice: Clients, kind: str) -> None:
    image = alice.image(io.BytesIO(DATA))
    cloud.fault(service="image", method="GET", path="/file$", kind=kind, after_bytes=len(DATA) + 1, times=0)
    for _ in range(2):
        assert b"".join(alice.glance.images.data(image.id)) == DATA
        assert alice.glance.images.get(image.id).id == image.id, "on the same connection"


@pytest.mark.parametrize("kind", ["volume", "snapshot", "upload", "server", "image"])
def test_an_error_fault_moves_the_resource_to_error_with_a_reason(cloud: Sandbox, alice: Clients, kind: str) -> None:
    volume, image = alice.volume(), alice.image()
    cloud.fault(
        method="POST", path="(volumes|snapshots|action|servers)$", kind="error", reason="no space on the backend"
    )
    if kind == "volume":
        failed = alice.cinder.volumes.create(1)
        alice.settled(alice.cinder.volumes, failed.id, "error")
    elif kind == "snapshot":
        failed = alice.cinder.volume_snapshots.create(volume.id)
        alice.settled(alice.cinder.volume_snapshots, failed.id, "error")
    elif kind == "upload":
        failed = volume
        _, body = alice.cinder.volumes.upload_to_image(volume.id, False, "i", "bare", "raw", "private", False)
        alice.settled(alice.cinder.volumes, volume.id, "available")
        with pytest.raises(exc.HTTPNotFound):
            alice.glance.images.get(body["os-volume_upload_image"]["image_id"])
    elif kind == "server":
        server = alice.nova.servers.create("s", image.id, "1", nics="none")
        server = alice.settled(alice.nova.servers, server.id, "ERROR")
        assert server.fault["message"] == "no space on the backend"
        return
    else:
        cloud.fault(service="image", method="PUT", kind="error", reason="no space on the backend")
        queued = alice.glance.images.create(name="x", disk_format="raw", container_format="bare")
        with pytest.raises(exc.HTTPInternalServerError):
            alice.glance.images.upload(queued.id, io.BytesIO(b"x"))
        assert alice.glance.images.get(queued.id).status == "killed"
        return
    messages = alice.cinder.messages.list(search_opts={"resource_uuid": failed.id})
    assert [message.user_message for message in messages] == ["no space on the backend"]


def test_an_error_fault_fails_a_deletion(cloud: Sandbox, alice: Clients) -> None:
    volume = alice.volume()
    cloud.fault(service="volume", method="DELETE", kind="error", reason="busy")
    alice.cinder.volumes.delete(volume.id)
    alice.settled(alice.cinder.volumes, volume.id, "error_deleting")


def test_a_held_resource_keeps_its_status_until_the_fault_is_cleared(cloud: Sandbox, alice: Clients) -> None:
    cloud.fault(service="volume", method="POST", path="/volumes$", kind="hold")
    volume = alice.cinder.volumes.create(1)
    other = alice.volume()
    assert alice.cinder.volumes.get(volume.id).status == "creating"
    assert alice.cinder.volumes.get(other.id).status == "available"
    cloud.clear_faults()
    alice.settled(alice.cinder.volumes, volume.id)


@pytest.mark.parametrize("bad", [{"kind": "none-such"}, {"path": "("}, {"colour": "red"}, {"where": "nowhere"}])
def test_an_invalid_fault_is_refused(cloud: Sandbox, bad: dict[str, str]) -> None:
    with pytest.raises(exception.InvalidInput, match=next(iter(bad))):
        cloud.fault(**bad)
