"""Rules by which protectable plugins show or hide a resource, in lists, as a child and by id."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from oslo_utils import uuidutils

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.plugins.toolkit import ownership


def obstacle(item: Any, hidden: frozenset[str], metadata: Mapping[str, Any]) -> str | None:
    """Return why an object of a client library cannot be protected, or None if it can.

    :param item: has ``name`` and ``status``
    :param hidden: the states that forbid protecting it
    :param metadata: its metadata, by which objects that an operation of this service created are recognized
    """
    if item.status in hidden:
        return f"it is in state {item.status!r}"
    operation = ownership.operation_of(item.name, metadata)
    return f"it belongs to operation {operation}, which is running or must be cleaned up" if operation else None


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
        raise exception.ResourceNotFound(f"{what} {resource_id} does not exist: {error}") from error


def require_ours(what: str, resource_id: str, owner: str | None, project_id: str) -> None:
    """Raise ResourceNotFound if *owner* is another project. Clouds show administrators those resources as well."""
    if owner != project_id:
        raise exception.ResourceNotFound(f"{what} {resource_id!r} does not exist")
