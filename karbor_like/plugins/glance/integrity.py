"""Whether the bytes of an image are all there: what Glance states about them, compared with the bytes that arrive."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from oslo_utils import uuidutils

from karbor_like import exception
from karbor_like.plugins.toolkit.comparison import require_equal

_KEY_POLICIES: Final = ("cinder_encryption_key_deletion_policy", "os_encrypt_key_deletion_policy")

#: Ids of snapshots and volumes that a message names.
_MAX_IDS: Final = 10


def obstacle(image: Any) -> str | None:
    """Return why the bytes of an active image are not enough to restore it, or None if they are."""
    if image.get("cinder_encryption_key_id") or any(
        image.get(policy) == "on_image_deletion" for policy in _KEY_POLICIES
    ):
        return (
            "it is encrypted with a key that is deleted together with the image, and no copy of the image may use that key;"
            " create a volume of the image and protect it with a plugin that stores Cinder backups"
        )
    if image.get("block_device_mapping") and not image.get("size"):
        return (
            f"it has no bytes, but points to {_pointed_to(image['block_device_mapping'])}; protect the volumes of the server"
            " that it was made of instead"
        )
    if image.get("size") == 0 and image.get("virtual_size"):
        return (
            f"it has no bytes, although Glance states a disk of {image['virtual_size']} bytes in it; upload the image to"
            " Glance again"
        )
    return None


def _pointed_to(mapping: str) -> str:
    """Return what Nova's JSON list of block devices points to, for messages."""
    try:
        devices = json.loads(mapping)
    except (ValueError, RecursionError):
        devices = None
    found = [
        f"{kind} {device[f'{kind}_id']}"
        for device in (devices if isinstance(devices, list) else [])
        if isinstance(device, dict)
        for kind in ("snapshot", "volume")
        if uuidutils.is_uuid_like(device.get(f"{kind}_id"))
    ]
    return ", ".join(found[:_MAX_IDS]) or "other objects"


def describe(image: Any) -> dict[str, Any]:
    """Return the members of an active Glance image by which a restored image is checked.

    Raises ResourceFailed if Glance does not know how many bytes the image has.
    """
    if not isinstance(image.get("size"), int):
        raise exception.ResourceFailed(
            f"image {image.id}: Glance states the size {image.get('size')!r}, so that nothing can tell whether all bytes were"
            " stored; upload the image to Glance again"
        )
    return {
        "size": image["size"],
        "disk_format": image["disk_format"],
        "container_format": image["container_format"],
        "checksum": image.get("checksum"),
        "os_hash_algo": image.get("os_hash_algo"),
        "os_hash_value": image.get("os_hash_value"),
    }


def raw(size: int) -> dict[str, Any]:
    """Return members as :func:`describe` does for bytes that were never an image, so that they can become one."""
    unknown = dict.fromkeys(("checksum", "os_hash_algo", "os_hash_value"))
    return {"size": size, "disk_format": "raw", "container_format": "bare", **unknown}


def checked(pieces: Iterable[bytes], image: Any) -> Iterator[bytes]:
    """Yield *pieces*, the bytes of *image* in order. Computes their hash in a thread, a piece behind.

    Raises ResourceFailed at the end if it is not the hash that Glance states.
    """
    name, algorithm, stated = _stated_hash(image)
    if stated is None:
        yield from pieces
        return
    computed = hashlib.new(algorithm, usedforsecurity=False)
    with ThreadPoolExecutor(1, thread_name_prefix="image-hash") as pool:
        last: Future[None] | None = None
        for piece in pieces:
            if last:
                last.result()
            last = pool.submit(computed.update, piece)
            yield piece
    require_equal(
        f"{name} of image {image.id}",
        {"Glance": stated, "bytes received": computed.hexdigest()},
        "The bytes were changed in Glance's store or on the way; try again, and check the store if it happens again",
    )


def compare(image: Any, recorded: Mapping[str, Any]) -> None:
    """Check the bytes that Glance received, by the hash that Glance computed of the original.

    :param recorded: :func:`describe`'s members of the protected image

    Raises ResourceFailed if *image* differs.
    """
    names = ["size"]
    if image.get("os_hash_algo") == recorded["os_hash_algo"]:
        names.append("os_hash_value")
    elif image.get("checksum") and recorded["checksum"]:
        names.append("checksum")
    for name in names:
        if image.get(name) != recorded[name]:
            raise exception.ResourceFailed(
                f"image {image.id}: it differs from the protected one; its {name} is {image.get(name)}, not {recorded[name]}"
            )


def _stated_hash(image: Any) -> tuple[str, str, str | None]:
    """Return name, algorithm and value of a hash that Glance states. The value is None if there is none to compare with."""
    algorithm = image.get("os_hash_algo")
    if image.get("os_hash_value") and algorithm in hashlib.algorithms_available:
        return "os_hash_value", algorithm, image["os_hash_value"]
    return "checksum", "md5", image.get("checksum")
