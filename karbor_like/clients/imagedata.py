"""Streaming of the bytes of Glance images.

glanceclient is not used: its download computes a hash that the bank computes anyway (a third of the speed), and its upload
sends an empty body if the request must be resent with a new token.
"""

from collections.abc import Generator, Iterable
from contextlib import closing
from typing import Final

from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients

CHUNK: Final = 1024 * 1024


def download(clients: Clients, image_id: str) -> Generator[bytes]:
    """Yield the image's bytes in order, in pieces of at most 1 MiB. Close the iterator if it is not read to its end.

    Raises Unavailable if the connection is cut or stalls: a stream that ends without an exception is complete.
    """
    with translated(f"downloading image {image_id}"):
        response = clients.adapter("glance").get(
            f"/v2/images/{image_id}/file",
            headers={"Accept": "application/octet-stream", "Accept-Encoding": "identity"},
            stream=True,
        )
        with closing(response):
            yield from response.iter_content(CHUNK)


def upload(clients: Clients, image_id: str, data: Iterable[bytes | memoryview]) -> None:
    """Upload *data* to the queued image.

    :param data: yields the same bytes each time it is iterated over; its exceptions propagate and leave the image queued
    """
    with translated(f"uploading image {image_id}"):
        clients.adapter("glance").put(
            f"/v2/images/{image_id}/file",
            headers={"Content-Type": "application/octet-stream"},
            data=data,
            log=False,
        )
