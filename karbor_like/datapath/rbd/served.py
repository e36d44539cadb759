"""Access to images without librbd in this process: qemu-nbd serves the bytes, and the command rbd knows the rest.

QEMU opens even a snapshot for writing, so its user must be allowed to write the header of an image, though no data.
"""

from concurrent.futures import Future
from typing import Any

from karbor_like.datapath import errors, qemu
from karbor_like.datapath.rbd.access import Snapshot
from karbor_like.datapath.rbd.command import CommandAccess


class ServedData:
    """The bytes that a child serves."""

    def __init__(self, server: qemu.Server) -> None:
        self._server = server

    def read(self, offset: int, length: int) -> Future[bytes]:
        return self._server.client.read(offset, length)

    def write(self, offset: int, data: memoryview) -> None:
        self._server.client.write(offset, data)

    def flush(self) -> None:
        self._server.client.flush()

    def check(self) -> None:
        self._server.client.check()

    def close(self) -> None:
        self._server.close()


class ServedAccess(CommandAccess):
    """Implements :class:`.access.Access`."""

    def open_snapshot(self, snapshot: Snapshot) -> ServedData:
        try:
            return ServedData(qemu.serve_reader(self._served(snapshot.name), timeout=self.timeout, contexts=()))
        except errors.CannotOpen as error:
            raise self._explained(
                error,
                f"allow rx pool={self.location.pool}, allow rwx pool={self.location.pool} object_prefix rbd_header.",
            ) from error

    def open_image(self) -> ServedData:
        try:
            data = ServedData(qemu.serve_writer(self._served(), timeout=self.timeout))
        except errors.CannotOpen as error:
            raise self._explained(error, f"profile rbd pool={self.location.pool}") from error
        try:
            if len(self.watchers()) > 1:
                raise errors.TargetFailed(f"{self.location}: another client has just opened it; detach the volume")
        except BaseException:
            data.close()
            raise
        return data

    def _served(self, snapshot: str | None = None) -> qemu.Image:
        location = self.location
        image: dict[str, Any] = {
            "driver": "rbd",
            "conf": str(location.conf),
            "user": location.user,
            "pool": location.pool,
            "image": location.image,
        }
        if snapshot is not None:
            image["snapshot"] = snapshot
        return qemu.Image(str(location), {"driver": "raw", "file": image})

    def _explained(self, error: errors.CannotOpen, capabilities: str) -> errors.CannotOpen:
        if "not permitted" not in error.message:
            return error
        return errors.CannotOpen(
            f"{error.message}; for qemu-nbd, give client.{self.location.user} the capabilities"
            f" mon 'profile rbd', osd '{capabilities}'"
        )
