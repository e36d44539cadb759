"""What the suite runs against: the whole system, on the sandbox or with ``--cloud real`` on real OpenStack."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.cloud import Backing, CloudHandle
from tests.fixtures.system import System
from tests.scenario.tenant import Tenant, until

_NAMES = {"user_domain_id": "OS_USER_DOMAIN_ID", "project_domain_id": "OS_PROJECT_DOMAIN_ID"}


#: Triggers as an operator has them who changes nothing, not as tests that wait for them.
_AS_DEFAULT = {
    "min_interval = 60": "min_interval = 3600",
    "min_window = 20": "min_window = 900",
    "max_window = 30": "max_window = 1800",
}


@dataclass(frozen=True)
class Target:
    """A running system, and a volume to protect.

    :param provider: id and name of a provider that protects volumes
    :param volume: a volume of alice's
    :param configuration: the services' file
    """

    cloud: CloudHandle
    url: str
    provider: str
    provider_name: str
    volume: Any
    configuration: Path

    def environment(self, user: str) -> dict[str, str]:
        """What the openstack command reads."""
        values = {_NAMES.get(name, f"OS_{name.upper()}"): text for name, text in self.cloud.credentials(user).items()}
        return {"OS_IDENTITY_API_VERSION": "3", **values}

    def project_id(self, user: str) -> str:
        return str(self.cloud.session(user).get_project_id())

    def settle(self, checkpoint_id: str) -> None:
        """Wait until a checkpoint of alice's is made."""
        path = f"/providers/{self.provider}/checkpoints/{checkpoint_id}"
        alice = Tenant(self.cloud, "alice")
        found = until(lambda: alice.call("GET", path)["checkpoint"], lambda one: one["status"] != "protecting")
        assert found["status"] == "available", found


@pytest.fixture(scope="session")
def target(cloud: CloudHandle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    directory = tmp_path_factory.mktemp("conformance")
    if cloud.real:
        backing = Backing(cloud.mariadb.new_database(), cloud.rabbitmq.new_vhost())  # type: ignore[attr-defined]
    else:
        backing = Backing(f"sqlite:///{directory / 'karbor_like.sqlite'}", "fake://")
    system = System(cloud, backing, directory / "system", **_AS_DEFAULT)
    alice = Tenant(cloud, "alice")
    volume = alice.volume("data-1")
    try:
        system.up()
        yield Target(cloud, system.url, system.file_provider, "files", volume, system.configuration)
        # Another session: the catalogue of the first one's token is older than the endpoint.
        _finish(Tenant(cloud, "alice"))
    finally:
        system.stop()
        alice.delete_volume(volume.id)


def _finish(alice: Tenant) -> None:
    """Wait until nothing is done any more, so that nothing holds on to the volume."""
    until(
        lambda: alice.call("GET", "/operation_logs")["operation_logs"],
        lambda logs: all(log["ended_at"] for log in logs),
    )
