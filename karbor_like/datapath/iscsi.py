"""Logical units of iSCSI targets, by QEMU's client in user space, which needs no device of the host and no root."""

import math
from typing import Any, Final

from karbor_like.datapath import qemu
from karbor_like.datapath.errors import CannotOpen, SourceGone
from karbor_like.datapath.location import IscsiUnit

_PASSWORD: Final = "password"  # noqa: S105 - the id that QEMU knows it by


class UnitReader(qemu.ServedReader):
    """A reader of a unit: a volume that was made of a snapshot and that no other client uses."""

    def __init__(self, server: qemu.Server, location: IscsiUnit, timeout: float, initiator: str | None) -> None:
        super().__init__(server)
        self._location = location
        self._timeout = timeout
        self._initiator = initiator

    def confirm(self) -> None:
        """Log in once more: the session that exists may serve what was removed, or wait for it to return."""
        super().confirm()
        try:
            again = qemu.serve_reader(_image(self._location, self._timeout, self._initiator), timeout=self._timeout)
        except CannotOpen as error:
            raise SourceGone(
                f"{self._location} can no longer be opened, so it may not exist: {error.message}"
            ) from None
        try:
            if again.client.size != self.size:
                raise SourceGone(f"{self._location} was replaced by a unit of {again.client.size} bytes")
            # Reads what both have, so that a session that was lost is noticed.
            if self.size and self._first(self.server) != self._first(again):
                raise SourceGone(f"{self._location} was replaced by another unit")
        finally:
            again.close()

    def _first(self, server: qemu.Server) -> bytes:
        return server.client.read(0, min(4096, self.size)).result()


def open_reader(location: IscsiUnit, *, timeout: float, initiator: str | None = None) -> UnitReader:
    """Log in to a target.

    :param initiator: qualified name of this host, if the target checks it
    :raises CannotOpen: the target does not exist, refused, or did not answer in time
    """
    server = qemu.serve_reader(_image(location, timeout, initiator), timeout=timeout)
    return UnitReader(server, location, timeout, initiator)


def open_writer(location: IscsiUnit, *, timeout: float, initiator: str | None = None) -> qemu.ServedWriter:
    """Log in to a target. Parameters and errors as of :func:`open_reader`."""
    return qemu.ServedWriter(qemu.serve_writer(_image(location, timeout, initiator), timeout=timeout))


def _image(location: IscsiUnit, timeout: float, initiator: str | None) -> qemu.Image:
    unit: dict[str, Any] = {
        "driver": "iscsi",
        "transport": "tcp",
        "portal": location.portal,
        "target": location.target,
        "lun": location.lun,
        # Seconds per command. Without it, the client tries forever to reach a target.
        "timeout": max(1, math.ceil(timeout)),
    }
    if initiator is not None:
        unit["initiator-name"] = initiator
    secrets = dict[str, str]()
    if location.user is not None:
        unit |= {"user": location.user, "password-secret": _PASSWORD}
        secrets[_PASSWORD] = location.password or ""
    return qemu.Image(str(location), {"driver": "raw", "file": unit}, secrets)
