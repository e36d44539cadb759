"""The one rule by which a protectable plugin shows a resource or does not, in lists, as a child and alone."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from oslo_utils import uuidutils

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.plugins.toolkit import ownership


def obstacle(thing: Any, hidden: frozenset[str], metadata: Mapping[str, Any]) -> str | None:
    """Why *thing* (of an SDK, with ``name`` and ``status``) cannot be protected, or None where it can.

    :param hidden: the states in which nobody could protect it
    :param metadata: its metadata: what an operation of ours made for itself is no tenant's resource
    """
    if thing.status in hidden:
        return f"it is in state {thing.status!r}"
    operation = ownership.operation_of(thing.name, metadata)
    return f"it belongs to operation {operation}, which is still running or has to be cleaned up" if operation else None


@contextmanager
def looking_up(what: str, resource_id: str) -> Iterator[None]:
    """Run the SDK call that asks for one resource. ResourceNotFound also where *resource_id* cannot be an id, which must not
    end up in the path of a request, and where the cloud does not have the service.
    """
    if not uuidutils.is_uuid_like(resource_id):
        raise exception.ResourceNotFound(f"{what} {resource_id!r} does not exist")
    try:
        with translated(f"{what} {resource_id}"):
            yield
    except exception.Unsupported as error:
        raise exception.ResourceNotFound(f"{what} {resource_id} does not exist: {error}") from error


def require_ours(what: str, resource_id: str, owner: str | None, project_id: str) -> None:
    """Raise ResourceNotFound where *owner* is another project: administrators are shown those as well."""
    if owner != project_id:
        raise exception.ResourceNotFound(f"{what} {resource_id!r} does not exist")
