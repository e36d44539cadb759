"""The backend for volumes in Ceph: snapshots are read with a user who cannot write, new volumes are written with another."""

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar, Final
from uuid import UUID

from karbor_like import exception
from karbor_like.clock import SystemClock
from karbor_like.datapath import errors, rbd
from karbor_like.datapath.location import RbdImage
from karbor_like.datapath.rbd import bindings, marks
from karbor_like.datapath.rbd.volume import RbdReader, RbdWriter
from karbor_like.plugins.cinder.direct import names
from karbor_like.plugins.cinder.direct.backend import Backend, Connection, StoredVolume, Times
from karbor_like.plugins.protection import HookContext

#: ``driver_volume_type`` of such volumes.
TYPE: Final = "rbd"
_PROGRAMS: Final = ("qemu-nbd", "rbd")


class CephBackend(Backend):
    """Volumes in one pool, which is the argument."""

    kind: ClassVar[str] = "rbd"
    keeps_marks: ClassVar[bool] = True

    def __init__(self, conf: Any, argument: str) -> None:
        super().__init__(conf, argument)
        try:
            self._pool = names.pool(argument)
        except errors.CannotOpen:
            raise exception.ConfigurationError(
                f"backends: the kind rbd needs the name of the pool, as in PATTERN:rbd=volumes; found {argument!r}"
            ) from None

    @property
    def map_name(self) -> str:
        return f"{self.kind} {self.conf.rbd_map}"

    def obstacle(self, context: HookContext, volume: StoredVolume) -> str | None:
        return obstacle(self.conf)

    def open_reader(self, context: HookContext, volume: StoredVolume, snapshot_id: str, times: Times) -> RbdReader:
        image = self._image(volume, self.conf.rbd_user, names.of_snapshot(snapshot_id))
        return rbd.open_reader(image, timeout=self.conf.io_timeout, kind=self.conf.rbd_map)

    def open_writer(self, context: HookContext, volume: StoredVolume, connection: Connection) -> RbdWriter:
        return rbd.open_writer(image_of(self.conf, volume, connection, self._pool), timeout=self.conf.io_timeout)

    def keep_mark(self, volume: StoredVolume, mark_id: str) -> None:
        marks.keep(self._writable(volume), UUID(mark_id), SystemClock().now(), timeout=self.conf.io_timeout)

    def kept_marks(self, volume: StoredVolume) -> Collection[str]:
        image = self._image(volume, self.conf.rbd_user, None)
        return {str(each.id) for each in marks.listed(image, timeout=self.conf.io_timeout)}

    def remove_mark(self, volume: StoredVolume, mark_id: str) -> None:
        marks.remove(self._writable(volume), UUID(mark_id), timeout=self.conf.io_timeout)

    def open_mark(self, volume: StoredVolume, mark_id: str) -> RbdReader:
        image = self._image(volume, self.conf.rbd_user, None)
        return marks.open_reader(image, UUID(mark_id), timeout=self.conf.io_timeout, kind=self.conf.rbd_map)

    def _writable(self, volume: StoredVolume) -> RbdImage:
        return self._image(volume, self.conf.rbd_write_user, None)

    def _image(self, volume: StoredVolume, user: str, snapshot: str | None) -> RbdImage:
        return RbdImage(Path(self.conf.rbd_conf), user, self._pool, names.of_volume(volume.stored_id), snapshot)


def obstacle(conf: Any) -> str | None:
    """Return what this host lacks to reach Ceph, a clause, or None."""
    path = Path(conf.rbd_conf)
    if not path.is_file():
        return f"there is no file {path} on this host"
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing and bindings.load() is None:
        return f"neither python3-rbd nor {' and '.join(missing)} is installed on this host"
    return None


def image_of(
    conf: Any, volume: StoredVolume, connection: Connection, pool: str | None, *, writes: bool = True
) -> RbdImage:
    """Return the image that Cinder names to a client which attaches a volume. Raises CannotOpen if it is another one.

    :param pool: that it must be in; None: any
    :param writes: whether the user who can write opens it
    """
    found, slash, image = str(connection.get("name")).rpartition("/")
    if connection.get("driver_volume_type") != TYPE or not slash or pool not in (None, found):
        raise errors.CannotOpen(
            f"volume {volume.id}: Cinder attaches it by {connection.get('driver_volume_type')!r} as"
            f" {str(connection.get('name'))[:200]!r}; expected an image in the pool {pool or 'of a Ceph cluster'}"
        )
    user = conf.rbd_write_user if writes else conf.rbd_user
    return RbdImage(Path(conf.rbd_conf), user, names.pool(found), names.volume_image(image, volume.stored_id))
