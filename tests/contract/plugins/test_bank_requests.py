"""How many requests one small volume costs the bank, with its own plugin."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from karbor_like.bank.bank import Bank
from karbor_like.bank.checkpoints.section import ResourceSection
from karbor_like.bank.keys.keyring import Keyring
from karbor_like.bank.keys.masters import ConfiguredMasterKeys
from karbor_like.bank.leases.lease import Lease
from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.bank.options import BankOptions
from karbor_like.clients.factory import ClientFactory
from karbor_like.clients.waiter import Waiter
from karbor_like.clock import SystemClock
from karbor_like.domain import resource
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.plugins.protection import HookContext
from karbor_like.sandbox.cloud import Sandbox
from karbor_like.testing.host import Host, Operation
from karbor_like.testing.sandbox import context_of, make_plugin
from tests.fixtures import stores
from tests.unit.bank import banks


class CommittingHost(Host):
    """Creates and commits the checkpoint as the tasks around the hooks do."""

    def section(self, checkpoint_id: str, resource: Resource, lease: Lease | None = None) -> ResourceSection:
        if lease is not None:
            self.lease = lease
            self.bank.checkpoints.create(banks.record(checkpoint_id, self.clients.context.project_id), lease)
        return super().section(checkpoint_id, resource, lease)

    @contextmanager
    def _context(
        self, operation: Operation, check: Callable[[], None] = lambda: None, bases: Sequence[str] = ()
    ) -> Iterator[HookContext]:
        with super()._context(operation, check, bases) as context:
            yield context
            self.bank.checkpoints.commit(operation.checkpoint_id, self.lease)


@pytest.fixture
def volume(cloud: Sandbox, factory: ClientFactory) -> Resource:
    cinder: Any = factory.for_context(context_of(cloud)).cinder()
    made = cinder.volumes.create(1, name="small")
    Waiter(SystemClock(), interval=0.005, max_interval=0.05, timeout=60).until(
        "the volume to become available",
        lambda: cinder.volumes.get(made.id),
        done=lambda seen: seen.status == "available",
    )
    cloud.write_volume(made.id, b"x" * 100_000, offset=0)
    return Resource(resource.VOLUME, made.id, "small")


def test_the_run_of_a_small_volume(cloud: Sandbox, factory: ClientFactory, volume: Resource):
    store = stores.FaultyStore(MemoryStore(), SystemClock())
    keyring = Keyring(store, ConfiguredMasterKeys([banks.master_key()]))
    bank = Bank(store, keyring=keyring, options=BankOptions(), clock=SystemClock())
    plugin = make_plugin("karbor_like.testing.sandbox:SmallVolumes")
    host = CommittingHost(plugin, factory.for_context(context_of(cloud)), bank)
    operation = host.operation(OperationType.PROTECT, volume)
    with bank.leases.acquire(holder="call") as lease:
        bank.checkpoints.begin(banks.record(operation.checkpoint_id, host.clients.context.project_id), lease)
    before = store.calls

    host.perform(operation)

    assert store.calls - before <= 60
    assert bank.checkpoints.get(operation.checkpoint_id).status == "available"
