"""Rules by which protectable plugins show or hide a resource, in lists, as a child and by id."""

from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from oslo_utils import uuidutils

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.plugins.toolkit import ownership


def obstacle(item: Any, protectable: Container[str]) -> str | None:
    """Return why an object of a client library cannot be protected, or None if it can.

    :param item: has a ``status``
    :param protectable: the states that allow it
    """
    return None if item.status in protectable else f"it is in state {item.status!r}"


def owner_obstacle(item: Any, metadata: Mapping[str, Any]) -> str | None:
    """Return why an object that an operation of this service created cannot be protected, or None for any other object.

    Lists and children leave it out, because it is not the tenant's.

    :param item: has a ``name``
    :param metadata: its metadata, by which such objects are recognized
    """
    operation = ownership.operation_of(item.name, metadata)
    return f"it belongs to operation {operation}, which is running or must be cleaned up" if operation else None


def require_protectable(what: str, resource_id: str, reason: str | None) -> None:
    """Raise ResourceNotProtectable if there is a *reason* not to protect a resource."""
    if reason:
        raise exception.ResourceNotProtectable(f"{what} {resource_id} cannot be protected: {reason}")


@contextmanager
def looking_up(what: str, resource_id: str) -> Iterator[None]:
    """Translate the exceptions of the client call in the block, which looks up one resource.

    Raises ResourceNotFound also if *resource_id* is no UUID, before it gets into the path of a request, and if the cloud
    does not have the service.
    """
    if not uuidutils.is_uuid_like(resource_id):
        raise exception.ResourceNotFound(f"{what} {resource_id!r} does not exist")
    try:
        with translated(f"{what} {resource_id}"):
            yield
    except exception.Unsupported as error:
        raise exception.ResourceNotFound(
            f"{what} {resource_id} does not exist: {exception.public_text(error)}"
        ) from error


def require_ours(what: str, resource_id: str, owner: str | None, project_id: str) -> None:
    """Raise ResourceNotFound if *owner* is another project. Clouds show administrators those resources as well."""
    if owner != project_id:
        raise exception.ResourceNotFound(f"{what} {resource_id!r} does not exist")
