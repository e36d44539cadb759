"""The backend for all other storage: a temporary volume of the snapshot is attached to this worker.

The service user makes the temporary volume in its own project. So the tenant does not see it, and cannot detach it while it
is read: the storage would give its device to another volume, https://nvd.nist.gov/vuln/detail/CVE-2023-2088.

Nothing is known of what has changed since the last protect: everything is read.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar, Final

from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.datapath import errors, iscsi, rbd
from karbor_like.datapath.contract import VolumeReader, VolumeWriter
from karbor_like.plugins.cinder.direct import attachments, brick, ceph, iscsiunit, names
from karbor_like.plugins.cinder.direct.backend import Backend, Connection, StoredVolume, Times
from karbor_like.plugins.cinder.objects import Volumes
from karbor_like.plugins.objects import CloudObjects
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import cloud_objects

#: Roles of the temporary volume and of its attachment, both in the project of the service user.
SERVICE_VOLUME: Final = "service-volume"
SERVICE_ATTACHMENT: Final = "service-attachment"


class AttachBackend(Backend):
    """Volumes that are attached."""

    kind: ClassVar[str] = "attach"
    tells_changes: ClassVar[bool] = False

    def obstacle(self, context: HookContext, volume: StoredVolume) -> str | None:
        if context.service is None:
            return "it needs [service_auth], whose user owns the temporary volumes"
        # What else is needed depends on the storage, which only the attachment shows.
        return None

    def connector(self) -> Mapping[str, Any]:
        return {**super().connector(), **brick.connector(), "initiator": iscsiunit.initiator()}

    def temporary(self, context: HookContext) -> Mapping[str, CloudObjects]:
        if context.service is None:
            return {}
        volumes = Volumes(context.service)
        return {
            SERVICE_VOLUME: volumes,
            SERVICE_ATTACHMENT: attachments.of_role(context, volumes, SERVICE_VOLUME),
        }

    @contextmanager
    def open_reader(
        self, context: HookContext, volume: StoredVolume, snapshot_id: str, times: Times
    ) -> Iterator[VolumeReader]:
        service = _service(context)
        temporary = self._make(context, service, volume, snapshot_id, times)
        timeout = context.waiter.timeout
        attachment_id, connection = attachments.attach(
            context, service, temporary.id, self.connector(), timeout, role=SERVICE_ATTACHMENT
        )
        with self._open(temporary, connection) as reader:
            yield _Held(reader, context, service, temporary.id, attachment_id)

    def open_writer(
        self, context: HookContext, volume: StoredVolume, connection: Connection
    ) -> AbstractContextManager[VolumeWriter]:
        if connection.get("driver_volume_type") == ceph.TYPE:
            location = ceph.image_of(self.conf, volume, connection, None)
            return rbd.open_writer(location, timeout=self.conf.io_timeout)
        if connection.get("driver_volume_type") == iscsiunit.TYPE:
            unit = iscsiunit.unit_of(connection)
            return iscsi.open_writer(unit, timeout=self.conf.io_timeout, initiator=iscsiunit.initiator())
        return brick.writer(connection, self.conf.io_timeout)

    def zeroes_new(self, connection: Connection) -> bool:
        # Without thin provisioning, a volume may show what an earlier one left there. In Ceph, zeros would take up space.
        return connection.get("driver_volume_type") == ceph.TYPE

    def _open(self, temporary: StoredVolume, connection: Connection) -> AbstractContextManager[VolumeReader]:
        if connection.get("driver_volume_type") == iscsiunit.TYPE:
            unit = iscsiunit.unit_of(connection)
            return iscsi.open_reader(unit, timeout=self.conf.io_timeout, initiator=iscsiunit.initiator())
        if connection.get("driver_volume_type") != ceph.TYPE:
            return brick.reader(connection, self.conf.io_timeout)
        image = ceph.image_of(self.conf, temporary, connection, None, writes=False)
        parent = rbd.parent(image, timeout=self.conf.io_timeout)
        if parent is None:
            raise errors.CannotOpen(
                f"{image}: is not a clone of the snapshot; configure the backend as PATTERN:rbd=POOL"
            )
        return rbd.open_reader(parent, timeout=self.conf.io_timeout, kind=self.conf.rbd_map)

    @staticmethod
    def _make(
        context: HookContext, service: Clients, volume: StoredVolume, snapshot_id: str, times: Times
    ) -> StoredVolume:
        """Return the temporary volume. An earlier attempt may have made it."""
        context.report.step("creating a temporary volume of the snapshot in the service's project")
        volumes = Volumes(service)

        def create(name: str, markers: Mapping[str, str]) -> str:
            with translated(f"creating the temporary volume of volume {volume.id}"):
                found = service.cinder().volumes.create(
                    volume.size, snapshot_id=snapshot_id, name=name, metadata=markers
                )
            return str(found.id)

        volume_id = cloud_objects.ensure(context, volumes, SERVICE_VOLUME, create)
        if not any(entry.role == SERVICE_ATTACHMENT for entry in context.journal.entries()):
            cloud_objects.wait(context, volumes, volume_id, times.timeout(context, volume.size * times.gib))
        return StoredVolume(volume_id, names.of_volume(volume_id).removeprefix("volume-"), volume.host, volume.size)


class _Held:
    """A reader of an attached volume: what was read is wrong if the volume was detached meanwhile."""

    def __init__(
        self, reader: VolumeReader, context: HookContext, clients: Clients, volume_id: str, attachment_id: str
    ) -> None:
        self._reader = reader
        self._context = context
        self._clients = clients
        self._volume_id = volume_id
        self._attachment_id = attachment_id

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def confirm(self) -> None:
        self._reader.confirm()
        attachments.require_attached(self._context, self._clients, self._volume_id, self._attachment_id)


def _service(context: HookContext) -> Clients:
    if context.service is None:
        raise errors.CannotOpen("the kind attach needs [service_auth], whose user owns the temporary volumes")
    return context.service
