"""The system under test: all services, on the sandbox or with ``--cloud real`` on real OpenStack."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.cloud import Backing, CloudHandle
from tests.fixtures.system import System
from tests.scenario.tenant import Tenant, until

_NAMES = {"user_domain_id": "OS_USER_DOMAIN_ID", "project_domain_id": "OS_PROJECT_DOMAIN_ID"}


#: Restores the defaults of the trigger options, which other tests shorten because they wait for triggers.
_TRIGGER = {"min_interval": 3600, "min_window": 900, "max_window": 1800}


@dataclass(frozen=True)
class Target:
    """A running system, and a volume to protect.

    :param provider: id of a provider that protects volumes
    :param provider_name: name of the same provider
    :param volume: a volume of alice
    :param configuration: the configuration file of the services
    """

    cloud: CloudHandle
    url: str
    provider: str
    provider_name: str
    volume: Any
    configuration: Path

    def environment(self, user: str) -> dict[str, str]:
        """Return the environment variables for the openstack command."""
        return environment(self.cloud, user)

    def project_id(self, user: str) -> str:
        return str(self.cloud.session(user).get_project_id())

    def settle(self, checkpoint_id: str) -> None:
        """Wait until a checkpoint of alice is no longer in progress, and assert that it is available."""
        path = f"/providers/{self.provider}/checkpoints/{checkpoint_id}"
        alice = Tenant(self.cloud, "alice")
        checkpoint = until(lambda: alice.call("GET", path)["checkpoint"], lambda c: c["status"] != "protecting")
        assert checkpoint["status"] == "available", checkpoint


def environment(cloud: CloudHandle, user: str) -> dict[str, str]:
    """Return the environment variables of a user for the openstack command."""
    values = {_NAMES.get(name, f"OS_{name.upper()}"): text for name, text in cloud.credentials(user).items()}
    return {"OS_IDENTITY_API_VERSION": "3", **values}


@pytest.fixture(scope="session")
def target(cloud: CloudHandle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    directory = tmp_path_factory.mktemp("conformance")
    if cloud.real:
        backing = Backing(cloud.mariadb.new_database(), cloud.rabbitmq.new_vhost())  # type: ignore[attr-defined]
    else:
        backing = Backing(f"sqlite:///{directory / 'karbor_like.sqlite'}", "fake://")
    system = System(cloud, backing, directory / "system", trigger=_TRIGGER)
    alice = Tenant(cloud, "alice")
    others = alice.volume_ids()
    volume = alice.volume("data-1")
    try:
        system.up()
        yield Target(cloud, system.url, system.file_provider, "files", volume, system.configuration)
        # A new session, because the catalogue in the token of the first one lacks the endpoint.
        _finish(Tenant(cloud, "alice"))
    finally:
        system.stop()
        # Also those that tests restored.
        for volume_id in alice.volume_ids() - others:
            alice.delete_volume(volume_id)


def _finish(alice: Tenant) -> None:
    """Wait until no operation is in progress, because an operation may still use the volume."""
    until(
        lambda: alice.call("GET", "/operation_logs")["operation_logs"],
        lambda logs: all(log["ended_at"] for log in logs),
    )
