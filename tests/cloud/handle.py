"""The real cloud as tests see it: the same calls as on the sandbox's handle (``karbor_like.sandbox.cloud``)."""

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from keystoneauth1.identity.v3 import Password
from keystoneauth1.session import Session

from karbor_like.sandbox import files
from tests.cloud.accounts import SERVICE_USERS
from tests.cloud.cloud import Cloud
from tests.cloud.layout import PASSWORD
from tests.cloud.net import HOST

TIMEOUT = 120
"""Seconds without a byte after which a client gives up: longer than a loaded machine needs for one call."""


class RealCloud:
    """A cloud that :meth:`Cloud.up` brought up.

    Volumes are read and written beneath Cinder, through the files of its NFS share, and only while nothing else uses
    them.
    """

    real = True
    gib = 1 << 30

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.mariadb = cloud.mariadb
        self.postgresql = cloud.postgresql
        self.rabbitmq = cloud.rabbitmq
        self.memcached = f"{HOST}:{cloud.layout.port('memcached')}"
        self.s3_url = cloud.layout.object_url

    @property
    def auth_url(self) -> str:
        """Keystone's URL."""
        return self._cloud.layout.auth_url

    def credentials(self, user: str = "alice", project: str | None = None) -> dict[str, Any]:
        """The arguments of keystoneauth's password plugin. The project's default is the one the user was made with."""
        return {
            "auth_url": self.auth_url,
            "username": user,
            "password": PASSWORD,
            "project_name": project or ("service" if user in SERVICE_USERS else user),
            "user_domain_id": "default",
            "project_domain_id": "default",
        }

    def session(self, user: str = "alice", project: str | None = None) -> Session:
        """A keystoneauth session of a user."""
        return Session(auth=Password(**self.credentials(user, project)), timeout=TIMEOUT)

    def ec2_credentials(self, user: str = "alice") -> tuple[str, str]:
        """A new access key and secret key with which a user speaks to the S3 API at ``s3_url``."""
        session = self.session(user)
        url = f"{self.auth_url}/users/{session.get_user_id()}/credentials/OS-EC2"
        answer: dict[str, Any] = session.post(url, json={"tenant_id": session.get_project_id()}).json()
        return answer["credential"]["access"], answer["credential"]["secret"]

    def publish(self, service_type: str, url: str) -> None:
        """Say in the catalogue that a service is at *url*, which may hold ``%(project_id)s``."""
        self._cloud.accounts().endpoint(service_type, service_type, url)

    def write_volume(self, volume_id: str, data: bytes | Iterable[bytes], offset: int = 0) -> None:
        """Write bytes over a volume's from *offset* on; the rest stays as it is."""
        chunks = [data] if isinstance(data, bytes) else data
        path, kind = self._image(volume_id)
        if kind == "raw":
            size = path.stat().st_size
            files.write(path, chunks, offset=offset)
            if path.stat().st_size != size:
                raise ValueError(f"more was written to volume {volume_id} than its {size} bytes hold")
            return
        with tempfile.NamedTemporaryFile(dir=path.parents[1]) as source:
            length = files.write(Path(source.name), chunks)
            _run("qemu-io", "-f", kind, "-c", f"write -s {source.name} {offset} {length}", str(path))

    def read_volume(self, volume_id: str) -> Iterator[bytes]:
        """A volume's bytes, a mebibyte at a time."""
        path, kind = self._image(volume_id)
        if kind == "raw":
            yield from files.read(path)
            return
        with tempfile.NamedTemporaryFile(dir=path.parents[1]) as flat:
            _run("qemu-img", "convert", "-f", kind, "-O", "raw", str(path), flat.name)
            yield from files.read(Path(flat.name))

    def volume_digest(self, volume_id: str) -> str:
        """The SHA-256 of a volume's bytes, as hex."""
        digest = hashlib.sha256()
        for chunk in self.read_volume(volume_id):
            digest.update(chunk)
        return digest.hexdigest()

    def _image(self, volume_id: str) -> tuple[Path, str]:
        """The file with a volume's newest layer (a snapshot puts an overlay on the volume's own), and its format."""
        directory = self._cloud.layout.data("volumes")
        info = directory / f"volume-{volume_id}.info"
        name = json.loads(info.read_text())["active"] if info.exists() else f"volume-{volume_id}"
        described = json.loads(_run("qemu-img", "info", "--output", "json", str(directory / name)))
        return directory / name, described["format"]

    def close(self) -> None:
        """Nothing to do: the cloud is not this handle's to stop."""


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
