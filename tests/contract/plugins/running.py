"""Runs a protection plugin's operations as the protection service would: hooks in their order, clean-up after a failure, a
journal that outlives a crash; against a sandbox and with a bank in memory.
"""

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import requests.adapters
from keystoneauth1 import loading
from oslo_config import cfg

from karbor_like.bank.bank import Bank
from karbor_like.bank.checkpoints.section import ResourceSection
from karbor_like.bank.leases.lease import Lease
from karbor_like.clients.factory import Clients
from karbor_like.clients.waiter import Waiter
from karbor_like.clock import SystemClock
from karbor_like.conf import opts
from karbor_like.context import RequestContext
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.plugins.protection import Entry, HookContext, ProtectionPlugin
from karbor_like.plugins.toolkit import ownership
from karbor_like.sandbox.cloud import Sandbox

#: Bytes per GiB of a volume's size: tests run dozens of times over every volume.
SMALL_GIB = 1 << 20


class Crash(BaseException):
    """The process dies here: nothing that only errors would trigger may run."""


def make_conf(cloud: Sandbox) -> cfg.ConfigOpts:
    """The configuration of a service that works for tenants of *cloud*."""
    conf = cfg.ConfigOpts()
    conf([], project="karbor_like", default_config_files=[])
    opts.register(conf)
    conf.register_opts(loading.get_auth_plugin_conf_options("v3password"), group="service_auth")
    for name, value in {"auth_type": "v3password", **cloud.credentials("karbor")}.items():
        conf.set_override(name, value, "service_auth")
    return conf


def context_of(cloud: Sandbox, user: str = "alice", project: str | None = None) -> RequestContext:
    """What the API makes of a request with *user*'s token."""
    session = cloud.session(user, project)
    access = session.auth.get_access(session)
    return RequestContext(
        auth_token=access.auth_token,
        user_id=access.user_id,
        project_id=access.project_id,
        project_name=access.project_name,
        roles=access.role_names,
        is_admin="admin" in access.role_names,
        service_catalog=access.service_catalog.catalog,
    )


class MemoryJournal:
    """A journal that outlives the attempts of one operation."""

    def __init__(self, operation_id: str, resource: Resource) -> None:
        self._prefix = ownership.name(operation_id, resource.id)
        self._entries: dict[str, Entry] = {}

    def intend(self, role: str, *, keep: bool = False) -> Entry:
        return self._entries.setdefault(role, Entry(role, f"{self._prefix}-{role}", None, keep))

    def made(self, role: str, cloud_id: str) -> Entry:
        self._entries[role] = replace(self._entries[role], cloud_id=cloud_id)
        return self._entries[role]

    def gone(self, role: str) -> None:
        self._entries.pop(role, None)

    def entries(self) -> Sequence[Entry]:
        return list(self._entries.values())


@dataclass
class MemoryReport:
    """What a resource reported."""

    steps: list[str] = field(default_factory=list)
    bytes_done: int = 0
    bytes_total: int | None = None
    logical: int | None = None
    new: int | None = None

    def step(self, name: str) -> None:
        self.steps.append(name)

    def progress(self, done: int, total: int | None) -> None:
        assert done >= 0
        assert total is None or done <= total
        self.bytes_done, self.bytes_total = done, total

    def sizes(self, *, logical: int, new: int, stored: int) -> None:
        self.logical, self.new = logical, new


@dataclass
class Operation:
    """One operation on one resource, over all its attempts; *source* is what a copy is made of."""

    kind: OperationType
    resource: Resource
    checkpoint_id: str
    parameters: Mapping[str, Any]
    source: ResourceSection | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __post_init__(self) -> None:
        self.journal = MemoryJournal(self.id, self.resource)
        self.report = MemoryReport()
        self.done: set[str] = set()


class Host:
    """The protection service in small.

    :param clients: acts as the tenant
    """

    def __init__(self, plugin: ProtectionPlugin, clients: Clients, bank: Bank) -> None:
        self.plugin = plugin
        self.clients = clients
        self.bank = bank
        self.waiter = Waiter(SystemClock(), interval=0.002, max_interval=0.02, timeout=120, retries=4)

    def operation(
        self, kind: OperationType, resource: Resource, checkpoint_id: str | None = None, **parameters: Any
    ) -> Operation:
        return Operation(kind, resource, checkpoint_id or str(uuid.uuid4()), parameters)

    def attempt(self, operation: Operation, check: Callable[[], None] = lambda: None, bases: Sequence[str] = ()) -> Any:
        """Run the hooks that have not run; raises what a hook raises. Returns the last hook's result."""
        result = None
        with self._run(operation, check, bases) as run:
            plugin_operation = self.plugin.operation(operation.kind, operation.resource.type)
            for hook in plugin_operation.hooks():
                if hook not in operation.done:
                    result = getattr(plugin_operation, hook)(run)
                    operation.done.add(hook)
        return result

    def cleanup(self, operation: Operation, check: Callable[[], None] = lambda: None) -> None:
        with self._run(operation, check, ()) as run:
            self.plugin.operation(operation.kind, operation.resource.type).cleanup(run)

    def perform(self, operation: Operation, **kwargs: Any) -> Any:
        """Attempt, and clean up when that fails. What is temporary must be gone then, however it ended."""
        try:
            result = self.attempt(operation, **kwargs)
        except Exception:
            self.cleanup(operation)
            assert operation.journal.entries() == []
            raise
        assert all(entry.keep for entry in operation.journal.entries())
        return result

    def protect(self, resource: Resource, bases: Sequence[str] = (), **parameters: Any) -> Operation:
        """A finished checkpoint."""
        operation = self.operation(OperationType.PROTECT, resource, **parameters)
        self.perform(operation, bases=bases)
        return operation

    def copy(self, source: "Host", resource: Resource, checkpoint_id: str) -> Operation:
        """A finished copy of a checkpoint of *source*."""
        operation = self.operation(OperationType.COPY, resource)
        operation.source = source.section(checkpoint_id, resource)
        self.perform(operation)
        return operation

    def section(self, checkpoint_id: str, resource: Resource, lease: Lease | None = None) -> ResourceSection:
        """The resource's part of a checkpoint."""
        return self.bank.section(checkpoint_id, self.clients.context.project_id, resource.key, lease=lease)

    def restore(self, resource: Resource, checkpoint_id: str, **parameters: Any) -> str:
        """The id of what was restored."""
        result = self.perform(self.operation(OperationType.RESTORE, resource, checkpoint_id, **parameters))
        return result["restored"][resource.key]

    @contextmanager
    def _run(self, operation: Operation, check: Callable[[], None], bases: Sequence[str]) -> Iterator[HookContext]:
        with self.bank.leases.acquire(holder=f"test {operation.id}", bases=bases) as lease:
            yield HookContext(
                operation_id=operation.id,
                checkpoint_id=operation.checkpoint_id,
                project_id=self.clients.context.project_id,
                resource=operation.resource,
                children=[],
                parameters=operation.parameters,
                clients=self.clients,
                section=self.section(operation.checkpoint_id, operation.resource, lease),
                bases=[self.section(base, operation.resource) for base in bases],
                journal=operation.journal,
                report=operation.report,
                waiter=self.waiter,
                restored={},
                check=check,
                source=operation.source,
            )


class Line:
    """The network between this process and the cloud. A call is one request to anything but the sandbox's own API."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._send = requests.adapters.HTTPAdapter.send
        self._local = threading.local()
        line = self

        def send(self: requests.adapters.HTTPAdapter, request: Any, **kwargs: Any) -> requests.Response:
            return line._pass(lambda: line._send(self, request, **kwargs), request)

        monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)

    @contextmanager
    def crash(self, nth: int, *, answered: bool) -> Iterator[None]:
        """Within this, the process dies at the *nth* call (from 1): before it is sent, or when its answer is there.

        :ivar calls: after it: how many calls there were
        """
        self._local.left, self._local.answered = nth, answered
        try:
            yield
        finally:
            self._local.left = None

    def _pass(self, send: Callable[[], requests.Response], request: Any) -> requests.Response:
        left = getattr(self._local, "left", None)
        if left is None or "/sandbox/" in request.url:
            return send()
        self._local.left = left - 1
        if left > 1:
            return send()
        if self._local.answered:
            send()
        raise Crash(f"{request.method} {request.url}")
