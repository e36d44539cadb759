"""Handle of the real cloud for tests: the same interface as the sandbox's handle (``karbor_like.sandbox.cloud``)."""

import contextlib
import hashlib
import json
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import swiftclient
from keystoneauth1.identity.v3 import Password
from keystoneauth1.session import Session

from karbor_like.sandbox import files
from tests.cloud import ceph
from tests.cloud.accounts import SERVICE_USERS
from tests.cloud.cinder import BACKUPS, share
from tests.cloud.cloud import Cloud
from tests.cloud.layout import PASSWORD
from tests.cloud.net import HOST

TIMEOUT = 120
"""Seconds without data after which clients time out: longer than one call takes on a loaded machine."""


class RealCloud:
    """A cloud that :meth:`Cloud.up` started.

    Volumes are accessed without Cinder, through the files of its NFS share or the images in Ceph. They must not be in use
    meanwhile.
    """

    real = True
    gib = 1 << 30
    size = 1
    volume_plugin = "volume-glance"

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.mariadb = cloud.mariadb
        self.postgresql = cloud.postgresql
        self.rabbitmq = cloud.rabbitmq
        self.ceph = cloud.ceph
        self.memcached = f"{HOST}:{cloud.layout.port('memcached')}"

    @property
    def volumes(self) -> Path:
        """The directory with the files of volumes of type ``file``."""
        return self._cloud.layout.data("volumes")

    @property
    def share(self) -> Path:
        """Where Cinder mounts this directory."""
        return share(self._cloud.layout.data("cinder"))

    @property
    def auth_url(self) -> str:
        """Keystone's URL."""
        return self._cloud.layout.auth_url

    def credentials(self, user: str = "alice", project: str | None = None) -> dict[str, Any]:
        """Return the arguments of keystoneauth's password plugin; *project* defaults to the user's own project."""
        return {
            "auth_url": self.auth_url,
            "username": user,
            "password": PASSWORD,
            "project_name": project or ("service" if user in SERVICE_USERS else user),
            "user_domain_id": "default",
            "project_domain_id": "default",
        }

    def session(self, user: str = "alice", project: str | None = None) -> Session:
        """Create a keystoneauth session of a user."""
        return Session(auth=Password(**self.credentials(user, project)), timeout=TIMEOUT)

    def brief_token(self, user: str, seconds: float) -> str:
        """Return a token of a user that expires after *seconds*."""
        return self._cloud.shortened(str(self.session(user).get_token()), seconds)

    def kill(self, process: str) -> None:
        """Kill a process of the cloud and its children (SIGKILL)."""
        self._cloud.supervisor.kill(process)

    def stopped(self, process: str) -> contextlib.AbstractContextManager[None]:
        """Let a process of the cloud stand still (SIGSTOP). Afterwards it handles what it was asked meanwhile."""
        return self._cloud.supervisor.stopped(process)

    def up(self) -> None:
        """Start the processes that were killed."""
        self._cloud.up()

    def backup_objects(self) -> set[str]:
        """Return the names of the objects of all backups of Cinder."""
        connection = swiftclient.Connection(session=self.session("karbor"))
        try:
            _, listed = connection.get_container(BACKUPS, full_listing=True)
        except swiftclient.ClientException as error:
            if error.http_status != 404:
                raise
            return set()  # there has not been any backup
        return {item["name"] for item in listed}

    def publish(self, service_type: str, url: str) -> None:
        """Publish the endpoint *url* of a service in the catalogue; it may contain ``%(project_id)s``."""
        self._cloud.accounts().endpoint(service_type, service_type, url)

    def write_volume(self, volume_id: str, data: bytes | Iterable[bytes], offset: int = 0) -> None:
        """Overwrite bytes of a volume from *offset* on. The other bytes do not change."""
        chunks = [data] if isinstance(data, bytes) else data
        path, kind = self._image(volume_id)
        if isinstance(path, Path) and kind == "raw":
            size = path.stat().st_size
            files.write(path, chunks, offset=offset)
            if path.stat().st_size != size:
                raise ValueError(f"volume {volume_id}: more data than its {size} bytes; write within the volume")
            return
        with self._temporary_file() as source:
            length = files.write(Path(source.name), chunks)
            _run("qemu-io", "-f", kind, "-c", f"write -s {source.name} {offset} {length}", str(path))

    def read_volume(self, volume_id: str) -> Iterator[bytes]:
        """Yield the bytes of a volume, one mebibyte at a time."""
        path, kind = self._image(volume_id)
        if isinstance(path, Path) and kind == "raw":
            yield from files.read(path)
            return
        with self._temporary_file() as flat:
            _run("qemu-img", "convert", "-f", kind, "-O", "raw", str(path), flat.name)
            yield from files.read(Path(flat.name))

    def volume_digest(self, volume_id: str) -> str:
        """Return the SHA-256 of a volume's bytes as hex."""
        digest = hashlib.sha256()
        for chunk in self.read_volume(volume_id):
            digest.update(chunk)
        return digest.hexdigest()

    def _temporary_file(self) -> "tempfile._TemporaryFileWrapper[bytes]":
        return tempfile.NamedTemporaryFile(dir=self._cloud.layout.state)

    def _image(self, volume_id: str) -> tuple[Path | str, str]:
        """Return the file with a volume's newest layer, or QEMU's name of the image in Ceph; and the format.

        A snapshot of a file adds an overlay as a new layer.
        """
        directory = self.volumes
        if not (directory / f"volume-{volume_id}").exists():
            return f"rbd:{ceph.POOL}/volume-{volume_id}:conf={self.ceph.conf}:id={ceph.CINDER}", "raw"
        info = directory / f"volume-{volume_id}.info"
        name = json.loads(info.read_text())["active"] if info.exists() else f"volume-{volume_id}"
        if name == f"volume-{volume_id}":
            # Not from the content: a volume may have an image in another format inside.
            return directory / name, "raw"
        # Cinder reverts a volume to a snapshot by copying bytes over the overlay.
        details = json.loads(_run("qemu-img", "info", "--output", "json", str(directory / name)))
        return directory / name, details["format"]

    def close(self) -> None:
        """Do nothing: the cloud outlives this handle."""


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
