"""A second cloud has nothing of the first one but the bank: a project is restored there, protected again, restored back.

With ``--cloud real``, both clouds are real ones.
"""

import contextlib
import functools
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from karbor_like.domain.resource import NETWORK, PROJECT, SERVER, VOLUME
from tests.cloud.cloud import Cloud
from tests.cloud.handle import RealCloud
from tests.cloud.layout import Layout
from tests.fixtures.cloud import Backing, SandboxCloud
from tests.fixtures.services import skipping_where_allowed
from tests.fixtures.system import System
from tests.scenario.tenant import FLAVOR, MIB, Tenant, path_of, random_bytes, until
from tests.scenario.test_workload import Clients

#: Two real clouds take too long for a turn.
pytestmark = pytest.mark.turn("all")


class Site:
    """A cloud, our services in it, and the tenant Alice."""

    def __init__(self, cloud: Any, directory: Path, *allowed: str) -> None:
        directory.mkdir()
        self.cloud = cloud
        backing = Backing(f"sqlite:///{directory}/karbor_like.sqlite", "fake://")
        self.system = System(cloud, backing, directory, restore_target={"allowed_urls": ",".join(allowed)})
        self.project: str = cloud.session("alice").get_project_id()

    # Their tokens have the catalogue, so they sign in when the services are published.

    @functools.cached_property
    def alice(self) -> Tenant:
        return Tenant(self.cloud, "alice")

    @functools.cached_property
    def bob(self) -> Tenant:
        return Tenant(self.cloud, "bob")

    @functools.cached_property
    def clients(self) -> Clients:
        return Clients(self.cloud, self.alice)

    @property
    def providers(self) -> Path:
        return self.system.directory / "providers.d"

    def take_over(self, other: "Site") -> None:
        """Use the providers of the other site, with their banks and keys."""
        for path in other.providers.iterdir():
            (self.providers / path.name).write_text(path.read_text())

    def map(self, other: "Site") -> None:
        """Map Alice's project at the other site to hers here."""
        for path in self.providers.iterdir():
            line = f"map_project = {other.project}: {self.project}"
            path.write_text(path.read_text().replace("[provider]", f"[provider]\n{line}"))

    def reindex(self, provider: str) -> None:
        self.system.manage("bank", "reindex", provider)

    def shown(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """Return a checkpoint of the other site as Alice sees it here."""
        found = self.alice.checkpoint(checkpoint)
        assert (found["status"], found["project_id"]) == ("available", self.project), found
        return found


@pytest.fixture(scope="module")
def clouds(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Any]]:
    """Two clouds. Their Cinders store backups in the same place."""
    with contextlib.ExitStack() as stack:
        if request.config.getoption("--cloud") == "real":
            layout = Layout.from_environment()
            harnesses = [Cloud(layout), Cloud(layout.second())]
            capture = request.config.pluginmanager.getplugin("capturemanager")
            with skipping_where_allowed(), capture.global_and_fixture_disabled():
                for harness in harnesses:
                    stack.enter_context(harness.session())
            yield [RealCloud(harness) for harness in harnesses]
            return
        directory = tmp_path_factory.mktemp("clouds")
        sandboxes = [SandboxCloud(directory / name, backups_dir=directory / "backups") for name in ("a", "b")]
        for sandbox in sandboxes:
            stack.enter_context(contextlib.closing(sandbox))
            sandbox.settings(gib=sandbox.gib)
        yield sandboxes


@pytest.fixture(scope="module")
def sites(clouds: list[Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Site]]:
    directory = tmp_path_factory.mktemp("sites")
    first = Site(clouds[0], directory / "a", clouds[1].auth_url)
    second = Site(clouds[1], directory / "b")
    second.take_over(first)
    second.map(first)
    try:
        for site in (first, second):
            site.system.up()
        yield first, second
    finally:
        for site in (first, second):
            site.system.stop()


def build(site: Site) -> tuple[Any, Any]:
    """A server with a network and a volume of data, and a volume for Cinder's backups."""
    neutron, nova, alice = site.clients.neutron, site.clients.nova, site.alice
    network = neutron.create("networks", {"name": "inner"})["id"]
    subnet = {"name": "inner-4", "network_id": network, "ip_version": 4, "cidr": "10.0.7.0/24", "enable_dhcp": False}
    subnet_id = neutron.create("subnets", subnet)["id"]
    port = neutron.create("ports", {"name": "web-port", "network_id": network, "fixed_ips": [{"subnet_id": subnet_id}]})
    image = alice.image("base", b"".join(random_bytes("base of another cloud", 1)))
    data, kept = alice.volume("data"), alice.volume("kept")
    site.cloud.write_volume(data.id, random_bytes("data of another cloud", 2), offset=MIB)
    site.cloud.write_volume(kept.id, random_bytes("kept for another cloud", 1))
    device = {"uuid": data.id, "source_type": "volume", "destination_type": "volume", "boot_index": -1}
    server = nova.servers.create(
        "web", image.id, FLAVOR, nics=[{"port-id": port["id"]}], block_device_mapping_v2=[device]
    )
    return site.clients.settled(server.id), kept


def looks(site: Site, server: Any) -> dict[str, Any]:
    return {**site.clients.server_looks(server), "topology": site.clients.network_looks()}


def plan_of(site: Site, restore: dict[str, Any]) -> dict[str, Any]:
    return site.alice.call("GET", f"/plans/{restore['restored_plan_id']}")["plan"]


def test_a_project_moves_to_another_cloud_and_back(sites: tuple[Site, Site]):
    a, b = sites
    for site in sites:
        site.clients.delete_everything()  # a killed run may have left something
    server, kept = build(a)
    before, digests = looks(a, server), a.clients.digests()
    project = {"type": PROJECT, "id": a.project, "name": "alice"}
    workload = a.system.workload_provider
    checkpoint = a.alice.protected(a.alice.plan(workload, resources=[project], name="everything"))
    assert checkpoint["status"] == "available", checkpoint
    backup = a.alice.protected(a.alice.plan(a.system.backup_provider, (VOLUME, kept)))
    assert backup["status"] == "available", backup

    # The second site has nothing but the bank.
    for provider in (workload, a.system.backup_provider):
        b.reindex(provider)
    for each in (checkpoint, backup):
        b.shown(each)
        assert b.bob.refused("GET", path_of(each))[0] == 404
    counts = b.clients.counts()
    dry = b.alice.restore(checkpoint, dry_run=True)
    assert dry["status"] == "success", dry
    assert {line["action"] for line in dry["plan"]["actions"]} <= {"create", "map", "reuse", "skip"}, dry["plan"]
    assert b.clients.counts() == counts

    restore = b.alice.restore(checkpoint, with_plan=True)
    assert restore["status"] == "success", restore
    new = {key.partition("#")[0]: key.partition("#")[2] for key in restore["resources_status"]}
    assert looks(b, b.clients.settled(new[SERVER])) == before
    assert b.clients.digests() == digests
    assert new[NETWORK] == b.project
    plan = plan_of(b, restore)
    assert (plan["name"], plan["provider_id"]) == ("everything", workload)
    assert [(each["type"], each["id"]) for each in plan["resources"]] == [(PROJECT, b.project)]

    # Cinder's backup: imported by the service, invisible to the tenant.
    volume = b.alice.restored(backup)[VOLUME][0]
    assert b.cloud.volume_digest(volume) == digests["kept"]
    assert b.alice.cinder.backups.list() == []
    b.alice.delete_volume(volume)

    # It is protected again there, and restored at the first site.
    b.cloud.write_volume(new[VOLUME], random_bytes("written at the second site", 1))
    digests = b.clients.digests()
    again = b.alice.protected(plan)
    assert again["status"] == "available", again
    a.clients.delete_everything()
    a.map(b)
    os.kill(a.system.process("allinone"), signal.SIGHUP)
    a.reindex(workload)
    a.shown(again)
    back = a.alice.restore(again, with_plan=True)
    assert back["status"] == "success", back
    assert a.clients.digests() == digests
    (moved,) = [key for key in back["resources_status"] if key.startswith(SERVER)]
    assert looks(a, a.clients.settled(moved.partition("#")[2])) == before
    assert [each["id"] for each in plan_of(a, back)["resources"]] == [a.project]

    # The first site's backup is as it was, until its checkpoint is deleted at either site.
    volume = a.alice.restored(backup)[VOLUME][0]
    assert a.cloud.volume_digest(volume) == b.cloud.volume_digest(b.alice.restored(backup)[VOLUME][0])
    b.alice.call("DELETE", path_of(backup))
    assert b.alice.settled(backup)["status"] == "deleted"

    # From the first site into the second cloud, without the services there.
    account = {**b.cloud.credentials("bob"), "type": "password"}
    asked = {name: account[name] for name in ("type", "username", "password", "project_name")}
    away = a.alice.restore(checkpoint, restore_target=b.cloud.auth_url, restore_auth=asked)
    assert away["status"] == "success", away
    (made,) = [key.partition("#")[2] for key in away["resources_status"] if key.startswith(SERVER)]
    bob = Clients(b.cloud, b.bob)
    assert until(lambda: bob.nova.servers.get(made), lambda each: each.status != "BUILD").status == "ACTIVE"
