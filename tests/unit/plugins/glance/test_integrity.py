"""The bytes of an image, compared with what Glance states about them."""

import hashlib
from typing import Any

import pytest

from karbor_like import exception
from karbor_like.plugins.glance import integrity

PIECES = [b"a" * 100, b"b", b"c" * 1000]
MD5 = hashlib.md5(b"".join(PIECES), usedforsecurity=False).hexdigest()
SHA512 = hashlib.sha512(b"".join(PIECES)).hexdigest()


class Image(dict[str, Any]):
    id = "1"


@pytest.mark.parametrize(
    "stated",
    [
        {"os_hash_algo": "sha512", "os_hash_value": SHA512, "checksum": MD5},
        {"os_hash_algo": "unknown", "os_hash_value": "00", "checksum": MD5},
        {"os_hash_algo": None, "os_hash_value": None, "checksum": MD5},
        {"checksum": None},
    ],
)
def test_right_bytes_pass(stated: dict[str, Any]) -> None:
    assert list(integrity.checked(PIECES, Image(stated))) == PIECES


@pytest.mark.parametrize(
    "stated", [{"os_hash_algo": "sha512", "os_hash_value": SHA512}, {"checksum": MD5}], ids=["sha512", "md5"]
)
def test_changed_bytes_end_the_stream_with_an_error(stated: dict[str, Any]) -> None:
    changed = [PIECES[0], b"B", PIECES[2]]
    received: list[bytes] = []
    with pytest.raises(exception.ResourceFailed, match="image 1 differs: Glance: [0-9a-f]+, bytes received: [0-9a-f]+"):
        received.extend(integrity.checked(changed, Image(stated)))


@pytest.mark.parametrize("size", [None, "3"])
def test_image_of_unknown_size(size: object) -> None:
    with pytest.raises(exception.ResourceFailed, match="states the size"):
        integrity.describe(Image(size=size))
