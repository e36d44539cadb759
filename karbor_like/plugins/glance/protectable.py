"""The protectable plugin for Glance images."""

from collections.abc import Mapping, Sequence
from typing import Any

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.domain import resource
from karbor_like.domain.resource import Resource
from karbor_like.plugins.nova.protectable import servers
from karbor_like.plugins.protectable import ProtectablePlugin
from karbor_like.plugins.toolkit import states

HIDDEN = frozenset({"killed", "deleted", "pending_delete", "deactivated"})

#: Glance's limit for one page.
_PAGE = 1000


class ImageProtectable(ProtectablePlugin):
    """Lists images. Their parents are the project that owns them and the servers that were booted from them.

    Protectable are the images of the calling project and those that others share with it or with all projects.
    """

    api_version = 1
    resource_type = resource.IMAGE
    parent_types = frozenset({resource.PROJECT, resource.SERVER})

    def list(self, clients: Clients, parameters: Mapping[str, Any] | None = None) -> Sequence[Resource]:
        return [_resource(image) for image in _images(clients)]

    def show(self, clients: Clients, resource_id: str, parameters: Mapping[str, Any] | None = None) -> Resource:
        image = _image(clients, resource_id)
        if not is_visible(image, clients):
            raise exception.ResourceNotFound(f"image {resource_id!r} does not exist")
        reason = _obstacle(image)
        if reason:
            raise exception.ResourceNotProtectable(f"image {resource_id} cannot be protected: {reason}")
        return _resource(image)

    def children(self, clients: Clients, parents: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        images = {image.id: image for image in _images(clients)}
        children: dict[Resource, Sequence[Resource]] = {}
        booted = _boot_images(clients) if any(parent.type == resource.SERVER for parent in parents) else {}
        for parent in parents:
            if parent.type == resource.PROJECT:
                children[parent] = [_resource(image) for image in images.values() if image.owner == parent.id]
            elif parent.id in booted:
                image = images.get(booted[parent.id]) or _unlisted(clients, booted[parent.id])
                children[parent] = [_resource(image, {"server_id": parent.id})] if image else []
        return children


def _images(clients: Clients) -> list[Any]:
    """Return the protectable images that the calling project sees, with one request per page."""
    try:
        with translated("the images of the project"):
            listed = list(clients.glance().images.list(page_size=_PAGE))
    except exception.Unsupported:
        return []  # a cloud without Glance has no images
    return [image for image in listed if is_visible(image, clients) and not _obstacle(image)]


def _image(clients: Clients, image_id: str) -> Any:
    with states.looking_up("image", image_id):
        return clients.glance().images.get(image_id)


def _unlisted(clients: Clients, image_id: str) -> Any | None:
    """Return an image that lists leave out (community, hidden), or None if it does not exist or cannot be protected."""
    try:
        image = _image(clients, image_id)
    except exception.ResourceNotFound:
        return None
    return image if is_visible(image, clients) and not _obstacle(image) else None


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
    return states.obstacle(image, HIDDEN, image)


def _resource(image: Any, extra_info: dict[str, Any] | None = None) -> Resource:
    return Resource(resource.IMAGE, image.id, image.name or "", extra_info)
