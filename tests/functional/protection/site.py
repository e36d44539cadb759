"""A protection service with everything real but the cloud: SQLite, a bank in a directory, flows, leases, queues."""

import contextlib
import dataclasses
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from keystoneauth1 import loading
from oslo_config import cfg

from karbor_like import secret, service
from karbor_like.api import views
from karbor_like.clients.factory import ClientFactory
from karbor_like.context import RequestContext
from karbor_like.db import checkpoints, operations, plans, restores, verifications
from karbor_like.db.models import Base, Checkpoint, Operation, OperationResource, Restore, Verification
from karbor_like.domain.resource import Resource
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.endpoint import Endpoint
from karbor_like.protection.executor import Executor
from karbor_like.protection.registry.protectables import Protectables
from karbor_like.sandbox.cloud import Sandbox
from tests.fixtures import configuration
from tests.fixtures.database import migrate
from tests.fixtures.endpoint import unwrap
from tests.functional.protection import plugins

PROVIDER = "11111111-1111-4111-8111-111111111111"
OTHER_PROVIDER = "22222222-2222-4222-8222-222222222222"
PROJECT = "p" * 32
#: Seconds. Longer than any machine pauses: no other service takes an operation over.
LEASE = 60


def write_files(
    directory: Path, *, transport: str = "fake://", database: str | None = None, host: str = "here", lease: int = LEASE
) -> Path:
    """The configuration of a site in *directory*. Returns the main file.

    :param lease: seconds after which other services may take over operations of the site
    """
    for name in ("providers.d", "cloud"):
        (directory / name).mkdir(exist_ok=True)
    write_provider(directory)
    key = directory / "key"
    if not key.exists():
        key.write_text(secret.new_key())
    return configuration.write_service(
        directory / f"{host}.conf",
        transport_url=transport,
        database_url=database,
        DEFAULT={"graceful_shutdown_timeout": 30},
        secret={"keys": key.read_text()},
        protection={
            "provider_config_dir": directory / "providers.d",
            "lease": lease,
            "poll_interval": 0.2,
            "progress_interval": 0,
            "drain": 10,
            "max_attempts": 3,
        },
        service={"host": host},
    )


def write_provider(directory: Path, provider_id: str = PROVIDER, name: str = "test", bank: str = "bank") -> Path:
    """The file of a provider, whose bank is the directory *bank*. Returns its path."""
    (directory / bank).mkdir(exist_ok=True)
    return configuration.write_provider(
        directory / "providers.d" / f"{name}.conf",
        provider_id,
        [f"{plugins.__name__}:{plugin}" for plugin in ("NodeProtection", "GroupProtection")],
        bank={"encryption": "false"},
        file_system_bank_plugin={"file_system_bank_path": directory / bank},
    )


def make_environment(conf: cfg.ConfigOpts) -> ServiceContext:
    """Build the context as the service does, with the protectable plugins of the tests, which are not installed."""
    found: list[Any] = [plugins.Groups(), plugins.Nodes()]
    protectables = Protectables({plugin.resource_type: plugin for plugin in found})
    return dataclasses.replace(ServiceContext.make(conf), protectables=protectables)


class Site:
    """A service for tests. Calls go to the endpoint, as RPC would make them."""

    def __init__(self, directory: Path, path: Path, **overrides: Any) -> None:
        self.cloud = plugins.Cloud(directory / "cloud")
        self.conf = service.configure([], files=[str(path)])
        for name, value in overrides.items():
            self.conf.set_override(name, value, group="protection")
        self.env = make_environment(self.conf)
        migrate(self.env.database)
        self.env.flows.persistence.upgrade()
        self.executor = Executor(self.env)
        self.endpoint = Endpoint(self.env, self.executor, lambda context: self.executor.wake())

    def use_service_user(self, keystone: Sandbox) -> None:
        """Configure the service user of a Keystone, which does not know the token of alice."""
        self.conf.register_opts(loading.get_auth_plugin_conf_options("v3password"), group="service_auth")
        for name, value in {"auth_type": "v3password", **keystone.credentials("karbor")}.items():
            self.conf.set_override(name, value, "service_auth")
        self.env = dataclasses.replace(self.env, clients=ClientFactory(self.conf))

    def context(self, project_id: str = PROJECT, **values: Any) -> RequestContext:
        """A member of a project."""
        return RequestContext(
            user_id="alice", project_id=project_id, roles=["member"], auth_token="alice's token", **values
        )

    def plan(self, *names: str, project_id: str = PROJECT, **values: Any) -> str:
        """A plan of nodes and groups. Returns its id."""
        found = [Resource(plugins.GROUP if name.startswith("g") else plugins.NODE, name, name) for name in names]
        row = {
            "id": str(uuid.uuid4()),
            "project_id": project_id,
            "name": "a plan",
            "provider_id": PROVIDER,
            "resources": [resource.to_dict() for resource in found],
            "parameters": {},
            **values,
        }
        return self.env.database.write(lambda session: plans.PLANS.insert(session, **row)).id

    def protect(self, *names: str, context: RequestContext | None = None, **arguments: Any) -> dict[str, Any]:
        """Start to protect a plan of *names*. Return the checkpoint as the API shows it."""
        call = {"checkpoint_id": str(uuid.uuid4()), "provider_id": PROVIDER, "extra_info": {}, **arguments}
        call.setdefault("plan_id", None)
        call["plan_id"] = call["plan_id"] or self.plan(*names)
        unwrap(lambda: self.endpoint.protect(context or self.context(), **call))
        return views.checkpoint(self.checkpoint(call["checkpoint_id"]), {})

    def copy(self, plan_id: str, **arguments: Any) -> dict[str, str]:
        """Ask for copies to the other provider. Returns the id of the copy by that of its source."""
        return {
            pair["checkpoint_protect_id"]: pair["checkpoint_copy_id"]
            for pair in self.copy_answer(plan_id, **arguments)["checkpoint_id"]
        }

    def copy_answer(self, plan_id: str, *, project_id: str = PROJECT, **arguments: Any) -> dict[str, Any]:
        """As :meth:`copy`; the whole answer."""
        call = {
            "plan_id": plan_id,
            "provider_id": PROVIDER,
            "target_provider_id": OTHER_PROVIDER,
            "checkpoint_ids": None,
            "parameters": {},
            "copy_id": str(uuid.uuid4()),
            **arguments,
        }
        return unwrap(lambda: self.endpoint.copy(self.context(project_id), **call))

    def restore(
        self,
        checkpoint_id: str,
        parameters: Mapping[str, Any] | None = None,
        provider_id: str = PROVIDER,
        context: RequestContext | None = None,
        **more: Any,
    ) -> str:
        """Start to restore a checkpoint. Return the id of the restore."""
        call = {"restore_id": str(uuid.uuid4()), "restore_target": None, "restore_auth": None, **more}
        call |= {"provider_id": provider_id, "checkpoint_id": checkpoint_id, "parameters": parameters or {}}
        unwrap(lambda: self.endpoint.restore(context or self.context(), **call))
        return call["restore_id"]

    def verify(
        self, checkpoint_id: str, provider_id: str = PROVIDER, context: RequestContext | None = None, **more: Any
    ) -> str:
        """Start to verify a checkpoint. Return the id of the verification."""
        call = {"verification_id": str(uuid.uuid4()), "parameters": {}, **more}
        call |= {"provider_id": provider_id, "checkpoint_id": checkpoint_id}
        unwrap(lambda: self.endpoint.verify(context or self.context(), **call))
        return call["verification_id"]

    def delete(self, checkpoint_id: str, provider_id: str = PROVIDER, context: RequestContext | None = None) -> None:
        """Ask for a deletion."""
        unwrap(
            lambda: self.endpoint.delete_checkpoint(
                context or self.context(), provider_id=provider_id, checkpoint_id=checkpoint_id
            )
        )

    def checkpoint(self, checkpoint_id: str) -> Checkpoint:
        with self.env.database.reader() as session:
            return checkpoints.CHECKPOINTS.get(session, checkpoint_id)

    def restored(self, restore_id: str) -> Restore:
        with self.env.database.reader() as session:
            return restores.RESTORES.get(session, restore_id)

    def verified(self, verification_id: str) -> Verification:
        with self.env.database.reader() as session:
            return verifications.VERIFICATIONS.get(session, verification_id)

    def operation(self, **equal: Any) -> Operation:
        """The newest one with these values."""
        with self.env.database.reader() as session:
            found = operations.latest_of(session, **equal)
        assert found is not None
        return found

    def resources(self, **equal: Any) -> dict[str, OperationResource]:
        """The resources of the newest operation with these values, by their ids."""
        with self.env.database.reader() as session:
            rows = operations.resources_of(session, [self.operation(**equal).id])
            return {row.resource_key.partition("#")[2]: row for row in rows}

    def wait(self, checkpoint_id: str, *statuses: str, seconds: float = 240) -> Checkpoint:
        """The checkpoint as soon as it has one of *statuses*."""
        return until(
            lambda: self.checkpoint(checkpoint_id), lambda found: found.status in statuses, seconds, f"{statuses}"
        )

    def wait_done(self, seconds: float = 240, **equal: Any) -> Operation:
        """The newest operation with these values as soon as it has ended."""
        return until(
            lambda: self.operation(**equal), lambda found: found.queue_state == "done", seconds, "an operation's end"
        )

    def things(self) -> list[str]:
        """What is left in the cloud."""
        return sorted(path.name for path in self.cloud.things.iterdir())

    def close(self) -> None:
        self.executor.stop(0)
        self.env.close()


def until(get: Callable[[], Any], done: Callable[[Any], bool], seconds: float, what: str) -> Any:
    """Poll until *done*. Fails the test after *seconds*."""
    deadline = time.monotonic() + seconds
    while True:
        found = get()
        if done(found):
            return found
        assert time.monotonic() < deadline, (
            f"waited {seconds} s for {what}, which did not happen; last seen {shown(found)}"
        )
        time.sleep(0.02)


def shown(row: Any) -> str:
    """A row for a message."""
    if not isinstance(row, Base):
        return repr(row)
    names = [column.key for column in sa.inspect(row).mapper.column_attrs if column.key != "credential"]
    return json.dumps({name: str(getattr(row, name)) for name in names})


@contextlib.contextmanager
def running(site: Site) -> Iterator[Site]:
    """Start the executor, and stop it at the end of the block."""
    site.executor.start()
    try:
        yield site
    finally:
        site.close()


def order(calls: Sequence[str], *wanted: str) -> bool:
    """Whether *wanted* occur in this order."""
    places = [calls.index(call) for call in wanted]
    return places == sorted(places)
