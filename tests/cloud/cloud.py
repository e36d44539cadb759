"""The whole cloud: install, up, down, status. All are idempotent; a lock serializes those that change the cloud."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from keystoneauth1.adapter import Adapter
from keystoneauth1.exceptions import ClientException
from keystoneauth1.identity.v3 import Password
from keystoneauth1.session import Session

from tests.cloud import packages
from tests.cloud.accounts import Accounts
from tests.cloud.ceph import Ceph
from tests.cloud.cinder import HOST_NAME, WORKERS, Cinder
from tests.cloud.component import Component, Site
from tests.cloud.errors import CannotRun, HarnessError
from tests.cloud.glance import Glance
from tests.cloud.heat import Heat
from tests.cloud.keystone import Keystone
from tests.cloud.layout import PASSWORD, Layout
from tests.cloud.neutron import Neutron
from tests.cloud.nova import PROCESSES, Nova
from tests.cloud.placement import Placement
from tests.cloud.processes import Supervisor
from tests.cloud.servers import MariaDB, Memcached, PostgreSQL, RabbitMQ
from tests.cloud.swift import Swift

_SESSION = "KARBOR_LIKE_CLOUD_SESSION"
"""Environment variable: the state directories of the clouds that this process or an ancestor has locked for its session."""
_REQUIREMENTS = Path(__file__).with_name("requirements.txt")


class Cloud:
    """Real OpenStack on this machine.

    :param say: called with a line for each completed step and its duration in seconds
    """

    def __init__(self, layout: Layout, say: Callable[[str], None] = print) -> None:
        self.layout = layout
        self.supervisor = Supervisor(layout.state)
        self.mariadb = MariaDB(layout.data("mariadb"), layout.port("mariadb"))
        self.postgresql = PostgreSQL(layout.data("postgresql"), layout.port("postgresql"))
        rabbit_ports = [layout.port(f"rabbitmq{part}") for part in ("", "-management", "-distribution", "-epmd")]
        self.rabbitmq = RabbitMQ(layout.data("rabbitmq"), rabbit_ports)
        self.ceph = Ceph(layout.data("ceph"), [layout.port("ceph"), layout.port("ceph-v1")])
        self._memcached = Memcached(layout.port("memcached"))
        self._say = say

    def install(self) -> None:
        """Install everything that :meth:`up` starts.

        :raises CannotRun: the machine or the user does not meet the requirements
        :raises HarnessError: a package could not be installed
        """
        with self._locked():
            self._install()

    def _install(self) -> str:
        with self._step("packages"):
            packages.install_debian(packages.CLOUD, self.layout.log("apt"))
        with self._step("OpenStack"):
            return packages.install_python(_REQUIREMENTS, self.layout.venv, self.layout.log("pip"))

    def up(self) -> None:
        """Install and start the cloud, and create its accounts. Idempotent.

        :raises CannotRun: the machine or the user does not meet the requirements
        :raises HarnessError: a process did not start; the message ends with its log
        """
        with self._locked():
            site = self._site(self._install())
            with self._step("servers"):
                servers: list[MariaDB | PostgreSQL | RabbitMQ] = [self.mariadb, self.rabbitmq]
                servers += [] if self.layout.first else [self.postgresql]
                for server in servers:
                    server.prepare()
                daemons = [server.daemon() for server in (*servers, self._memcached)]
                if site.ceph:
                    site.ceph.prepare()
                    daemons += site.ceph.daemons()
                self.supervisor.ensure(*daemons)
                if site.ceph:
                    site.ceph.furnish()
            cinder = Cinder(site)
            components: list[Component] = [Glance(site), cinder]
            components += [] if self.layout.first else [Swift(site)]
            if self.layout.with_servers:
                # Those with the longest migrations come first.
                components = [Neutron(site), Nova(site), *components, Heat(site), Placement(site)]
            with self._step("accounts, databases and rings"), ThreadPoolExecutor(2) as pool:
                # Most services ask Keystone for a token at their start.
                identity = pool.submit(self._start_keystone, site)
                list(pool.map(lambda component: component.prepare(), components))
                identity.result()
            with self._step("services"):
                self.supervisor.ensure(*(daemon for component in components for daemon in component.daemons()))
            with self._step("volume service"):
                self._wait_for_volumes(cinder.backends)
            if self.layout.with_servers:
                with self._step("compute, networks and stacks"):
                    self._wait_for_servers()

    def _site(self, release: str = "") -> Site:
        # The second cloud needs no Ceph, and Cinder cannot use it without the modules for its Python.
        ceph = self.ceph if self.layout.first is None and self.ceph.is_importable else None
        return Site(self.layout, self.mariadb, self.rabbitmq, ceph, release)

    def _start_keystone(self, site: Site) -> None:
        """Start Keystone, and create the accounts and the catalogue."""
        keystone = Keystone(site)
        keystone.prepare()
        self.supervisor.ensure(*keystone.daemons())
        accounts = self.accounts()
        self.layout.once("accounts", site.release + accounts.key(), accounts.create)
        # Always: a killed run may have left a tenant without its role. Endpoints are not reset, because the
        # catalogue has the system that a test is running.
        accounts.grant()

    def _wait_for_volumes(self, backends: Collection[str]) -> None:
        """Wait until Cinder can schedule volumes and a backup, and create the missing volume types.

        :param backends: the names of Cinder's backends
        """
        volume = self.admin("volumev3")
        hosts = {f"{HOST_NAME}@{backend}" for backend in backends}

        def ready() -> bool:
            services = volume.get("/os-services").json()["services"]
            up = [service for service in services if service["state"] == "up"]
            return {*WORKERS, *hosts} <= {service[key] for service in up for key in ("binary", "host")}

        self._wait("cinder-volume", WORKERS, ready)
        present = {kind["name"] for kind in volume.get("/types").json()["volume_types"]}
        for backend in backends:
            if backend not in present:
                body = {"name": backend, "extra_specs": {"volume_backend_name": backend}}
                volume.post("/types", json={"volume_type": body})

    def _wait_for_servers(self) -> None:
        """Wait until Nova can schedule a server and Heat can create a stack. Create flavors and the external network."""
        compute, placement, stacks = (self.admin(kind) for kind in ("compute", "placement", "orchestration"))
        started = max((p.create_time() for name in PROCESSES if (p := self.supervisor.process(name))), default=0.0)
        self._wait("nova-compute", PROCESSES, lambda: Nova.is_ready(compute, placement, started))
        self._wait("heat-engine", ("heat-engine",), lambda: Heat.is_ready(stacks))
        # As in other clouds, only the names are the same.
        Nova.furnish(compute, "second-" if self.layout.first else "")
        Neutron.furnish(self.admin("network"))

    def _wait(self, name: str, processes: Sequence[str], ready: Callable[[], bool], timeout: float = 180) -> None:
        """Wait until a service is ready that consists of several processes.

        :param name: the process whose log explains a timeout
        :param timeout: seconds
        """
        deadline = time.monotonic() + timeout
        while not ready():
            for process in processes:
                if self.supervisor.process(process) is None:
                    raise HarnessError(f"{process}: ended during its start\n{self.supervisor.tail(process)}")
            if time.monotonic() > deadline:
                raise HarnessError(f"{name}: not ready after {timeout:.0f} s\n{self.supervisor.tail(name)}")
            time.sleep(0.3)

    def shortened(self, token: str, seconds: float) -> str:
        """See :meth:`Keystone.shortened`."""
        return Keystone(self._site()).shortened(token, seconds)

    def down(self) -> None:
        """Stop all processes and delete stale records of processes from an earlier boot. The data is kept."""
        with self._locked():
            self.supervisor.stop_all(last=("mariadb", "postgresql", "rabbitmq", "memcached", Ceph.OSD, Ceph.MONITOR))
            Cinder(self._site()).release()

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """Keep the cloud up for the exclusive use of this process. Afterwards stop it unless it ran before.

        A cloud that did not run starts empty: an interrupted run may have left volumes that cannot be deleted.

        Scenarios share the catalogue and the tenants, so a second concurrent run waits. Child processes of the first
        one share its session, which they recognize by their environment.
        """
        with contextlib.ExitStack() as stack:
            held = os.environ.get(_SESSION, "")
            if str(self.layout.state) not in held.split(os.pathsep):
                stack.enter_context(self._locked("session.lock"))
                stack.callback(os.environ.__setitem__, _SESSION, held)
                os.environ[_SESSION] = os.pathsep.join([held, str(self.layout.state)])
            was_running = self.running()
            try:
                if not was_running:
                    self.down()
                    self.layout.clear()
                self.up()
                yield
            finally:
                if not was_running:
                    self.down()

    def status(self) -> dict[str, int | None]:
        """Return the pid of every process that was ever started, or None if it no longer runs."""
        processes = {name: self.supervisor.process(name) for name in self.supervisor.names()}
        return {name: process.pid if process else None for name, process in processes.items()}

    def running(self) -> bool:
        """Return whether all processes run that :meth:`up` starts."""
        status = self.status()
        needed = {WORKERS[-1], "nova-compute"} if self.layout.with_servers else {WORKERS[-1]}
        return needed <= set(status) and None not in status.values()

    def accounts(self) -> Accounts:
        return Accounts(self.admin("identity", self.layout.auth_url), self.layout)

    def admin(self, service_type: str, endpoint: str | None = None) -> Adapter:
        """Create an administrator's client of one service, with a new token and thus the current catalogue."""
        auth = Password(
            self.layout.auth_url,
            username="admin",
            password=PASSWORD,
            user_domain_id="default",
            project_name="admin",
            project_domain_id="default",
        )
        return Adapter(Session(auth, timeout=60), service_type=service_type, endpoint_override=endpoint)

    @contextlib.contextmanager
    def _locked(self, name: str = "lock") -> Iterator[None]:
        if os.geteuid() != 0:
            raise CannotRun("the real cloud needs root: it mounts a directory and installs packages")
        self.layout.state.mkdir(parents=True, exist_ok=True)
        self.layout.state.chmod(0o755)
        with (self.layout.state / name).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _step(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        except ClientException as error:
            raise HarnessError(f"{name}: {error}\n{self.supervisor.tail('keystone')}") from error
        self._say(f"cloud: {name}: {time.monotonic() - start:.1f} s")
