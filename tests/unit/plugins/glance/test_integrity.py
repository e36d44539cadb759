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


SNAPSHOT = "6f1b2c3d-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("mapping", "named"),
    [
        (f'[{{"snapshot_id": "{SNAPSHOT}", "boot_index": 0}}, {{"volume_id": "no id"}}, 3]', f"snapshot {SNAPSHOT};"),
        (f'[{{"volume_id": "{SNAPSHOT}"}}]', f"volume {SNAPSHOT};"),
        ("[" * 100_000, "other objects;"),
        ("{}", "other objects;"),
    ],
    ids=["snapshot", "volume", "deep", "object"],
)
def test_image_that_only_points_elsewhere(mapping: str, named: str) -> None:
    reason = integrity.obstacle(Image(size=0, block_device_mapping=mapping))
    assert reason is not None
    assert f"points to {named} protect the volumes" in reason


def test_image_that_lost_its_bytes() -> None:
    assert "a disk of 5 bytes" in str(integrity.obstacle(Image(size=0, virtual_size=5)))


@pytest.mark.parametrize("image", [{"size": 0}, {"size": 1, "block_device_mapping": "[]"}, {"os_encrypt_key_id": "1"}])
def test_image_with_all_its_bytes(image: dict[str, Any]) -> None:
    assert integrity.obstacle(Image(image)) is None


@pytest.mark.parametrize("size", [None, "3"])
def test_image_of_unknown_size(size: object) -> None:
    with pytest.raises(exception.ResourceFailed, match="states the size"):
        integrity.describe(Image(size=size))
