"""Servers, pauses of servers and images of their root disks as objects that operations create and delete."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.plugins.glance.objects import Images
from karbor_like.plugins.objects import CloudObjects, Mark
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import ownership
from karbor_like.plugins.toolkit.paging import PAGE, paged

#: Metadata item that holds the name by which a retry finds a server.
NAME: Final = "karbor_like_name"
#: Metadata that a server loses when it is complete.
MARKS: Final = (*ownership.ALL, NAME)

#: Status of a server, instead of Nova's, while a request is being executed.
_BUSY: Final = "busy"
_DELETED: Final = "DELETED"
_PAUSED: Final = "PAUSED"


def fetch_server(clients: Clients, server_id: str) -> Any:
    """Return novaclient's object of a server. Raises ResourceNotFound."""
    with translated(f"server {server_id}"):
        server = clients.nova().servers.get(server_id)
    if server.status == _DELETED:
        raise exception.ResourceNotFound(f"server {server_id} was deleted")
    return server


def task_of(server: Any) -> str | None:
    """Return what Nova is doing with a server, such as ``image_uploading``, or None."""
    return getattr(server, "OS-EXT-STS:task_state", None)


def wait_until_idle(context: HookContext, server_id: str) -> Any:
    """Return a server as soon as Nova does nothing with it, and accepts requests. Raises ResourceNotFound, Timeout."""
    return context.waiter.until(
        f"server {server_id} to be idle",
        lambda: fetch_server(context.clients, server_id),
        done=lambda server: task_of(server) is None,
        check=context.check,
    )


class Servers(CloudObjects):
    """Servers of the project. They have their final names from the start; metadata mark them until they are complete."""

    noun = "server"
    ready = "ACTIVE"
    deletable = frozenset(
        {"ACTIVE", "BUILD", "ERROR", "PAUSED", "REBUILD", "RESCUE", "RESIZE", "SHELVED", "SHELVED_OFFLOADED", "SHUTOFF"}
        | {"SOFT_DELETED", "SUSPENDED", "UNKNOWN", "VERIFY_RESIZE"}
    )

    def get(self, cloud_id: str) -> Any:
        server = fetch_server(self.clients, cloud_id)
        if task_of(server) == "deleting":
            server.status = _BUSY
        return server

    def find(self, name: str) -> Sequence[str]:
        with translated("the servers of the project"):
            listed = self.clients.nova().servers.list(limit=-1)
        return [server.id for server in listed if server.metadata.get(NAME) == name and server.status != _DELETED]

    def delete(self, current: Any) -> None:
        with translated(f"deleting server {current.id}"):
            if current.status == "SOFT_DELETED":
                self.clients.nova().servers.force_delete(current.id)
            else:
                self.clients.nova().servers.delete(current.id)

    def failure(self, current: Any) -> str | None:
        if current.status != "ERROR":
            return None
        reason = getattr(current, "fault", None) or {}
        return f"Nova put it into state 'ERROR': {reason.get('message') or 'no reason given'}"

    def scan(self) -> Iterable[Any]:
        servers = self.clients.nova().servers
        return paged("the servers of the project", lambda marker: servers.list(marker=marker, limit=PAGE))

    def mark(self, current: Any) -> Mark | None:
        name = current.metadata.get(NAME)
        return ownership.mark(current.id, name, current.metadata, current.created) if name else None


class Pauses(CloudObjects):
    """The pause of one server: it exists while the server is paused. To delete it is to unpause the server.

    :param server_id: of the server, which is also the id of its pause
    """

    noun = "pause of server"
    ready = _PAUSED
    # Nova refuses to unpause a server while it copies its disk.
    deletable = frozenset({_PAUSED})

    def __init__(self, clients: Clients, server_id: str) -> None:
        super().__init__(clients)
        self._server_id = server_id

    def get(self, cloud_id: str) -> Any:
        server = fetch_server(self.clients, cloud_id)
        task = task_of(server)
        if server.status != _PAUSED and task != "pausing":
            raise exception.ResourceNotFound(f"server {cloud_id} is not paused")
        if task:
            server.status = _BUSY
        return server

    def find(self, name: str) -> Sequence[str]:
        # Only one that was not paused before is paused by an operation.
        try:
            return [self.get(self._server_id).id]
        except exception.ResourceNotFound:
            return []

    def delete(self, current: Any) -> None:
        with translated(f"unpausing server {current.id}"):
            self.clients.nova().servers.unpause(current.id)

    def failure(self, current: Any) -> str | None:
        return None


class RootDisks(Images):
    """Images that Nova makes of the root disk of one server.

    :param server_id: of the server
    """

    def __init__(self, clients: Clients, server_id: str) -> None:
        super().__init__(clients)
        self._server_id = server_id

    def failure(self, current: Any) -> str | None:
        reason = super().failure(current)
        if reason or current.status != "queued":
            return reason
        try:
            if task_of(fetch_server(self.clients, self._server_id)):
                return None
        except exception.ResourceNotFound:
            pass
        # Nova does nothing with the server any more. It may have finished after the image was read.
        return None if self.get(current.id).status != "queued" else "Nova has stopped making it; its logs say why"
