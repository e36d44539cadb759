"""The handle on a sandbox: starts one in this process, or talks to one that runs elsewhere.

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
"""Seconds without a byte after which a client of the handle gives up."""


class Connection:
    """Everything the handle can do over HTTP, with a sandbox wherever it runs.

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
        """The arguments of keystoneauth's password plugin. The project's default is the one the user was made with."""
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
        """A keystoneauth session of a user."""
        return session.Session(auth=v3.Password(**self.credentials(user, project)), timeout=TIMEOUT)

    def fault(self, **values: Any) -> int:
        """Add a fault; the parameters are the fields of :class:`karbor_like.sandbox.faults.Fault`. Returns its id."""
        return self._call("POST", "faults", json=values).json()["id"]

    def faults(self) -> list[dict[str, Any]]:
        """All faults with how often each was matched and struck."""
        return self._call("GET", "faults").json()["faults"]

    def clear_faults(self, fault_id: int | None = None) -> None:
        """Forget one fault or all; what stalls or is held goes on."""
        self._call("DELETE", "faults" if fault_id is None else f"faults/{fault_id}")

    def calls(self, service: str = "", method: str = "", path: str = "") -> list[dict[str, Any]]:
        """The calls that came so far and match, oldest first."""
        params = {"service": service, "method": method, "path": path}
        return self._call("GET", "calls", params=params).json()["calls"]

    def forget_calls(self) -> None:
        """Empty the log of calls."""
        self._call("DELETE", "calls")

    def settings(self, **values: Any) -> dict[str, Any]:
        """Change settings (:class:`karbor_like.sandbox.state.Settings`) and return all of them."""
        return self._call("PUT", "settings", json=values).json()

    def expire_token(self, token: str) -> None:
        """Let a token's time run out now."""
        self._call("POST", "tokens/expire", json={"token": token})

    def expire_tokens_of(self, user_id: str) -> int:
        """Let the time of all tokens of a user run out now. Returns how many they were."""
        return self._call("POST", "tokens/expire", json={"user_id": user_id}).json()["expired"]

    def write_volume(self, volume_id: str, data: bytes | Iterable[bytes], offset: int = 0) -> None:
        """Write bytes over a volume's from *offset* on; the rest stays as it is."""
        self._call("PUT", f"volumes/{volume_id}/data", params={"offset": offset}, data=data)

    def read_volume(self, volume_id: str) -> Iterator[bytes]:
        """A volume's bytes, a mebibyte at a time."""
        return self._call("GET", f"volumes/{volume_id}/data", stream=True).iter_content(1 << 20)

    def volume_digest(self, volume_id: str) -> str:
        """The SHA-256 of a volume's bytes, as hex."""
        return self._call("GET", f"volumes/{volume_id}/digest").json()["sha256"]

    def _call(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        response = self._http.request(method, f"{self.url}/sandbox/{path}", timeout=600, **kwargs)
        if response.status_code >= 400:
            raise exception.InvalidInput(f"the sandbox refused {method} {path}: {response.text}")
        return response

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class Sandbox(Connection):
    """A sandbox in this process. Runs from here on until :meth:`close`.

    :param state_dir: where its state is kept; one that was used before goes on where it was
    :param port: 0 takes any free port of the loopback address
    """

    def __init__(
        self, state_dir: Path | str, *, host: str = "127.0.0.1", port: int = 0, clock: clocks.Clock | None = None
    ) -> None:
        self._world = world.World(Path(state_dir), clock or clocks.SystemClock())
        super().__init__(self._world.serve(host, port))

    def close(self) -> None:
        """Stop; what was under way is settled at the next start."""
        super().close()
        self._world.stop()
