import pytest

from karbor_like import exception
from karbor_like.bank.leases.lease import Lease, Leases
from karbor_like.bank.leases.safety import TEST
from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.bank.objectstore.reserve import Reserve
from karbor_like.clock import ManualClock
from karbor_like.protection.operation.lazy import LazyLease


@pytest.fixture
def leases() -> Leases:
    clock = ManualClock()
    store = MemoryStore(clock)
    return Leases(store, Reserve(store, clock, 0), clock, TEST)


@pytest.fixture
def lease(leases: Leases) -> LazyLease:
    def acquire() -> Lease:
        return leases.acquire(holder="me", kind="write")

    return LazyLease(acquire)


def test_a_lease_is_taken_once_and_given_back(lease: LazyLease, leases: Leases):
    assert leases.list() == []
    assert lease.get() is lease.get()
    assert [info.released for info in leases.list()] == [False]
    lease.close()
    assert [info.released for info in leases.list()] == [True]
    with pytest.raises(exception.LeaseLost):
        lease.get()


def test_a_late_caller_takes_no_lease(lease: LazyLease, leases: Leases):
    lease.close()
    with pytest.raises(exception.LeaseLost, match="has ended in this process"):
        lease.get()
    assert leases.list() == []
