"""Where the cloud keeps its state and on which ports it listens."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cloud.net import HOST

STATE = "KARBOR_LIKE_CLOUD"
"""Environment variable: the state directory."""
PORTS = "KARBOR_LIKE_CLOUD_PORTS"
"""Environment variable: the first of the hundred ports that the cloud takes."""
DATA_PROTECT_PORT = "KARBOR_LIKE_CLOUD_DATA_PROTECT_PORT"
"""Environment variable: where the catalogue says that the data-protect service is."""

PASSWORD = "secret"
"""Of every user."""
REGION = "RegionOne"


@dataclass(frozen=True)
class Layout:
    """Directories and ports of one cloud."""

    state: Path
    first_port: int
    data_protect_port: int

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> "Layout":
        first = int(env.get(PORTS, "24000"))
        return cls(
            state=Path(env.get(STATE, "/var/tmp/karbor_like-cloud")).absolute(),
            first_port=first,
            data_protect_port=int(env.get(DATA_PROTECT_PORT, first + 50)),
        )

    @property
    def venv(self) -> Path:
        return self.state / "venv"

    def etc(self, component: str) -> Path:
        """A component's configuration directory; made if it is missing."""
        return _made(self.state / "etc" / component)

    def data(self, component: str) -> Path:
        """A component's data directory; made if it is missing."""
        return _made(self.state / "data" / component)

    def log(self, name: str) -> Path:
        return _made(self.state / "log") / f"{name}.log"

    def port(self, name: str) -> int:
        return self.first_port + _OFFSETS[name]

    @property
    def auth_url(self) -> str:
        return f"http://{HOST}:{self.port('keystone')}/v3"

    @property
    def image_url(self) -> str:
        return f"http://{HOST}:{self.port('glance')}"

    @property
    def object_url(self) -> str:
        """Of the S3 API, and the start of the Swift API's URLs."""
        return f"http://{HOST}:{self.port('swift')}"

    @property
    def volume_url(self) -> str:
        return f"http://{HOST}:{self.port('cinder')}"

    @property
    def data_protect_url(self) -> str:
        return f"http://{HOST}:{self.data_protect_port}/v1/%(project_id)s"

    def once(self, name: str, key: str, action: Callable[[], None]) -> None:
        """Do *action* unless it was done to its end before under the same *key*."""
        stamp = _made(self.state / "done") / name
        if not stamp.exists() or stamp.read_text() != key:
            action()
            stamp.write_text(key)


_OFFSETS = {
    "keystone": 0,
    "glance": 1,
    "swift": 2,
    "account": 3,
    "container": 4,
    "object": 5,
    "cinder": 6,
    "mariadb": 10,
    "postgresql": 11,
    "rabbitmq": 12,
    "rabbitmq-management": 13,
    "rabbitmq-distribution": 14,
    "rabbitmq-epmd": 15,
    "memcached": 16,
}


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory
