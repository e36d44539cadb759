"""Handle of a sandbox: run one in this process, or control one in another process.

::

    with Sandbox(tmp_path) as cloud:
        cinder = cinderclient.client.Client("3.70", session=cloud.session("alice"))
        volume = cinder.volumes.create(1)
        cloud.fault(service="image", method="PUT", path="/file$", nth=2, kind="cut", where="request", after_bytes=1000)
        cloud.write_volume(volume.id, b"..."); cloud.volume_digest(volume.id)
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import requests
from keystoneauth1 import session
from keystoneauth1.identity import v3

from karbor_like import clock as clocks
from karbor_like import exception
from karbor_like.sandbox import world

TIMEOUT = 60
"""Seconds without data after which the clients of the handle time out."""


class Connection:
    """Control of a sandbox over HTTP, in this or another process.

    :param url: scheme, host and port of the sandbox
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._http = requests.Session()

    @property
    def auth_url(self) -> str:
        """Keystone's URL."""
        return f"{self.url}/identity/v3"

    def credentials(self, user: str = "alice", project: str | None = None) -> dict[str, Any]:
        """Return the arguments of keystoneauth's password plugin; *project* defaults to the user's own project."""
        project = project or ("service" if user not in ("admin", "alice", "bob") else user)
        return {
            "auth_url": self.auth_url,
            "username": user,
            "password": "secret",
            "project_name": project,
            "user_domain_id": "default",
            "project_domain_id": "default",
        }

    def session(self, user: str = "alice", project: str | None = None) -> session.Session:
        """Create a keystoneauth session of a user."""
        return session.Session(auth=v3.Password(**self.credentials(user, project)), timeout=TIMEOUT)

    def fault(self, **values: Any) -> int:
        """Add a fault and return its id; the parameters are the fields of :class:`karbor_like.sandbox.faults.Fault`."""
        return self._call("POST", "faults", json=values).json()["id"]

    def faults(self) -> list[dict[str, Any]]:
        """List all faults with the numbers of calls that each matched and struck."""
        return self._call("GET", "faults").json()["faults"]

    def clear_faults(self, fault_id: int | None = None) -> None:
        """Remove one fault or all, and resume the calls and jobs that they stall or hold."""
        self._call("DELETE", "faults" if fault_id is None else f"faults/{fault_id}")

    def calls(self, service: str = "", method: str = "", path: str = "") -> list[dict[str, Any]]:
        """List the calls so far that match, oldest first."""
        params = {"service": service, "method": method, "path": path}
        return self._call("GET", "calls", params=params).json()["calls"]

    def forget_calls(self) -> None:
        """Empty the log of calls."""
        self._call("DELETE", "calls")

    def settings(self, **values: Any) -> dict[str, Any]:
        """Change settings (:class:`karbor_like.sandbox.state.Settings`) and return all of them."""
        return self._call("PUT", "settings", json=values).json()

    def expire_token(self, token: str) -> None:
        """Expire a token now."""
        self._call("POST", "tokens/expire", json={"token": token})

    def expire_tokens_of(self, user_id: str) -> int:
        """Expire all tokens of a user now, and return their number."""
        return self._call("POST", "tokens/expire", json={"user_id": user_id}).json()["expired"]

    def write_volume(self, volume_id: str, data: bytes | Iterable[bytes], offset: int = 0) -> None:
        """Overwrite the data of a volume from *offset* on; the rest stays unchanged."""
        self._call("PUT", f"volumes/{volume_id}/data", params={"offset": offset}, data=data)

    def read_volume(self, volume_id: str) -> Iterator[bytes]:
        """Yield the data of a volume, a mebibyte at a time."""
        return self._call("GET", f"volumes/{volume_id}/data", stream=True).iter_content(1 << 20)

    def volume_digest(self, volume_id: str) -> str:
        """Return the SHA-256 of the data of a volume in hex."""
        return self._call("GET", f"volumes/{volume_id}/digest").json()["sha256"]

    def write_share(self, share_id: str, content: str) -> None:
        """Replace the content of a share, which is one text."""
        self._call("PUT", f"shares/{share_id}/content", json=content)

    def read_share(self, share_id: str) -> str:
        """Return the content of a share."""
        return self._call("GET", f"shares/{share_id}/content").json()

    def _call(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        response = self._http.request(method, f"{self.url}/sandbox/{path}", timeout=600, **kwargs)
        if response.status_code >= 400:
            raise exception.InvalidInput(f"sandbox: {method} {path} failed: {response.text}")
        return response

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class Sandbox(Connection):
    """A sandbox in this process, which runs until :meth:`close`.

    :param state_dir: directory of its state; an existing state is continued
    :param port: 0 selects any free port
    :param backups_dir: directory of the bytes of Cinder's backups; sandboxes with the same one are sites that share the
        store of their backups. By default, a part of *state_dir*
    """

    def __init__(
        self,
        state_dir: Path | str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: clocks.Clock | None = None,
        backups_dir: Path | None = None,
    ) -> None:
        self._world = world.World(Path(state_dir), clock or clocks.SystemClock(), backups_dir)
        super().__init__(self._world.serve(host, port))

    def close(self) -> None:
        """Stop. The next start resolves transitional states."""
        super().close()
        self._world.stop()
