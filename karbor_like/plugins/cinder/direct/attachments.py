"""Attachments of volumes to this worker, through Cinder's API of attachments."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.plugins.cinder.direct.backend import Connection
from karbor_like.plugins.cinder.objects import Volumes
from karbor_like.plugins.objects import CloudObjects
from karbor_like.plugins.protection import Entry, HookContext
from karbor_like.plugins.toolkit import cloud_objects

#: Role of the attachment.
ATTACHMENT: Final = "attachment"

#: The API version that completes attachments: OpenStack Queens.
_VERSION: Final = "3.44"


class Attachments(CloudObjects):
    """Attachments, without a server, of volumes that an operation has made.

    They have no names. Only the operation has a reason to attach such a volume without a server, so all of a volume
    count as its own.

    :param find_volumes: returns the ids of the volumes
    """

    noun = "attachment"
    ready = "attached"
    deletable = None

    def __init__(self, clients: Clients, find_volumes: Callable[[], Iterable[str]] = tuple) -> None:
        super().__init__(clients)
        self._find_volumes = find_volumes

    @property
    def manager(self) -> Any:
        """Cinderclient's manager of attachments."""
        return self.clients.client("cinder", _VERSION).attachments

    def get(self, cloud_id: str) -> Any:
        with translated(f"attachment {cloud_id}"):
            return self.manager.show(cloud_id)

    def find(self, name: str) -> Sequence[str]:
        found: list[str] = []
        for volume_id in self._find_volumes():
            with translated(f"the attachments of volume {volume_id}"):
                listed = self.manager.list(search_opts={"volume_id": volume_id})
            found += [each.id for each in listed if each.volume_id == volume_id and not each.instance]
        return found

    def delete(self, current: Any) -> None:
        with translated(f"deleting attachment {current.id}"):
            self.manager.delete(current.id)

    def failure(self, current: Any) -> str | None:
        return f"Cinder put it into state {current.status!r}" if current.status.startswith("error") else None


def of_role(context: HookContext, volumes: CloudObjects, role: str) -> Attachments:
    """Return the attachments of the volume that the journal names as *role*.

    A restored volume that is complete no longer carries the mark of the operation: others may have attached it since.
    """

    def is_ours(volume_id: str) -> bool:
        try:
            mark = volumes.mark(cloud_objects.fetch(context, volumes, volume_id))
        except exception.ResourceNotFound:
            return False
        return mark is not None and mark.operation_id == context.operation_id

    def find() -> Iterable[str]:
        for entry in context.journal.entries():
            if entry.role == role:
                yield from filter(is_ours, cloud_objects.candidates(context, volumes, entry))

    return Attachments(volumes.clients, find)


def attach(
    context: HookContext,
    clients: Clients,
    volume_id: str,
    connector: Mapping[str, Any],
    timeout: float,
    *,
    role: str = ATTACHMENT,
) -> tuple[str, Connection]:
    """Attach a volume of the operation, unless an earlier attempt on the host of *connector* did.

    :param timeout: seconds
    :param role: of the attachment in the journal
    :returns: the id of the attachment, and the connection

    Raises ResourceFailed with Cinder's reason.
    """
    attachments = Attachments(clients, lambda: [volume_id])
    if entry := context.journal.peek(role):
        for found in _of_other_hosts(context, attachments, volume_id, entry, connector["host"]):
            cloud_objects.delete(context, attachments, found, check=context.check)

    def create(name: str, markers: Mapping[str, str]) -> str:
        with translated(f"attaching volume {volume_id}"):
            return str(attachments.manager.create(volume_id, dict(connector))["id"])

    attachment_id = cloud_objects.ensure(context, attachments, role, create)

    def complete() -> None:
        with translated(f"completing attachment {attachment_id}"):
            attachments.manager.complete(attachment_id)

    attachment = cloud_objects.fetch(context, attachments, attachment_id)
    if attachment.status != attachments.ready:
        context.waiter.call(complete, check=context.check)
        attachment = cloud_objects.wait(context, attachments, attachment_id, timeout)
    return attachment_id, attachment.connection_info


def _of_other_hosts(
    context: HookContext, attachments: Attachments, volume_id: str, entry: Entry, host: str
) -> list[str]:
    """Return the ids of an earlier attempt's attachments, without one that certainly is for *host*.

    The storage lets in the host for which Cinder made the connection. Only the view of a volume tells that host: to
    administrators and services, when the attachment is complete. Before that, the connection has not been used.
    """
    seen = cloud_objects.fetch(context, Volumes(context.service or attachments.clients), volume_id)
    hosts = {each["attachment_id"]: each.get("host_name") for each in seen.attachments}
    return [each for each in cloud_objects.candidates(context, attachments, entry) if hosts.get(each) != host]


def require_attached(context: HookContext, clients: Clients, volume_id: str, attachment_id: str) -> None:
    """Raise ResourceFailed unless the attachment is still there: otherwise others may have used the volume meanwhile."""
    attachments = Attachments(clients, lambda: [volume_id])
    try:
        status = cloud_objects.fetch(context, attachments, attachment_id).status
    except exception.ResourceNotFound:
        status = "deleted"
    if status != attachments.ready:
        raise exception.ResourceFailed(
            f"attachment {attachment_id} of volume {volume_id} is {status!r}: the volume was detached while it was written,"
            " so its bytes may be wrong"
        )
