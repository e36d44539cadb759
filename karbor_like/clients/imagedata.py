"""Streaming of the bytes of Glance images.

glanceclient is not used: its download computes a hash that the bank computes anyway (a third of the speed) and cannot
continue, and its upload sends an empty body if the request must be resent with a new token.
"""

import re
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Final

import requests
from keystoneauth1 import exceptions as ksa

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.clients.waiter import Waiter

CHUNK: Final = 1024 * 1024

#: Statuses by which a service refuses a range, but not the whole image. Glance answers 400 if the image's store cannot seek.
_RANGE_REFUSED: Final = frozenset({400, 416, 501})

_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,20})-\d{1,20}/(\d{1,20}|\*)")


def download(
    clients: Clients, image_id: str, size: int, waiter: Waiter, *, check: Callable[[], None] = lambda: None
) -> Generator[bytes]:
    """Yield the image's bytes in order, in pieces of at most 1 MiB. Close the iterator if it is not read to its end.

    If the connection is cut or stalls, or Glance fails, the download continues with the next byte.

    :param size: bytes of the image
    :param waiter: limits the retries; each piece that arrives resets their number
    :param check: raises to stop; called before each request and each piece

    Raises Unavailable if Glance is not available for longer, ResourceFailed if it has another number of bytes, and the
    exceptions of *check*.
    """
    with closing(_Download(clients, image_id, size, check)) as running:
        while piece := waiter.transfer(running.read, check=check):
            yield piece


class _Download:
    """One download over several responses. Parameters as of :func:`download`."""

    def __init__(self, clients: Clients, image_id: str, size: int, check: Callable[[], None]) -> None:
        self._clients = clients
        self._image_id = image_id
        self._what = f"downloading image {image_id}"
        self._size = size
        self._check = check
        self._position = 0
        self._has_ranges = True
        self._response: requests.Response | None = None
        self._pieces: Iterator[bytes] = iter(())

    def read(self) -> bytes:
        """Return the next piece, or nothing at the end. After it raised Unavailable, it can be called again."""
        try:
            with translated(self._what):
                if self._response is None:
                    self._open()
                piece = next(self._pieces, b"")
            if not piece and self._position < self._size:
                raise exception.Unavailable(
                    f"{self._what}: Glance ended the stream after {self._position} of {self._size} bytes"
                )
        except exception.Unavailable:
            self.close()
            if self._position == self._size:  # only the end of the stream is missing
                return b""
            raise
        self._position += len(piece)
        if self._position > self._size:
            raise exception.ResourceFailed(f"{self._what}: Glance sent more than the {self._size} bytes that it shows")
        return piece

    def close(self) -> None:
        """Close the response."""
        if self._response is not None:
            self._response.close()
            self._response = None

    def _open(self) -> None:
        """Send a request for the bytes that are missing."""
        response = self._response = self._get()
        start = 0
        if response.status_code == 204 and self._size:
            raise exception.ResourceFailed(f"{self._what}: Glance does not find its bytes; check Glance's store")
        if response.status_code == 206:
            given = response.headers.get("Content-Range", "")
            match = _CONTENT_RANGE.fullmatch(given)
            if match is None or int(match[1]) > self._position or match[2] not in ("*", str(self._size)):
                self._has_ranges = False
                raise exception.Unavailable(
                    f"{self._what}: asked for its {self._size} bytes from {self._position} on, Glance sent {given[:100]!r}"
                )
            start = int(match[1])
        self._pieces = self._skip(response.iter_content(CHUNK), self._position - start)

    def _get(self) -> requests.Response:
        headers = {"Accept": "application/octet-stream", "Accept-Encoding": "identity"}
        if self._position and self._has_ranges:
            headers["Range"] = f"bytes={self._position}-"
        try:
            return self._clients.adapter("glance").get(
                f"/v2/images/{self._image_id}/file", headers=headers, stream=True
            )
        except ksa.HttpError as error:
            if "Range" not in headers or error.http_status not in _RANGE_REFUSED:
                raise
        self._has_ranges = False
        return self._get()

    def _skip(self, pieces: Iterator[bytes], count: int) -> Iterator[bytes]:
        """Yield *pieces* without their first *count* bytes."""
        for piece in pieces:
            rest = piece[count:] if count else piece
            count -= len(piece) - len(rest)
            if rest:
                yield rest
            else:
                self._check()


def upload(clients: Clients, image_id: str, data: Iterable[bytes | memoryview]) -> None:
    """Upload *data* to the queued image.

    :param data: yields the same bytes each time it is iterated over; its exceptions propagate and leave the image queued

    Raises Unavailable if the connection is cut or stalls, or Glance fails. The state of the image is then unknown.
    """
    with translated(f"uploading image {image_id}"):
        clients.adapter("glance").put(
            f"/v2/images/{image_id}/file",
            headers={"Content-Type": "application/octet-stream"},
            data=data,
            log=False,
        )
