"""Wrappers keep the contract of the wrapped store; retries do so even if it fails every third time."""

import pytest

from karbor_like.bank.objectstore import base, limited, memory, retry
from karbor_like.clock import ManualClock
from karbor_like.rate import Rate
from tests.contract import objectstore
from tests.fixtures import stores


class _Contract(objectstore.ObjectStoreContract, lacks={"foreign objects"}):
    """The contract of wrappers of a store in memory, to which no other program can write."""


class TestFaultyStore(_Contract):
    @pytest.fixture
    def store(self) -> base.ObjectStore:
        return stores.FaultyStore(memory.MemoryStore())


class TestEventualStore(_Contract):
    @pytest.fixture
    def store(self) -> base.ObjectStore:
        return stores.EventualStore(memory.MemoryStore(), ManualClock(), lag=0)


class TestBoundedStore(_Contract):
    @pytest.fixture
    def store(self) -> base.ObjectStore:
        store = stores.BoundedStore(memory.MemoryStore())
        store.limit = 1 << 30
        return store


class TestRetryingStore(_Contract):
    @pytest.fixture
    def store(self) -> base.ObjectStore:
        inner = memory.MemoryStore()
        faulty = stores.FaultyStore(inner, ManualClock())
        faulty.randomly(
            0.3, [stores.FAIL, stores.LOSE, stores.slow(1)], where=lambda call: not _finds_nothing(inner, call)
        )
        return retry.RetryingStore(faulty, base.RetryPolicy(attempts=50, total=1e9), ManualClock())


class TestLimitedStore(_Contract):
    examples = 10
    page = 100

    @pytest.fixture
    def store(self) -> base.ObjectStore:
        clock = ManualClock()
        return limited.limited(memory.MemoryStore(), [Rate(lambda: 1000, clock), Rate(lambda: 100, clock)])


def _finds_nothing(store: base.ObjectStore, call: stores.Call) -> bool:
    """Whether this deletes an object that does not exist. After a lost response, that looks like a success."""
    return call.op == "delete" and call.key not in [info.key for info in store.list("", limit=100_000)]
