"""Two protection services as processes on a sandbox, and a tenant who asks them for operations.

The process of the test answers the calls of the tenant and runs no operations. It is connected with the services by the
database only, as services are whose messages were all lost. The cloud is in the process of the test, too: it survives.
"""

import base64
import contextlib
import os
import secrets
import signal
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from cinderclient import client as cinder
from keystoneauth1 import exceptions as keystone_errors

from karbor_like import clock, secret, service
from karbor_like.bank import Bank
from karbor_like.db import migration
from karbor_like.db.models import Checkpoint, Operation, Restore, Verification
from karbor_like.domain.resource import Resource
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.endpoint import Endpoint
from karbor_like.protection.executor import Executor
from karbor_like.protection.orphans import Orphans
from karbor_like.sandbox.cloud import Sandbox
from karbor_like.testing.sandbox import SMALL_GIB, SmallVolumes, context_of
from tests.faults import agent
from tests.faults.points import Watch
from tests.fixtures import configuration
from tests.functional.protection import processes, site
from tests.functional.protection.site import until
from tests.scenario.tenant import Tenant

#: Seconds. As short as the options allow, because each cell in which a process dies waits for it.
LEASE: Final = 3
#: Seconds without an answer after which a call fails: longer than any call on a busy machine.
TIMEOUT: Final = 8
HOSTS: Final = ("one", "two")
FRONT: Final = "front"

GLANCE: Final = "10000000-0000-4000-8000-0000000000a1"
SNAPSHOTS: Final = "10000000-0000-4000-8000-0000000000a2"
BACKUPS: Final = "10000000-0000-4000-8000-0000000000a3"
#: The provider to which checkpoints are copied.
COPIES: Final = "10000000-0000-4000-8000-0000000000a4"
#: The provider that restores servers and networks without Heat.
WORKLOADS: Final = "10000000-0000-4000-8000-0000000000a5"
_SMALL: Final = f"{SmallVolumes.__module__}:{SmallVolumes.__name__}"
_ALL: Final = [_SMALL, "image", "server", "network", "keypair", "project"]
PROVIDERS: Final = {
    GLANCE: ("glance", _ALL, "auto"),
    SNAPSHOTS: ("snapshots", ["volume-snapshot"], "auto"),
    BACKUPS: ("backups", ["volume-cinder-backup"], "auto"),
    COPIES: ("copies", _ALL, "auto"),
    WORKLOADS: ("workloads", _ALL, "direct"),
}

#: Documents of the sandbox that are no resources.
_IMMATERIAL: Final = ("token", "settings", "container", "message", "share_message")


class CloudClock(clock.SystemClock):
    """The clock of the cloud, with its object store, which may be ahead."""

    ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.ahead


class Machine:
    """A host that runs a service.

    :param call: ``module:function`` that runs it
    """

    def __init__(
        self, zygote: processes.Zygote, name: str, config: Path, watch: Watch, call: str = f"{agent.__name__}:serve"
    ) -> None:
        self._zygote = zygote
        self.name = name
        self._config = config
        self._watch = watch
        self._call = call
        #: Of the API, if it runs one.
        self.url = config.with_name(f"{name}.url")
        self.log = config.parent / f"{name}.log"
        self.log.touch()
        self.pid: int | None = None

    def start(self) -> None:
        """Start the service unless it runs."""
        if self.pid is None:
            self.pid = self._zygote.fork(
                call=self._call,
                argv=["--config-file", str(self._config)],
                log=str(self.log),
                path=[],
                environment={agent.VARIABLE: str(self._watch.path), agent.URL_VARIABLE: str(self.url)},
            )

    def kill(self) -> None:
        """Kill the service, as the kernel does when it runs out of memory."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._zygote.wait(self.pid, 240)
            self.url.unlink(missing_ok=True)
            self.pid = None


class System(site.Site):
    """The cloud, the services and the tenant.

    :param database_url: None: SQLite
    :param transport_url: the default connects no processes
    """

    def __init__(self, directory: Path, database_url: str | None = None, transport_url: str = "fake://") -> None:
        self.directory = directory
        self._clock = CloudClock()
        self.sandbox = Sandbox(directory / "sandbox", clock=self._clock)
        self.sandbox.settings(job_delay=0.0, gib=SMALL_GIB)
        *paths, path = [self._write(host, database_url, transport_url) for host in (*HOSTS, FRONT)]
        self.conf = service.configure([], files=[str(paths[0])])
        self.env = ServiceContext.make(self.conf)
        migration.sync(self.env.database)
        self.env.flows.persistence.upgrade()
        # It is not started: the operations run in the other processes.
        self.executor = Executor(self.env)
        self.endpoint = Endpoint(self.env, self.executor, lambda context: None)
        self.alice = Tenant(self.sandbox, "alice")
        self.watch = Watch(directory / "watch")
        self._zygote = processes.Zygote(preload=agent.__name__)
        self.machines = [Machine(self._zygote, host, path, self.watch) for host, path in zip(HOSTS, paths, strict=True)]
        #: Takes requests. It is started by the first of them, because few cells need it.
        self.front = Machine(self._zygote, FRONT, path, self.watch, call="tests.faults.front:serve")
        #: Processes that were killed.
        self.killed: set[int] = set()

    def _write(self, host: str, database_url: str | None, transport_url: str) -> Path:
        (self.directory / "providers.d").mkdir(exist_ok=True)
        account = self.sandbox.credentials("karbor")
        key = self.directory / "key"
        if not key.exists():
            key.write_text(secret.new_key())
            for provider_id, (name, plugins, deployer) in PROVIDERS.items():
                self._write_provider(provider_id, name, plugins, deployer, account)
        return configuration.write_service(
            self.directory / f"{host}.conf",
            transport_url=transport_url,
            database_url=database_url,
            secret={"keys": key.read_text()},
            protection={
                "provider_config_dir": self.directory / "providers.d",
                "lease": LEASE,
                "poll_interval": 0.2,
                "progress_interval": 0,
                # The test runs the periodic jobs itself.
                "sync_interval": 0,
                "collect_interval": 0,
                "keep_failed_days": 0,
                "orphan_interval": 1,
            },
            waiter={"interval": 0.05},
            quota={"plans": -1, "restores": -1, "verifications": -1},
            service={"host": host},
            DEFAULT={"rpc_response_timeout": TIMEOUT},
            api={"host": "127.0.0.1", "port": 0, "workers": 1},
            keystone_authtoken={"www_authenticate_uri": account["auth_url"], "auth_type": "password", **account},
            service_auth={"auth_type": "v3password", "timeout": TIMEOUT, **account},
            **{f"{name}_client": {"timeout": TIMEOUT} for name in ("cinder", "glance", "nova", "neutron", "keystone")},
        )

    def _write_provider(self, provider_id: str, name: str, plugins: list[str], deployer: str, account: Any) -> None:
        configuration.write_provider(
            self.directory / "providers.d" / f"{name}.conf",
            provider_id,
            plugins,
            provider={"bank": "swift", "deployer": deployer},
            bank={"master_keys": f"first:{base64.b64encode(secrets.token_bytes(32)).decode()}", "listing_lag": 0},
            swift_client={
                "swift_auth_url": account["auth_url"],
                "swift_user": account["username"],
                "swift_key": account["password"],
                "swift_tenant_name": account["project_name"],
                "swift_timeout": TIMEOUT,
                "swift_retry_backoff": 0.2,
            },
            swift_bank_plugin={"bank_swift_object_container": name},
        )

    # The tenant

    def context(self, project_id: str = site.PROJECT, **values: Any) -> Any:
        """Return the context of a request of Alice."""
        return context_of(self.sandbox)

    def plan_of(self, provider_id: str, *resources: Resource) -> str:
        """Make a plan. Return its id."""
        return self.plan(
            project_id=self.alice.session.get_project_id(),
            provider_id=provider_id,
            resources=[resource.to_dict() for resource in resources],
        )

    def bank(self, provider_id: str) -> Bank:
        """Return the bank of a provider."""
        return self.env.providers.get(provider_id).bank

    def user_id(self, name: str) -> str:
        """Return the id of a user of the cloud."""
        return str(self.sandbox.session(name).get_user_id())

    # The services

    def ensure(self) -> None:
        """Start the services that do not run."""
        for machine in self.machines:
            machine.start()

    def kill(self, pid: int) -> None:
        """Kill a service by its process."""
        self.killed.add(pid)
        next(machine for machine in (*self.machines, self.front) if machine.pid == pid).kill()

    def end(self, pid: int) -> None:
        """Kill a service by its process, unless that has ended."""
        if any(machine.pid == pid for machine in (*self.machines, self.front)):
            self.kill(pid)

    def ask(self, method: str, path: str, **body: Any) -> None:
        """Send a request of Alice to the API, whose services may be killed before they answer."""
        self.front.start()
        until(self.front.url.exists, bool, 240, "the API")
        url = f"{self.front.url.read_text()}/v1/{self.alice.session.get_project_id()}{path}"
        with contextlib.suppress(keystone_errors.ConnectFailure):
            answer = self.alice.session.request(url, method, json=body or None, raise_exc=False)
            # 503: a service does not answer to the API.
            assert answer.ok or answer.status_code == 503, f"{method} {path}: {answer.status_code} {answer.text}"

    def threads(self, pid: int) -> set[str]:
        """Return the names of the threads of a service."""
        path = agent.threads_file(str(self.watch.path), pid)
        path.unlink(missing_ok=True)
        os.kill(pid, signal.SIGUSR1)
        until(path.exists, bool, 240, "the names of threads")
        return set(path.read_text().splitlines())

    def pass_time(self, seconds: float) -> None:
        """Set the clock of the cloud forward."""
        self._clock.ahead += timedelta(seconds=seconds)

    def wait_ended(self, seconds: float = 240, *, ensure: bool = False, **equal: Any) -> Any:
        """Wait until the newest operation with these values has ended, and everything that it left was deleted.

        :param ensure: start services that were killed meanwhile
        """

        def look() -> Any:
            if ensure:
                self.ensure()
            found = self.operation(**equal)
            if found.queue_state == "done" and found.lease_until is not None:
                Orphans(self.env, str(found.provider_id)).run()
                found = self.operation(**equal)
            return found

        def done(found: Any) -> bool:
            return found.queue_state == "done" and found.lease_until is None

        return until(look, done, seconds, "an operation's end")

    def reset_undeletable(self) -> list[str]:
        """Do what an administrator does about volumes, snapshots and backups that Cinder could not delete.

        :returns: their ids
        """
        admin = cinder.Client("3.66", session=self.sandbox.session("admin"))
        reset = []
        for manager in (admin.volumes, admin.volume_snapshots, admin.backups):
            for found in manager.list(search_opts={"all_tenants": True}):
                if found.status == "error_deleting":
                    manager.reset_state(found, "error")
                    reset.append(found.id)
        return reset

    # What is left

    def belongings(self) -> set[tuple[str, str]]:
        """Return kind and id of everything in the cloud that is a resource of any service."""
        with contextlib.closing(sqlite3.connect(self.directory / "sandbox" / "state.sqlite")) as connection:
            # Heat keeps what it knows of deleted stacks.
            gone = "kind = 'stack' AND json_extract(body, '$.status') = 'DELETE_COMPLETE'"
            rows = connection.execute(f"SELECT kind, id FROM documents WHERE NOT ({gone})").fetchall()  # noqa: S608
        return {(kind, key) for kind, key in rows if kind not in _IMMATERIAL}

    def flows(self) -> int:
        """Return the number of saved flows and tasks."""
        with self.env.database.reader() as session:
            return sum(
                int(session.execute(sa.text(f"SELECT COUNT(*) FROM {table}")).scalar_one())
                for table in ("logbooks", "flowdetails", "atomdetails")
            )

    def operation_ids(self) -> set[str]:
        """Return the ids of all operations."""
        with self.env.database.reader() as session:
            return set(session.execute(sa.select(Operation.id)).scalars())

    def unfinished(self) -> set[tuple[str, str]]:
        """Return id and status of everything that waits for the end of an operation."""
        waiting = ("protecting", "wait_copying", "copying", "deleting", "in_progress")
        with self.env.database.reader() as session:
            return {
                (str(key), str(status))
                for model in (Checkpoint, Restore, Verification)
                for key, status in session.execute(sa.select(model.id, model.status).where(model.status.in_(waiting)))
            }

    def stored(self, provider_id: str, prefix: str) -> list[tuple[str, int, Any]]:
        """Return name, size and time of the objects in a bank below *prefix*."""
        infos = self.bank(provider_id).store.list(prefix, limit=10_000)
        return [(info.key, info.size, info.modified) for info in infos]

    def close(self) -> None:
        """End everything."""
        for machine in (*self.machines, self.front):
            machine.kill()
        self._zygote.close()
        self.watch.close()
        super().close()
        self.sandbox.close()

    def logs(self) -> str:
        """Return the ends of the logs of the services."""
        machines = (*self.machines, self.front)
        return "\n".join(f"--- {machine.name}\n{machine.log.read_text()[-4000:]}" for machine in machines)


@contextlib.contextmanager
def running(directory: Path, **servers: str) -> Iterator[System]:
    """Start a system, and end it at the end of the block.

    :param servers: the URLs of :class:`System`
    """
    system = System(directory, **servers)
    try:
        system.ensure()
        yield system
    finally:
        system.close()
