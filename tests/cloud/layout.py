"""Directories and ports of the cloud."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests.cloud.net import HOST

STATE = "KARBOR_LIKE_CLOUD"
"""Environment variable: the state directory."""
PORTS = "KARBOR_LIKE_CLOUD_PORTS"
"""Environment variable: the first of the hundred ports of the cloud."""
DATA_PROTECT_PORT = "KARBOR_LIKE_CLOUD_DATA_PROTECT_PORT"
"""Environment variable: the port of the data-protect endpoint in the catalogue."""
SERVICES = "KARBOR_LIKE_CLOUD_SERVICES"
"""Environment variable: ``volumes`` leaves out Placement, Nova, Neutron and Heat."""

PASSWORD = "secret"
"""Password of every user."""
REGION = "RegionOne"


@dataclass(frozen=True)
class Layout:
    """Directories and ports of one cloud."""

    state: Path
    first_port: int
    data_protect_port: int
    with_servers: bool = True
    """Whether Placement, Nova, Neutron and Heat are part of the cloud."""
    first: "Layout | None" = None
    """The cloud in addition to which this one runs, or None. Both run the same installation and share its Swift."""

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> "Layout":
        first = int(env.get(PORTS, "24000"))
        return cls(
            state=Path(env.get(STATE, "/var/tmp/karbor_like-cloud")).absolute(),
            first_port=first,
            data_protect_port=int(env.get(DATA_PROTECT_PORT, first + 50)),
            with_servers=env.get(SERVICES, "all") == "all",
        )

    def second(self) -> "Layout":
        """Return the layout of a second cloud: in the directory of this one, on the next hundred ports."""
        return replace(
            self,
            state=self.state / "second",
            first_port=self.first_port + 100,
            data_protect_port=self.data_protect_port + 100,
            first=self,
        )

    @property
    def venv(self) -> Path:
        return (self.first or self).state / "venv"

    def etc(self, component: str) -> Path:
        """Return the configuration directory of a component. Create it if it is missing."""
        return _made(self.state / "etc" / component)

    def data(self, component: str) -> Path:
        """Return the data directory of a component. Create it if it is missing."""
        return _made(self.state / "data" / component)

    def clear(self) -> None:
        """Delete the data of earlier runs. The installation is kept. No process of the cloud may run."""
        for directory in (self.state / "data", self.state / "done"):
            if directory.exists():
                shutil.rmtree(directory)

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
        """URL of the S3 API, and the base of the URLs of the Swift API."""
        return f"http://{HOST}:{self.port('swift')}"

    @property
    def volume_url(self) -> str:
        return f"http://{HOST}:{self.port('cinder')}"

    @property
    def compute_url(self) -> str:
        return f"http://{HOST}:{self.port('nova')}/v2.1"

    @property
    def network_url(self) -> str:
        return f"http://{HOST}:{self.port('neutron')}"

    @property
    def placement_url(self) -> str:
        return f"http://{HOST}:{self.port('placement')}"

    @property
    def stack_url(self) -> str:
        return f"http://{HOST}:{self.port('heat')}/v1/%(project_id)s"

    @property
    def data_protect_url(self) -> str:
        return f"http://{HOST}:{self.data_protect_port}/v1/%(project_id)s"

    def once(self, name: str, key: str, action: Callable[[], None]) -> None:
        """Run *action* unless it completed before with the same *key*."""
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
    "nova": 7,
    "neutron": 8,
    "placement": 9,
    "mariadb": 10,
    "postgresql": 11,
    "rabbitmq": 12,
    "rabbitmq-management": 13,
    "rabbitmq-distribution": 14,
    "rabbitmq-epmd": 15,
    "memcached": 16,
    "heat": 17,
    "ceph": 18,
    "ceph-v1": 19,
}


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory
