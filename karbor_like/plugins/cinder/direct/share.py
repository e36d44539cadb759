"""The backend for volumes that are files of a share, as Cinder's NFS driver keeps them.

Cinder writes, next to a volume with snapshots, the file ``volume-ID.info``: a JSON object with the name of the file that is
written now (``active``), and of the file above each snapshot, by the id of the snapshot. The data of a snapshot are the file
below that one. Source: https://opendev.org/openstack/cinder/src/branch/master/cinder/volume/drivers/remotefs.py
"""

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar, cast

from karbor_like import exception
from karbor_like.datapath import errors, files, qcow2, qemu
from karbor_like.datapath.files import FileReader
from karbor_like.datapath.location import FileFormat, ImageFile
from karbor_like.datapath.pool import limited
from karbor_like.datapath.qemu import ServedWriter
from karbor_like.plugins.cinder.direct import names
from karbor_like.plugins.cinder.direct.backend import Backend, Connection, StoredVolume, Times
from karbor_like.plugins.protection import HookContext

#: ``driver_volume_type`` of such volumes.
TYPES: Final = ("nfs", "glusterfs", "vzstorage", "quobyte")
_FORMATS: Final = ("raw", "qcow2")
_MOST_INFO_BYTES: Final = 1024 * 1024

T = TypeVar("T")


class ShareBackend(Backend):
    """Volumes in a directory, which is the argument: a share is mounted there, or shares below it."""

    kind: ClassVar[str] = "remotefs"

    def __init__(self, conf: Any, argument: str) -> None:
        super().__init__(conf, argument)
        if not argument.startswith("/"):
            raise exception.ConfigurationError(
                "backends: the kind remotefs needs the directory at which the share is mounted, as in"
                f" PATTERN:remotefs=/srv/volumes; found {argument!r}"
            )
        self._directory = Path(argument)

    def obstacle(self, context: HookContext, volume: StoredVolume) -> str | None:
        return None if shutil.which("qemu-nbd") else "qemu-nbd is not installed on this host"

    def open_reader(self, context: HookContext, volume: StoredVolume, snapshot_id: str, times: Times) -> FileReader:
        name = names.of_volume(volume.stored_id)

        def find() -> tuple[ImageFile, str]:
            share = self._share(name)
            overlay = names.volume_file(_info(share / f"{name}.info").get(snapshot_id), volume.stored_id)
            return _below(share, overlay, volume.stored_id), overlay

        location, overlay = self._limited(find, volume)
        return files.open_reader(location, timeout=self.conf.io_timeout, overlay=overlay)

    def open_writer(self, context: HookContext, volume: StoredVolume, connection: Connection) -> ServedWriter:
        if connection.get("driver_volume_type") not in TYPES or connection.get("format") not in _FORMATS:
            raise errors.CannotOpen(
                f"volume {volume.id}: Cinder attaches it by {connection.get('driver_volume_type')!r} in the format"
                f" {connection.get('format')!r}; expected {' or '.join(TYPES)}, {' or '.join(_FORMATS)}"
            )
        name = names.volume_image(connection.get("name"), volume.stored_id)
        share = self._limited(lambda: self._share(name), volume)
        return files.open_writer(ImageFile(share, name, connection["format"]), timeout=self.conf.io_timeout)

    def _limited(self, look: Callable[[], T], volume: StoredVolume) -> T:
        """Look at a share, whose server may not answer."""
        return limited(look, f"volume {volume.id}", "look", timeout=self.conf.io_timeout, failed=errors.CannotOpen)

    def _share(self, name: str) -> Path:
        """Return the directory that has the file *name*."""
        with contextlib.suppress(OSError):
            below = [each for each in sorted(self._directory.iterdir()) if each.is_dir() and not each.is_symlink()]
            for directory in (self._directory, *below):
                if (directory / name).is_file():
                    return directory
        raise errors.CannotOpen(f"{self._directory}: file {name} is neither in it nor in a directory below")


def _info(path: Path) -> dict[str, Any]:
    """Return the names of files by snapshots."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_MOST_INFO_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise errors.CannotOpen(f"{path.name}: cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise errors.CannotOpen(f"{path.name}: expected a JSON object")
    return found


def _below(share: Path, overlay: str, stored: str) -> ImageFile:
    """Return the file below another one, whose header names it. Cinder and Nova write headers, tenants what is inside."""
    try:
        descriptor = qemu.open_file(share / overlay, os.O_RDONLY)
    except OSError as error:
        raise errors.CannotOpen(f"{overlay}: cannot be opened: {error.strerror}") from None
    try:
        header = qcow2.read_header(descriptor)
    except (qcow2.BadHeader, OSError) as error:
        raise errors.CannotOpen(f"{overlay}: {error}") from None
    finally:
        os.close(descriptor)
    name = names.volume_file(Path(header.backing or "").name, stored)
    if header.backing_format not in _FORMATS:
        raise errors.CannotOpen(
            f"{overlay}: states the format {header.backing_format!r} of {name}; expected {' or '.join(_FORMATS)}"
        )
    return ImageFile(share, name, cast(FileFormat, header.backing_format))
