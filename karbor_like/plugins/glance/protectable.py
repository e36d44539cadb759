"""The protectable plugin for Glance images."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.domain import resource
from karbor_like.domain.resource import Resource
from karbor_like.plugins.glance import integrity
from karbor_like.plugins.nova.protectable import servers
from karbor_like.plugins.protectable import ProtectablePlugin
from karbor_like.plugins.toolkit import states

#: The states in which Glance has the bytes of an image and shows them. They do not change afterwards.
_USABLE: Final = frozenset({"active"})

#: Glance's limit for one page.
_PAGE: Final = 1000


class ImageProtectable(ProtectablePlugin):
    """Lists images. Their parents are the project that owns them and the servers that were booted from them.

    Protectable are the images of the calling project, also hidden ones, and those that others share with it or with all
    projects.
    """

    api_version = 1
    resource_type = resource.IMAGE
    parent_types = frozenset({resource.PROJECT, resource.SERVER})

    def list(self, clients: Clients, parameters: Mapping[str, Any] | None = None) -> Sequence[Resource]:
        return [_resource(image) for image in _images(clients).values() if not _obstacle(image)]

    def show(self, clients: Clients, resource_id: str, parameters: Mapping[str, Any] | None = None) -> Resource:
        image = _image(clients, resource_id)
        if not is_visible(image, clients):
            raise exception.ResourceNotFound(f"image {resource_id!r} does not exist")
        states.require_protectable("image", resource_id, states.owner_obstacle(image, image) or _obstacle(image))
        return _resource(image)

    def children(self, clients: Clients, parents: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        images = _images(clients)
        children: dict[Resource, Sequence[Resource]] = {}
        booted = _boot_images(clients) if any(parent.type == resource.SERVER for parent in parents) else {}
        booted_from: dict[str, Any | None] = dict(images)
        for parent in parents:
            if parent.type == resource.PROJECT:
                children[parent] = [
                    _resource(image, _obstacle(image)) for image in images.values() if image.owner == parent.id
                ]
            elif parent.id in booted:
                image_id = booted[parent.id]
                if image_id not in booted_from:
                    booted_from[image_id] = _unlisted(clients, image_id)
                children[parent] = [_boot_image(image_id, booted_from[image_id], parent)]
        return children


def _images(clients: Clients) -> dict[str, Any]:
    """Return the images that the calling project sees, by id, with one request per page."""
    # Glance lists hidden images only in a list of their own.
    lists: tuple[dict[str, str], ...] = ({}, {"os_hidden": "true", "owner": clients.project_id})
    found: dict[str, Any] = {}
    try:
        with translated("the images of the project"):
            for filters in lists:
                listed = clients.glance().images.list(page_size=_PAGE, filters=filters)
                found.update((image.id, image) for image in listed)
    except exception.Unsupported:
        return {}  # a cloud without Glance has no images
    return {
        image_id: image
        for image_id, image in found.items()
        if is_visible(image, clients) and not states.owner_obstacle(image, image)
    }


def _image(clients: Clients, image_id: str) -> Any:
    with states.looking_up("image", image_id):
        return clients.glance().images.get(image_id)


def _unlisted(clients: Clients, image_id: str) -> Any | None:
    """Return an image that lists leave out (community, hidden), or None if it does not exist for the calling project."""
    try:
        image = _image(clients, image_id)
    except exception.ResourceNotFound:
        return None
    return image if is_visible(image, clients) else None


def _boot_image(image_id: str, image: Any | None, server: Resource) -> Resource:
    extra_info = {"server_id": server.id}
    if image is None:
        reason = f"server {server.id} was booted from it, and it was deleted or is not shared with the project any more"
        return Resource(resource.IMAGE, image_id, "", extra_info, reason)
    return _resource(image, states.owner_obstacle(image, image) or _obstacle(image), extra_info)


def _boot_images(clients: Clients) -> dict[str, str]:
    """Return the boot image's id by server id, without the servers that were booted from a volume."""
    return {server.id: server.image["id"] for server in servers(clients) if server.image}


def is_visible(image: Any, clients: Clients) -> bool:
    """Return whether the calling project may see *image*.

    Glance decides that except for administrators, to whom it shows the images of all projects. They see their own images and
    those open to all projects.
    """
    if image.owner == clients.project_id or image.visibility in ("public", "community"):
        return True
    return image.visibility == "shared" and not clients.context.is_admin


def _obstacle(image: Any) -> str | None:
    return states.obstacle(image, _USABLE) or integrity.obstacle(image)


def _resource(image: Any, reason: str | None = None, extra_info: dict[str, Any] | None = None) -> Resource:
    return Resource(resource.IMAGE, image.id, image.name or "", extra_info, reason)
