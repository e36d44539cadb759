"""A driver for nova-compute: the fake hypervisor, whose servers have root disks with content."""

import hashlib
import io
from collections.abc import Callable
from typing import Any

from nova.image import glance
from nova.virt import fake

#: Bytes of the image of a server.
SIZE = 4 << 20


def content(server_id: str) -> bytes:
    """Return the bytes of the root disk of a server, which depend only on its id."""
    block = hashlib.sha256(server_id.encode()).digest()
    return block * (SIZE // len(block))


class ImagingDriver(fake.FakeDriverWithoutFakeNodes):
    """The fake hypervisor with the same identity after a restart. It uploads the bytes of an image of a server.

    Nova's own leaves such an image in the state ``queued``.
    """

    def snapshot(self, context: Any, instance: Any, image_id: str, update_task_state: Callable[..., None]) -> None:
        super().snapshot(context, instance, image_id, update_task_state)
        images = glance.API()
        image = images.get(context, image_id)
        values = {"name": image["name"], "disk_format": "raw", "container_format": "bare"}
        images.update(context, image_id, values, io.BytesIO(content(instance.uuid)))
