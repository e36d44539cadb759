"""Snapshots that Nova takes of all volumes of a server in one request, of which each volume of the operation takes over its
own.

Nova makes them when it makes an image of a server that boots from a volume, and names them after the image, which has no
data. The operation has chosen the name of the image, so each volume finds its snapshot, and takes it over by giving it a name
of its own. The other snapshots, and the image, are deleted.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.plugins.cinder.objects import OF_IMAGE, Snapshots
from karbor_like.plugins.glance.objects import Images
from karbor_like.plugins.objects import CloudObjects
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import names, ownership

_READY: Final = "available"
_BUSY: Final = "busy"


def _name(image: str) -> str:
    """Return the name that Nova gives to the snapshots of an image."""
    return f"{OF_IMAGE}{image}"


def find(context: HookContext) -> Any | None:
    """Return the snapshot of the volume that Nova made in this operation and that the volume has not taken over, or None.

    Raises what ``translated`` raises.
    """
    volume_id, beginning = context.resource.id, _name(ownership.name_prefix(context.operation_id, ""))
    with translated(f"the snapshots of volume {volume_id}"):
        listed = context.clients.cinder().volume_snapshots.list(search_opts={"volume_id": volume_id})
    usable = (each for each in listed if each.volume_id == volume_id and each.status in ("creating", _READY))
    return next((each for each in usable if (each.name or "").startswith(beginning)), None)


def take_over(context: HookContext, snapshot: Any, name: str, markers: Mapping[str, str]) -> str:
    """Make a snapshot of Nova that of the volume, and return its id.

    :param name: by which the volume finds it
    """
    manager = context.clients.cinder().volume_snapshots
    description = names.plain(context.parameters.get("description") or "")
    with translated(f"taking over snapshot {snapshot.id}"):
        manager.set_metadata(snapshot.id, dict(markers))
        # Last: with the name it belongs to the volume.
        manager.update(snapshot.id, name=name, description=description)
    return str(snapshot.id)


@dataclass(frozen=True)
class Taken:
    """The image, and those snapshots of it that no volume has taken over.

    :param id: the name of the image
    """

    id: str
    status: str
    images: Sequence[str]
    snapshots: Sequence[Any]


class ServerSnapshots(CloudObjects):
    """The images that name such snapshots, together with these. Their ids are their names."""

    noun = "snapshots of server"
    ready = _READY
    deletable = frozenset({_READY})

    def __init__(self, clients: Clients) -> None:
        super().__init__(clients)
        self._images = Images(clients)
        self._snapshots = Snapshots(clients)

    def get(self, cloud_id: str) -> Taken:
        images, name = self._images.find(cloud_id), _name(cloud_id)
        with translated(f"the snapshots named {name}"):
            listed = self._snapshots.manager.list(search_opts={"name": name})
        snapshots = [each for each in listed if each.name == name]
        if not images and not snapshots:
            raise exception.ResourceNotFound(f"there are no snapshots of image {cloud_id}")
        idle = all(each.status in self._snapshots.deletable for each in snapshots)
        return Taken(cloud_id, _READY if idle else _BUSY, images, snapshots)

    def find(self, name: str) -> Sequence[str]:
        # Nova makes the image last.
        return [name] if self._images.find(name) else []

    def delete(self, current: Taken) -> None:
        for image_id in current.images:
            with suppress(exception.ResourceNotFound):
                self._images.delete(self._images.get(image_id))
        for snapshot in current.snapshots:
            with suppress(exception.ResourceNotFound):
                self._snapshots.delete(snapshot)

    def failure(self, current: Taken) -> str | None:
        return None


class Remains(ServerSnapshots):
    """The same, also without the image, for their deletion: Nova may have failed after some snapshots."""

    def find(self, name: str) -> Sequence[str]:
        with suppress(exception.ResourceNotFound):
            return [self.get(name).id]
        return []
