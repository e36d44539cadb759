"""Streams of image bytes."""

import random
import re
from collections.abc import Callable, Iterator

import pytest
from oslo_config import cfg

from karbor_like import exception
from karbor_like.clients import imagedata
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.clients.waiter import Waiter
from karbor_like.clock import ManualClock, SystemClock
from karbor_like.context import RequestContext
from karbor_like.sandbox.cloud import Sandbox
from tests.fixtures import scripted
from tests.fixtures.scripted import Answer, Request

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


def downloaded(clients: Clients, image_id: str, *, retries: int = 3, check: Callable[[], None] = lambda: None) -> bytes:
    waiter = Waiter(ManualClock(), transfer_retries=retries)
    return b"".join(imagedata.download(clients, image_id, len(BYTES), waiter, check=check))


def test_uploaded_bytes_are_downloaded_in_pieces(clients: Clients, image_id: str) -> None:
    imagedata.upload(clients, image_id, Source(BYTES))
    pieces = list(imagedata.download(clients, image_id, len(BYTES), Waiter(ManualClock())))
    assert b"".join(pieces) == BYTES
    assert max(map(len, pieces)) <= imagedata.CHUNK
    assert len(pieces) <= 2 + len(BYTES) // imagedata.CHUNK


def test_empty_image(clients: Clients, image_id: str) -> None:
    imagedata.upload(clients, image_id, Source(b""))
    assert list(imagedata.download(clients, image_id, 0, Waiter(ManualClock()))) == []


@pytest.mark.parametrize("done", [0, 1, 1_048_576, 2_999_999])
def test_cut_download_continues_where_it_stopped(clients: Clients, image_id: str, cloud: Sandbox, done: int) -> None:
    imagedata.upload(clients, image_id, Source(BYTES))
    cloud.forget_calls()
    cloud.fault(service="image", method="GET", path="/file$", kind="cut", after_bytes=done)
    assert downloaded(clients, image_id) == BYTES
    assert [call["status"] for call in cloud.calls("image", "GET", "/file$")] == [
        0,
        206 if done >= imagedata.CHUNK else 200,
    ]


def test_stalled_download_continues(
    conf: cfg.ConfigOpts, context: RequestContext, clients: Clients, image_id: str, cloud: Sandbox
) -> None:
    imagedata.upload(clients, image_id, Source(BYTES))
    conf.set_override("timeout", 1, "glance_client")
    cloud.fault(service="image", method="GET", path="/file$", kind="stall", after_bytes=100_000)
    assert downloaded(ClientFactory(conf).for_context(context), image_id) == BYTES


def test_expired_token_in_the_middle_is_renewed(clients: Clients, image_id: str, cloud: Sandbox) -> None:
    imagedata.upload(clients, image_id, Source(BYTES))
    cloud.fault(service="image", method="GET", path="/file$", kind="cut", after_bytes=2_000_000)
    cloud.fault(service="image", method="GET", path="/file$", kind="status", status=401, nth=2)
    assert downloaded(clients, image_id) == BYTES


def test_unknown_image(clients: Clients) -> None:
    with pytest.raises(exception.ResourceNotFound):
        downloaded(clients, "0c8f7e6d-0000-4000-8000-000000000000")


class Glance:
    """Serves the image's bytes from any position.

    :param cuts: bytes after which each of the first responses is cut
    :param statuses: of the first responses instead of the image's bytes
    """

    def __init__(self, *, cuts: list[int] | None = None, statuses: list[int] | None = None) -> None:
        self.cuts = list(cuts or ())
        self.statuses = list(statuses or ())
        self.starts: list[int] = []

    def __call__(self, request: Request) -> Answer:
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        self.starts.append(int(wanted[1]) if wanted else 0)
        if self.statuses:
            return Answer(self.statuses.pop(0), body=b"not now")
        return self.answer(self.starts[-1], self.cuts.pop(0) if self.cuts else None)

    def answer(self, start: int, cut: int | None) -> Answer:
        headers = {"Content-Range": f"bytes {start}-{len(BYTES) - 1}/{len(BYTES)}"}
        return Answer(206 if start else 200, headers if start else {}, BYTES[start:], cut=cut)


class WithoutRanges(Glance):
    """Ignores the range."""

    def answer(self, start: int, cut: int | None) -> Answer:
        return Answer(200, {}, BYTES, cut=cut)


class RefusingRanges(Glance):
    """Refuses a range, as Glance does whose store cannot seek."""

    def answer(self, start: int, cut: int | None) -> Answer:
        return Answer(400, body=b"random access is not supported") if start else super().answer(0, cut)


class WrongRange(Glance):
    """Sends other bytes than were asked for."""

    def answer(self, start: int, cut: int | None) -> Answer:
        answer = super().answer(start, cut)
        if start:
            answer.headers["Content-Range"] = f"bytes {start + 1}-{len(BYTES)}/{len(BYTES) + 1}"  # type: ignore[index]
        return answer


class Ending(Glance):
    """Ends a response early without an error, as a proxy does that rewrites it."""

    def answer(self, start: int, cut: int | None) -> Answer:
        answer = super().answer(start, None)
        return Answer(answer.status, answer.headers, answer.body[:cut])


@pytest.fixture
def served(conf: cfg.ConfigOpts, context: RequestContext) -> Iterator[Callable[[Glance], Clients]]:
    """A function that returns clients of a given Glance."""
    with scripted.serving(Glance()) as server:
        conf.set_override("endpoint_override", server.url, "glance_client")

        def serve(glance: Glance) -> Clients:
            server.answer = glance
            return ClientFactory(conf).for_context(context)

        yield serve


@pytest.mark.parametrize("kind", [Glance, WithoutRanges, RefusingRanges, WrongRange, Ending])
def test_every_byte_arrives_once(served: Callable[[Glance], Clients], kind: type[Glance]) -> None:
    assert downloaded(served(kind(cuts=[1_500_000, 1_200_000])), "x") == BYTES


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_failing_glance_is_asked_again(served: Callable[[Glance], Clients], status: int) -> None:
    glance = Glance(statuses=[status] * 3)
    assert downloaded(served(glance), "x") == BYTES
    assert glance.starts == [0] * 4


def test_pieces_that_arrive_reset_the_count(served: Callable[[Glance], Clients]) -> None:
    glance = Glance(cuts=[1_100_000, 1_100_000])
    assert downloaded(served(glance), "x", retries=1) == BYTES
    assert glance.starts == [0, imagedata.CHUNK, 2 * imagedata.CHUNK]


@pytest.mark.parametrize("kind", [Glance, WithoutRanges])
def test_retries_without_progress_are_limited(served: Callable[[Glance], Clients], kind: type[Glance]) -> None:
    glance = kind(cuts=[1_100_000, *[0] * 10])
    with pytest.raises(exception.Unavailable, match="downloading image x"):
        downloaded(served(glance), "x", retries=3)
    assert glance.starts == [0, *[imagedata.CHUNK] * 3]


@pytest.mark.parametrize(
    ("status", "raised"),
    [
        (403, exception.NotAuthorized),
        (404, exception.ResourceNotFound),
        (410, exception.ResourceNotFound),
        (400, exception.ResourceFailed),
    ],
)
def test_refusal_is_final(served: Callable[[Glance], Clients], status: int, raised: type[Exception]) -> None:
    glance = Glance(statuses=[status])
    with pytest.raises(raised):
        downloaded(served(glance), "x")
    assert glance.starts == [0]


def test_bytes_that_glance_does_not_find(served: Callable[[Glance], Clients]) -> None:
    with pytest.raises(exception.ResourceFailed, match="Glance does not find its bytes"):
        downloaded(served(Glance(statuses=[204])), "x")


def test_more_bytes_than_glance_shows(served: Callable[[Glance], Clients]) -> None:
    clients = served(Glance())
    with pytest.raises(exception.ResourceFailed, match=f"more than the {len(BYTES) - 1} bytes"):
        list(imagedata.download(clients, "x", len(BYTES) - 1, Waiter(ManualClock())))


def test_cancellation_ends_the_retries(served: Callable[[Glance], Clients]) -> None:
    glance = Glance(cuts=[0] * 100)

    def check() -> None:
        if len(glance.starts) == 2:
            raise exception.Cancelled("cancelled by the test")

    with pytest.raises(exception.Cancelled):
        downloaded(served(glance), "x", retries=50, check=check)
    assert len(glance.starts) == 2


def test_cancellation_ends_the_skipping(served: Callable[[Glance], Clients]) -> None:
    glance = WithoutRanges(cuts=[2_500_000])
    checks = 0

    def check() -> None:
        nonlocal checks
        checks += len(glance.starts) == 2
        if checks == 2:  # the first one precedes the skipping
            raise exception.Cancelled("cancelled by the test")

    download = imagedata.download(served(glance), "x", len(BYTES), Waiter(ManualClock()), check=check)
    assert next(download) + next(download) == BYTES[: 2 * imagedata.CHUNK]
    with pytest.raises(exception.Cancelled):
        next(download)
    assert len(glance.starts) == 2


def test_failing_source_leaves_the_image_queued(clients: Clients, image_id: str) -> None:
    with pytest.raises(exception.Cancelled):
        imagedata.upload(clients, image_id, Source(BYTES, fail_after=1_000_000))
    Waiter(SystemClock(), interval=0.01, timeout=120).until(
        "the image to be queued again",
        lambda: clients.glance().images.get(image_id),
        done=lambda image: image.status == "queued",
    )
    imagedata.upload(clients, image_id, Source(BYTES))
    assert clients.glance().images.get(image_id).size == len(BYTES)


def test_resent_request_is_complete(clients: Clients, image_id: str, cloud: Sandbox) -> None:
    """After a 401 that arrived when the body was sent, the request is resent with a new token."""
    cloud.fault(service="image", method="PUT", path="/file$", kind="status", status=401)
    imagedata.upload(clients, image_id, Source(BYTES))
    assert downloaded(clients, image_id) == BYTES
