"""Streams of image bytes."""

import random
from collections.abc import Iterator

import pytest
from oslo_config import cfg

from karbor_like import exception
from karbor_like.clients import imagedata
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.clients.waiter import Waiter
from karbor_like.clock import SystemClock
from karbor_like.context import RequestContext
from karbor_like.sandbox.cloud import Sandbox

BYTES = random.Random(3).randbytes(3_000_000)


class Source:
    """Bytes that can be read repeatedly."""

    def __init__(self, data: bytes, fail_after: int | None = None) -> None:
        self.data = data
        self.fail_after = fail_after

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self.data), 100_000):
            if self.fail_after is not None and start >= self.fail_after:
                raise exception.Cancelled("cancelled by the test")
            yield self.data[start : start + 100_000]


@pytest.fixture
def clients(conf: cfg.ConfigOpts, context: RequestContext) -> Clients:
    return ClientFactory(conf).for_context(context)


@pytest.fixture
def image_id(clients: Clients) -> str:
    return clients.glance().images.create(name="image", disk_format="raw", container_format="bare").id


def test_uploaded_bytes_are_downloaded_in_pieces(clients: Clients, image_id: str) -> None:
    imagedata.upload(clients, image_id, Source(BYTES))
    pieces = list(imagedata.download(clients, image_id))
    assert b"".join(pieces) == BYTES
    assert max(map(len, pieces)) <= imagedata.CHUNK
    assert len(pieces) <= 2 + len(BYTES) // imagedata.CHUNK


def test_empty_image(clients: Clients, image_id: str) -> None:
    imagedata.upload(clients, image_id, Source(b""))
    assert list(imagedata.download(clients, image_id)) == []


@pytest.mark.parametrize("done", [0, 1, 1_048_576, 2_999_999])
def test_cut_download_raises(clients: Clients, image_id: str, cloud: Sandbox, done: int) -> None:
    imagedata.upload(clients, image_id, Source(BYTES))
    cloud.fault(service="image", method="GET", path="/file$", kind="cut", after_bytes=done)
    with pytest.raises(exception.Unavailable, match=f"downloading image {image_id}"):
        list(imagedata.download(clients, image_id))


def test_stalled_download_raises(
    conf: cfg.ConfigOpts, context: RequestContext, clients: Clients, image_id: str, cloud: Sandbox
) -> None:
    imagedata.upload(clients, image_id, Source(BYTES))
    conf.set_override("timeout", 0.2, "glance_client")
    cloud.fault(service="image", method="GET", path="/file$", kind="stall", after_bytes=100_000)
    with pytest.raises(exception.Unavailable, match="timed out"):
        list(imagedata.download(ClientFactory(conf).for_context(context), image_id))


def test_unknown_image(clients: Clients) -> None:
    with pytest.raises(exception.ResourceNotFound):
        list(imagedata.download(clients, "0c8f7e6d-0000-4000-8000-000000000000"))


def test_failing_source_leaves_the_image_queued(clients: Clients, image_id: str) -> None:
    with pytest.raises(exception.Cancelled):
        imagedata.upload(clients, image_id, Source(BYTES, fail_after=1_000_000))
    Waiter(SystemClock(), interval=0.01, timeout=120).until(
        "the image to be queued again",
        lambda: clients.glance().images.get(image_id),
        done=lambda image: image.status == "queued",
        failed=lambda image: None,
    )
    imagedata.upload(clients, image_id, Source(BYTES))
    assert clients.glance().images.get(image_id).size == len(BYTES)


def test_resent_request_is_complete(clients: Clients, image_id: str, cloud: Sandbox) -> None:
    """After a 401 that arrived when the body was sent, the request is resent with a new token."""
    cloud.fault(service="image", method="PUT", path="/file$", kind="status", status=401)
    imagedata.upload(clients, image_id, Source(BYTES))
    assert b"".join(imagedata.download(clients, image_id)) == BYTES
