"""Whether the bytes of an image are all there: what Glance states about them, compared with the bytes that arrive."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from karbor_like import exception
from karbor_like.plugins.toolkit.comparison import require_equal


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
