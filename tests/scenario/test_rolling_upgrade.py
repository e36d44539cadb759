"""Hosts are upgraded in turn while a tenant works: ``doc/source/admin/upgrading.rst``, step by step.

The services before are those of an earlier release (``tests/fixtures/earlier.py``), as processes of their own on MariaDB and
RabbitMQ, as on hosts of their own.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from karbor_like import exception, service
from karbor_like.bank.format import manifest
from karbor_like.context import RequestContext
from karbor_like.rpc.protection import ProtectionClient
from tests.fixtures import earlier
from tests.fixtures.cloud import Backing
from tests.fixtures.rolling import Host, Rolling, TinyCloud
from tests.scenario.tenant import VOLUME, Tenant, path_of, random_bytes, until

pytestmark = pytest.mark.sandbox

#: The version of what protection services write to banks.
_FORMAT = ("karbor_like.bank.format.manifest", "FORMAT")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> earlier.Earlier:
    """The release that is upgraded from."""
    found = earlier.extract(tmp_path_factory.mktemp("earlier"))
    print(f"the earlier release is {found.commit}")
    return found


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[TinyCloud]:
    """A cloud of its own."""
    with TinyCloud(tmp_path / "cloud") as cloud:
        yield cloud


@pytest.fixture
def site(
    cloud: TinyCloud, release: earlier.Earlier, mariadb: Any, transport_url: str, tmp_path: Path
) -> Iterator[Rolling]:
    database_url = mariadb.new_database()
    with contextlib.closing(Rolling(cloud, Backing(database_url, transport_url), tmp_path, release)) as site:
        yield site
    mariadb.drop(database_url)


class Story:
    """What a tenant does during the upgrade, and what must be true of it.

    :param same_format: whether both releases write the same format of banks
    """

    def __init__(self, site: Rolling, cloud: TinyCloud, same_format: bool) -> None:
        self.site = site
        self._cloud = cloud
        self._same_format = same_format
        self.alice = Tenant(cloud, "alice")
        volume = self.alice.volume("rolling")
        cloud.write_volume(volume.id, random_bytes("rolling", 3))
        self._digest = cloud.volume_digest(volume.id)
        self.plan = self.alice.plan(site.provider, (VOLUME, volume))
        self.checkpoints: list[dict[str, Any]] = []

    def ran(self, host: Host, operation_type: str, **equal: Any) -> None:
        """Assert that a host ran the operation with these values."""
        assert self.site.operation(operation_type=operation_type, **equal).owner.split(":")[0] == host.name

    def protect(self, host: Host | None = None) -> dict[str, Any]:
        """Protect the plan, on *host* if it is given, and return the checkpoint."""
        checkpoint = self.alice.protected(self.plan)
        assert checkpoint["status"] == "available", checkpoint
        if host:
            self.ran(host, "protect", checkpoint_id=checkpoint["id"])
        self.checkpoints.append(checkpoint)
        return checkpoint

    def restore(self, host: Host, checkpoint: dict[str, Any], *, readable: bool = True, **asked: Any) -> None:
        """Restore a checkpoint on *host*, and check every byte.

        :param readable: whether the release of the host must understand the checkpoint; otherwise it must refuse it
        """
        before = self.alice.volume_ids()
        restore = self.alice.restore(checkpoint, **asked)
        self.ran(host, "restore", restore_id=restore["id"])
        if readable or self._same_format:
            assert restore["status"] == "success", restore
            (made,) = self.alice.volume_ids() - before
            assert self._cloud.volume_digest(made) == self._digest
            self.alice.delete_volume(made)
        else:
            assert restore["status"] == "fail", restore
            assert f"has version {manifest.FORMAT} of the format" in str(restore), restore
        assert self.alice.volume_ids() == before

    def delete(self, host: Host, checkpoint: dict[str, Any]) -> None:
        """Delete a checkpoint on *host*."""
        self.alice.call("DELETE", path_of(checkpoint))
        assert self.alice.settled(checkpoint)["status"] == "deleted"
        self.ran(host, "delete", checkpoint_id=checkpoint["id"])
        self.checkpoints.remove(checkpoint)

    def outlive(self, first: Host, second: Host) -> None:
        """Kill *first* while it protects the plan, and let *second* complete the checkpoint."""
        held = self._cloud.fault(service="volume", method="POST", path="/snapshots$", kind="hold")
        with second.closed():
            checkpoint = self.alice.protect(self.plan)
            until(self._cloud.faults, lambda faults: any(fault["struck"] for fault in faults))
            self.ran(first, "protect", checkpoint_id=checkpoint["id"])
            first.kill()
            self._cloud.clear_faults(held)
        checkpoint = self.alice.settled(checkpoint)
        assert checkpoint["status"] == "available", checkpoint
        self.ran(second, "protect", checkpoint_id=checkpoint["id"])
        self.checkpoints.append(checkpoint)


def wait_up(admin: Tenant, *hosts: Host) -> None:
    """Wait until services are listed as up."""
    names = {host.name for host in hosts}
    assert until(lambda: listed_up(admin), names.issubset) >= names


def listed_up(admin: Tenant) -> set[str]:
    services = admin.call("GET", "/os-services")["services"]
    return {service["host"] for service in services if service["state"] == "up"}


def answering(files: list[Path]) -> set[str]:
    """Return the hosts of the protection services that answer a few calls with a configuration."""
    client = ProtectionClient(service.configure([], files=[str(path) for path in files]))
    try:
        return {client.ping(RequestContext(overwrite=False), timeout=60)["host"] for _ in range(6)}
    finally:
        client.close()


def refusal(files: list[Path]) -> str:
    """Return why one of a few calls with a configuration fails, or nothing."""
    try:
        answering(files)
    except exception.Unavailable as error:
        return error.message
    return ""


def test_hosts_are_upgraded_in_turn(site: Rolling, release: earlier.Earlier, cloud: TinyCloud) -> None:
    pins = {
        "protection": release.ask("karbor_like.rpc.protection", "VERSION"),
        "operationengine": release.ask("karbor_like.rpc.operationengine", "VERSION"),
    }
    # The site before.
    assert site.run("manage", "db", "sync", old=True)[0] == 0
    api = site.add("api-1", "api", old=True)
    engine = site.add("engine-1", "operationengine", old=True)
    old, other = (site.add(f"protection-{n}", "protection", old=True) for n in (1, 2))
    site.start()
    cloud.publish("data-protect", f"{site.url}/v1/%(project_id)s")
    admin = Tenant(cloud, "admin")
    wait_up(admin, engine, old, other)
    story = Story(site, cloud, release.ask(*_FORMAT) == str(manifest.FORMAT))
    alice = story.alice
    schedule = alice.schedule(story.plan, "0 0 1 1 *", max_backups=9)
    obsolete, by_old = story.protect(), story.protect()
    belongings = alice.belongings()

    # 1. The database is upgraded while the services run.
    code, said = site.run("manage", "db", "sync")
    assert code == 0, said

    # 2. A protection service joins. It and the others run what the API of the earlier release asks for.
    new = site.add("protection-3", "protection", **pins)
    wait_up(admin, new)
    with other.closed(), old.closed():
        by_new = story.protect(new)
        story.restore(new, by_old)
        story.delete(new, obsolete)
        obsolete = story.protect(new)
    with other.closed(), new.closed():
        story.protect(old)
        story.restore(old, by_old)
        story.restore(old, by_new, readable=False)
        story.delete(old, obsolete)
    assert until(lambda: answering(new.files), {"protection-1", "protection-2", "protection-3"}.__eq__)
    if pins["protection"] != ProtectionClient.version:
        assert "does not support version" in until(lambda: refusal([site.configuration]), bool)

    # Each takes over from the other.
    with other.closed():
        story.outlive(old, new)
    more = site.add("protection-4", "protection", **pins)
    wait_up(admin, more)
    with more.closed():
        story.outlive(new, other)

    # 3. The API and the operation engine follow. Services of the earlier release run what they ask for.
    api.stop()
    api = site.add("api-2", "api", **pins)
    site.start()
    engine.stop()
    engine = site.add("engine-2", "operationengine", **pins)
    wait_up(admin, engine)
    with more.closed():
        story.restore(other, story.protect(other))
    with other.closed():
        story.restore(more, by_new)
    code, said = site.run("status", "upgrade", "check", **pins)
    assert "Failure" not in said, said
    alice.call("DELETE", f"/scheduled_operations/{schedule['id']}")

    # 4. The last service of the earlier release ends, and the pins are removed.
    other.stop()
    assert other.name not in until(lambda: listed_up(admin), lambda names: other.name not in names)
    code, said = site.run("status", "upgrade", "check", **pins)
    assert (code, "remove the option" in " ".join(said.split())) == (
        1,
        pins["protection"] != ProtectionClient.version,
    ), said
    for host in (api, more, engine):
        host.stop()
    site.add("api-3", "api")
    last = site.add("protection-5", "protection")
    site.start()
    wait_up(admin, last)
    story.restore(last, by_new)
    assert len(story.checkpoints) == 6
    for checkpoint in story.checkpoints:
        verification = alice.verified(checkpoint, parameters={VOLUME: {"level": "full"}})
        assert verification["status"] == "success", verification
    assert alice.belongings() == belongings
