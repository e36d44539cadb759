"""What nothing owns in a cloud any more is found by its marks and deleted; everything else stays."""

import dataclasses
import io
import json
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from keystoneauth1 import loading

from karbor_like import exception
from karbor_like.bank import CheckpointRecord
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.clients.waiter import Waiter
from karbor_like.clock import SystemClock
from karbor_like.cmd.manage import main
from karbor_like.db.checkpoints import CHECKPOINTS
from karbor_like.db.models import JournalEntry
from karbor_like.db.operations import OPERATIONS
from karbor_like.domain.graph import Graph
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.plugins.deployable import Deployable
from karbor_like.plugins.heat import hot
from karbor_like.plugins.heat.deployment import STACK
from karbor_like.plugins.heat.stack import Stack
from karbor_like.plugins.neutron.deployables.objects import Net, Port, Router, Subnet
from karbor_like.plugins.neutron.deployables.routing import RouterInterface
from karbor_like.plugins.nova.deployables import DEPLOYABLES, SERVER_GROUP, Server, ServerGroup
from karbor_like.plugins.objects import CloudObjects, Mark
from karbor_like.plugins.protection import EMPTY_SCHEMA, ProtectionPlugin, Schemas
from karbor_like.plugins.toolkit import ownership
from karbor_like.protection.housekeeping import Housekeeping
from karbor_like.protection.reaper import Reaper, Report, Standing
from karbor_like.sandbox.cloud import Sandbox
from karbor_like.testing import sandbox
from karbor_like.testing.host import Host, memory_bank
from tests.fixtures import configuration
from tests.functional.protection.site import PROVIDER, Site

HOUR = 3600.0
DAY = 24 * HOUR
THINGS_PROVIDER = "33333333-3333-4333-8333-333333333333"


class Later(SystemClock):
    """A clock that is ahead of that of the cloud."""

    def __init__(self, ahead: timedelta) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        return super().now() + self.ahead


class Things(CloudObjects):
    """Objects in memory, by id."""

    noun = "thing"
    ready = "available"
    deletable = None
    present: ClassVar[dict[str, Mark | None]] = {}
    #: The project that has them.
    project = ""
    #: Called before each deletion.
    looked_at: ClassVar[Any] = None
    #: Things that can be deleted only after all others.
    needed: ClassVar[set[str]] = set()

    def get(self, cloud_id: str) -> Any:
        if type(self).looked_at:
            type(self).looked_at(cloud_id)
        if cloud_id not in self.present:
            raise exception.ResourceNotFound(f"there is no thing {cloud_id}")
        return SimpleNamespace(id=cloud_id, status="available")

    def find(self, name: str) -> list[str]:
        return []

    def delete(self, current: Any) -> None:
        if current.id in self.needed and len(self.present) > len(self.needed):
            raise exception.Conflict("others depend on it")
        del self.present[current.id]

    def failure(self, current: Any) -> str | None:
        return None

    def scan(self) -> Iterable[Any]:
        return [SimpleNamespace(id=each) for each in list(self.present) if self.clients.project_id == self.project]

    def mark(self, current: Any) -> Mark | None:
        return self.present[current.id]


class Bugs(Things):
    """A type whose plugin has a bug."""

    noun = "bug"
    faulty = False

    def scan(self) -> Iterable[Any]:
        if self.faulty:
            raise KeyError("a bug")
        return ()


class Unsearched(Things):
    """A type of a plugin that does not know the search."""

    scan = CloudObjects.scan
    mark = CloudObjects.mark


class ThingProtection(ProtectionPlugin):
    api_version = 1
    schemas = {"Test::Thing": Schemas(EMPTY_SCHEMA, EMPTY_SCHEMA, EMPTY_SCHEMA, EMPTY_SCHEMA)}
    creates = (Things, Unsearched, Bugs)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("cloud")) as found:
        found.settings(job_delay=0.0, gib=sandbox.SMALL_GIB)
        yield found


@pytest.fixture(scope="module")
def project(cloud: Sandbox) -> str:
    """The project of alice, in which the service user has a role."""
    admin, user = cloud.session("admin"), cloud.session("karbor").get_user_id()
    project_id = cloud.session("alice").get_project_id()
    (member,) = admin.get(f"{cloud.auth_url}/roles?name=member").json()["roles"]
    admin.put(f"{cloud.auth_url}/projects/{project_id}/users/{user}/roles/{member['id']}")
    return str(project_id)


@pytest.fixture
def site(tmp_path: Path, files: Path, cloud: Sandbox) -> Iterator[Site]:
    """A service in the cloud, two days later."""
    found = Site(tmp_path, files)
    found.conf.register_opts(loading.get_auth_plugin_conf_options("v3password"), group="service_auth")
    for name, value in {"auth_type": "v3password", **cloud.credentials("karbor")}.items():
        found.conf.set_override(name, value, "service_auth")
    found.conf.set_override("interval", 0.02, "waiter")
    clock = Later(timedelta(days=2))
    found.env = dataclasses.replace(found.env, clients=ClientFactory(found.conf), clock=clock)
    yield found
    found.close()


@pytest.fixture
def clients(cloud: Sandbox) -> Clients:
    """Of alice."""
    return ClientFactory(sandbox.make_conf(cloud)).for_context(sandbox.context_of(cloud))


def operation(site: Site, project_id: str, **values: Any) -> str:
    """Insert a protect that has failed and cleaned up. Return its id."""
    row = {
        "operation_type": "protect",
        "project_id": project_id,
        "provider_id": PROVIDER,
        "queue_state": "done",
        "status": "error",
        "ended_at": datetime.now(UTC) - timedelta(minutes=1),
        **values,
    }
    return site.env.database.write(lambda session: OPERATIONS.insert(session, **row)).id


def keep(site: Site, operation_id: str, cloud_id: str, **values: Any) -> None:
    """Record a result of an operation in its journal."""
    entry = {"resource_key": "r", "role": "snapshot", "seq": 1, "name": f"of {cloud_id}", "cloud_id": cloud_id}
    entry |= {"keep": True, "gone": False, **values}
    site.env.database.write(lambda session: session.add(JournalEntry(operation_id=operation_id, **entry)))


def reap(site: Site, *projects: str, older_than: float = DAY, **arguments: Any) -> Report:
    return Reaper(site.env, older_than=older_than, **arguments).run(projects)


class Leaver:
    """Runs the code of plugins, and leaves what it creates behind."""

    def __init__(self, cloud: Sandbox, clients: Clients) -> None:
        self.cloud = cloud
        self.clients = clients
        self.waiter = Waiter(SystemClock(), interval=0.01, max_interval=0.05, timeout=300)
        self.volume = Resource("OS::Cinder::Volume", clients.cinder().volumes.create(1).id, "")
        self.settle(clients.cinder().volumes, self.volume.id, "available")

    def settle(self, manager: Any, cloud_id: str, status: str) -> None:
        self.waiter.until(cloud_id, lambda: manager.get(cloud_id), done=lambda found: found.status == status)

    def protect(self, plugin: str, operation_id: str) -> None:
        """Protect the volume as an operation that dies before it cleans up."""
        bank = memory_bank()
        host = Host(sandbox.make_plugin(plugin), self.clients, bank)
        started = dataclasses.replace(host.operation(OperationType.PROTECT, self.volume), id=operation_id)
        fault = self.cloud.fault(service="image", method="GET", path="/file$", kind="status", status=403, times=0)
        try:
            host.attempt(started)
        except exception.KarborLikeError:
            assert "Glance" in plugin or "Small" in plugin
        self.cloud.clear_faults(fault)
        bank.close()

    def deploy(self, kind: type[Deployable], operation_id: str, **properties: Any) -> str:
        """Create what a restore creates of its template."""
        objects = kind(self.clients, None, lambda: properties)
        name = f"{ownership.name_prefix(operation_id, kind.__name__)}-resource"
        cloud_id = objects.create(name, ownership.markers(operation_id, "resource", "r"))
        self.waiter.until(name, lambda: objects.get(cloud_id), done=lambda found: found.status == objects.ready)
        return cloud_id

    def boot_image(self) -> str:
        """Create an image of the tenant that a server can boot from."""
        images = self.clients.glance().images
        image = images.create(name="boot", disk_format="raw", container_format="bare")
        images.upload(image.id, io.BytesIO(b"boot"))
        return str(image.id)

    def all(self) -> dict[str, set[str]]:
        """The ids of everything in the project."""
        cinder, nova, glance = self.clients.cinder(), self.clients.nova(), self.clients.glance()
        neutron, project_id = self.clients.neutron(), self.clients.project_id
        managers = {"volume": cinder.volumes, "snapshot": cinder.volume_snapshots, "backup": cinder.backups}
        found = {kind: {each.id for each in manager.list()} for kind, manager in managers.items()}
        found["server"] = {each.id for each in nova.servers.list()}
        found["image"] = {each.id for each in glance.images.list(filters={"owner": project_id})}
        found["stack"] = {each.id for each in self.clients.heat().stacks.list()}
        for kind in ("network", "subnet", "router"):
            found[kind] = {each["id"] for each in neutron.list(f"{kind}s", project_id=project_id)}
        return found


@pytest.fixture
def leaver(cloud: Sandbox, clients: Clients) -> Leaver:
    return Leaver(cloud, clients)


def leave_everything(leaver: Leaver, operation_id: str) -> None:
    """Leave an object of each type behind."""
    leaver.protect("karbor_like.testing.sandbox:SmallVolumes", operation_id)
    leaver.protect("tests.contract.plugins.test_volume_backup:SmallBackups", operation_id)
    network = leaver.deploy(Net, operation_id, name="net")
    subnet = leaver.deploy(Subnet, operation_id, network=network, cidr="10.1.0.0/24", ip_version=4)
    router = leaver.deploy(Router, operation_id, name="router")
    RouterInterface(leaver.clients, None, lambda: {"router": router, "subnet": subnet}).create("", {})
    port = leaver.deploy(Port, operation_id, network=network)
    image = leaver.boot_image()
    leaver.deploy(Server, operation_id, name="web", image=image, flavor="1", networks=[{"port": port}])


def test_the_objects_of_ended_operations_are_deleted_and_no_others(site: Site, leaver: Leaver, project: str):
    clock = site.env.clock
    assert isinstance(clock, Later)
    clock.ahead = timedelta(0)
    running, unknown = operation(site, project, queue_state="running", status="protecting"), str(uuid.uuid4())
    ended = operation(site, project)
    for operation_id in (running, unknown):
        leaver.deploy(Net, operation_id, name="net")
    key_pair = {"key": {"type": "OS::Nova::KeyPair", "properties": {"name": "of the stack"}}}
    stack = {"template": hot.document(key_pair, DEPLOYABLES), "timeout_mins": 5}
    restored = leaver.deploy(Stack, str(uuid.uuid4()), **stack)
    leaver.clients.neutron().create("networks", {"name": "of the tenant"})
    before = leaver.all()
    leave_everything(leaver, ended)
    everything = leaver.all()
    boot = {image.id for image in leaver.clients.glance().images.list() if image.name == "boot"}

    report = reap(site, project)
    assert (report.findings, report.problems) == ([], []), "everything is young"
    assert report.owned > 10

    clock.ahead = timedelta(days=2)
    report = reap(site, project)
    found = {finding.mark.cloud_id: finding for finding in report.findings}
    left = {cloud_id for kind, ids in everything.items() for cloud_id in ids - before[kind]} - boot
    assert {each for each, finding in found.items() if finding.standing is Standing.ENDED} >= left
    assert found[restored].standing is Standing.UNCERTAIN, "it may be the result of a restore"
    assert [each.standing for each in report.findings if each.mark.operation_id == unknown] == [Standing.UNKNOWN]
    assert not any(finding.mark.operation_id == running for finding in report.findings)
    kinds = {finding.kind for finding in report.findings if finding.standing is Standing.ENDED}
    assert kinds == {"volume", "snapshot", "image", "backup", "network", "subnet", "router", "port", "server"}
    assert leaver.all() == everything, "it is a dry run"

    report = reap(site, project, delete=[Standing.ENDED])
    assert [finding.problem for finding in report.findings if finding.problem] == []
    assert report.is_complete
    assert {finding.kind for finding in report.findings if finding.is_deleted} == kinds
    assert leaver.all() == {**before, "image": before["image"] | boot}

    report = reap(site, project, delete=[Standing.ENDED, Standing.UNKNOWN])
    assert [finding.kind for finding in report.findings if finding.is_deleted] == ["network"]
    assert report.counts() == {}


def groups(leaver: Leaver) -> set[str]:
    return {group.id for group in leaver.clients.nova().server_groups.list()}


def leave_group(site: Site, leaver: Leaver, operation_id: str, **values: Any) -> str:
    """Leave a server group behind that the journal of a restore names. Groups of all restores have the same name."""
    found = leaver.deploy(ServerGroup, operation_id, name="apart", policies=["anti-affinity"])
    keep(site, operation_id, found, resource_key=f"{SERVER_GROUP}#servergroup_1", role="resource", **values)
    return found


def failed_restore(site: Site, project_id: str, **values: Any) -> str:
    return operation(site, project_id, **{"operation_type": "restore", "status": "fail", **values})


def test_server_groups_are_known_by_the_journals_of_failed_restores(site: Site, leaver: Leaver, project: str):
    clock = site.env.clock
    assert isinstance(clock, Later)
    of_a_tenant = leaver.clients.nova().server_groups.create("apart", "anti-affinity").id
    kept = {
        of_a_tenant,
        leave_group(site, leaver, failed_restore(site, project, lease_until=datetime.now(UTC))),
        leave_group(site, leaver, failed_restore(site, project, status="success")),
        leave_group(site, leaver, failed_restore(site, project, queue_state="running", status="in_progress")),
        leave_group(site, leaver, failed_restore(site, project, ended_at=datetime.now(UTC) + timedelta(days=2))),
        leave_group(site, leaver, failed_restore(site, str(uuid.uuid4()))),
        leave_group(site, leaver, failed_restore(site, project), gone=True),
    }
    image = leaver.boot_image()
    used, ended = (leave_group(site, leaver, failed_restore(site, project)) for _ in range(2))
    hints = {"group": used}
    newer = leaver.clients.nova("2.37")
    server = newer.servers.create("web", image, "1", nics="none", scheduler_hints=hints)
    leaver.settle(leaver.clients.nova().servers, server.id, "ACTIVE")

    clock.ahead = timedelta(0)
    assert reap(site, project, delete=[Standing.ENDED, Standing.UNKNOWN]).counts() == {}, "its restore ended just now"
    clock.ahead = timedelta(days=2)
    report = reap(site, project)
    assert [(each.kind, each.mark.cloud_id, each.standing) for each in report.findings if each.mark.recorded] == [
        ("server group", ended, Standing.ENDED)
    ]
    assert ended in groups(leaver), "it is a dry run"
    assert "server group" not in reap(site, project, delete=[Standing.ENDED]).counts()
    assert groups(leaver) >= {*kept, used}
    assert ended not in groups(leaver)
    leaver.clients.nova().servers.delete(server.id)


def test_a_server_group_that_is_used_meanwhile_stays(
    site: Site, leaver: Leaver, project: str, monkeypatch: pytest.MonkeyPatch
):
    found = leave_group(site, leaver, failed_restore(site, project))
    (row,) = [each.mark.operation_id for each in reap(site, project).findings if each.mark.cloud_id == found]
    # The clean-up claims the operation after the search, and before the deletion.
    looked: list[str] = []
    get = ServerGroup.get

    def look(self: ServerGroup, cloud_id: str) -> Any:
        looked.append(cloud_id)
        if looked.count(found) == 2:
            site.env.database.write(lambda session: OPERATIONS.update(session, row, {"lease_until": datetime.now(UTC)}))
        return get(self, cloud_id)

    monkeypatch.setattr(ServerGroup, "get", look)
    report = reap(site, project, delete=[Standing.ENDED])
    assert looked.count(found) == 2
    assert not [each for each in report.findings if each.mark.cloud_id == found]
    assert found in groups(leaver)


# Objects in memory.


@pytest.fixture
def things(site: Site, tmp_path: Path, project: str) -> Iterator[dict[str, Mark | None]]:
    """The things of the cloud, and a provider that creates such."""
    plugin = [f"{__name__}:ThingProtection"]
    path = tmp_path / "providers.d" / "things.conf"
    (tmp_path / "things").mkdir()
    bank = {"file_system_bank_path": tmp_path / "things"}
    configuration.write_provider(
        path, THINGS_PROVIDER, plugin, bank={"encryption": "false"}, file_system_bank_plugin=bank
    )
    site.env.providers.load()
    Things.project = project
    yield Things.present
    Things.present.clear()
    Things.needed.clear()
    Things.looked_at = None


def thing(operation_id: str, cloud_id: str | None = None, *, age: float = 0) -> dict[str, Mark | None]:
    cloud_id = cloud_id or str(uuid.uuid4())
    return {cloud_id: Mark(cloud_id, f"name of {cloud_id}", operation_id, datetime.now(UTC) - timedelta(seconds=age))}


def standings(report: Report) -> dict[str, Standing]:
    return {finding.mark.cloud_id: finding.standing for finding in report.findings if finding.kind == "thing"}


def test_what_is_needed_stays(site: Site, things: dict[str, Any], project: str):
    def checkpoint(status: str, **values: Any) -> str:
        # Of a provider that is not here: the database knows what is needed without its bank.
        row = {"project_id": project, "provider_id": str(uuid.uuid4()), "plan_id": str(uuid.uuid4())}
        row |= {"plan": {}, "resource_graph": "", "extra_info": {}, "created_at": datetime.now(UTC)}
        row |= {"status": status, **values}
        return site.env.database.write(lambda session: CHECKPOINTS.insert(session, **row)).id

    kept = {
        "data": operation(site, project, status="available", checkpoint_id=checkpoint("available")),
        "restored": operation(site, project, operation_type="restore", status="success"),
    }
    orphaned = {
        "of a failed checkpoint": operation(site, project, checkpoint_id=checkpoint("error")),
        "of a deleted checkpoint": operation(
            site, project, checkpoint_id=checkpoint("deleted", deleted_at=datetime.now(UTC))
        ),
        "of a failed restore": operation(site, project, operation_type="restore", status="fail"),
    }
    for cloud_id, operation_id in {**kept, **orphaned}.items():
        things |= thing(operation_id, cloud_id)
        keep(site, operation_id, cloud_id)
    things |= thing(kept["data"], "a duplicate")
    cleaning = operation(site, project, lease_until=datetime.now(UTC))
    things |= thing(cleaning, "that the clean-up deletes")
    stack = operation(site, project, operation_type="restore", status="success")
    keep(site, stack, str(uuid.uuid4()), resource_key=STACK.key, name="name of that Heat described")
    things |= thing(stack, "that Heat described") | thing(stack, "that Heat forgot")
    things["of a tenant"] = None

    report = reap(site, project, delete=[Standing.ENDED, Standing.UNKNOWN])

    assert standings(report) == dict.fromkeys([*orphaned, "a duplicate", "that Heat forgot"], Standing.ENDED)
    assert set(things) == {*kept, "that the clean-up deletes", "that Heat described", "of a tenant"}


def test_what_a_checkpoint_in_a_bank_names_stays_when_the_database_is_lost(
    site: Site, things: dict[str, Any], project: str
):
    node = Resource("Test::Thing", "1", "one")
    named, unnamed, of_another_site = (str(uuid.uuid4()) for _ in range(3))
    lost, elsewhere = str(uuid.uuid4()), str(uuid.uuid4())
    bank = site.env.providers.get(THINGS_PROVIDER).bank
    graph = Graph((node,), {}, {}).to_text()
    plan = {"id": str(uuid.uuid4()), "name": "p", "provider_id": THINGS_PROVIDER, "resources": []}
    record = CheckpointRecord(
        str(uuid.uuid4()), project, THINGS_PROVIDER, plan, graph, {}, created_at=datetime.now(UTC)
    )
    with bank.leases.acquire(holder=f"there protect {lost}") as lease:
        bank.checkpoints.create(record, lease)
        bank.section(record.id, project, node.key, lease=lease).put("metadata", {"snapshot": {"id": named}})
        bank.checkpoints.commit(record.id, lease)
        for each in bank.leases.list():
            bank.leases.remove(each)  # long ago
    things |= {**thing(lost, named), **thing(str(uuid.uuid4()), unnamed), **thing(elsewhere, of_another_site)}

    with bank.leases.acquire(holder=f"there protect {elsewhere}"):
        assert standings(reap(site, project, delete=[Standing.ENDED])) == {unnamed: Standing.UNKNOWN}
        assert len(things) == 3
        reap(site, project, delete=[Standing.UNKNOWN])
    assert set(things) == {named, of_another_site}


def test_nothing_is_deleted_while_a_bank_cannot_be_read(
    site: Site, things: dict[str, Any], project: str, tmp_path: Path
):
    things |= thing(str(uuid.uuid4()), "unknown")
    (tmp_path / "providers.d" / "test.conf").write_text("[provider]\nenabled = maybe\n")
    report = reap(site, project, delete=[Standing.ENDED, Standing.UNKNOWN])
    assert standings(report) == {"unknown": Standing.UNCERTAIN}
    assert any("test.conf" in problem for problem in report.problems)
    assert set(things) == {"unknown"}


def test_nothing_is_deleted_while_a_bank_is_not_mounted(site: Site, things: dict[str, Any], project: str):
    things |= thing(str(uuid.uuid4()), "unknown")
    row = {"project_id": project, "provider_id": THINGS_PROVIDER, "plan_id": str(uuid.uuid4()), "status": "available"}
    row |= {"plan": {}, "resource_graph": "", "extra_info": {}, "created_at": datetime.now(UTC)}
    site.env.database.write(lambda session: CHECKPOINTS.insert(session, **row))
    report = reap(site, project, delete=[Standing.UNKNOWN])
    assert standings(report) == {"unknown": Standing.UNCERTAIN}
    assert any("check that it is mounted" in problem for problem in report.problems)
    assert set(things) == {"unknown"}


def test_an_operation_that_starts_meanwhile_keeps_its_objects(site: Site, things: dict[str, Any], project: str):
    starting, completed = str(uuid.uuid4()), str(uuid.uuid4())
    things |= {**thing(starting, "starting"), **thing(completed, "completed"), **thing(str(uuid.uuid4()), "lost")}

    begun: list[str] = []

    def look(cloud_id: str) -> None:
        if cloud_id == "starting" and not begun:
            begun.append(starting)
            operation(site, project, id=starting, queue_state="queued", status="protecting")
        if cloud_id == "completed":
            things["completed"] = None  # its restore has removed the marks

    Things.looked_at = look
    report = reap(site, project, delete=[Standing.UNKNOWN])
    deleted = [finding.mark.cloud_id for finding in report.findings if finding.is_deleted and finding.kind == "thing"]
    assert deleted == ["lost"]
    assert set(things) == {"starting", "completed"}


def test_what_others_depend_on_is_deleted_after_them(site: Site, things: dict[str, Any], project: str):
    ended = operation(site, project)
    things |= {**thing(ended, "network", age=60), **thing(ended, "port"), **thing(ended, "subnet", age=30)}
    order: dict[str, None] = {}
    Things.looked_at = order.setdefault
    assert reap(site, project, delete=[Standing.ENDED]).counts() == {}
    assert list(order) == ["port", "subnet", "network"]


def test_what_cannot_be_deleted_is_tried_again_after_the_others(site: Site, things: dict[str, Any], project: str):
    ended = operation(site, project)
    things |= {**thing(ended, "needed"), **thing(ended, "another", age=60)}
    Things.needed.add("needed")
    report = reap(site, project, delete=[Standing.ENDED])
    assert not things
    assert report.is_complete

    things |= {**thing(ended, "needed"), "of a tenant": None}
    report = reap(site, project, delete=[Standing.ENDED])
    (problem,) = [finding.problem for finding in report.findings if finding.problem]
    assert "others depend on it" in problem
    assert set(things) == {"needed", "of a tenant"}


def test_a_part_that_cannot_be_searched_does_not_stop_the_rest(
    site: Site, things: dict[str, Any], project: str, cloud: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Bugs, "faulty", True)
    things |= thing(operation(site, project), "ended")
    admin = cloud.session("admin").get_project_id()
    cloud.fault(service="share", kind="status", status=403, times=0)
    report = reap(site, str(admin), "f" * 32, project)
    cloud.clear_faults()
    assert standings(report) == {"ended": Standing.ENDED}
    assert not report.is_complete
    problems = "\n".join(report.problems)
    assert f"project {admin}: not searched" in problems
    assert f"project {project}: shares not searched" in problems
    assert f"project {project}: bugs not searched: unexpected KeyError" in problems
    assert "Unsearched" not in problems


def test_the_time_is_limited(site: Site, things: dict[str, Any], project: str):
    assert reap(site, project, project, limit=0).problems == ["2 projects were not searched: the time is over"]


def test_an_age_that_protects_no_start_is_refused(site: Site):
    with pytest.raises(exception.InvalidInput, match="use 1 to 87600 hours"):
        Reaper(site.env, older_than=HOUR - 1)


def test_housekeeping_warns(site: Site, things: dict[str, Any], project: str, caplog: pytest.LogCaptureFixture):
    things |= thing(operation(site, project), "ended")
    housekeeping = Housekeeping(site.env)
    housekeeping.run_due()
    assert "thing: 1); 'karbor-like-manage cloud orphans' shows and deletes them" in caplog.text
    assert set(things) == {"ended"}


# The command.


@pytest.fixture
def command(site: Site, files: Path, cloud: Sandbox, capsys: pytest.CaptureFixture[str]):
    """A function that runs the command and returns its exit code, standard output and standard error."""
    account = {"auth_type": "v3password", **cloud.credentials("karbor")}
    section = "\n".join(f"{name} = {value}" for name, value in account.items())
    files.write_text(f"{files.read_text()}\n[service_auth]\n{section}\n")

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["--config-file", str(files), "cloud", "orphans", *words])
        return code, *capsys.readouterr()

    return run


def test_the_command_lists_and_deletes(site: Site, things: dict[str, Any], project: str, command):
    ended = operation(site, project, ended_at=datetime.now(UTC) - timedelta(days=2))
    things |= {**thing(ended, "ended", age=2 * DAY), **thing(str(uuid.uuid4()), "un\x1bknown", age=2 * DAY)}
    code, out, _ = command("--project", project)
    assert code == 0
    assert [line.split()[1:3] for line in out.splitlines()[1:-1]] == [["thing", "ended"], ["thing", "un?known"]]
    assert out.splitlines()[-1].startswith("0 deleted, 2 remain; ")
    assert len(things) == 2

    code, out, _ = command("--all-projects", "--delete", "--format", "json")
    body = json.loads(out)
    assert (code, body["problems"]) == (0, [])
    found = {each["id"]: (each["project_id"], each["standing"], each["deleted"]) for each in body["orphans"]}
    assert found["ended"] == (project, "ended", True)
    assert set(things) == {"un\x1bknown"}
    assert command("--project", project, "--delete", "--unknown")[0] == 0
    assert not things


def test_the_command_says_what_it_could_not_search(things: dict[str, Any], cloud: Sandbox, command):
    admin = cloud.session("admin").get_project_id()
    code, _, err = command("--project", str(admin))
    assert code == 1
    assert f"project {admin}: not searched" in err


@pytest.mark.parametrize(
    "words", [["--older-than", "0.5"], ["--older-than", "nan"], ["--older-than", "1e9"], ["--unknown"]]
)
def test_options_that_the_command_refuses(words: list[str], project: str, command):
    code, out, err = command("--project", project, *words)
    assert (code, out) == (1, "")
    assert "use 1 to 87600 hours" in err or "--unknown is an addition to --delete" in err
