"""How many requests one small volume costs the bank, with its own plugin, and how many of them one after the other."""

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
from tests.fixtures import rounds, stores
from tests.unit.bank import banks


class CommittingHost(Host):
    """Creates and commits the checkpoint as the tasks around the hooks do."""

    def section(
        self, checkpoint_id: str, resource: Resource, lease: Lease | None = None, under: Lease | None = None
    ) -> ResourceSection:
        if lease is not None:
            self.lease = lease
            self.bank.checkpoints.create(banks.record(checkpoint_id, self.clients.context.project_id), lease)
        return super().section(checkpoint_id, resource, lease, under)

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


class ChainedStore(stores.FaultyStore):
    """Adds its requests to the chains of *chains*."""

    def __init__(self, chains: rounds.Rounds) -> None:
        super().__init__(MemoryStore(), SystemClock())
        self._chains = chains

    def _call(self, op: str, key: str, function: Callable[[], Any]) -> Any:
        self._chains.request()
        return super()._call(op, key, function)


def test_the_runs_of_a_small_volume(cloud: Sandbox, factory: ClientFactory, volume: Resource):
    with rounds.counting() as chains:
        store = ChainedStore(chains)
        keyring = Keyring(store, ConfiguredMasterKeys([banks.master_key()]))
        bank = Bank(store, keyring=keyring, options=BankOptions(), clock=SystemClock())
        plugin = make_plugin("karbor_like.testing.sandbox:SmallVolumes")
        host = CommittingHost(plugin, factory.for_context(context_of(cloud)), bank)
        bases: list[str] = []
        for requests, waits in ((49, 31), (57, 39)):
            operation = host.operation(OperationType.PROTECT, volume)
            with bank.leases.acquire(holder="call") as lease:
                record = banks.record(operation.checkpoint_id, host.clients.context.project_id)
                bank.checkpoints.begin(record, lease)
            before, begun = store.calls, chains.here

            host.perform(operation, bases=bases)

            assert store.calls - before <= requests
            assert chains.here - begun <= waits
            assert bank.checkpoints.get(operation.checkpoint_id).status == "available"
            bases = [operation.checkpoint_id]
